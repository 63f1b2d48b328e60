"""Money that is here or set aside: it pays its order, or goes back."""

from shop import cart as carts
from shop import orders
from shop.core.events import emit
from shop.core.money import Money
from shop.orders import OrderStatus
from shop.payments import refundable, refunds
from shop.payments.events import LateCause, LatePaymentRefused
from shop.payments.intent_waiting import clear_voucher
from shop.payments.late_money import ask_to_void, claim
from shop.payments.models import Payment
from shop.payments.ordered_cart import take_out_bought
from shop.payments.records import note, recount
from shop.payments.states import AttemptStatus, MoneyEventKind, SyncOutcome
from shop.payments.stripe_objects import Intent
from shop.payments.tasks import close_about, open_task
from shop.payments.unapplied import CannotApply, RefusalName

OUTCOMES = {
    LateCause.SOLD_OUT: SyncOutcome.LATE,
    LateCause.PAID_TWICE: SyncOutcome.PAID_TWICE,
    LateCause.CANCELLED: SyncOutcome.LATE,
}
REFUND_REASONS = {
    LateCause.SOLD_OUT: "sold out meanwhile",
    LateCause.PAID_TWICE: "paid twice",
    LateCause.CANCELLED: "order cancelled before",
}


def apply_authorised(
    chain: orders.Chain, cart: carts.Cart | None, payment: Payment, intent: Intent
) -> SyncOutcome:
    """The money is set aside: it confirms its order, or is released."""
    order = chain.order
    # By whichever charge: money is authorised once.
    was_authorised = payment.status == AttemptStatus.AUTHORISED
    is_new = not was_authorised and note(
        payment,
        MoneyEventKind.AUTHORISED,
        intent.capturable_minor,
        intent.charge_id or intent.id,
        currency=intent.currency,
        occurred_at=intent.charged_at,
    )
    payment.status, payment.capturable_minor = AttemptStatus.AUTHORISED, intent.capturable_minor
    payment.capture_before = intent.capture_before
    if not is_new:
        return SyncOutcome.KNOWN
    recount(order)
    if _differs(order, payment, intent.capturable_minor, intent.currency):
        return SyncOutcome.AMOUNT_DIFFERS
    if cause := claim(chain, orders.mark_authorised):
        emit(LatePaymentRefused(order_id=order.id, payment_id=payment.id, cause=cause))
        ask_to_void(order, payment)
        return OUTCOMES[cause]
    take_out_bought(cart, chain)
    return SyncOutcome.AUTHORISED


def apply_captured(
    chain: orders.Chain, cart: carts.Cart | None, payment: Payment, intent: Intent
) -> SyncOutcome:
    """The money is here: it pays its order, or is refunded."""
    order = chain.order
    if payment.status == AttemptStatus.SUCCEEDED:
        _check_still(payment, intent)
        return SyncOutcome.KNOWN
    was_authorised = payment.status == AttemptStatus.AUTHORISED
    if not _count_captured(payment, intent):
        return SyncOutcome.KNOWN
    if was_authorised and order.status == OrderStatus.CONFIRMED:
        return _captured_by_staff(order, payment, intent)
    recount(order)
    if was_authorised and order.status == OrderStatus.CANCELLED:
        refunds.refund_payment(order, payment, reason="order cancelled before")
        return SyncOutcome.LATE
    if _differs(order, payment, intent.received_minor, intent.currency):
        return SyncOutcome.AMOUNT_DIFFERS
    if cause := claim(chain, orders.mark_paid):
        refunds.refund_payment(order, payment, reason=REFUND_REASONS[cause])
        emit(LatePaymentRefused(order_id=order.id, payment_id=payment.id, cause=cause))
        return OUTCOMES[cause]
    take_out_bought(cart, chain)
    return SyncOutcome.PAID


def _count_captured(payment: Payment, intent: Intent) -> bool:
    """Write down, once, what was captured and what was released with that; False if it is known."""
    was_authorised = payment.status == AttemptStatus.AUTHORISED
    promised, reference = payment.capturable_minor, intent.charge_id or intent.id
    payment.status, payment.capturable_minor = AttemptStatus.SUCCEEDED, 0
    payment.capture_before = None
    clear_voucher(payment)
    is_new = note(
        payment,
        MoneyEventKind.CAPTURED,
        intent.received_minor,
        reference,
        currency=intent.currency,
        occurred_at=intent.charged_at,
    )
    if is_new and was_authorised:
        close_about("capture_soon", str(payment.id))
        if intent.received_minor < promised:
            note(payment, MoneyEventKind.CANCELLED, promised - intent.received_minor, reference)
    return is_new


def _captured_by_staff(order: orders.Order, payment: Payment, intent: Intent) -> SyncOutcome:
    """The money was set aside before and the order confirmed with that: now it is paid for."""
    orders.mark_paid(order)
    recount(order)
    owed = order.total_minor - refundable.never_owed(order)
    # Units were cancelled while Stripe was asked, or somebody captured all of it there.
    too_much = max(0, intent.received_minor - owed)
    refunds.refund_payment(order, payment, reason="cancelled", amount_minor=too_much)
    return SyncOutcome.PAID


def _check_still(payment: Payment, intent: Intent) -> None:
    """A PaymentIntent succeeds once, whichever charge it shows: it is never counted again. Raises
    ``CannotApply`` if Stripe has come to another amount."""
    if intent.received_minor != payment.captured_minor:
        came = Money(intent.received_minor, intent.currency).format()
        counted = Money(payment.captured_minor, refundable.currency_of(payment)).format()
        raise CannotApply(
            RefusalName.OTHER_AMOUNT, f"Stripe received {came}, our books have {counted}."
        )


def _differs(order: orders.Order, payment: Payment, amount_minor: int, currency: str) -> bool:
    if (amount_minor, currency) == (order.total_minor, order.currency):
        return False
    open_task(
        "amount_differs",
        str(payment.id),
        f"Stripe has {Money(amount_minor, currency).format()} for order {order.number}, which costs"
        f" {Money(order.total_minor, order.currency).format()}. It does not count as paid:"
        " refund it in the order, or settle it with the customer.",
        order_id=order.id,
    )
    return True
