"""The line to Stripe: our keys, how long to be patient, and one way to ask.

No database transaction is open while a function here runs. What may pass in a moment is retried,
under the same idempotency key. Stripe saves the first answer under a key, failures of its own
included (https://docs.stripe.com/api/idempotent_requests): then the key is spent.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import stripe
import tenacity

from shop.core import failpoints
from shop.core.errors import Unavailable
from shop.core.i18n import gettext as _
from shop.payments.stripe_errors import header, may_pass, translated
from shop.payments.stripe_reading import Read, Unreadable

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


def webhook_secrets() -> tuple[str, ...]:
    """The secrets that a webhook may be signed with: several while one is being replaced."""
    return _webhook_secrets


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


def call_stripe(step: str, method: str, path: str, **params: Any) -> dict[str, Any]:
    """Ask for plain data: building the library's objects costs as much as half of the call.

    What may pass in a moment is retried with back-off and jitter, always under the same key.
    Raises ``Refused``, ``KeySpent`` and ``Unavailable``.
    """
    client = _client
    if client is None:
        raise Unavailable(_("Payments are not set up: STRIPE_SECRET_KEY is missing."))
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
        raise translated(error, step, has_key) from error


def _retrying(has_key: bool) -> tenacity.Retrying:
    deadline = _deadline.get()
    left = _patience.within_s if deadline is None else deadline - time.monotonic()
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: may_pass(error, has_key)),
        wait=_pause,
        stop=tenacity.stop_after_attempt(_patience.tries) | tenacity.stop_before_delay(left),
        reraise=True,
    )


def _pause(state: tenacity.RetryCallState) -> float:
    """How long to wait before the next try: the back-off, or what Stripe asks for if it is more."""
    asked = 0.0
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, stripe.StripeError):
        seconds = header(error, "retry-after")
        asked = float(seconds) if seconds.isascii() and seconds.isdecimal() else 0.0
    return max(_BACK_OFF(state), asked)


def pages_of(kind: str, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Page by page (https://docs.stripe.com/api/pagination), a hundred at a time."""
    after: dict[str, str] = {}
    while True:
        page = call_stripe("fetch-page", "get", kind, **params, limit=100, **after)
        yield from page["data"]
        if not page["has_more"] or not page["data"]:
            return
        after = {"starting_after": page["data"][-1]["id"]}


def each_of(
    read: Callable[[dict[str, Any]], Read], kind: str, params: dict[str, Any]
) -> Iterator[Read | Unreadable]:
    """Read every object of a list; one that cannot be read is said in its place."""
    for one in pages_of(kind, params):
        try:
            yield read(one)
        except Unreadable as error:
            yield error
