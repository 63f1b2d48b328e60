"""Attempts that are over at Stripe: by us, by staff there, or because nobody captured in time."""

from shop import orders
from shop.core import clock
from shop.core.events import emit
from shop.orders import OrderStatus, PaymentStatus
from shop.payments import methods, refundable
from shop.payments.events import PaymentVoided, VoucherCancelled
from shop.payments.intent_waiting import RETRY_WINDOW, clear_voucher, write_failure
from shop.payments.models import Payment
from shop.payments.records import note, recount
from shop.payments.states import AttemptStatus, MoneyEventKind, SyncOutcome
from shop.payments.stripe_objects import Intent
from shop.payments.tasks import close_about, open_task


def apply_ended(order: orders.Order, payment: Payment, intent: Intent) -> SyncOutcome:
    """An attempt is over at Stripe: by us, by staff there, or because nobody captured in time."""
    if payment.status == AttemptStatus.CANCELLED:
        return SyncOutcome.CANCELLED
    was, released = payment.status, payment.capturable_minor
    was_waiting = payment.is_on_its_way
    payment.status, payment.capturable_minor, payment.capture_before = (
        AttemptStatus.CANCELLED,
        0,
        None,
    )
    clear_voucher(payment)
    note(payment, MoneyEventKind.CANCELLED, released, intent.id)
    recount(order)
    if was == AttemptStatus.AUTHORISED:
        close_about("capture_soon", str(payment.id))
        emit(PaymentVoided(order_id=order.id, payment_id=payment.id, amount_minor=released))
        if order.status == OrderStatus.CONFIRMED and order.payment_status == PaymentStatus.UNPAID:
            if order.total_minor == refundable.worth_of_cancelled(order):
                orders.mark_paid(order)
                recount(order)
                return SyncOutcome.CANCELLED
            open_task(
                "authorisation_ended",
                str(payment.id),
                f"Nothing was captured for order {order.number} and the authorisation has expired."
                " Cancel the order, or ask the customer to pay in another way.",
                order_id=order.id,
            )
    elif order.status == OrderStatus.PENDING:
        _ended_unpaid(order, payment, intent, was_waiting=was_waiting)
    return SyncOutcome.CANCELLED


def _ended_unpaid(
    order: orders.Order, payment: Payment, intent: Intent, *, was_waiting: bool
) -> None:
    """What follows for an order whose attempt is over: its customer may not know that yet."""
    if was_waiting and not intent.is_given_up:
        write_failure(order, payment, intent, was_waiting=True, reason=methods.CANCELLED)
    elif was_waiting and order.expires_at > clock.now():
        until = min(order.expires_at, clock.now() + RETRY_WINDOW)
        orders.set_deadline(order, until=until)
        emit(VoucherCancelled(order_id=order.id, payment_id=payment.id))
    elif intent.failure and methods.takes_days(intent.failed_method):
        write_failure(order, payment, intent, was_waiting=False)
