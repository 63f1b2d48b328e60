"""Refusals and failures as problem details (RFC 9457), said once for every route of this door."""

import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus

from flask import Blueprint, Response, current_app, g, json
from marshmallow import fields
from redis.exceptions import RedisError
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException, default_exceptions

from shop.api.fields import Schema
from shop.cart import CartChanged
from shop.checkout import CartProblems
from shop.core.db import RETRYABLE, session, sqlstate
from shop.core.errors import DomainError, Invalid, NotFound, Unavailable, WrongState
from shop.core.idempotency import InProgress, KeyReused
from shop.customers import InvalidAddress
from shop.payments import BadSignature

log = logging.getLogger(__name__)

# First match counts; every other refusal is a conflict with how things stand.
STATUS: tuple[tuple[type[DomainError], int], ...] = (
    (NotFound, 404),
    (Invalid, 422),
    (InvalidAddress, 422),
    (KeyReused, 422),
    (BadSignature, 400),
    (Unavailable, 503),
    (WrongState, 409),
)
CODES = {
    400: "malformed",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    412: "stale",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid",
    429: "rate_limited",
    500: "internal",
    503: "unavailable",
}
SENTENCES = {
    401: "Sign in first: send an access token as “Authorization: Bearer …”.",
    403: "Your account may not do this.",
    404: "There is nothing here.",
    405: "This address does not know this method.",
    413: "What was sent is larger than is accepted here.",
    422: "Some of what was sent cannot be used.",
    429: "Too many requests. Wait a moment, then try again.",
    500: "Something broke on our side. It is written down under this request_id.",
    503: "The shop cannot answer just now. Try again in a moment.",
}
RETRY_AFTER_S = {409: 1, 429: 60, 503: 5}
CANCELLED_STATEMENT = "57014"

Faults = Iterable[tuple[str, str]]


class FaultSchema(Schema):
    """One thing that is wrong with what was sent."""

    field = fields.String(required=True)
    message = fields.String(required=True)


class TotalsSchema(Schema):
    """What a cart would cost now. Amounts are in minor units of ``currency``."""

    version = fields.Integer(required=True)
    currency = fields.String(required=True)
    subtotal_minor = fields.Integer(required=True)
    discount_minor = fields.Integer(required=True)
    shipping_minor = fields.Integer(required=True)
    tax_minor = fields.Integer(required=True)
    total_minor = fields.Integer(required=True)


class ProblemSchema(Schema):
    """An error: ``code`` is stable and for programs, ``detail`` is for people.

    ``totals`` comes with ``cart_changed``.
    """

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    code = fields.String(required=True)
    detail = fields.String(required=True)
    errors = fields.List(fields.Nested(FaultSchema), required=True)
    request_id = fields.String(required=True)
    totals = fields.Nested(TotalsSchema)


class Refused(DomainError):
    """A refusal of this door itself, with its status and headers."""

    def __init__(
        self,
        status: int,
        sentence: str = "",
        *,
        code: str = "",
        faults: Faults = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(sentence or SENTENCES.get(status, HTTPStatus(status).phrase))
        self.status = status
        self.code = code or CODES[status]
        self.faults = tuple(faults)
        self.headers = dict(headers or {})


def handle(blueprint: Blueprint) -> None:
    """Let every route of ``blueprint`` answer refusals and failures with problem details.

    Status by status, since a handler for a status beats one for all of them in Flask, and other
    doors have those for the whole application.
    """
    for status in default_exceptions:
        blueprint.register_error_handler(status, failed)
    blueprint.register_error_handler(DomainError, refused)
    blueprint.register_error_handler(DBAPIError, database_refused)
    blueprint.register_error_handler(PoolTimeout, away)
    blueprint.register_error_handler(RedisError, away)


def problem(
    status: int,
    detail: str = "",
    *,
    code: str = "",
    faults: Faults = (),
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, object] | None = None,
) -> Response:
    """An error as this door says it; ``more`` are members of this error's own (RFC 9457, 3.2)."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code or CODES.get(status, "refused"),
        "detail": detail or SENTENCES.get(status, HTTPStatus(status).phrase),
        "errors": [{"field": field, "message": message} for field, message in faults],
        "request_id": g.get("request_id", ""),
        **(more or {}),
    }
    response = current_app.response_class(
        json.dumps(body), status=status, mimetype="application/problem+json"
    )
    if status in {429, 503}:
        response.headers["Retry-After"] = str(RETRY_AFTER_S[status])
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="shop"'
    response.headers.update(headers or {})
    return response


def refused(error: DomainError) -> Response:
    """What an operation refuses."""
    session.rollback()
    if isinstance(error, Refused):
        return problem(
            error.status,
            error.sentence,
            code=error.code,
            faults=error.faults,
            headers=error.headers,
        )
    status = next((status for kind, status in STATUS if isinstance(error, kind)), 409)
    if error.code == "invalid":
        status = 422
    headers = {"Retry-After": "1"} if isinstance(error, InProgress) else {}
    more = {"totals": error.totals} if isinstance(error, CartChanged) and error.totals else {}
    faults = _faults(error)
    return problem(
        status, error.sentence, code=error.code, faults=faults, headers=headers, more=more
    )


def failed(error: HTTPException) -> Response:
    """Any HTTP error, with the headers it comes with (``Allow``, ``Retry-After``)."""
    status = error.code or 500
    if status < 400 or error.response is not None:
        return current_app.make_response(error.get_response())
    messages = getattr(error, "data", {}).get("messages")
    own_words = error.description if _is_ours(error) and status != 500 else ""
    headers = {
        name: value for name, value in error.get_headers() if name in {"Allow", "Retry-After"}
    }
    faults = list(flat(messages)) if messages else []
    return problem(status, own_words or "", faults=faults, headers=headers)


def database_refused(error: DBAPIError) -> Response:
    """What only the database noticed: unusable values, a lost race, or that it is away itself."""
    session.rollback()
    if isinstance(error, DataError):
        log.warning("value refused by the database", extra={"sqlstate": sqlstate(error)})
        return problem(422)
    if isinstance(error, IntegrityError):
        log.warning("change refused by the database", extra={"sqlstate": sqlstate(error)})
        return problem(409, "This does not fit what is there (any more).")
    busy = sqlstate(error) in RETRYABLE | {CANCELLED_STATEMENT}
    if busy or error.connection_invalidated or isinstance(error, OperationalError):
        return away(error)
    raise error


def away(error: Exception) -> Response:
    """The database or Redis does not answer, or not in time."""
    session.rollback()
    log.warning(
        "a server that the shop needs does not answer", extra={"kind": type(error).__name__}
    )
    return problem(503)


def flat(messages: object, path: tuple[str, ...] = ()) -> Faults:
    """Validation messages as (``lines.0.quantity``, sentence) pairs."""
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            outermost = not path and key in {"json", "query", "form", "files", "headers"}
            step = (
                ()
                if (outermost and isinstance(inner, Mapping)) or key == "_schema"
                else (str(key),)
            )
            yield from flat(inner, path + step)
    elif isinstance(messages, list | tuple):
        for message in messages:
            yield from flat(message, path)
    else:
        yield ".".join(path), str(messages)


def _faults(error: DomainError) -> Faults:
    if isinstance(error, InvalidAddress):
        path = f"{error.field}." if error.field else ""
        return [(path + name, said) for name, said in error.errors.items()]
    if isinstance(error, CartProblems):
        return [("cart", said) for said in error.problems]
    return [(error.field, error.sentence)] if error.field else []


def _is_ours(error: HTTPException) -> bool:
    """Whether somebody wrote the description for people, not the library for programmers."""
    return error.description not in {None, type(error).description}
