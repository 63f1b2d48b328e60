"""Refusals and failures in the staff side's own words: never SQL, a stack or a path."""

import logging
from typing import Any

from flask import (
    Blueprint,
    Response,
    current_app,
    flash,
    g,
    jsonify,
    redirect,
    render_template,
    request,
)
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as WerkzeugResponse

from shop.core.db import session, sqlstate, violated
from shop.core.errors import DomainError, Invalid, NotFound, Unavailable
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
from shop.core.network import wait_s

log = logging.getLogger(__name__)

PAGES = {
    400: (
        lazy_gettext("That did not work"),
        lazy_gettext("The request was not understood. Go back and try again."),
    ),
    403: (
        lazy_gettext("No access"),
        lazy_gettext("Your role does not include this page. An Owner can change that."),
    ),
    404: (
        lazy_gettext("Not found"),
        lazy_gettext("This page or record was not found. It may have been deleted."),
    ),
    405: (
        lazy_gettext("That did not work"),
        lazy_gettext("This address does not accept this request."),
    ),
    413: (
        lazy_gettext("Too large"),
        lazy_gettext("What you sent is larger than the shop accepts."),
    ),
    429: (lazy_gettext("Too many attempts"), lazy_gettext("Wait a few minutes, then try again.")),
    500: (
        lazy_gettext("Something went wrong"),
        lazy_gettext("The error was logged. Nothing you entered was saved."),
    ),
    503: (
        lazy_gettext("Not available"),
        lazy_gettext("A service that the shop needs is not available. Try again soon."),
    ),
}
STATUS = {
    "not_found": 404,
    "invalid": 422,
    "unavailable": 503,
    "forbidden": 403,
    "bad_address": 400,
}
AWAY = lazy_gettext("The database is not available. Try again in a moment.")
# Its last answer may be what is lost.
LOOK_FIRST = lazy_gettext(" First check whether your changes were saved.")
RETRY_AFTER_S = 5
BUSY = {"40001", "40P01", "55P03", "57014"}

Answer = tuple[str | Response, int] | Response | WerkzeugResponse


class Stale(DomainError):
    """Somebody changed the thing since the person looked at it."""

    code = "stale"


def explain(error: DBAPIError) -> DomainError:
    """A database refusal as a sentence, with the field it is about when that can be told."""
    state, constraint = sqlstate(error), violated(error)
    diagnostics = getattr(error.orig, "diag", None)
    table = getattr(diagnostics, "table_name", None) or ""
    field = _field(constraint, table) or getattr(diagnostics, "column_name", None)
    if state == "23505":
        return Invalid(_("This is already taken; choose another."), field=field)
    if state in {"23503", "23001"}:
        return DomainError(_("Other records still use this, so it cannot be removed."))
    if state == "23502":
        return Invalid(_("Fill this in."), field=field)
    if state in {"23514", "22001", "22003", "22P02", "22023"}:
        return Invalid(_("This value is not allowed here."), field=field)
    if state in BUSY:
        return Unavailable(_("Someone else is changing the same record. Try again in a moment."))
    raise error


def handle(blueprint: Blueprint) -> None:
    """Let the pages of ``blueprint`` answer refusals and failures in the staff side's look."""
    blueprint.register_error_handler(DomainError, refused)
    blueprint.register_error_handler(DBAPIError, database_refused)
    blueprint.register_error_handler(PoolTimeout, away)
    # By code: another door's handler for a code would win over one for all of them.
    for status in PAGES:
        blueprint.register_error_handler(status, failed)


def refused(error: DomainError) -> Answer:
    """A refusal of an operation: a message on the page the person came from; JSON for scripts."""
    session.rollback()
    if wants_json():
        body = {"error": error.sentence, "code": error.code, "field": error.field}
        return jsonify(body), status_of(error)
    if isinstance(error, NotFound) or request.method == "GET":
        return page(status_of(error), error.sentence)
    flash(error.sentence, "danger")
    return redirect(back(), code=303)


def database_refused(error: DBAPIError) -> Answer:
    """What only the database noticed, or that it is busy or away itself."""
    session.rollback()
    return away(error) if is_away(error) else refused(explain(error))


def is_away(error: Exception) -> bool:
    """Whether the database itself could not be reached; a record that is busy is there."""
    if isinstance(error, DBAPIError) and sqlstate(error) not in BUSY:
        return error.connection_invalidated or isinstance(error, OperationalError)
    return isinstance(error, PoolTimeout)


def away(error: Exception) -> Answer:
    """The database does not answer: a page that asks it nothing, not even who is signed in."""
    session.rollback()
    log.warning("the database does not answer", extra={"kind": type(error).__name__})
    current_app.extensions["appbuilder"].sm.lm.take_for_nobody()
    sentence = str(AWAY if request.method == "GET" else AWAY + LOOK_FIRST)
    if wants_json():
        return jsonify({"error": sentence, "code": Unavailable.code, "field": None}), 503
    return page(503, sentence)


def status_of(error: DomainError) -> int:
    """The HTTP status that fits a refusal: 422 for a value that cannot be used, else mostly 409."""
    return STATUS.get(error.code, 422 if isinstance(error, Invalid) else 409)


def failed(error: HTTPException) -> Answer:
    """404, 403, 429, 500 …, as a page inside the admin, or as JSON for scripts."""
    if error.response is not None or (error.code or 500) < 400:
        return error.get_response()
    status = error.code or 500
    if status >= 500:
        session.rollback()
    if wants_json():
        words = {"error": str(PAGES.get(status, PAGES[400])[1]), "code": status}
        answer = current_app.make_response((jsonify(words), status))
    else:
        answer = current_app.make_response(page(status))
    if status == 429:
        limit = next(iter(current_app.extensions["limiter"])).current_limit
        answer.headers["Retry-After"] = str(wait_s(limit.reset_at if limit else None))
    elif status == 503:
        answer.headers["Retry-After"] = str(RETRY_AFTER_S)
    return answer


def page(status: int, sentence: str = "") -> tuple[str, int]:
    """The error page for ``status``."""
    title, text = PAGES.get(status, PAGES[400])
    rendered = render_template(
        "admin/errors/page.html",
        title=title,
        text=sentence or text,
        status=status,
        again=request.full_path.rstrip("?") if request.method == "GET" else back(),
        request_id=g.get("request_id", ""),
    )
    return rendered, status


def back(default: str = "/admin/") -> str:
    """The page of ours that the request came from, by path only: never another site."""
    referrer = request.referrer or ""
    root = request.host_url
    if referrer.startswith(root):
        path = "/" + referrer.removeprefix(root)
        if path.startswith("/admin/") and not path.startswith("//"):
            return path
    return default


def wants_json() -> bool:
    """Whether a script asks: it says so in ``Accept``."""
    best: Any = request.accept_mimetypes.best
    return best == "application/json"


def _field(constraint: str, table: str) -> str | None:
    for prefix in ("uq", "ck", "fk"):
        start = f"{prefix}_{table}_"
        if table and constraint.startswith(start):
            return constraint.removeprefix(start)
    return None
