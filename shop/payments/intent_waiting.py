"""Money that is not here: on its way, waiting in a voucher, or failed."""

from datetime import timedelta

from shop import cart as carts
from shop import orders
from shop.core import clock
from shop.core.events import emit
from shop.orders import OrderStatus
from shop.payments import methods
from shop.payments.events import PaymentFailed, PaymentProcessing, VoucherIssued
from shop.payments.late_money import ask_to_void, claim
from shop.payments.models import Payment
from shop.payments.ordered_cart import take_out_bought
from shop.payments.records import note, recount
from shop.payments.states import AttemptStatus, MoneyEventKind, SyncOutcome
from shop.payments.stripe_objects import Intent

# Renewed each time that Stripe says so; until then nothing expires.
PROCESSING_EXTENSION = timedelta(hours=24)
# Payments of the last day may be confirmed on the next one (https://docs.stripe.com/payments/oxxo).
VOUCHER_GRACE = timedelta(hours=24)
# How long an order can be paid again when its payment failed after days.
RETRY_WINDOW = timedelta(hours=72)


def apply_processing(chain: orders.Chain, cart: carts.Cart | None, payment: Payment) -> SyncOutcome:
    """The customer has paid, and the money takes days: the order counts as ordered."""
    order, is_new = chain.order, payment.status != AttemptStatus.PROCESSING
    if is_new:
        payment.status, payment.failure = AttemptStatus.PROCESSING, ""
        clear_voucher(payment)
        recount(order)
        if claim(chain, orders.keep_waiting) is not None:
            # Some methods can still be stopped; the money of others is refunded when it arrives.
            ask_to_void(order, payment)
            return SyncOutcome.UNWANTED
        emit(PaymentProcessing(order_id=order.id, payment_id=payment.id))
        take_out_bought(cart, chain)
    orders.extend_reservation(order, until=clock.now() + PROCESSING_EXTENSION)
    return SyncOutcome.PROCESSING


def apply_voucher(
    chain: orders.Chain, cart: carts.Cart | None, payment: Payment, intent: Intent
) -> SyncOutcome:
    """The customer has a voucher: the order waits until it ends."""
    order, given = chain.order, intent.voucher
    known = (payment.voucher_url, payment.voucher_reference)
    if given is None or known == (given.url, given.reference):
        return SyncOutcome.WAITING
    payment.failure = ""
    payment.voucher_url, payment.voucher_reference = given.url, given.reference
    payment.voucher_expires_at = given.expires_at
    if order.status != OrderStatus.PENDING:
        return SyncOutcome.WAITING  # closed meanwhile: what follows that cancels the voucher
    orders.extend_reservation(order, until=given.expires_at + VOUCHER_GRACE)
    order.version += 1
    emit(VoucherIssued(order_id=order.id, payment_id=payment.id))
    take_out_bought(cart, chain)
    return SyncOutcome.VOUCHER


def clear_voucher(payment: Payment) -> None:
    """The customer has no voucher any more."""
    payment.voucher_url, payment.voucher_reference = "", ""
    payment.voucher_expires_at = None


def apply_unpaid(order: orders.Order, payment: Payment, intent: Intent) -> SyncOutcome:
    """Nothing was paid, or no more: a card was declined, a debit bounced, a voucher has ended."""
    was_waiting = payment.is_on_its_way
    if was_waiting:
        payment.status = AttemptStatus.STARTED
        clear_voucher(payment)
        recount(order)
    if intent.failure or (was_waiting and intent.status == "requires_payment_method"):
        return write_failure(order, payment, intent, was_waiting=was_waiting)
    if was_waiting:
        orders.set_deadline(order, until=clock.now() + RETRY_WINDOW)
    return SyncOutcome.WAITING


def write_failure(
    order: orders.Order, payment: Payment, intent: Intent, *, was_waiting: bool, reason: str = ""
) -> SyncOutcome:
    """Write a failure down once. One that came days after the customer has done their part gives
    them time to pay again, also when nobody had said that the money was on its way."""
    reason = intent.failure or reason or methods.NOT_ARRIVED
    reference = intent.failure_reference or intent.id
    is_new = note(payment, MoneyEventKind.FAILED, 0, reference, occurred_at=intent.charged_at)
    if not (is_new or was_waiting):
        return SyncOutcome.WAITING
    payment.failure = reason
    is_later = was_waiting or methods.takes_days(intent.failed_method)
    if is_later:
        orders.set_deadline(order, until=clock.now() + RETRY_WINDOW)
    if order.status == OrderStatus.PENDING or not is_later:
        emit(PaymentFailed(order_id=order.id, payment_id=payment.id, reason=reason, later=is_later))
    return SyncOutcome.FAILED
