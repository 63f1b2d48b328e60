"""Asking Stripe to send a refund that was decided."""

from sqlalchemy import select

from shop import orders
from shop.core.db import end_read, session, transaction
from shop.payments import ownership, refund_news, stripe_client, stripe_objects, stripe_reading
from shop.payments import stripe_gateway as gateway
from shop.payments.denied_access import reports_denied_access
from shop.payments.keys import is_expired, next_key_of, numbered, once
from shop.payments.models import Payment, Refund
from shop.payments.records import order_of
from shop.payments.refusals import RefusalReason
from shop.payments.states import RefundStatus
from shop.payments.stripe_errors import Refused


@reports_denied_access()
@stripe_client.bounded()
def send_refund(refund_id: int) -> None:
    """Ask Stripe to give the money of a requested refund back; safe to repeat.

    What Stripe refuses fails, with the reason and a task. Raises ``Unavailable``.
    """
    refund = session.get_one(Refund, refund_id, populate_existing=True)
    if refund.status in {RefundStatus.DONE, RefundStatus.FAILED}:
        return
    intent_id = session.scalar(select(Payment.intent_id).where(Payment.id == refund.payment_id))
    amount, own_key, attempt = refund.amount_minor, refund.key, refund.attempt
    key_attempt, requested_at = refund.key_attempt, refund.requested_at
    shop = ownership.shop_id()
    end_read()

    def send(key_attempt: int) -> stripe_objects.SentRefund:
        return gateway.create_refund(
            key=numbered(own_key if attempt == 1 else f"{own_key}:{attempt}", key_attempt),
            intent_id=intent_id or "",
            amount_minor=amount,
            metadata={ownership.SHOP: shop, "refund": own_key, "attempt": str(attempt)},
        )

    def look() -> stripe_objects.SentRefund | None:
        return _sent_before(intent_id or "", own_key, attempt)

    try:
        sent = look() if is_expired(requested_at) else None
        sent = sent or once(send, look, next_key_of(Refund, refund_id), key_attempt)
    except Refused as refusal:
        sent = None if refusal.reason is RefusalReason.NOT_AT_STRIPE else look()
        if sent is None:
            _refund_refused(refund_id, attempt, refusal.stored)
            return
    with transaction("apply-refund"):
        refund_news.apply_refund(refund_id, sent)


def _refund_refused(refund_id: int, attempt: int, reason: str) -> None:
    with transaction():
        row = session.get_one(Refund, refund_id)
        order = orders.lock(order_of(row.payment_id))
        session.refresh(row, with_for_update=True)
        if row.attempt == attempt and row.stripe_id is None:
            refund_news.fail_refund(order, row, reason)


def _sent_before(intent_id: str, own_key: str, attempt: int) -> stripe_objects.SentRefund | None:
    """Our refund among those of a PaymentIntent: Stripe drops idempotency keys after a day.
    Raises ``Unreadable`` if it is there and cannot be read; others need not be."""
    wanted = {"refund": own_key, "attempt": str(attempt)}
    for one in gateway.refunds_of(intent_id):
        if wanted.items() <= one.metadata.items():
            if isinstance(one, stripe_reading.Unreadable):
                raise one
            return one
    return None
