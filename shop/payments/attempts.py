"""Attempts to pay an order, as we write them down: begun, given their PaymentIntent, given up."""

from sqlalchemy import select, update

from shop import orders
from shop.core import clock
from shop.core.db import session
from shop.core.errors import WrongState
from shop.core.i18n import gettext as _
from shop.core.money import Money
from shop.orders import OrderStatus, PaymentStatus
from shop.payments import methods
from shop.payments.models import Payment
from shop.payments.records import locked, order_of
from shop.payments.states import AttemptStatus
from shop.payments.stripe_objects import Intent

OPEN = (
    AttemptStatus.CREATED,
    AttemptStatus.STARTED,
    AttemptStatus.PROCESSING,
    AttemptStatus.AUTHORISED,
)


def open_payment(order: orders.Order, *, capture: str) -> Payment:
    """The attempt by which this order is being paid, made if there is none.

    Raises ``WrongState`` when there is nothing to pay any more.
    """
    if order.status in {OrderStatus.CONFIRMED, OrderStatus.COMPLETED}:
        if order.payment_status == PaymentStatus.UNPAID and order.total_minor:
            raise WrongState(
                _("The amount authorised for this order was released. Please contact us.")
            )
        raise WrongState(_("This order is already paid."))
    if order.status != OrderStatus.PENDING or order.expires_at <= clock.now():
        raise WrongState(_("The time to pay for this order has run out. Place the order again."))
    latest = session.scalar(
        select(Payment)
        .where(Payment.order_id == order.id)
        .order_by(Payment.attempt.desc())
        .limit(1)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if latest is not None and latest.status in {AttemptStatus.CREATED, AttemptStatus.STARTED}:
        return latest
    if latest is not None and latest.status == AttemptStatus.PROCESSING:
        raise WrongState(
            _("Your payment for this order is on its way. You don't need to pay again.")
        )
    if latest is not None and latest.has_money:
        raise WrongState(
            _("We received money for this order and are checking it. Do not pay twice.")
        )
    payment = Payment(
        order_id=order.id,
        attempt=latest.attempt + 1 if latest else 1,
        capture=capture,
        amount_minor=order.total_minor,
        currency=order.currency,
    )
    session.add(payment)
    session.flush()
    return payment


def offered_for(order: orders.Order, payment: Payment) -> tuple[methods.PaymentMethod, ...]:
    """Returns the methods that can pay this attempt, by the amount, the currency and the country
    that the bill goes to; not again the voucher that its customer gave up for it, or the goods
    could be kept by one voucher after the other. Raises ``WrongState`` if there is none."""
    offered = ways_to_pay(order, capture=payment.capture)
    if payment.attempt > 1:
        given_up = select(Payment.method).where(
            Payment.order_id == order.id, Payment.status == AttemptStatus.CANCELLED
        )
        vouchers = {one for one in session.scalars(given_up) if methods.is_voucher(one)}
        offered = tuple(one for one in offered if one not in vouchers) or offered
    if not offered:
        raise WrongState(
            _("None of our payment methods can pay for this order. Please contact us.")
        )
    return offered


def has_ended_voucher(order: orders.Order, payment: Payment) -> bool:
    """Whether the voucher of this attempt ended unpaid and the order can be paid otherwise."""
    has_ended = payment.status == AttemptStatus.STARTED and not payment.voucher_url
    if not (has_ended and payment.failure and methods.is_voucher(payment.method)):
        return False
    ways = ways_to_pay(order, capture=payment.capture)
    return any(not methods.is_voucher(way) for way in ways)


def ways_to_pay(order: orders.Order, *, capture: str) -> tuple[methods.PaymentMethod, ...]:
    """Returns the methods that can pay this order; possibly none. ``capture`` as in ``Payment``."""
    return methods.offered_methods(
        methods.enabled_methods(),
        Money(order.total_minor, order.currency),
        country=(order.billing_address or order.shipping_address).get("country", ""),
        capture=capture,
    )


def attach_intent(payment_id: int, intent: Intent) -> bool:
    """Remember which PaymentIntent belongs to this attempt. Returns False if it has one already,
    this or another."""
    attached = session.scalar(
        update(Payment)
        .where(Payment.id == payment_id, Payment.intent_id.is_(None))
        .values(
            intent_id=intent.id, client_secret=intent.client_secret, status=AttemptStatus.STARTED
        )
        .returning(Payment.id)
    )
    return attached is not None


def abandon(payment_id: int, intent_id: str | None) -> None:
    """Give up an attempt by which nobody can pay: Stripe does not know its intent, or none was made
    whose secret we gave away. Changes nothing if it has got another intent meanwhile."""
    orders.lock(order_of(payment_id), whole=False)
    payment = locked(payment_id)
    if payment.intent_id == intent_id and payment.status in {
        AttemptStatus.CREATED,
        AttemptStatus.STARTED,
    }:
        payment.status = AttemptStatus.CANCELLED
