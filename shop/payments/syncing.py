"""Asking Stripe how a payment, refund or dispute stands *now*, and bringing ours in step.

Safe to repeat at any time. What of the account is not ours is left alone.
"""

from collections.abc import Callable

from sqlalchemy import select

from shop import orders
from shop.core.db import end_read, retrying, session, transaction
from shop.core.money import Money
from shop.payments import (
    attempts,
    disputes,
    intents,
    ownership,
    refund_news,
    refundable,
    stripe_client,
    stripe_objects,
)
from shop.payments import stripe_gateway as gateway
from shop.payments.models import Payment, Refund
from shop.payments.ownership import NOT_OURS
from shop.payments.states import SyncOutcome
from shop.payments.tasks import open_task


def sync_payment(payment_id: int) -> SyncOutcome:
    """Ask Stripe how a payment stands and bring ours in step. Returns what was done.

    Called by the return page, by webhooks and by ``reconcile``; safe to repeat at any time.
    """
    intent_id = session.scalar(select(Payment.intent_id).where(Payment.id == payment_id))
    return _sync_payment(payment_id, intent_id)


def _sync_payment(
    payment_id: int, intent_id: str | None, order_id: int | None = None
) -> SyncOutcome:
    end_read()
    if intent_id is None:
        return SyncOutcome.WAITING
    intent = gateway.fetch_intent(intent_id)

    def apply() -> SyncOutcome:
        with transaction("sync-payment"):
            return intents.apply_intent(payment_id, intent, order_id=order_id)

    return retrying(apply)


@stripe_client.bounded()
def sync_order(order_id: int) -> SyncOutcome:
    """``sync_payment`` for the newest attempt of an order; "waiting" when there is none."""
    found = session.execute(
        select(Payment.id, Payment.intent_id)
        .where(Payment.order_id == order_id, Payment.intent_id.is_not(None))
        .order_by(Payment.attempt.desc())
        .limit(1)
    ).first()
    return _sync_payment(found.id, found.intent_id, order_id) if found else SyncOutcome.WAITING


def sync_intent(intent_id: str) -> str:
    """``sync_payment`` for the payment of a PaymentIntent.

    One that we do not know is taken over if we made it and died before storing its id; if it has
    money, a person is asked. One of another shop is left alone.
    """
    payment_id = ownership.payment_of(intent_id)
    end_read()
    if payment_id is not None:
        return _sync_payment(payment_id, intent_id)
    return sync_sent_intent(gateway.fetch_intent(intent_id))


def sync_sent_intent(intent: stripe_objects.Intent) -> str:
    """``sync_intent`` for an intent that was just read and whose id we do not know."""
    is_ours = ownership.is_ours(intent.metadata)
    end_read()
    if not is_ours:
        return NOT_OURS
    payment_id = _adopt(intent)
    if payment_id is not None:
        return _sync_payment(payment_id, intent.id)
    if _is_superseded(intent):
        return f"superseded, {gateway.cancel_intent(intent.id).status}"
    if intent.status in {"succeeded", "requires_capture"}:
        with transaction():
            _report_orphan(intent)
    return "unknown payment"


def _adopt(intent: stripe_objects.Intent) -> int | None:
    """Our payment for an intent that we made just before we died: known by its key alone."""
    payment_id = session.scalar(
        select(Payment.id).where(
            Payment.key == intent.metadata.get("payment", ""), Payment.intent_id.is_(None)
        )
    )
    end_read()
    if payment_id is not None:
        with transaction("attach-intent"):
            attempts.attach_intent(payment_id, intent)
    return payment_id


def _is_superseded(intent: stripe_objects.Intent) -> bool:
    """Whether it is a second PaymentIntent of an attempt of ours: Stripe had failed to tell us of
    it. Nobody has its secret, so nobody can pay it."""
    if intent.status in {"succeeded", "requires_capture", "processing", "canceled"}:
        return False
    known = session.scalar(
        select(Payment.id).where(
            Payment.key == intent.metadata.get("payment", ""), Payment.intent_id != intent.id
        )
    )
    end_read()
    return known is not None


def _report_orphan(intent: stripe_objects.Intent) -> None:
    """Money by a payment that this database does not know, as after restoring a backup. Another
    order may have its number by now."""
    number = intent.metadata.get("order", "")
    orders.pass_number(number)
    amount = Money(intent.received_minor or intent.capturable_minor, intent.currency).format()
    open_task(
        "orphan_money",
        intent.id,
        f"Stripe has {amount} of {intent.email or 'somebody'} for order {number or '?'}, by a"
        f" payment that is not in this database ({intent.id}). Place the order again, or refund it"
        " at Stripe.",
        order_id=None,
    )


def sync_refund(stripe_id: str) -> str:
    """Bring a refund in step with what Stripe says *now*; one made there is taken over."""
    return apply_sent_refund(gateway.fetch_refund(stripe_id))


def apply_sent_refund(sent: stripe_objects.SentRefund) -> str:
    """``sync_refund`` for a refund that was just read.

    One of ours is known by Stripe's id or by its key and attempt; a failure of an earlier attempt
    is old news, a success of one is money that somebody has to look at.
    """
    # Metadata can be copied to a refund of somebody else's money.
    is_made_by_us = (Refund.key == sent.metadata.get("refund", "")) & (
        Payment.intent_id == sent.intent_id
    )
    known = session.execute(
        select(Refund.id, Refund.attempt, Refund.stripe_id)
        .join(Payment, Payment.id == Refund.payment_id)
        .where((Refund.stripe_id == sent.id) | is_made_by_us)
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
            return _in_one(lambda: refund_news.apply_refund(known.id, sent), "refund")
        if sent.status in {"failed", "canceled"}:
            return "earlier attempt"
    if payment is None:
        return "unknown refund" if ownership.is_ours(sent.metadata) else NOT_OURS
    if not payment.captured_minor and sent.status not in {"failed", "canceled"}:
        _sync_payment(payment.id, sent.intent_id)  # this message overtook the one of the money
    return _in_one(lambda: refund_news.adopt_refund(payment.id, sent), "external refund")


def _in_one(work: Callable[[], object], outcome: str) -> str:
    def apply() -> str:
        with transaction("apply-refund"):
            return outcome if work() is not False else "refund"

    return retrying(apply)


def sync_dispute(stripe_id: str) -> str:
    """Bring a dispute in step with what Stripe says *now*."""
    return apply_sent_dispute(gateway.fetch_dispute(stripe_id))


def apply_sent_dispute(sent: stripe_objects.SentDispute) -> str:
    """``sync_dispute`` for a dispute that was just read."""
    payment = session.execute(
        select(Payment.id, Payment.captured_minor).where(Payment.intent_id == sent.intent_id)
    ).first()
    end_read()
    if payment is None:
        return NOT_OURS
    if not payment.captured_minor:
        _sync_payment(payment.id, sent.intent_id)  # this message overtook the one of the money
    currency = _currency_of(payment.id)
    needs_rate = disputes.needs_charge(sent, currency) and sent.charge_id
    charge = gateway.fetch_charge(sent.charge_id) if needs_rate else None

    def apply() -> str:
        with transaction("apply-dispute"):
            return f"dispute {disputes.apply_dispute(payment.id, sent, charge)}"

    return retrying(apply)


def _currency_of(payment_id: int) -> str:
    currency = refundable.currency_of(session.get_one(Payment, payment_id))
    end_read()
    return currency
