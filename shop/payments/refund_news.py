"""What became of refunds: done, failed, stuck, or made at Stripe by somebody else.

Safe to repeat, in any order: Stripe tells it more than once, and not in turn.
"""

from datetime import timedelta

from sqlalchemy import func, select

from shop import orders
from shop.core import clock
from shop.core.db import session
from shop.core.events import emit
from shop.core.money import format_minor
from shop.payments import refundable
from shop.payments.events import OrderRefunded, RefundFailed
from shop.payments.models import Payment, Refund, Task
from shop.payments.records import locked, locked_refund, note, order_of, recount
from shop.payments.states import MoneyEventKind, RefundSource, RefundStatus
from shop.payments.stripe_objects import SentRefund
from shop.payments.tasks import close_about, open_task
from shop.payments.unapplied import CannotApply, RefusalName

STUCK = "refund_stuck"
# The doctor's check "refund-stuck" goes by them, too.
CONFIRMED_WITHIN = timedelta(hours=1)
ENDED_WITHIN = timedelta(days=14)


def apply_refund(refund_id: int, sent: SentRefund) -> None:
    """Write down what Stripe says about a refund; safe to repeat, in any order."""
    payment_id = session.get_one(Refund, refund_id).payment_id
    order = orders.lock(order_of(payment_id))
    payment = locked(payment_id)
    refund = locked_refund(refund_id)
    if _is_old_news(refund, sent):
        return
    _check_amount(refund, sent)
    if sent.status in {"failed", "canceled"}:
        _apply_failure(order, payment, refund, sent)
        return
    if refund.status == RefundStatus.FAILED:
        _check_room(payment, sent)
        _count_again(order, refund)
    refund.stripe_id = sent.id
    if sent.status == "succeeded":
        _apply_success(order, payment, refund, sent)
    else:
        _apply_pending(refund)


def _is_old_news(refund: Refund, sent: SentRefund) -> bool:
    """Whether Stripe says this of an earlier attempt, or of one that has failed: at Stripe that is
    for good, so whatever else was said of it was said before."""
    is_now = sent.metadata.get("attempt", str(refund.attempt)) == str(refund.attempt)
    if refund.stripe_id != sent.id and (refund.stripe_id is not None or not is_now):
        return True
    return refund.status == RefundStatus.FAILED and refund.stripe_id is not None


def _check_amount(refund: Refund, sent: SentRefund) -> None:
    if (sent.amount_minor, sent.currency) != (refund.amount_minor, refund.currency):
        raise CannotApply(
            RefusalName.OTHER_AMOUNT,
            f"Stripe refunds {format_minor(sent.amount_minor, sent.currency)}, our refund is of"
            f" {format_minor(refund.amount_minor, refund.currency)}.",
        )


def _apply_failure(order: orders.Order, payment: Payment, refund: Refund, sent: SentRefund) -> None:
    if refund.status == RefundStatus.DONE:
        note(
            payment,
            MoneyEventKind.REFUND_FAILED,
            refund.amount_minor,
            sent.id,
            currency=refund.currency,
        )
    refund.stripe_id = sent.id
    fail_refund(order, refund, sent.failure or "Stripe did not send it.")
    recount(order)


def _apply_pending(refund: Refund) -> None:
    if refund.status == RefundStatus.REQUESTED:
        _close_stuck(refund)
    if refund.status != RefundStatus.DONE:
        refund.status = RefundStatus.SENT


def _apply_success(order: orders.Order, payment: Payment, refund: Refund, sent: SentRefund) -> None:
    if refund.status != RefundStatus.DONE:
        _close_stuck(refund)
        refund.status, refund.done_at, refund.failure = RefundStatus.DONE, clock.now(), ""
    is_new = note(
        payment,
        MoneyEventKind.REFUNDED,
        refund.amount_minor,
        sent.id,
        currency=refund.currency,
        occurred_at=sent.created,
    )
    if is_new:
        recount(order)
        emit(
            OrderRefunded(order_id=order.id, refund_id=refund.id, amount_minor=refund.amount_minor)
        )


def _count_again(order: orders.Order, refund: Refund) -> None:
    """A refund that we had given up was sent after all."""
    lines = {line.id: line for line in order.lines}
    for part in refund.lines:
        line = lines[part.order_line_id]
        line.refunded = min(line.quantity, line.refunded + part.quantity)
    orders.record_sales(order)
    close_about("refund_failed", f"{refund.id}:{refund.attempt}")


def fail_refund(order: orders.Order, refund: Refund, reason: str) -> None:
    """Stripe did not refund the money: the units count as not refunded, and a person is
    asked. Safe to repeat."""
    if refund.status == RefundStatus.FAILED:
        return
    _close_stuck(refund)
    refund.status, refund.failure = RefundStatus.FAILED, reason
    lines = {line.id: line for line in order.lines}
    for part in refund.lines:
        lines[part.order_line_id].refunded -= part.quantity
    order.version += 1
    session.flush()
    orders.record_sales(order)
    emit(RefundFailed(order_id=order.id, refund_id=refund.id, reason=reason))
    open_task(
        "refund_failed",
        f"{refund.id}:{refund.attempt}",
        f"The refund of {format_minor(refund.amount_minor, refund.currency)} for order"
        f" {order.number} failed: {reason}",
        order_id=order.id,
    )


def _close_stuck(refund: Refund) -> None:
    """It leaves its state: nobody need look why it stays there any more."""
    if refund.requested_at < clock.now() - CONFIRMED_WITHIN:
        close_about(STUCK, f"{refund.id}:{refund.attempt}:{refund.status}")


def report_stuck_refunds() -> int:
    """Ask a person about every refund that Stripe has not confirmed for an hour, or not ended for
    two weeks; once for each. Returns how many were reported. One statement when there is none."""
    now = clock.now()
    is_asked = select(Task.id).where(
        Task.kind == STUCK,
        Task.reference == func.concat(Refund.id, ":", Refund.attempt, ":", Refund.status),
    )
    stuck = session.execute(
        select(Refund.id, Refund.attempt, Refund.status, Refund.amount_minor, Refund.currency,
               Refund.requested_at, Payment.order_id, orders.Order.number)
        .join(Payment, Payment.id == Refund.payment_id)
        .join(orders.Order, orders.Order.id == Payment.order_id)
        .where(
            ((Refund.status == RefundStatus.REQUESTED)
             & (Refund.requested_at < now - CONFIRMED_WITHIN))
            | ((Refund.status == RefundStatus.SENT) & (Refund.requested_at < now - ENDED_WITHIN)),
            ~is_asked.exists(),
        )
        .order_by(Refund.id)
    ).all()  # fmt: skip
    for row in stuck:
        since = f"{row.requested_at:%-d %B, %H:%M} UTC"
        what = (
            f"was requested on {since}, and Stripe has not confirmed it. The shop keeps trying"
            if row.status == RefundStatus.REQUESTED
            else f"has been pending at Stripe since {since}"
        )
        open_task(
            STUCK,
            f"{row.id}:{row.attempt}:{row.status}",
            f"The refund of {format_minor(row.amount_minor, row.currency)} for order {row.number}"
            f" {what}.",
            order_id=row.order_id,
        )
    return len(stuck)


def adopt_refund(payment_id: int, sent: SentRefund) -> bool:
    """Take over a refund that somebody made at Stripe; False if it is known.

    Ours that were not sent yet and no longer fit are cancelled: the money went once already. One
    that failed there took no money, so it takes no room. Raises ``CannotApply`` for one in another
    currency, of money that was not captured, or of more than is left of it.
    """
    order = orders.lock(order_of(payment_id))
    payment = locked(payment_id)
    if session.scalar(select(Refund.id).where(Refund.stripe_id == sent.id)) is not None:
        return False
    has_failed = sent.status in {"failed", "canceled"}
    if not has_failed:
        _check_captured(payment, sent)
        _make_room(order, payment, sent.amount_minor)
        _check_room(payment, sent)
    refund = _made_at_stripe(payment, sent)
    if has_failed:
        return True
    open_task(
        "external_refund",
        sent.id,
        f"{format_minor(sent.amount_minor, sent.currency)} for order {order.number} was refunded at"
        " Stripe. Say in the order what it was for.",
        order_id=order.id,
    )
    apply_refund(refund.id, sent)
    return True


def _made_at_stripe(payment: Payment, sent: SentRefund) -> Refund:
    has_failed = sent.status in {"failed", "canceled"}
    refund = Refund(
        payment_id=payment.id,
        status=RefundStatus.FAILED if has_failed else RefundStatus.SENT,
        amount_minor=sent.amount_minor,
        currency=sent.currency,
        reason="made at Stripe",
        source=RefundSource.EXTERNAL,
        stripe_id=sent.id,
        failure=sent.failure,
        requested_by="Stripe",
        requested_at=sent.created,
    )
    session.add(refund)
    session.flush()
    return refund


def _check_captured(payment: Payment, sent: SentRefund) -> None:
    """Older accounts of Stripe's have a refund for what an authorisation released: no money moved.

    https://docs.stripe.com/changelog/basil/2025-03-31
    """
    amount = format_minor(sent.amount_minor, sent.currency)
    if not payment.captured_minor:
        raise CannotApply(
            RefusalName.NOT_CAPTURED,
            f"It is of {amount}, and nothing was captured: no money of this order has moved.",
        )
    currency = refundable.currency_of(payment)
    if sent.currency != currency:
        raise CannotApply(
            RefusalName.OTHER_CURRENCY, f"It is of {amount}, the payment is in {currency}."
        )


def _check_room(payment: Payment, sent: SentRefund) -> None:
    if sent.amount_minor > payment.room_minor:
        raise CannotApply(
            RefusalName.BEYOND_CAPTURED,
            f"It is of {format_minor(sent.amount_minor, sent.currency)}, and only"
            f" {format_minor(payment.room_minor, sent.currency)} of the payment are left.",
        )


def _make_room(order: orders.Order, payment: Payment, amount: int) -> None:
    waiting = session.scalars(
        select(Refund)
        .where(Refund.payment_id == payment.id, Refund.status == RefundStatus.REQUESTED)
        .order_by(Refund.id.desc())
        .with_for_update()
    )
    for refund in waiting:
        session.refresh(payment)
        if payment.room_minor >= amount:
            return
        fail_refund(order, refund, "The money went back at Stripe meanwhile.")
    session.flush()
    session.refresh(payment)
