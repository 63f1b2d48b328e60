"""Disputes as we keep them: a row, what it did to the money, and a task until it is decided."""

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from shop import orders
from shop.core import clock
from shop.core.db import session
from shop.core.events import emit
from shop.core.money import Money
from shop.payments.events import DisputeChanged
from shop.payments.models import Dispute, Payment, PaymentEvent
from shop.payments.records import locked, note, order_of, recount
from shop.payments.stripe_gateway import SentDispute
from shop.payments.tasks import close_about, open_task

# https://docs.stripe.com/api/disputes/object#dispute_object-status
OVER = {"won", "lost", "warning_closed", "prevented"}


def apply_dispute(payment_id: int, sent: SentDispute) -> str:
    """Bring our copy of a dispute in step with what Stripe says *now*; gives its status.

    An inquiry (``warning_…``) moves no money. Safe to repeat, in any order.
    """
    order = orders.lock(order_of(payment_id))
    payment = locked(payment_id)
    session.execute(
        insert(Dispute)
        .values(
            payment_id=payment.id,
            stripe_id=sent.id,
            status="",
            amount_minor=sent.amount_minor,
            currency=sent.currency,
            reason=sent.reason,
            opened_at=sent.created,
        )
        .on_conflict_do_nothing(index_elements=["stripe_id"])
    )
    dispute = session.scalars(
        select(Dispute).where(Dispute.stripe_id == sent.id).with_for_update()
    ).one()
    if dispute.status in {"won", "lost"}:
        return dispute.status  # decided: older news comes too late
    changed = dispute.status != sent.status
    dispute.status, dispute.due_by = sent.status, sent.due_by
    dispute.amount_minor, dispute.reason = sent.amount_minor, sent.reason
    if not sent.status.startswith("warning") and sent.status != "prevented":
        note(
            payment, "dispute_opened", sent.amount_minor, sent.id,
            currency=sent.currency, occurred_at=sent.created,
        )  # fmt: skip
        if sent.fee_minor:
            note(payment, "fee", sent.fee_minor, sent.id, currency=sent.fee_currency)
    if sent.status in {"won", "lost"}:
        lost = sent.amount_minor if sent.status == "lost" else 0
        if lost:
            note(payment, "dispute_lost", lost, sent.id, currency=sent.currency)
        # Its amount may have become another one since it was opened: nothing stays held back.
        if (ours := _held_back(payment, sent.id) - lost) > 0:
            note(payment, "dispute_won", ours, sent.id, currency=sent.currency)
    amount = Money(sent.amount_minor, sent.currency).format()
    if sent.status in OVER:
        dispute.closed_at = clock.now()
        close_about("dispute", sent.id)
    else:
        dispute.closed_at = None
        due = f" Answer at Stripe by {sent.due_by:%-d %B %Y}." if sent.due_by else ""
        what = "asks about" if sent.status.startswith("warning") else "disputes"
        open_task(
            "dispute",
            sent.id,
            f"The cardholder's bank {what} {amount} of order {order.number}"
            f" ({sent.reason.replace('_', ' ')}).{due}",
            order_id=order.id,
            # An inquiry that somebody has dealt with may become a dispute all the same.
            again=changed and sent.status == "needs_response",
        )
    if changed:
        recount(order)
        order.version += 1
        emit(
            DisputeChanged(
                order_id=order.id,
                dispute_id=dispute.id,
                status=sent.status,
                amount_minor=sent.amount_minor,
            )
        )
    return sent.status


def _held_back(payment: Payment, stripe_id: str) -> int:
    """What was held back of this payment when the dispute was opened, in minor units."""
    opened = select(PaymentEvent.amount_minor).where(
        PaymentEvent.payment_id == payment.id,
        PaymentEvent.kind == "dispute_opened",
        PaymentEvent.reference == stripe_id,
    )
    return session.scalar(opened) or 0
