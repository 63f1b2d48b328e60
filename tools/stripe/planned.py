"""Errors ordered through `/_control`: "the next N calls to this path answer this".

Stripe's order of things decides what a retry sees (https://docs.stripe.com/error-low-level): a
429, a 503 and a lock timeout come before the endpoint runs and are not saved; everything from the
endpoint itself, a 500 included, is saved under the idempotency key and replayed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from tools.stripe.refusals import BadControl, Refusal

MAX_TIMES = 1000
FIELDS = (
    "path method times error created delay_s retry_after_s status type code message decline_code"
).split()
METHODS = ("GET", "POST", "DELETE", "*")


class Stage(StrEnum):
    """Where in a request an error arises, and so whether Stripe saves it under the key."""

    BEFORE = "before the endpoint"
    ENDPOINT = "in the endpoint"


@dataclass(frozen=True)
class ErrorKind:
    """One error that can be ordered by its name."""

    status: int
    type: str
    code: str | None
    message: str
    stage: Stage = Stage.ENDPOINT
    headers: Mapping[str, str] | None = None
    decline_code: str | None = None
    loses_answer: bool = False
    is_error: bool = True


def _invalid(code: str, message: str) -> ErrorKind:
    return ErrorKind(400, "invalid_request_error", code, message)


KINDS = {
    "api_error": ErrorKind(
        500,
        "api_error",
        None,
        "Sorry! There was an error while talking to one of our backends. Support has been "
        "notified.",
        # The answer is saved, so the SDK hears that repeating it brings nothing.
        headers={"Stripe-Should-Retry": "false"},
    ),
    "unavailable": ErrorKind(
        503,
        "api_error",
        None,
        "Stripe is unavailable for a moment. Try again in a little bit.",
        stage=Stage.BEFORE,
    ),
    "rate_limit": ErrorKind(
        429,
        "invalid_request_error",
        "rate_limit",
        "Too many requests hit the API too quickly. We recommend an exponential backoff of your "
        "requests.",
        stage=Stage.BEFORE,
    ),
    "lock_timeout": ErrorKind(
        409,
        "invalid_request_error",
        "lock_timeout",
        "This object cannot be accessed right now because another API request or Stripe process "
        "is currently accessing it. If you see this error intermittently, retry the request.",
        stage=Stage.BEFORE,
        headers={"Stripe-Should-Retry": "true"},
    ),
    "connection_lost": ErrorKind(500, "api_error", None, "", loses_answer=True),
    # No error at all: with ``delay_s`` an answer that comes when nobody waits for it any more.
    "slow": ErrorKind(500, "api_error", None, "", is_error=False),
    "authentication_error": ErrorKind(
        401, "invalid_request_error", None, "Invalid API Key provided.", stage=Stage.BEFORE
    ),
    "permission_error": ErrorKind(
        403,
        "invalid_request_error",
        None,
        "The provided key does not have the required permissions for this endpoint.",
        stage=Stage.BEFORE,
    ),
    "card_declined": ErrorKind(
        402, "card_error", "card_declined", "Your card was declined.", decline_code="do_not_honor"
    ),
    "insufficient_funds": ErrorKind(
        402,
        "card_error",
        "card_declined",
        "Your card has insufficient funds.",
        decline_code="insufficient_funds",
    ),
    "charge_expired_for_capture": _invalid(
        "charge_expired_for_capture",
        "The charge cannot be captured because its authorization has expired. Charges must be "
        "captured within a set number of days (7 by default).",
    ),
    "capture_charge_authorization_expired": _invalid(
        "capture_charge_authorization_expired",
        "The charge cannot be captured because its authorization has expired.",
    ),
    "capture_unauthorized_payment": _invalid(
        "capture_unauthorized_payment",
        "The payment cannot be captured because it has not been authorized.",
    ),
    "charge_already_captured": _invalid(
        "charge_already_captured", "This charge has already been captured."
    ),
    "charge_already_refunded": _invalid(
        "charge_already_refunded", "This charge has already been refunded."
    ),
    "charge_disputed": _invalid(
        "charge_disputed", "This charge has been charged back; cannot issue a refund."
    ),
    "charge_not_refundable": _invalid("charge_not_refundable", "This charge cannot be refunded."),
    "refund_disputed_payment": _invalid(
        "refund_disputed_payment", "A payment with an open dispute cannot be refunded."
    ),
    "balance_insufficient": _invalid(
        "balance_insufficient",
        "Insufficient funds in your Stripe balance to refund this amount.",
    ),
    "processing_error": ErrorKind(
        402,
        "card_error",
        "processing_error",
        "An error occurred while processing your card. Try again in a little bit.",
        decline_code="processing_error",
    ),
}


@dataclass(frozen=True)
class PlannedError:
    """An error that the next ``times`` matching calls get."""

    path: str
    method: str
    times: int
    error: str
    kind: ErrorKind
    is_done: bool = False
    delay_s: float = 0.0

    def matches(self, method: str, path: str, stage: Stage) -> bool:
        """Return whether a call at this stage is one of those meant."""
        return (
            self.kind.stage is stage
            and self.method in ("*", method)
            and fnmatchcase(path, self.path)
        )

    def refusal(self) -> Refusal:
        """Return the error as the API raises it."""
        kind = self.kind
        refusal = Refusal(
            kind.message, code=kind.code, status=kind.status, decline_code=kind.decline_code
        )
        refusal.type = kind.type
        refusal.headers = dict(kind.headers or {})
        return refusal

    def as_json(self) -> dict[str, Any]:
        """Return the plan as `/_control` shows it."""
        return {
            "path": self.path,
            "method": self.method,
            "times": self.times,
            "error": self.error,
            "created": self.is_done,
            "delay_s": self.delay_s,
        }


class Plan:
    """The planned errors, oldest first. Not safe on its own: its owner holds a lock."""

    def __init__(self) -> None:
        self.errors: list[PlannedError] = []

    def take(self, method: str, path: str, stage: Stage) -> PlannedError | None:
        """Return the first matching error and count it down, or None."""
        for place, planned in enumerate(self.errors):
            if planned.matches(method, path, stage):
                if planned.times == 1:
                    del self.errors[place]
                else:
                    self.errors[place] = replace(planned, times=planned.times - 1)
                return planned
        return None


def read_planned(wanted: Any) -> PlannedError:
    """Return a planned error from its JSON. Raises BadControl.

    ``path`` may hold `*` for any text; ``error`` is a name out of `KINDS`, whose fields
    ``status``, ``type``, ``code``, ``message`` and ``decline_code`` may be replaced; ``created``
    says whether the work is done although the call fails; ``retry_after_s`` adds `Retry-After`;
    ``delay_s``: how long the answer takes, with its idempotency key in use as long.
    """
    if not isinstance(wanted, dict):
        raise BadControl('A planned error is an object: {"path": …, "error": …}.')
    for name in wanted:
        if name not in FIELDS:
            known = ", ".join(FIELDS)
            raise BadControl(f"There is no field {name!r} in a planned error. Known: {known}.")
    path, method = wanted.get("path"), wanted.get("method", "POST")
    if not isinstance(path, str) or not path.startswith("/v1/"):
        raise BadControl("path must be a path of the API, for example /v1/refunds.")
    if method not in METHODS:
        raise BadControl(f"method must be one of {', '.join(METHODS)}.")
    times = wanted.get("times", 1)
    if not isinstance(times, int) or isinstance(times, bool) or not 1 <= times <= MAX_TIMES:
        raise BadControl(f"times must be a whole number from 1 to {MAX_TIMES}.")
    error, is_done = wanted.get("error", "api_error"), wanted.get("created", False)
    if not isinstance(error, str) or error not in KINDS:
        raise BadControl(f"error must be one of {', '.join(KINDS)}.")
    if not isinstance(is_done, bool):
        raise BadControl("created must be true or false.")
    kind = _changed(KINDS[error], wanted)
    if is_done and kind.stage is Stage.BEFORE:
        raise BadControl(f"{error} comes before the endpoint runs: nothing can be created.")
    delay = wanted.get("delay_s", 0.0)
    if not isinstance(delay, int | float) or isinstance(delay, bool) or not 0 <= delay <= 600:
        raise BadControl("delay_s must be seconds from 0 to 600.")
    # A connection that breaks while the answer is on its way has always done the work.
    is_done = is_done or kind.loses_answer or not kind.is_error
    return PlannedError(path, method, times, error, kind, is_done, float(delay))


def _changed(kind: ErrorKind, wanted: dict[str, Any]) -> ErrorKind:
    words = {
        name: wanted[name] for name in ("type", "code", "message", "decline_code") if name in wanted
    }
    for name, value in words.items():
        if not isinstance(value, str):
            raise BadControl(f"{name} must be a word.")
    status = wanted.get("status", kind.status)
    if not isinstance(status, int) or isinstance(status, bool) or not 400 <= status <= 599:
        raise BadControl("status must be an HTTP status from 400 to 599.")
    headers = dict(kind.headers or {})
    pause = wanted.get("retry_after_s")
    if pause is not None:
        if not isinstance(pause, int) or isinstance(pause, bool) or not 0 <= pause <= 3600:
            raise BadControl("retry_after_s must be whole seconds from 0 to 3600.")
        headers["Retry-After"] = str(pause)
    return replace(kind, status=status, headers=headers, **words)
