"""What Stripe's refusals and failures are called here, and which of them may pass in a moment."""

import logging

import stripe

from shop.core.errors import DomainError, Unavailable
from shop.core.i18n import SOURCE, lazy_gettext, speaking
from shop.core.i18n import gettext as _
from shop.payments.refusals import RefusalReason, reason_of, sentence_of

log = logging.getLogger(__name__)
BUSY = lazy_gettext(
    "The payment service is busy and does not answer. Please try again in a minute."
)
BROKEN = lazy_gettext(
    "The payment service does not answer as it should. Please try again in a few minutes."
)


class Refused(DomainError):
    """Stripe understood and said no; asking again in the same way will not help.

    ``code`` is our reason (``RefusalReason``), ``stripe_code`` and ``decline_code`` are Stripe's.
    ``stored`` is the sentence in English, for what is kept: without it, the sentence itself.
    ``is_replayed``: Stripe said so to an earlier request under the same key, and it was saved.
    """

    code = RefusalReason.OTHER.value

    def __init__(
        self,
        sentence: str,
        *,
        reason: RefusalReason = RefusalReason.OTHER,
        stripe_code: str = "",
        decline_code: str = "",
        is_replayed: bool = False,
        stored: str = "",
    ) -> None:
        super().__init__(sentence)
        self.reason, self.code = reason, reason.value
        self.stripe_code, self.decline_code = stripe_code, decline_code
        self.is_replayed = is_replayed
        self.stored = stored or self.sentence


class AccessDenied(Unavailable):
    """Stripe does not accept our secret key, or it may not do this."""


class KeySpent(Unavailable):
    """Stripe answers to this idempotency key with a failure that it has saved, or the key was used
    with other parameters. The work may be done all the same: look for it, then use a new key."""


class NoSuchObject(Refused):
    """Stripe has no object with this id: deleted, or of another account or mode."""


def may_pass(error: BaseException, has_key: bool) -> bool:
    """Whether the same request may go through in a moment.

    A 409 means that another request holds the object or the key, a 429 that there are too many
    (https://docs.stripe.com/error-low-level). Of the two, Stripe executed nothing.
    """
    if isinstance(error, stripe.APIConnectionError):
        return error.should_retry
    if not isinstance(error, stripe.StripeError):
        return False
    if isinstance(error, stripe.RateLimitError) or error.http_status == 409:
        return True
    return _is_outage(error) and not (has_key and _is_saved(error))


def _is_outage(error: stripe.StripeError) -> bool:
    return (error.http_status or 0) >= 500 or error.http_status == 424


def _is_saved(error: stripe.StripeError) -> bool:
    """Whether Stripe will answer like this to every repeat under the same key. It says so, by
    either header; any other 5xx may come from before the request was begun, or while it runs."""
    replayed = header(error, "idempotent-replayed") == "true"
    return _is_outage(error) and (replayed or header(error, "stripe-should-retry") == "false")


def header(error: stripe.StripeError, name: str) -> str:
    """A header of Stripe's answer in small letters, or nothing."""
    values = (value for key, value in (error.headers or {}).items() if key.lower() == name)
    return str(next(values, "")).lower()


def translated(error: stripe.StripeError, step: str, has_key: bool) -> DomainError:
    """What the library raised, in our words. The log has Stripe's own, and its request id."""
    note = {"step": step, "reason": str(error), "status": error.http_status}
    if isinstance(error, stripe.IdempotencyError) and error.http_status != 409:  # that is in use
        log.error("an idempotency key was used for something else", extra=note)
        return KeySpent(BROKEN)
    if isinstance(error, stripe.InvalidRequestError | stripe.CardError):
        return _refusal(error)
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        log.error("stripe does not accept our key", extra=note)
        return AccessDenied(_("Payments are not available at the moment."))
    log.warning("stripe did not answer", extra=note)
    if isinstance(error, stripe.APIConnectionError):
        return Unavailable(_("The payment service does not answer. Please try again in a minute."))
    if isinstance(error, stripe.RateLimitError) or error.http_status == 409:
        return Unavailable(BUSY)
    spent = has_key and _is_saved(error)
    kind = KeySpent if spent else Unavailable
    return kind(BROKEN)


def _refusal(error: stripe.InvalidRequestError | stripe.CardError) -> Refused:
    body = error.json_body if isinstance(error.json_body, dict) else {}
    details = body.get("error")
    details = details if isinstance(details, dict) else {}
    kind = "card_error" if isinstance(error, stripe.CardError) else str(details.get("type") or "")
    code, decline_code = error.code or "", str(details.get("decline_code") or "")
    reason = reason_of(code, decline_code, kind=kind)
    is_missing = error.http_status == 404 or reason is RefusalReason.NOT_AT_STRIPE
    message = error.user_message or ""
    with speaking(SOURCE):
        stored = sentence_of(reason, message)
    return (NoSuchObject if is_missing else Refused)(
        sentence_of(reason, message),
        reason=reason,
        stripe_code=code,
        decline_code=decline_code,
        is_replayed=header(error, "idempotent-replayed") == "true",
        stored=stored,
    )
