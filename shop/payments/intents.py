"""What Stripe says of a PaymentIntent, brought into our books: the only way to paid.

Safe at any time, in any order, by anybody: what was said before the money came or went changes
nothing. What follows for the order stands in ``intent_paid``, ``intent_waiting`` and
``intent_ended``.
"""

from sqlalchemy import select

from shop import orders
from shop.core.db import session
from shop.payments import methods
from shop.payments.intent_ended import apply_ended
from shop.payments.intent_paid import apply_authorised, apply_captured
from shop.payments.intent_waiting import apply_processing, apply_unpaid, apply_voucher
from shop.payments.models import Payment, PaymentEvent
from shop.payments.ordered_cart import lock_cart_of
from shop.payments.records import locked, order_of
from shop.payments.states import AttemptStatus, MoneyEventKind, SyncOutcome
from shop.payments.stripe_objects import Intent

# What Stripe may say of an intent again and again, in any order.
PASSING = {"requires_payment_method", "requires_confirmation", "requires_action", "processing"}


def apply_intent(payment_id: int, intent: Intent, *, order_id: int | None = None) -> SyncOutcome:
    """Bring payment and order in step with what Stripe says *now*. Returns what was done.

    The only way to paid. Safe to call any number of times, in any order, by anybody. An order that
    somebody cancelled stays so: money that comes after that goes back. Without ``order_id``, its
    order is looked up.
    """
    order_id = order_id or order_of(payment_id)
    is_promised = intent.status in {"succeeded", "requires_capture", "processing"}
    cart = lock_cart_of(order_id) if is_promised or intent.voucher else None
    chain = orders.lock_chain(order_id)
    order, payment = chain.order, locked(payment_id)
    if _is_old_news(payment, intent):  # asked before the money came or went, and arrives after it
        return SyncOutcome.KNOWN
    _remember(payment, intent)
    if intent.status == "succeeded":
        return apply_captured(chain, cart, payment, intent)
    if intent.status == "requires_capture":
        return apply_authorised(chain, cart, payment, intent)
    if intent.status == "processing":
        return apply_processing(chain, cart, payment)
    if intent.status == "canceled":
        return apply_ended(order, payment, intent)
    if intent.voucher:
        return apply_voucher(chain, cart, payment, intent)
    return apply_unpaid(order, payment, intent)


def _is_old_news(payment: Payment, intent: Intent) -> bool:
    """Whether Stripe said this before what we have written down since.

    Succeeded and canceled are for good there, and authorised money can only become one of the two.
    An attempt that only we gave up (``abandon``) has no such end: news of it is new.
    """
    if intent.status == "succeeded":
        return False
    if payment.status == AttemptStatus.AUTHORISED:
        return intent.status not in {"requires_capture", "canceled"}
    if payment.status == AttemptStatus.CANCELLED and intent.status != "canceled":
        ended = select(PaymentEvent.id).where(
            PaymentEvent.payment_id == payment.id, PaymentEvent.kind == MoneyEventKind.CANCELLED
        )
        return session.scalar(ended.limit(1)) is not None
    if payment.status == AttemptStatus.SUCCEEDED:
        return True
    is_older = payment.checked_at is not None and intent.asked_at < payment.checked_at
    return is_older and intent.status in PASSING


def _remember(payment: Payment, intent: Intent) -> None:
    """What the newest answer of Stripe says of the way in which this is paid."""
    payment.checked_at = max(intent.asked_at, payment.checked_at or intent.asked_at)
    payment.method = intent.method or payment.method
    has_card = payment.method in {"", methods.PaymentMethod.CARD}
    payment.card_brand = intent.card_brand or payment.card_brand if has_card else ""
    payment.card_last4 = intent.card_last4 or payment.card_last4 if has_card else ""
