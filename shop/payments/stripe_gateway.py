"""Everything that is said to Stripe, and nothing else. The only importer of ``stripe``.

No database transaction is open while a function here runs. Every create carries an idempotency key
that its caller keeps in the database, so that a repeat after a lost answer finds the same object.
Stripe saves the first answer under a key, failures of its own included
(https://docs.stripe.com/api/idempotent_requests): then the key is spent, and the caller looks for
the object before using a new one. What may pass in a moment is retried here, under the same key.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import quote_plus
from uuid import uuid4

import stripe
import tenacity

from shop.core import clock, failpoints, strict_json
from shop.core.errors import DomainError, Unavailable
from shop.payments.refusals import RefusalReason, reason_of, sentence_of
from shop.payments.stripe_objects import (
    GIVEN_UP,
    Charge,
    FraudWarning,
    Intent,
    Movement,
    Payout,
    Read,
    Review,
    SentDispute,
    SentRefund,
    Unreadable,
    metadata_of,
    read_charge,
    read_dispute,
    read_fraud_warning,
    read_intent,
    read_movement,
    read_object,
    read_payout,
    read_refund,
    read_review,
)

log = logging.getLogger(__name__)

TIMEOUT_S = 8
STRIPE_JS = "https://js.stripe.com"


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and for how long a request to Stripe is retried: no try begins after ``within_s``
    seconds, and none takes longer than ``TIMEOUT_S``."""

    tries: int
    within_s: float


# Somebody waits for a page: at worst for 16 seconds. What fails is tried again later anyway.
FOR_PEOPLE = Patience(tries=4, within_s=8)
# A worker may wait longer, but others wait behind it, and its reaction is tried again anyway.
FOR_WORKERS = Patience(tries=5, within_s=20)
# Waits of about 0.5, 0.75, 1.25, 2.25 … seconds, so that many who failed together part
# (https://docs.stripe.com/rate-limits).
_BACK_OFF = tenacity.wait_exponential_jitter(multiplier=0.25, max=8, jitter=0.5)
BUSY = "The payment service is busy and does not answer. Please try again in a minute."
BROKEN = "The payment service does not answer as it should. Please try again in a few minutes."
# So many PaymentIntents are looked through for one whose answer was lost, newest first.
MAX_LOOKED_THROUGH = 2000
# A webhook's signature counts for so long, and so far ahead of our clock.
MAX_AGE_S = 300
MAX_SKEW_S = 60
MAX_WEBHOOK_DEPTH = 64


class BadSignature(DomainError):
    """A webhook that Stripe did not sign."""

    code = "bad_signature"


class Refused(DomainError):
    """Stripe understood and said no; asking again in the same way will not help.

    ``code`` is our reason (``RefusalReason``), ``stripe_code`` and ``decline_code`` are Stripe's.
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
    ) -> None:
        super().__init__(sentence)
        self.reason, self.code = reason, reason.value
        self.stripe_code, self.decline_code = stripe_code, decline_code
        self.is_replayed = is_replayed


class AccessDenied(Unavailable):
    """Stripe does not accept our secret key, or it may not do this."""


class KeySpent(Unavailable):
    """Stripe answers to this idempotency key with a failure that it has saved, or the key was used
    with other parameters. The work may be done all the same: look for it, then use a new key."""


class NoSuchObject(Refused):
    """Stripe has no object with this id: deleted, or of another account or mode."""


_client: stripe.StripeClient | None = None
_is_live = False
_patience = FOR_PEOPLE
_deadline: ContextVar[float | None] = ContextVar("stripe_deadline", default=None)
_publishable_key = ""
_capture = "automatic"
_script_base = STRIPE_JS
_webhook_secrets: tuple[str, ...] = ()


def configure(
    *,
    secret_key: str,
    publishable_key: str,
    webhook_secrets: tuple[str, ...],
    api_base: str,
    capture: str = "automatic",
    patience: Patience = FOR_PEOPLE,
) -> None:
    """Point this process at Stripe, or at the stand-in when ``api_base`` is set.

    ``capture``: "manual" only authorises, and staff capture the money later. ``patience``: how long
    requests that may pass in a moment are retried.
    """
    global _client, _publishable_key, _webhook_secrets, _capture, _patience, _script_base, _is_live
    _script_base = api_base or STRIPE_JS
    _publishable_key, _webhook_secrets, _capture = publishable_key, webhook_secrets, capture
    _client, _patience, _is_live = None, patience, "_live_" in secret_key
    if secret_key:
        _client = stripe.StripeClient(
            secret_key,
            # The library's retries know neither 429 nor Retry-After, and have no end in time.
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=TIMEOUT_S),
            **({"base_addresses": {"api": api_base}} if api_base else {}),  # type: ignore[arg-type]
        )


@contextmanager
def bounded() -> Iterator[None]:
    """Let all requests of a procedure together be retried no longer than one alone would be.

    Works as a decorator, too; inside another one it changes nothing.
    """
    if _deadline.get() is not None:
        yield
        return
    token = _deadline.set(time.monotonic() + _patience.within_s)
    try:
        yield
    finally:
        _deadline.reset(token)


def publishable_key() -> str:
    """The key that the browser may know."""
    return _publishable_key


def is_live() -> bool:
    """Whether our key is one of Stripe's live mode. Objects and messages of the other mode are not
    about this shop (https://docs.stripe.com/keys#test-live-modes)."""
    return _is_live


def script_url() -> str:
    """Returns the address of the Stripe.js that belongs to the SDK's API version.

    Each major release has its own: https://docs.stripe.com/sdks/stripejs-versioning
    """
    release = stripe.api_version.rpartition(".")[2]
    return f"{_script_base}/{release}/stripe.js"


def script_origin() -> str:
    """Returns the origin that serves Stripe.js and the frames which it opens."""
    return _script_base


def capture_method() -> str:
    """How a new payment takes its money: automatic or manual."""
    return _capture


def create_intent(
    *,
    key: str,
    amount_minor: int,
    currency: str,
    capture: str,
    methods: Sequence[str],
    description: str,
    shipping: dict[str, Any] | None,
    metadata: dict[str, str],
) -> Intent:
    """Create a PaymentIntent, or get the one that was created under the same ``key``.

    ``methods``: the kinds that it may be paid with. Since 2026-09-30.endive Stripe refuses
    ``payment_method_types`` and filters ``allowed_payment_method_types`` by amount and currency:
    https://docs.stripe.com/changelog/endive/2026-09-30/removes-the-payment-method-types-parameter-from-payment-intents-and-setup-intents

    It has no ``receipt_email``: Stripe would mail a receipt of its own, whatever its settings say
    (https://docs.stripe.com/api/payment_intents/create#create_payment_intent-receipt_email).

    Raises ``Refused``, ``KeySpent`` and ``Unavailable``.
    """
    return read_intent(
        _call(
            "create-intent",
            "post",
            "payment_intents",
            idempotency_key=key,
            amount=amount_minor,
            currency=currency.lower(),
            capture_method=capture,
            allowed_payment_method_types=list(methods),
            description=description,
            **({"shipping": shipping} if shipping else {}),
            metadata=metadata,
        )
    )


def find_intent(payment_key: str, *, since: datetime) -> Intent | None:
    """Returns the PaymentIntent whose metadata names this payment, or None.

    Lists those created since then: Stripe's search would find it only after a while
    (https://docs.stripe.com/search#data-freshness).
    """
    params = {"created": {"gte": int(since.timestamp())}, "expand": ["data.latest_charge"]}
    found = [
        one
        for one in islice(_all("payment_intents", params), MAX_LOOKED_THROUGH)
        if metadata_of(one).get("payment") == payment_key
    ]
    # Oldest first, but one that can still be paid before one that is over.
    found.sort(key=lambda one: (one.get("status") == "canceled", one.get("created") or 0))
    return read_intent(found[0]) if found else None


def fetch_intent(intent_id: str) -> Intent:
    """The PaymentIntent as it is now, with its latest charge."""
    asked_at = clock.now()
    found = _call(
        "fetch-intent",
        "get",
        f"payment_intents/{_part(intent_id)}",
        expand=["latest_charge"],
    )
    return replace(read_intent(found), asked_at=asked_at)


def cancel_intent(intent_id: str) -> Intent:
    """Cancel a PaymentIntent; returns it as it is then, also when it could not be cancelled.

    Each try has a key of its own: a PaymentIntent ends once, whoever asks again. Raises ``Refused``
    for one that Stripe does not know, and ``Unavailable``.
    """
    path = f"payment_intents/{_part(intent_id)}/cancel"
    for _ in range(2):
        try:
            return read_intent(
                _call(
                    "cancel-intent",
                    "post",
                    path,
                    cancellation_reason=GIVEN_UP,
                    expand=["latest_charge"],
                )
            )
        except Refused:
            return fetch_intent(intent_id)
        except KeySpent as spent:
            failure = spent
            intent = fetch_intent(intent_id)
            if intent.status in {"canceled", "succeeded"}:
                return intent
    raise failure


def capture_intent(intent_id: str, *, key: str, amount_minor: int) -> Intent:
    """Take authorised money; what is left of it is released.

    Raises ``Refused``, ``KeySpent`` and ``Unavailable``.
    https://docs.stripe.com/api/payment_intents/capture
    """
    return read_intent(
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
    """Refund a payment in part or whole. Raises ``Refused``, ``KeySpent`` and ``Unavailable``."""
    return read_refund(
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
    return read_refund(_call("fetch-refund", "get", f"refunds/{_part(stripe_id)}"))


def fetch_dispute(stripe_id: str) -> SentDispute:
    """The dispute as it is now, with all that it moved."""
    asked_at = clock.now()
    return read_dispute(_call("fetch-dispute", "get", f"disputes/{_part(stripe_id)}"), asked_at)


def fetch_charge(charge_id: str) -> Charge:
    """A charge with its balance transaction, which tells the rate at which it was converted."""
    return read_object(
        read_charge,
        "charge",
        _call(
            "fetch-dispute",
            "get",
            f"charges/{_part(charge_id)}",
            expand=["balance_transaction"],
        ),
    )


def fetch_fraud_warning(stripe_id: str) -> FraudWarning:
    """The early fraud warning as it is now."""
    path = f"radar/early_fraud_warnings/{_part(stripe_id)}"
    return read_object(
        read_fraud_warning, "early fraud warning", _call("fetch-warning", "get", path)
    )


def fetch_review(stripe_id: str) -> Review:
    """The review as it is now."""
    return read_object(
        read_review, "review", _call("fetch-review", "get", f"reviews/{_part(stripe_id)}")
    )


def fetch_payout(stripe_id: str) -> Payout:
    """The payout as it is now, with the moment at which it came back."""
    found = _call(
        "fetch-payout",
        "get",
        f"payouts/{_part(stripe_id)}",
        expand=["failure_balance_transaction"],
    )
    return read_object(read_payout, "payout", found)


def refunds_of(intent_id: str) -> Iterator[SentRefund | Unreadable]:
    """All refunds of a PaymentIntent, also those that others made. One that cannot be read is said
    in its place, here and in the lists below."""
    return _each(read_refund, "refunds", {"payment_intent": intent_id})


def intents_since(moment: datetime) -> Iterator[Intent | Unreadable]:
    """PaymentIntents made since then, newest first."""
    return _each(
        read_intent, "payment_intents", _since(moment) | {"expand": ["data.latest_charge"]}
    )


def refunds_since(moment: datetime) -> Iterator[SentRefund | Unreadable]:
    """Refunds made since then, newest first."""
    return _each(read_refund, "refunds", _since(moment))


def disputes_since(moment: datetime) -> Iterator[SentDispute | Unreadable]:
    """Disputes opened since then, newest first."""
    return _each(read_dispute, "disputes", _since(moment))


def movements_since(moment: datetime) -> Iterator[Movement | Unreadable]:
    """What moved in Stripe's balance since then, newest first."""
    return _each(read_movement, "balance_transactions", _since(moment))


def fraud_warnings_since(moment: datetime) -> Iterator[FraudWarning | Unreadable]:
    """Early fraud warnings of since then, newest first."""
    read = partial(read_object, read_fraud_warning, "early fraud warning")
    return _each(read, "radar/early_fraud_warnings", _since(moment))


def reviews_since(moment: datetime) -> Iterator[Review | Unreadable]:
    """Reviews that were opened since then and are open, newest first: Stripe lists no others.

    https://docs.stripe.com/api/radar/reviews/list
    """
    return _each(partial(read_object, read_review, "review"), "reviews", _since(moment))


def payouts_since(moment: datetime, *, status: str = "failed") -> Iterator[Payout | Unreadable]:
    """Payouts that were begun since then and are in this status, newest first."""
    params = {"status": status, "expand": ["data.failure_balance_transaction"]}
    return _each(partial(read_object, read_payout, "payout"), "payouts", _since(moment) | params)


def _since(moment: datetime) -> dict[str, Any]:
    return {"created": {"gte": int(moment.timestamp())}}


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
    """Ask for plain data: building the library's objects costs as much as half of the call.

    What may pass in a moment is retried with back-off and jitter, always under the same key.
    Raises ``Refused``, ``KeySpent`` and ``Unavailable``.
    """
    client = _client
    if client is None:
        raise Unavailable("Payments are not set up: STRIPE_SECRET_KEY is missing.")
    has_key = method == "post"
    if has_key:  # or each retry would be a request of its own
        params.setdefault("idempotency_key", str(uuid4()))

    def ask() -> dict[str, Any]:
        answer: dict[str, Any] = client.raw_request(method, f"/v1/{path}", **params).data
        return answer

    try:
        with failpoints.around(step):
            return _retrying(has_key)(ask)
    except stripe.StripeError as error:
        raise _translated(error, step, has_key) from error


def _retrying(has_key: bool) -> tenacity.Retrying:
    deadline = _deadline.get()
    left = _patience.within_s if deadline is None else deadline - time.monotonic()
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: _may_pass(error, has_key)),
        wait=_pause,
        stop=tenacity.stop_after_attempt(_patience.tries) | tenacity.stop_before_delay(left),
        reraise=True,
    )


def _may_pass(error: BaseException, has_key: bool) -> bool:
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


def _pause(state: tenacity.RetryCallState) -> float:
    """How long to wait before the next try: the back-off, or what Stripe asks for if it is more."""
    asked = 0.0
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, stripe.StripeError):
        header = _header(error, "retry-after")
        asked = float(header) if header.isascii() and header.isdecimal() else 0.0
    return max(_BACK_OFF(state), asked)


def _is_outage(error: stripe.StripeError) -> bool:
    return (error.http_status or 0) >= 500 or error.http_status == 424


def _is_saved(error: stripe.StripeError) -> bool:
    """Whether Stripe will answer like this to every repeat under the same key. It says so, by
    either header; any other 5xx may come from before the request was begun, or while it runs."""
    replayed = _header(error, "idempotent-replayed") == "true"
    return _is_outage(error) and (replayed or _header(error, "stripe-should-retry") == "false")


def _header(error: stripe.StripeError, name: str) -> str:
    values = (value for key, value in (error.headers or {}).items() if key.lower() == name)
    return str(next(values, "")).lower()


def _translated(error: stripe.StripeError, step: str, has_key: bool) -> DomainError:
    """What the library raised, in our words. The log has Stripe's own, and its request id."""
    note = {"step": step, "reason": str(error), "status": error.http_status}
    if isinstance(error, stripe.IdempotencyError) and error.http_status != 409:  # that is in use
        log.error("an idempotency key was used for something else", extra=note)
        return KeySpent(BROKEN)
    if isinstance(error, stripe.InvalidRequestError | stripe.CardError):
        return _refusal(error)
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        log.error("stripe does not accept our key", extra=note)
        return AccessDenied("Payments are not available at the moment.")
    log.warning("stripe did not answer", extra=note)
    if isinstance(error, stripe.APIConnectionError):
        return Unavailable("The payment service does not answer. Please try again in a minute.")
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
    return (NoSuchObject if is_missing else Refused)(
        sentence_of(reason, error.user_message or ""),
        reason=reason,
        stripe_code=code,
        decline_code=decline_code,
        is_replayed=_header(error, "idempotent-replayed") == "true",
    )


def _all(kind: str, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Page by page (https://docs.stripe.com/api/pagination), a hundred at a time."""
    after: dict[str, str] = {}
    while True:
        page = _call("fetch-page", "get", kind, **params, limit=100, **after)
        yield from page["data"]
        if not page["has_more"] or not page["data"]:
            return
        after = {"starting_after": page["data"][-1]["id"]}


def _each(
    read: Callable[[dict[str, Any]], Read], kind: str, params: dict[str, Any]
) -> Iterator[Read | Unreadable]:
    for one in _all(kind, params):
        try:
            yield read(one)
        except Unreadable as error:
            yield error
