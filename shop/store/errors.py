"""Refusals and failures, in words for people and with the right status."""

import logging

from flask import Flask, current_app, g, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException, SecurityError, ServiceUnavailable

from shop import catalog
from shop.core.db import RETRYABLE, session, sqlstate
from shop.core.errors import DomainError, NotFound, Unavailable, WrongState
from shop.core.i18n import lazy_gettext
from shop.core.network import wait_s
from shop.store.blueprint import bp
from shop.store.headers import is_store

log = logging.getLogger(__name__)

CANCELLED_STATEMENT = "57014"
STATUS: dict[type[DomainError], int] = {NotFound: 404, WrongState: 409, Unavailable: 503}
WORDS = {
    400: (
        lazy_gettext("That did not work"),
        lazy_gettext("Something in the address or the form cannot be used."),
    ),
    403: (
        lazy_gettext("This page is not for you"),
        lazy_gettext("You may need to sign in with another account."),
    ),
    405: (
        lazy_gettext("That did not work"),
        lazy_gettext("This address cannot be used in this way."),
    ),
    409: (
        lazy_gettext("That is no longer possible"),
        lazy_gettext("Something has changed in the meantime."),
    ),
    413: (
        lazy_gettext("That is too much"),
        lazy_gettext("What was sent is larger than the shop accepts."),
    ),
    415: (
        lazy_gettext("That did not work"),
        lazy_gettext("The shop cannot read this kind of content."),
    ),
    422: (lazy_gettext("That did not work"), lazy_gettext("Something in the form cannot be used.")),
    429: (
        lazy_gettext("A little slower, please"),
        lazy_gettext(
            "There were very many requests from you; the last one did nothing."
            " Wait a minute, then try again."
        ),
    ),
    500: (
        lazy_gettext("Something broke on our side"),
        lazy_gettext("It is written down and we will look at it. Your cart is safe."),
    ),
    503: (
        lazy_gettext("Back in a moment"),
        lazy_gettext("The shop cannot answer just now. Try again in a minute."),
    ),
}
LOST = {404, 410}
RETRY_AFTER_S = 5


def init_app(app: Flask) -> None:
    """Answer the store's errors with the store's pages; other doors keep their own answers."""
    bp.register_error_handler(DomainError, refused)
    bp.register_error_handler(DBAPIError, database_refused)
    bp.register_error_handler(PoolTimeout, away)
    for status in (*LOST, *WORDS):
        app.register_error_handler(status, failed)


def refused(error: DomainError) -> ResponseReturnValue:
    """A refusal that no form could show beside a field."""
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 422)
    if status in LOST:
        return lost(status)
    return plain(status, error.sentence)


def database_refused(error: DBAPIError) -> ResponseReturnValue:
    """What only the database noticed: a lost race, text that cannot be stored, or that it is busy
    or away itself."""
    for kind, status in ((IntegrityError, 409), (DataError, 422)):
        if isinstance(error, kind):
            session.rollback()
            log.warning("refused by the database", extra={"sqlstate": sqlstate(error)})
            return plain(status, str(WORDS[status][1]))
    busy = sqlstate(error) in RETRYABLE | {CANCELLED_STATEMENT}
    if busy or error.connection_invalidated or isinstance(error, OperationalError):
        return away(error)
    raise error


def away(error: Exception) -> ResponseReturnValue:
    """The database does not answer, or not in time: nothing was changed, and trying again helps."""
    session.rollback()
    log.warning("the database does not answer", extra={"kind": type(error).__name__})
    return failed(ServiceUnavailable(retry_after=RETRY_AFTER_S))


def failed(error: HTTPException) -> ResponseReturnValue:
    """Any HTTP error. One that brings its own page keeps it."""
    # Under a host name that is not ours Flask makes no links, and a page is full of them.
    if not is_store(request.path) or isinstance(error, SecurityError):
        return _other_door(error)
    status = error.code or 500
    if error.response is not None:
        return error.response
    if status in LOST:
        return lost(status)
    own_words = error.description if status in {400, 403, 409} and _is_ours(error) else ""
    answer = current_app.make_response(plain(status, own_words or str(WORDS[status][1])))
    if status == 429:
        limit = next(iter(current_app.extensions["limiter"])).current_limit
        answer.headers["Retry-After"] = str(wait_s(limit.reset_at if limit else None))
    elif status == 503:
        after = getattr(error, "retry_after", None)
        answer.headers["Retry-After"] = str(after if isinstance(after, int) else 60)
    return answer


def lost(status: int) -> ResponseReturnValue:
    """Nothing is here: offer the search, the categories and a few products."""
    page = render_template("store/errors/lost.html", status=status, cards=catalog.featured(4))
    return page, status


def plain(status: int, sentence: str) -> tuple[str, int]:
    """A page that needs no database, so that it can be shown when there is none."""
    title = str(WORDS.get(status, WORDS[400])[0])
    request_id = g.get("request_id", "")
    return render_template(
        "store/errors/plain.html", title=title, sentence=sentence, request_id=request_id
    ), status


def _is_ours(error: HTTPException) -> bool:
    """Whether one of us wrote the description, for people, and not the library."""
    return error.description not in {None, type(error).description}


def _other_door(error: HTTPException) -> ResponseReturnValue:
    """Hand on to the handler that another door registered for all HTTP errors, if there is one."""
    general = current_app.error_handler_spec[None][None].get(HTTPException)
    answer: ResponseReturnValue = current_app.ensure_sync(general)(error) if general else error
    return answer
