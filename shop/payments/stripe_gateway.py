"""Everything that is said to Stripe, and nothing else. The only importer of ``stripe``.

No database transaction is open while a function here runs. Every create carries a deterministic
idempotency key, so that a repeat after a lost answer finds the same object
(https://docs.stripe.com/api/idempotent_requests).
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

import stripe

from shop.core import failpoints, strict_json
from shop.core.errors import DomainError, Unavailable

log = logging.getLogger(__name__)

# A customer waits meanwhile: twice this, at worst. What fails is tried again later anyway.
TIMEOUT_S = 8
# A webhook's signature counts for so long, and so far ahead of our clock.
MAX_AGE_S = 300
MAX_SKEW_S = 60
MAX_WEBHOOK_DEPTH = 64


@dataclass(frozen=True, slots=True)
class Intent:
    """A PaymentIntent as far as we care. Amounts in minor units, currency in capitals."""

    id: str
    status: str
    client_secret: str
    amount_minor: int
    received_minor: int
    currency: str
    capturable_minor: int
    capture_before: datetime | None
    charge_id: str
    charged_at: datetime
    card_brand: str
    card_last4: str
    failure: str
    failure_reference: str
    email: str
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class SentRefund:
    """A refund as Stripe sees it; ``status`` is pending, succeeded, failed, canceled or …"""

    id: str
    intent_id: str
    status: str
    amount_minor: int
    currency: str
    failure: str
    created: datetime
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class SentDispute:
    """A dispute as Stripe sees it, with the fee that it cost so far."""

    id: str
    intent_id: str
    status: str
    amount_minor: int
    currency: str
    reason: str
    due_by: datetime | None
    created: datetime
    fee_minor: int
    fee_currency: str


class BadSignature(DomainError):
    """A webhook that Stripe did not sign."""

    code = "bad_signature"


class Refused(DomainError):
    """Stripe understood and said no; asking again in the same way will not help."""

    code = "payment_refused"


_client: stripe.StripeClient | None = None
_publishable_key = ""
_capture = "automatic"
_webhook_secrets: tuple[str, ...] = ()


def configure(
    *,
    secret_key: str,
    publishable_key: str,
    webhook_secrets: tuple[str, ...],
    api_base: str,
    capture: str = "automatic",
) -> None:
    """Point this process at Stripe, or at the stand-in when ``api_base`` is set.

    ``capture``: "manual" only authorises, and staff capture the money later.
    """
    global _client, _publishable_key, _webhook_secrets, _capture
    _publishable_key, _webhook_secrets, _capture = publishable_key, webhook_secrets, capture
    _client = None
    if secret_key:
        _client = stripe.StripeClient(
            secret_key,
            max_network_retries=1,
            http_client=stripe.RequestsClient(timeout=TIMEOUT_S),
            **({"base_addresses": {"api": api_base}} if api_base else {}),  # type: ignore[arg-type]
        )


def publishable_key() -> str:
    """The key that the browser may know."""
    return _publishable_key


def capture_method() -> str:
    """How a new payment takes its money: automatic or manual."""
    return _capture


def create_intent(
    *,
    key: str,
    amount_minor: int,
    currency: str,
    capture: str,
    email: str,
    metadata: dict[str, str],
) -> Intent:
    """Make a PaymentIntent, or find the one that was made with the same ``key``."""
    return _intent(
        _call(
            "create-intent",
            "post",
            "payment_intents",
            idempotency_key=key,
            amount=amount_minor,
            currency=currency.lower(),
            capture_method=capture,
            automatic_payment_methods={"enabled": True},
            receipt_email=email,
            metadata=metadata,
        )
    )


def fetch_intent(intent_id: str) -> Intent:
    """The PaymentIntent as it is now, with its latest charge."""
    return _intent(
        _call(
            "fetch-intent",
            "get",
            f"payment_intents/{_part(intent_id)}",
            expand=["latest_charge"],
        )
    )


def cancel_intent(intent_id: str) -> Intent:
    """Cancel a PaymentIntent; gives it as it is then, also when it could not be cancelled."""
    try:
        return _intent(_call("cancel-intent", "post", f"payment_intents/{_part(intent_id)}/cancel"))
    except Refused:
        return fetch_intent(intent_id)


def capture_intent(intent_id: str, *, key: str, amount_minor: int) -> Intent:
    """Take authorised money; what is left of it is released. Raises ``Refused``.

    https://docs.stripe.com/api/payment_intents/capture
    """
    return _intent(
        _call(
            "capture-intent",
            "post",
            f"payment_intents/{_part(intent_id)}/capture",
            idempotency_key=key,
            amount_to_capture=amount_minor,
            expand=["latest_charge"],
        )
    )


def create_refund(
    *, key: str, intent_id: str, amount_minor: int, metadata: dict[str, str]
) -> SentRefund:
    """Send money back. Raises ``Refused`` when Stripe does not allow it."""
    return _refund(
        _call(
            "create-refund",
            "post",
            "refunds",
            idempotency_key=key,
            payment_intent=intent_id,
            amount=amount_minor,
            metadata=metadata,
        )
    )


def fetch_refund(stripe_id: str) -> SentRefund:
    """The refund as it is now."""
    return _refund(_call("fetch-refund", "get", f"refunds/{_part(stripe_id)}"))


def fetch_dispute(stripe_id: str) -> SentDispute:
    """The dispute as it is now."""
    return _dispute(_call("fetch-dispute", "get", f"disputes/{_part(stripe_id)}"))


def refunds_of(intent_id: str) -> list[SentRefund]:
    """All refunds of a PaymentIntent, also those that others made."""
    return [_refund(one) for one in _all("refunds", {"payment_intent": intent_id})]


def intents_since(moment: datetime) -> Iterator[Intent]:
    """PaymentIntents made since then, newest first."""
    params = {"created": {"gte": int(moment.timestamp())}, "expand": ["data.latest_charge"]}
    return (_intent(one) for one in _all("payment_intents", params))


def refunds_since(moment: datetime) -> Iterator[SentRefund]:
    """Refunds made since then, newest first."""
    return (_refund(one) for one in _all("refunds", {"created": {"gte": int(moment.timestamp())}}))


def disputes_since(moment: datetime) -> Iterator[SentDispute]:
    """Disputes opened since then, newest first."""
    params = {"created": {"gte": int(moment.timestamp())}}
    return (_dispute(one) for one in _all("disputes", params))


def verify(payload: bytes, signature: str) -> dict[str, Any]:
    """The event in a webhook's raw body. Raises ``BadSignature``.

    Several secrets are accepted while one is being replaced
    (https://docs.stripe.com/webhooks#verify-official-libraries); stamps older than 300 s are not,
    nor are stamps of the future: Stripe's library lets them through, and they would stay good.
    """
    secrets = _webhook_secrets if signature.isascii() else ()
    for secret in secrets:
        try:
            stripe.WebhookSignature.verify_header(payload.decode(), signature, secret, MAX_AGE_S)
        except (stripe.SignatureVerificationError, UnicodeDecodeError):
            continue
        if _signed_at(signature) > time.time() + MAX_SKEW_S:
            raise BadSignature("This message is signed for a time in the future.")
        try:
            event = strict_json.parse(payload, max_depth=MAX_WEBHOOK_DEPTH)
        except ValueError:
            break
        if _is_event(event):
            return dict(event)
    raise BadSignature("This is not a message of Stripe's.")


def _is_event(event: object) -> bool:
    """Whether this can be a message of Stripe's (https://docs.stripe.com/api/events/object)."""
    if not isinstance(event, dict) or not strict_json.is_storable(event):
        return False
    data = event.get("data", {})
    about = data.get("object", {}) if isinstance(data, dict) else None
    named = all(isinstance(event.get(key), str) and event[key] for key in ("id", "type"))
    return named and isinstance(about, dict)


def _signed_at(signature: str) -> int:
    """The time in a signature that was verified, in seconds since 1970: the one it is made of."""
    parts = (part.split("=") for part in signature.split(","))
    return int(next(part[1] for part in parts if part[0] == "t"))


def _part(identifier: str) -> str:
    return quote_plus(identifier)


def _call(step: str, method: str, path: str, **params: Any) -> dict[str, Any]:
    """Ask for plain data: building the library's objects costs as much as half of the call."""
    if _client is None:
        raise Unavailable("Payments are not set up: STRIPE_SECRET_KEY is missing.")
    try:
        with failpoints.around(step):
            answer: dict[str, Any] = _client.raw_request(method, f"/v1/{path}", **params).data
        return answer
    except stripe.InvalidRequestError as error:
        raise Refused(error.user_message or "Stripe refused this request.") from error
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        log.error("stripe does not accept our key", extra={"reason": str(error)})
        raise Unavailable("Payments are not available at the moment.") from error
    except stripe.StripeError as error:
        log.warning("stripe did not answer", extra={"reason": str(error)})
        raise Unavailable("The payment service does not answer. Please try again.") from error


def _all(kind: str, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Page by page (https://docs.stripe.com/api/pagination), a hundred at a time."""
    after: dict[str, str] = {}
    while True:
        page = _call("fetch-page", "get", kind, **params, limit=100, **after)
        yield from page["data"]
        if not page["has_more"] or not page["data"]:
            return
        after = {"starting_after": page["data"][-1]["id"]}


def _refund(data: dict[str, Any]) -> SentRefund:
    return SentRefund(
        id=data["id"],
        intent_id=data.get("payment_intent") or "",
        status=data.get("status") or "pending",
        amount_minor=data["amount"],
        currency=data["currency"].upper(),
        failure=(data.get("failure_reason") or "").replace("_", " "),
        created=_moment(data["created"]),
        metadata=dict(data.get("metadata") or {}),
    )


def _dispute(data: dict[str, Any]) -> SentDispute:
    movements = data.get("balance_transactions") or []
    due_by = (data.get("evidence_details") or {}).get("due_by")
    return SentDispute(
        id=data["id"],
        intent_id=data.get("payment_intent") or "",
        status=data["status"],
        amount_minor=data["amount"],
        currency=data["currency"].upper(),
        reason=data.get("reason") or "",
        due_by=_moment(due_by) if due_by else None,
        created=_moment(data["created"]),
        fee_minor=max(0, sum(one.get("fee") or 0 for one in movements)),
        fee_currency=(movements[0]["currency"] if movements else data["currency"]).upper(),
    )


def _intent(data: dict[str, Any]) -> Intent:
    charge = data.get("latest_charge")
    charge = charge if isinstance(charge, dict) else {"id": charge or ""}
    card = (charge.get("payment_method_details") or {}).get("card") or {}
    error = data.get("last_payment_error") or {}
    return Intent(
        id=data["id"],
        status=data["status"],
        client_secret=data.get("client_secret") or "",
        amount_minor=data["amount"],
        received_minor=data.get("amount_received") or 0,
        currency=data["currency"].upper(),
        capturable_minor=data.get("amount_capturable") or 0,
        capture_before=_moment(card["capture_before"]) if card.get("capture_before") else None,
        charge_id=charge.get("id") or "",
        charged_at=_moment(charge.get("created") or data["created"]),
        card_brand=card.get("brand") or "",
        card_last4=card.get("last4") or "",
        failure=error.get("message") or "",
        failure_reference=error.get("charge") or charge.get("id") or "",
        email=data.get("receipt_email") or "",
        metadata=dict(data.get("metadata") or {}),
    )


def _moment(stamp: int) -> datetime:
    return datetime.fromtimestamp(stamp, UTC)
