"""Writes that a client may repeat: with an ``Idempotency-Key`` the work is done once."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Response, jsonify, request
from sqlalchemy.exc import DBAPIError

from shop.api.callers import caller
from shop.api.errors import Refused
from shop.core import idempotency, tokens
from shop.core.db import retrying, session, transaction
from shop.core.errors import Unavailable
from shop.core.idempotency import Answer, Claim

log = logging.getLogger(__name__)

PARAMETER = {
    "in": "header",
    "name": "Idempotency-Key",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "Makes a repeat of the same request safe: it gets the same answer, with "
    "`Idempotent-Replayed: true`. Another body under the same key is refused with 422; while the "
    "first request is still being worked on the answer is 409 with `Retry-After`.",
}
Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Remember:
    """Keeps an answer for repeats, and gives it."""

    claimed: Claim | None
    status: int

    def __call__(self, body: Body) -> Body:
        if self.claimed is not None:
            idempotency.store(self.claimed, self.status, body)
        return body

    @property
    def is_repeat(self) -> bool:
        """Whether a call before ended under this key without an answer; its work may be done."""
        return self.claimed is not None and self.claimed.is_repeat


def once(given: object, work: Callable[[Remember], Body], *, status: int, token: str = "") -> Any:
    """Do the work, unless this caller's key says that it was done. Returns the answer.

    ``work`` calls what it gets with its answer, inside the transaction that changes things, so that
    answer and change are kept together or not at all. ``given`` is what the request asks for, and
    ``token`` the secret of whoever has no account. Without a key the work is just done.
    """
    key = _key()
    if key is None:
        return _answer(work(Remember(None, status)), status)
    asked = idempotency.request_hash([request.method, request.path, given])
    claimed: Claim | Answer | None = None
    try:
        with transaction():
            claimed = idempotency.claim(scope(token), key, asked)
        if isinstance(claimed, Answer):
            replayed = _answer(claimed.body, claimed.status)
            replayed.headers["Idempotent-Replayed"] = "true"
            return replayed
        return _answer(work(Remember(claimed, status)), status)
    except Unavailable:  # whether it was done over there, only a repeat finds out
        if isinstance(claimed, Claim):
            _end(claimed, idempotency.unlock)
        raise
    except Exception:
        if isinstance(claimed, Claim):
            _end(claimed, idempotency.release)
        raise


def in_transaction(work: Callable[[], Body]) -> Callable[[Remember], Body]:
    """Work for ``once`` that is one transaction."""

    def whole(remember: Remember) -> Body:
        def run() -> Body:
            with transaction("change-order"):
                return remember(work())

        return retrying(run)

    return whole


def _answer(body: Body, status: int) -> Response:
    answer = jsonify(body)
    answer.status_code = status
    return answer


def _end(claimed: Claim, end: Callable[[Claim], None]) -> None:
    """Let a corrected try, or the same one, use the key again.

    After a lost connection the work may be done all the same; then its answer stays stored.
    """
    session.rollback()
    try:
        with transaction():
            end(claimed)
    except DBAPIError:
        log.warning("idempotency key stays claimed for a minute")


def _key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not (1 <= len(key) <= 255 and key.isascii() and key.isprintable()):
        said = "1 to 255 printable ASCII characters."
        raise Refused(422, faults=[("Idempotency-Key", said)])
    return key


def scope(token: str) -> str:
    """Whose keys these are: the customer's, the staff user's, or those of a guest's secret."""
    who = caller()
    if who.customer_id is not None:
        return f"customer:{who.customer_id}"
    if who.audience == "staff":
        return f"staff:{who.id}"
    return f"cart:{tokens.digest(token)}"
