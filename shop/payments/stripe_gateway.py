"""Everything that is said to Stripe, and nothing else. The only importer of ``stripe``.

No database transaction is open while a function here runs. Every create carries a deterministic
idempotency key, so that a repeat after a lost answer finds the same object
(https://docs.stripe.com/api/idempotent_requests).
"""

import json
import logging
from dataclasses import dataclass
from typing import Any

import stripe

from shop.core.errors import DomainError, Unavailable

log = logging.getLogger(__name__)

# A customer waits meanwhile: twice this, at worst. What fails is tried again later anyway.
TIMEOUT_S = 8


@dataclass(frozen=True, slots=True)
class Intent:
    """A PaymentIntent as far as we care. Amounts in minor units, currency in capitals."""

    id: str
    status: str
    client_secret: str
    amount_minor: int
    received_minor: int
    currency: str
    charge_id: str
    card_brand: str
    card_last4: str
    failure: str
    failure_reference: str
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class SentRefund:
    """A refund as Stripe sees it; ``status`` is pending, succeeded, failed, canceled or …"""

    id: str
    status: str
    amount_minor: int
    failure: str


class BadSignature(DomainError):
    """A webhook that Stripe did not sign."""

    code = "bad_signature"


class Refused(DomainError):
    """Stripe understood and said no; asking again in the same way will not help."""

    code = "payment_refused"


_client: stripe.StripeClient | None = None
_publishable_key = ""
_webhook_secrets: tuple[str, ...] = ()


def configure(
    *, secret_key: str, publishable_key: str, webhook_secrets: tuple[str, ...], api_base: str
) -> None:
    """Point this process at Stripe, or at the stand-in when ``api_base`` is set."""
    global _client, _publishable_key, _webhook_secrets
    _publishable_key, _webhook_secrets = publishable_key, webhook_secrets
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


def create_intent(
    *, key: str, amount_minor: int, currency: str, email: str, metadata: dict[str, str]
) -> Intent:
    """Make a PaymentIntent, or find the one that was made with the same ``key``."""
    params: Any = {
        "amount": amount_minor,
        "currency": currency.lower(),
        "automatic_payment_methods": {"enabled": True},
        "receipt_email": email,
        "metadata": metadata,
    }
    return _intent(
        _call(lambda c: c.v1.payment_intents.create(params, options={"idempotency_key": key}))
    )


def fetch_intent(intent_id: str) -> Intent:
    """The PaymentIntent as it is now, with its latest charge."""
    return _intent(
        _call(lambda c: c.v1.payment_intents.retrieve(intent_id, {"expand": ["latest_charge"]}))
    )


def cancel_intent(intent_id: str) -> Intent:
    """Cancel a PaymentIntent; gives it as it is then, also when it could not be cancelled."""
    try:
        return _intent(_call(lambda c: c.v1.payment_intents.cancel(intent_id)))
    except Refused:
        return fetch_intent(intent_id)


def create_refund(
    *, key: str, intent_id: str, amount_minor: int, metadata: dict[str, str]
) -> SentRefund:
    """Send money back. Raises ``Refused`` when Stripe does not allow it."""
    params: Any = {"payment_intent": intent_id, "amount": amount_minor, "metadata": metadata}
    return _refund(_call(lambda c: c.v1.refunds.create(params, options={"idempotency_key": key})))


def fetch_refund(stripe_id: str) -> SentRefund:
    """The refund as it is now."""
    return _refund(_call(lambda c: c.v1.refunds.retrieve(stripe_id)))


def find_refund(*, intent_id: str, refund_id: int) -> SentRefund | None:
    """Our refund among those of a PaymentIntent: Stripe forgets idempotency keys after a day."""
    params: Any = {"payment_intent": intent_id, "limit": 100}
    for one in _call(lambda c: c.v1.refunds.list(params))["data"]:
        if (one.get("metadata") or {}).get("refund_id") == str(refund_id):
            return _refund(one)
    return None


def verify(payload: bytes, signature: str) -> dict[str, Any]:
    """The event in a webhook's raw body. Raises ``BadSignature``.

    Several secrets are accepted while one is being replaced
    (https://docs.stripe.com/webhooks#verify-official-libraries); stamps older than 300 s are not.
    """
    for secret in _webhook_secrets:
        try:
            stripe.WebhookSignature.verify_header(payload.decode(), signature, secret, 300)
        except (stripe.SignatureVerificationError, UnicodeDecodeError):
            continue
        try:
            event = json.loads(payload)
        except ValueError:
            break
        if isinstance(event, dict):
            return event
    raise BadSignature("This is not a message of Stripe's.")


def _call(ask: Any) -> dict[str, Any]:
    if _client is None:
        raise Unavailable("Payments are not set up: STRIPE_SECRET_KEY is missing.")
    try:
        answer: dict[str, Any] = ask(_client).to_dict()
        return answer
    except stripe.InvalidRequestError as error:
        raise Refused(error.user_message or "Stripe refused this request.") from error
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        log.error("stripe does not accept our key", extra={"reason": str(error)})
        raise Unavailable("Payments are not available at the moment.") from error
    except stripe.StripeError as error:
        log.warning("stripe did not answer", extra={"reason": str(error)})
        raise Unavailable("The payment service does not answer. Please try again.") from error


def _refund(data: dict[str, Any]) -> SentRefund:
    return SentRefund(
        id=data["id"],
        status=data.get("status") or "pending",
        amount_minor=data["amount"],
        failure=data.get("failure_reason") or "",
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
        charge_id=charge.get("id") or "",
        card_brand=card.get("brand") or "",
        card_last4=card.get("last4") or "",
        failure=error.get("message") or "",
        failure_reference=error.get("charge") or charge.get("id") or "",
        metadata=dict(data.get("metadata") or {}),
    )
