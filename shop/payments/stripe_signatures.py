"""Whether a webhook was signed by Stripe, and the event in it."""

from typing import Any

import stripe

from shop.core import clock, strict_json
from shop.core.errors import DomainError
from shop.payments.stripe_client import webhook_secrets

# A webhook's signature counts for so long, and so far ahead of our clock.
MAX_AGE_S = 300
MAX_SKEW_S = 60
MAX_WEBHOOK_DEPTH = 64


class BadSignature(DomainError):
    """A webhook that Stripe did not sign."""

    code = "bad_signature"


def verify(payload: bytes, signature: str) -> dict[str, Any]:
    """The event in a webhook's raw body. Raises ``BadSignature``.

    Several secrets are accepted while one is being replaced
    (https://docs.stripe.com/webhooks#verify-official-libraries); stamps older than 300 s are not,
    nor are stamps of the future: Stripe's library lets them through, and they would stay good.
    """
    secrets = webhook_secrets() if signature.isascii() else ()
    for secret in secrets:
        try:
            stripe.WebhookSignature.verify_header(payload.decode(), signature, secret, MAX_AGE_S)
        except (stripe.SignatureVerificationError, UnicodeDecodeError):
            continue
        if _signed_at(signature) > clock.epoch_s() + MAX_SKEW_S:
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
