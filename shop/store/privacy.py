"""Pages and forms that are for one visitor only."""

from flask import Response, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError

from shop.store import errors
from shop.store.blueprint import bp

PERSONAL = ("/cart", "/checkout", "/orders", "/account")


@bp.after_request
def keep_private(response: Response) -> Response:
    """Nobody else's machine keeps a personal page, and no other site learns its address."""
    if request.path.startswith(PERSONAL):
        response.headers["Cache-Control"] = "no-store"
        response.headers.setdefault("Referrer-Policy", "same-origin")
    return response


@bp.errorhandler(CSRFError)
def form_too_old(_error: CSRFError) -> ResponseReturnValue:
    """The form's secret is missing or from another session."""
    return errors.plain(
        400,
        "This form has been open for too long, or cookies are switched off. Nothing was changed. "
        "Go back, reload the page and try again.",
    )
