"""Reading money."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import joinedload, selectinload

from shop.core.db import session
from shop.payments.models import Dispute, Payment, ReconcileRun, Refund, Task
from shop.payments.states import AttemptStatus, RefundStatus


def of_order(order_id: int) -> Sequence[Payment]:
    """All attempts to pay an order with their events, refunds and disputes. Four statements, five
    with refunds by line."""
    return session.scalars(
        select(Payment)
        .where(Payment.order_id == order_id)
        .options(
            selectinload(Payment.events),
            selectinload(Payment.refunds).selectinload(Refund.lines),
            selectinload(Payment.disputes),
        )
        .order_by(Payment.attempt)
    ).all()


def has_voucher(order_id: int) -> bool:
    """Whether the customer has a voucher to pay this order with."""
    return (
        session.scalar(
            select(Payment.id)
            .where(Payment.order_id == order_id, Payment.voucher_url != "")
            .limit(1)
        )
        is not None
    )


def latest(order_id: int) -> Payment | None:
    """The newest attempt to pay an order. One statement."""
    return session.scalar(
        select(Payment)
        .where(Payment.order_id == order_id)
        .order_by(Payment.attempt.desc())
        .limit(1)
    )


def authorised_payment(order_id: int) -> Payment | None:
    """The attempt whose money is authorised and not yet taken. One statement."""
    return session.scalar(
        select(Payment)
        .where(Payment.order_id == order_id, Payment.status == AttemptStatus.AUTHORISED)
        .limit(1)
    )


def refunds_of(order_id: int) -> Sequence[Refund]:
    """What went back of an order's money or is on its way, oldest first. One statement, two if
    there is any."""
    return session.scalars(
        select(Refund)
        .join(Payment, Payment.id == Refund.payment_id)
        .where(Payment.order_id == order_id)
        .options(selectinload(Refund.lines))
        .order_by(Refund.id)
    ).all()


def open_tasks() -> Sequence[Task]:
    """What people still have to look at, oldest first."""
    return session.scalars(
        select(Task).where(Task.closed_at.is_(None)).order_by(Task.id).limit(200)
    ).all()


def open_refunds(*, limit: int = 100) -> Sequence[Refund]:
    """Refunds on their way, and those that failed and that nobody has dealt with; oldest first."""
    open_task = select(Task.id).where(
        Task.kind == "refund_failed",
        Task.reference == func.concat(Refund.id, ":", Refund.attempt),
        Task.closed_at.is_(None),
    )
    return session.scalars(
        select(Refund)
        .where(
            Refund.status.in_([RefundStatus.REQUESTED, RefundStatus.SENT])
            | ((Refund.status == RefundStatus.FAILED) & open_task.exists())
        )
        .options(joinedload(Refund.payment).joinedload(Payment.order))
        .order_by(Refund.id)
        .limit(limit)
    ).all()


def open_disputes(*, limit: int = 100) -> Sequence[Dispute]:
    """Disputes that are not decided, the most pressing first."""
    return session.scalars(
        select(Dispute)
        .where(Dispute.closed_at.is_(None))
        .options(joinedload(Dispute.payment).joinedload(Payment.order))
        .order_by(Dispute.due_by.nulls_last(), Dispute.id)
        .limit(limit)
    ).all()


def runs(*, limit: int = 10) -> Sequence[ReconcileRun]:
    """The latest reconciliations with Stripe, newest first."""
    return session.scalars(select(ReconcileRun).order_by(ReconcileRun.id.desc()).limit(limit)).all()
