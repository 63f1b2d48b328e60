"""Money between us and Stripe. No transaction is ever open during a call to Stripe."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from shop import orders
from shop.core import clock, forgetting
from shop.core.db import end_read, retrying, session, transaction
from shop.core.errors import DomainError, Unavailable
from shop.core.money import Money
from shop.payments import disputes, operations, refunds
from shop.payments import stripe_gateway as gateway
from shop.payments.models import Payment, Refund, WebhookDelivery
from shop.payments.records import order_of
from shop.payments.tasks import open_task

log = logging.getLogger(__name__)

# Each failed call may take most of a minute; nothing else of the timetable runs meanwhile.
PATIENCE = 3
# https://docs.stripe.com/api/idempotent_requests: keys may be forgotten after 24 hours.
KEY_LIVES = timedelta(hours=20)
MESSAGES_KEPT = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Started:
    """What the payment page needs. Amount in minor units."""

    payment_id: int
    client_secret: str
    publishable_key: str
    amount_minor: int
    currency: str


def start(order_id: int) -> Started:
    """Begin (or go on) paying an order; safe to repeat after any crash.

    Raises ``WrongState`` when it cannot be paid (any more), ``Unavailable`` when Stripe is away:
    the order stays pending and the same call works later.
    """
    with transaction("open-payment"):
        order = orders.lock(order_id, whole=False)
        payment = operations.open_payment(order, capture=gateway.capture_method())
        email, number = order.email, order.number
        offered = operations.offered_for(order, payment)
    if payment.intent_id is None:
        intent = gateway.create_intent(
            key=payment.key,
            amount_minor=payment.amount_minor,
            currency=payment.currency,
            capture=payment.capture,
            methods=offered,
            email=email,
            metadata={"order": number, "payment": payment.key},
        )
        with transaction("attach-intent"):
            operations.attach_intent(payment.id, intent)
        client_secret = intent.client_secret
    else:
        client_secret = payment.client_secret or ""
    return Started(
        payment.id,
        client_secret,
        gateway.publishable_key(),
        payment.amount_minor,
        payment.currency,
    )


def settle(payment_id: int) -> str:
    """Ask Stripe how a payment stands and bring ours in step; gives what was done.

    Called by the return page, by webhooks and by ``reconcile``; safe to repeat at any time.
    """
    intent_id = session.scalar(select(Payment.intent_id).where(Payment.id == payment_id))
    return _settle(payment_id, intent_id)


def _settle(payment_id: int, intent_id: str | None, order_id: int | None = None) -> str:
    end_read()
    if intent_id is None:
        return "waiting"
    intent = gateway.fetch_intent(intent_id)

    def apply() -> str:
        with transaction("settle"):
            return operations.apply_intent(payment_id, intent, order_id=order_id)

    return retrying(apply)


def settle_order(order_id: int) -> str:
    """``settle`` for the newest attempt of an order; "waiting" when there is none."""
    found = session.execute(
        select(Payment.id, Payment.intent_id)
        .where(Payment.order_id == order_id, Payment.intent_id.is_not(None))
        .order_by(Payment.attempt.desc())
        .limit(1)
    ).first()
    return _settle(found.id, found.intent_id, order_id) if found else "waiting"


def record_webhook(payload: bytes, signature: str) -> bool:
    """Verify and store a message of Stripe's; False if we had it. Raises ``BadSignature``."""
    event = gateway.verify(payload, signature)
    with transaction("store-message"):
        return operations.record_delivery(event)


def apply_delivery(delivery_id: int) -> None:
    """Act on a stored message. Unknown types are kept and ignored."""
    delivery = session.get(WebhookDelivery, delivery_id)
    if delivery is None or delivery.applied_at is not None:
        return
    end_read()
    about = (delivery.payload.get("data") or {}).get("object") or {}
    outcome = "ignored"
    if delivery.type.startswith("payment_intent."):
        outcome = settle_intent(str(about.get("id")))
    elif delivery.type.startswith("refund."):
        outcome = settle_refund(str(about.get("id")))
    elif delivery.type.startswith("charge.dispute."):
        outcome = settle_dispute(str(about.get("id")))
    with transaction("apply-message"):
        row = session.get_one(WebhookDelivery, delivery_id)
        row.applied_at, row.outcome = clock.now(), outcome


def prune_messages() -> int:
    """Forget messages that were acted on 90 days ago; gives how many. Stripe repeats none that is
    older than 30 days (https://docs.stripe.com/api/events)."""
    long_ago = clock.now() - MESSAGES_KEPT
    return forgetting.forget(WebhookDelivery.id, is_over=WebhookDelivery.applied_at < long_ago)


def settle_intent(intent_id: str) -> str:
    """``settle`` for the payment of a PaymentIntent. One that we do not know is taken over if we
    made it and died before storing its id; if it holds money, a person is asked."""
    payment_id = session.scalar(select(Payment.id).where(Payment.intent_id == intent_id))
    end_read()
    if payment_id is not None:
        return _settle(payment_id, intent_id)
    intent = gateway.fetch_intent(intent_id)
    payment_id = _adopt(intent)
    if payment_id is not None:
        return _settle(payment_id, intent_id)
    if "payment" in intent.metadata and intent.status in {"succeeded", "requires_capture"}:
        with transaction():
            _report_orphan(intent)
    return "unknown payment"


def settle_refund(stripe_id: str) -> str:
    """Bring a refund in step with what Stripe says *now*; one made there is taken over."""
    return apply_sent_refund(gateway.fetch_refund(stripe_id))


def apply_sent_refund(sent: gateway.SentRefund) -> str:
    """``settle_refund`` for a refund that was just read.

    One of ours is known by Stripe's id or by its key and attempt; a failure of an earlier attempt
    is old news, a success of one is money that somebody has to look at.
    """
    known = session.execute(
        select(Refund.id, Refund.attempt, Refund.stripe_id)
        .where((Refund.stripe_id == sent.id) | (Refund.key == sent.metadata.get("refund", "")))
        # An earlier attempt of ours that was taken over has a row of its own: that one is meant.
        .order_by(Refund.stripe_id.is_distinct_from(sent.id))
        .limit(1)
    ).first()
    payment = session.execute(
        select(Payment.id, Payment.captured_minor).where(Payment.intent_id == sent.intent_id)
    ).first()
    end_read()
    if known is not None:
        is_now = sent.metadata.get("attempt", str(known.attempt)) == str(known.attempt)
        if known.stripe_id == sent.id or (known.stripe_id is None and is_now):
            return _in_one(lambda: refunds.apply_refund(known.id, sent), "refund")
        if sent.status in {"failed", "canceled"}:
            return "earlier attempt"
    if payment is None:
        return "unknown refund"
    if not payment.captured_minor:
        _settle(payment.id, sent.intent_id)  # this message overtook the one of the money
    return _in_one(lambda: refunds.adopt_refund(payment.id, sent), "external refund")


def _in_one(work: Callable[[], object], outcome: str) -> str:
    def apply() -> str:
        with transaction("apply-refund"):
            return outcome if work() is not False else "refund"

    return retrying(apply)


def settle_dispute(stripe_id: str) -> str:
    """Bring a dispute in step with what Stripe says *now*."""
    return apply_sent_dispute(gateway.fetch_dispute(stripe_id))


def apply_sent_dispute(sent: gateway.SentDispute) -> str:
    """``settle_dispute`` for a dispute that was just read."""
    payment_id = session.scalar(select(Payment.id).where(Payment.intent_id == sent.intent_id))
    end_read()
    if payment_id is None:
        return "unknown dispute"

    def apply() -> str:
        with transaction():
            return f"dispute {disputes.apply_dispute(payment_id, sent)}"

    return retrying(apply)


def capture(payment_id: int, amount_minor: int | None = None) -> str:
    """Take authorised money, all of it or ``amount_minor``; what is left is released for good.

    Raises ``WrongState``, ``Invalid``, ``Refused``, ``Unavailable``. Safe to repeat.
    """
    with transaction():
        intent_id, key, amount = operations.check_capture(payment_id, amount_minor)
    intent = gateway.capture_intent(intent_id, key=key, amount_minor=amount)
    with transaction("apply-capture"):
        return operations.apply_intent(payment_id, intent)


def void(payment_id: int) -> str:
    """Release authorised money without taking it. Money that was captured meanwhile is settled."""
    intent_id = session.scalar(select(Payment.intent_id).where(Payment.id == payment_id))
    end_read()
    if intent_id is None:
        return "waiting"
    intent = gateway.cancel_intent(intent_id)
    with transaction("apply-void"):
        return operations.apply_intent(payment_id, intent)


def send_refund(refund_id: int) -> None:
    """Ask Stripe to give the money of a requested refund back; safe to repeat."""
    refund = session.get_one(Refund, refund_id)
    if refund.status in {"done", "failed"}:
        return
    intent_id = session.scalar(select(Payment.intent_id).where(Payment.id == refund.payment_id))
    amount, own_key, attempt = refund.amount_minor, refund.key, refund.attempt
    is_old = clock.now() - refund.requested_at > KEY_LIVES
    end_read()
    known = _sent_before(intent_id or "", own_key, attempt) if is_old else None
    try:
        sent = known or gateway.create_refund(
            key=own_key if attempt == 1 else f"{own_key}:{attempt}",
            intent_id=intent_id or "",
            amount_minor=amount,
            metadata={"refund": own_key, "attempt": str(attempt)},
        )
    except gateway.Refused as error:
        with transaction():
            row = session.get_one(Refund, refund_id)
            order = orders.lock(order_of(row.payment_id))
            session.refresh(row, with_for_update=True)
            if row.attempt == attempt and row.stripe_id is None:
                refunds.fail_refund(order, row, error.sentence)
        return
    with transaction("apply-refund"):
        refunds.apply_refund(refund_id, sent)


def _sent_before(intent_id: str, own_key: str, attempt: int) -> gateway.SentRefund | None:
    """Our refund among those of a PaymentIntent: Stripe forgets idempotency keys after a day."""
    wanted = {"refund": own_key, "attempt": str(attempt)}
    return next(
        (one for one in gateway.refunds_of(intent_id) if wanted.items() <= one.metadata.items()),
        None,
    )


def close_intents(order_id: int) -> None:
    """Cancel what could still be paid for a closed order; money that came first is settled.

    Of an order that stands, money that is held stays: only further attempts are cancelled. What
    Stripe never heard of, or does not know under our key, nobody can pay: it is given up.
    """
    stands = orders.Order.status.in_(["confirmed", "completed"])
    rows = session.execute(
        select(Payment.id, Payment.intent_id)
        .join(orders.Order, orders.Order.id == Payment.order_id)
        .where(
            Payment.order_id == order_id,
            Payment.status.in_(operations.OPEN),
            ~(stands & (Payment.status == "authorised")),
        )
    ).all()
    end_read()
    for payment_id, intent_id in rows:
        intent = _cancelled(intent_id) if intent_id else None
        with transaction("close-attempt"):
            if intent is None:
                operations.abandon(payment_id, intent_id)
            else:
                operations.apply_intent(payment_id, intent)


def _cancelled(intent_id: str) -> gateway.Intent | None:
    try:
        return gateway.cancel_intent(intent_id)
    except gateway.Refused as error:
        log.error("unknown to stripe", extra={"intent_id": intent_id, "reason": str(error)})
        return None


def expire_unpaid() -> int:
    """Close orders whose time is up: cancel at Stripe first, then release; gives how many.

    While Stripe does not answer, only orders that it never heard of are closed.
    """
    closed = failures = 0
    due = orders.due_to_expire()
    end_read()
    for order_id in due:
        if failures >= PATIENCE and _is_known_to_stripe(order_id):
            continue
        try:
            close_intents(order_id)
            with transaction("expire-order"):
                order = orders.lock(order_id)
                if order.status == "pending" and order.expires_at <= clock.now():
                    orders.expire(order)
                    closed += 1
        except Unavailable as error:
            failures += 1
            log.warning("order not expired", extra={"order_id": order_id, "reason": str(error)})
        except DomainError as error:
            log.info("order stays", extra={"order_id": order_id, "reason": str(error)})
        except DBAPIError as error:  # one that cannot be closed must not hide those behind it
            if error.connection_invalidated:
                raise
            log.exception("order not expired", extra={"order_id": order_id})
    return closed


def _is_known_to_stripe(order_id: int) -> bool:
    intent = session.scalar(
        select(Payment.intent_id).where(
            Payment.order_id == order_id,
            Payment.status == "started",
            Payment.intent_id.is_not(None),
        )
    )
    end_read()
    return intent is not None


def _adopt(intent: gateway.Intent) -> int | None:
    """Our payment for an intent that we made just before we died: known by its key alone."""
    payment_id = session.scalar(
        select(Payment.id).where(
            Payment.key == intent.metadata.get("payment", ""), Payment.intent_id.is_(None)
        )
    )
    end_read()
    if payment_id is not None:
        with transaction("attach-intent"):
            operations.attach_intent(payment_id, intent)
    return payment_id


def _report_orphan(intent: gateway.Intent) -> None:
    """Money for an order that this database does not know, as after restoring a backup."""
    number = intent.metadata.get("order", "")
    orders.pass_number(number)
    amount = Money(intent.received_minor or intent.capturable_minor, intent.currency).format()
    open_task(
        "orphan_money",
        intent.id,
        f"Stripe has {amount} of {intent.email or 'somebody'} for order"
        f" {number or '?'}, which is not in this database ({intent.id})."
        " Make the order anew, or give the money back at Stripe.",
        order_id=None,
    )
