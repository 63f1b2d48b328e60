"""Money between us and Stripe. No transaction is ever open during a call to Stripe."""

import logging
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select, text

from shop import orders
from shop.core import clock
from shop.core.db import end_read, retrying, session, transaction
from shop.core.errors import DomainError, Unavailable
from shop.payments import operations
from shop.payments import stripe_gateway as gateway
from shop.payments.models import Payment, Refund, WebhookDelivery

log = logging.getLogger(__name__)

STUCK_AFTER = "2 minutes"
# Each failed call may take most of a minute; nothing else of the timetable runs meanwhile.
PATIENCE = 3
# https://docs.stripe.com/api/idempotent_requests: keys may be forgotten after 24 hours.
KEY_LIVES = timedelta(hours=20)


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
    with transaction():
        order = orders.lock(order_id, whole=False)
        payment = operations.open_payment(order)
        email, number = order.email, order.number
    if payment.intent_id is None:
        intent = gateway.create_intent(
            key=f"order:{order_id}:pay:{payment.attempt}",
            amount_minor=payment.amount_minor,
            currency=payment.currency,
            email=email,
            metadata={"order": number, "payment_id": str(payment.id)},
        )
        with transaction():
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


def _settle(payment_id: int, intent_id: str | None) -> str:
    end_read()
    if intent_id is None:
        return "waiting"
    intent = gateway.fetch_intent(intent_id)

    def apply() -> str:
        with transaction():
            return operations.apply_intent(payment_id, intent)

    return retrying(apply)


def settle_order(order_id: int) -> str:
    """``settle`` for the newest attempt of an order; "waiting" when there is none."""
    found = session.execute(
        select(Payment.id, Payment.intent_id)
        .where(Payment.order_id == order_id, Payment.intent_id.is_not(None))
        .order_by(Payment.attempt.desc())
        .limit(1)
    ).first()
    return _settle(found.id, found.intent_id) if found else "waiting"


def record_webhook(payload: bytes, signature: str) -> bool:
    """Verify and store a message of Stripe's; False if we had it. Raises ``BadSignature``."""
    event = gateway.verify(payload, signature)
    with transaction():
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
        payment_id = _payment_of(about)
        outcome = settle(payment_id) if payment_id else "unknown payment"
    elif delivery.type.startswith("refund."):
        outcome = _refund_message(about)
    with transaction():
        row = session.get_one(WebhookDelivery, delivery_id)
        row.applied_at, row.outcome = clock.now(), outcome


def send_refund(refund_id: int) -> None:
    """Ask Stripe to give the money of a requested refund back; safe to repeat."""
    refund = session.get_one(Refund, refund_id)
    if refund.status in {"done", "failed"}:
        return
    intent_id = session.scalar(select(Payment.intent_id).where(Payment.id == refund.payment_id))
    amount, is_old = refund.amount_minor, clock.now() - refund.requested_at > KEY_LIVES
    end_read()
    known = gateway.find_refund(intent_id=intent_id or "", refund_id=refund_id) if is_old else None
    try:
        sent = known or gateway.create_refund(
            key=f"refund:{refund_id}",
            intent_id=intent_id or "",
            amount_minor=amount,
            metadata={"refund_id": str(refund_id)},
        )
    except gateway.Refused as error:
        with transaction():
            row = session.get_one(Refund, refund_id)
            order_id = session.scalar(select(Payment.order_id).where(Payment.id == row.payment_id))
            operations.fail_refund(orders.lock(order_id or 0), row, error.sentence)
        return
    with transaction():
        operations.apply_refund(refund_id, sent)


def close_intents(order_id: int) -> None:
    """Cancel what could still be paid for a closed order; money that came first is settled.

    What Stripe never heard of, or does not know under our key, nobody can pay: it is given up.
    """
    rows = session.execute(
        select(Payment.id, Payment.intent_id).where(
            Payment.order_id == order_id, Payment.status.in_(["created", "started"])
        )
    ).all()
    end_read()
    for payment_id, intent_id in rows:
        intent = _cancelled(intent_id) if intent_id else None
        with transaction():
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
            with transaction():
                order = orders.lock(order_id)
                if order.status == "pending" and order.expires_at <= clock.now():
                    orders.expire(order)
                    closed += 1
        except Unavailable as error:
            failures += 1
            log.warning("order not expired", extra={"order_id": order_id, "reason": str(error)})
        except DomainError as error:
            log.info("order stays", extra={"order_id": order_id, "reason": str(error)})
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


def reconcile() -> int:
    """Settle every payment open for longer than a webhook should take; gives how many moved.

    Also finds intents that were made just before a crash: the deterministic key gives them back;
    and closes attempts at orders that are closed, so that none is looked at for ever.
    """
    stuck = session.execute(
        select(Payment.id, Payment.order_id, Payment.intent_id, orders.Order.status)
        .join(orders.Order, orders.Order.id == Payment.order_id)
        .where(
            Payment.status.in_(["created", "started"]),
            Payment.created_at < func.now() - text(f"interval '{STUCK_AFTER}'"),
        )
        .order_by(Payment.id)
        .limit(200)
    ).all()
    end_read()
    moved = 0
    for payment_id, order_id, intent_id, status in stuck:
        try:
            if status != "pending":
                close_intents(order_id)
                moved += 1
            elif intent_id is None:
                start(order_id)
            elif settle(payment_id) not in {"waiting", "known", "processing"}:
                moved += 1
        except Unavailable as error:
            log.warning("reconcile stopped", extra={"reason": str(error)})
            break
        except DomainError as error:
            log.info("nothing to settle", extra={"payment_id": payment_id, "reason": str(error)})
    return moved


def reconcile_refunds() -> int:
    """Ask Stripe about every refund whose end we have not heard of; gives how many were asked."""
    waiting = session.execute(
        select(Refund.id, Refund.stripe_id)
        .where(
            Refund.status.in_(["requested", "sent"]),
            Refund.requested_at < func.now() - text("interval '1 hour'"),
        )
        .order_by(Refund.id)
        .limit(200)
    ).all()
    end_read()
    for refund_id, stripe_id in waiting:
        try:
            if stripe_id is None:
                send_refund(refund_id)
            else:
                _apply_refund(refund_id, stripe_id)
        except Unavailable as error:
            log.warning("refunds not reconciled", extra={"reason": str(error)})
            break
        except DomainError as error:
            log.error("refund unknown", extra={"refund_id": refund_id, "reason": str(error)})
    return len(waiting)


def _payment_of(intent: dict[str, object]) -> int | None:
    """Our payment for a PaymentIntent: by its id or, if we died before storing it, its metadata."""
    found = session.scalar(select(Payment.id).where(Payment.intent_id == str(intent.get("id"))))
    end_read()
    if found is not None:
        return found
    metadata = intent.get("metadata")
    given = metadata.get("payment_id") if isinstance(metadata, dict) else None
    if not isinstance(given, str) or not given.isdecimal():
        return None
    known = session.get(Payment, int(given))
    end_read()
    if known is None or known.intent_id is not None:
        return None
    fetched = gateway.fetch_intent(str(intent.get("id")))
    with transaction():
        operations.attach_intent(known.id, fetched)
    return known.id


def _refund_message(payload: dict[str, object]) -> str:
    """Messages overtake each other, and our own answer: only who it is about is taken from one."""
    stripe_id = str(payload.get("id"))
    refund_id = session.scalar(select(Refund.id).where(Refund.stripe_id == stripe_id))
    metadata = payload.get("metadata")
    given = metadata.get("refund_id") if isinstance(metadata, dict) else None
    if refund_id is None and isinstance(given, str) and given.isdecimal() and len(given) < 19:
        refund_id = session.scalar(
            select(Refund.id)
            .join(Payment, Payment.id == Refund.payment_id)
            .where(
                Refund.id == int(given),
                Refund.stripe_id.is_(None),
                Payment.intent_id == str(payload.get("payment_intent")),
            )
        )
    end_read()
    if refund_id is None:
        return "unknown refund"
    _apply_refund(refund_id, stripe_id)
    return "refund"


def _apply_refund(refund_id: int, stripe_id: str) -> None:
    sent = gateway.fetch_refund(stripe_id)
    with transaction():
        operations.apply_refund(refund_id, sent)
