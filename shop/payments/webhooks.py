"""Stripe's messages: verified, stored once, applied by a worker.

A message is a hint to ask Stripe how its object stands, never the answer.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from shop.core import clock, retention
from shop.core.db import end_read, session, table, transaction
from shop.core.events import emit
from shop.payments import (
    alerts,
    ownership,
    stripe_client,
    stripe_objects,
    stripe_reading,
    unapplied,
)
from shop.payments import stripe_gateway as gateway
from shop.payments.denied_access import reports_denied_access
from shop.payments.events import WebhookReceived
from shop.payments.models import Dispute, Payment, Refund, WebhookDelivery
from shop.payments.ownership import NOT_OURS, is_elsewhere
from shop.payments.stripe_errors import NoSuchObject
from shop.payments.stripe_objects import MAX_ID_LENGTH
from shop.payments.stripe_signatures import verify
from shop.payments.syncing import sync_dispute, sync_intent, sync_refund, sync_sent_intent

MESSAGES_KEPT = timedelta(days=90)
# https://docs.stripe.com/api/events/types: what can change money of ours.
TELLING = {
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.processing",
    "payment_intent.requires_action",
    "payment_intent.canceled",
    "payment_intent.amount_capturable_updated",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "radar.early_fraud_warning.created",
    "radar.early_fraud_warning.updated",
    "review.opened",
    "review.closed",
    "payout.failed",
    "payout.paid",
}
_RECEIVE = (
    insert(table(WebhookDelivery))
    .on_conflict_do_nothing(index_elements=["stripe_event_id"])
    .returning(table(WebhookDelivery).c.id)
)


def record_webhook(payload: bytes, signature: str) -> bool:
    """Verify and store a message of Stripe's; False if we had it. Raises ``BadSignature``."""
    event = verify(payload, signature)
    with transaction("store-message"):
        return record_verified(event)


def record_verified(event: dict[str, Any]) -> bool:
    """Store a verified message of Stripe's; False if it was stored before.

    Types that tell us nothing new, and messages about another account or mode, are kept, marked so,
    and wake nobody.
    """
    kept = _storable(event)
    event_id = str(kept.get("id") or "")
    outcome = "" if event.get("type") in TELLING else "ignored"
    if is_elsewhere(event):
        outcome = NOT_OURS
    delivery_id = session.scalar(
        _RECEIVE,
        {
            "stripe_event_id": event_id
            if 0 < len(event_id) <= MAX_ID_LENGTH
            else f"without id: {_fingerprint(kept)}",
            "type": str(kept.get("type") or ""),
            "object_id": str(object_of(kept).get("id") or ""),
            "payload": kept,
            "applied_at": clock.now() if outcome else None,
            "outcome": outcome,
        },
    )
    if delivery_id is None:
        return False
    if not outcome:
        emit(WebhookReceived(delivery_id=delivery_id))
    return True


def object_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """The object that a message is about; empty if it names none."""
    data = event.get("data")
    found = data.get("object") if isinstance(data, dict) else None
    return found if isinstance(found, dict) else {}


def _storable(value: Any) -> Any:
    """What JSONB can keep of a message: no NUL, no half of a character, no number without end.

    https://www.postgresql.org/docs/current/datatype-json.html
    """
    if isinstance(value, dict):
        return {_storable(name): _storable(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_storable(one) for one in value]
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _fingerprint(event: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(event, sort_keys=True).encode()).hexdigest()


# What a message's type begins with: what it is about, and who asks Stripe how that stands.
_SYNCS: dict[str, tuple[str, Callable[[str], str]]] = {
    "payment_intent.": ("payment", sync_intent),
    "refund.": ("refund", sync_refund),
    "charge.dispute.": ("dispute", sync_dispute),
    "radar.early_fraud_warning.": ("early fraud warning", alerts.sync_fraud_warning),
    "review.": ("review", alerts.sync_review),
    "payout.": ("payout", alerts.sync_payout),
}


@reports_denied_access()
@stripe_client.bounded()
def apply_webhook(delivery_id: int) -> None:
    """Act on a stored message. Unknown types are kept and ignored.

    It is marked as applied also when its object is not ours, or cannot be applied: that is written
    down with a task, and asking again would change nothing. Raises ``Unavailable`` while Stripe is
    away: then it is tried again.
    """
    delivery = session.get(WebhookDelivery, delivery_id)
    if delivery is None or delivery.applied_at is not None:
        return
    kind, payload = delivery.type, delivery.payload
    end_read()
    outcome = _outcome(kind, object_of(payload))
    with transaction("apply-message"):
        row = session.get_one(WebhookDelivery, delivery_id)
        row.applied_at, row.outcome = clock.now(), outcome


def _outcome(kind: str, about: dict[str, Any]) -> str:
    """What a message of this type led to. ``about`` is its object as it was then: it says whose it
    is and whom to ask about, never how things stand."""
    reference = _word(about.get("id"))
    intent_id = reference if kind.startswith("payment_intent.") else _intent_of(about)
    found = [sync for prefix, sync in _SYNCS.items() if kind.startswith(prefix)]
    if not found:
        return "ignored"
    what, sync = found[0]

    def work() -> str:
        if not reference:
            return NOT_OURS
        if what == "payout" or _is_ours(reference, intent_id, about):
            return sync(reference)
        if what == "payment" or (intent_id and _adopted(intent_id) is None):
            return NOT_OURS
        try:
            return sync(reference)  # Stripe tells whose it is
        except NoSuchObject:
            return NOT_OURS

    return unapplied.attempt(what, reference, work, intent_id=intent_id)


def _is_ours(reference: str, intent_id: str, about: dict[str, Any]) -> bool:
    """Whether we know what a message is about, or its metadata says that it is ours."""
    known = (
        select(Payment.id).where(Payment.intent_id == intent_id),
        select(Refund.id).where(Refund.stripe_id == reference),
        select(Dispute.id).where(Dispute.stripe_id == reference),
    )
    is_known = any(session.scalar(one) is not None for one in known)
    is_ours = is_known or ownership.is_ours(stripe_reading.metadata_of(about))
    end_read()
    return is_ours


def _adopted(intent_id: str) -> int | None:
    """Our payment for an intent whose id we do not know, if Stripe says that it is ours: we may
    have died before we could store it."""
    try:
        intent = gateway.fetch_intent(intent_id)
    except (NoSuchObject, stripe_reading.Unreadable):
        return None
    sync_sent_intent(intent)
    payment_id = ownership.payment_of(intent_id)
    end_read()
    return payment_id


def _intent_of(about: dict[str, Any]) -> str:
    found = about.get("payment_intent")
    return _word(found.get("id") if isinstance(found, dict) else found)


def _word(value: Any) -> str:
    is_id = isinstance(value, str) and len(value) <= stripe_objects.MAX_ID_LENGTH
    return value if is_id else ""


def prune_messages() -> int:
    """Delete messages that were acted on 90 days ago. Returns how many. Stripe repeats none that is
    older than 30 days (https://docs.stripe.com/api/events)."""
    long_ago = clock.now() - MESSAGES_KEPT
    return retention.delete_expired(
        WebhookDelivery.id, is_expired=WebhookDelivery.applied_at < long_ago
    )
