"""Addresses under ``/api`` that are nobody's: 404 or 405, said as this door says everything."""

from typing import NoReturn

from flask import Blueprint, request
from flask.globals import request_ctx
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from shop.api import errors
from shop.api.callers import unasked
from shop.api.door import seal

bp = Blueprint("api_unknown", __name__)
errors.handle(bp)
bp.after_request(seal)

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


@bp.route("/api/", defaults={"path": ""}, methods=METHODS)
@bp.route("/api/<path:path>", methods=METHODS)
@unasked
def nothing(path: str) -> NoReturn:
    """Nothing is here, or not with this method."""
    known = [method for method in METHODS if _leads_elsewhere(method)]
    if known:
        raise MethodNotAllowed(known)
    raise NotFound


def _leads_elsewhere(method: str) -> bool:
    adapter = request_ctx.url_adapter
    try:
        endpoint, _ = adapter.match(request.path, method=method)  # type: ignore[union-attr]
    except HTTPException:
        return False
    return bool(endpoint != request.endpoint)
