"""The kind of blueprint that every part of this door is made of.

What holds for each route: JSON in, JSON or problem details out, a bounded body, no cookie read or
set, nothing kept by caches unless a route says so.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

from flask import Response, request
from flask_smorest import Api, Blueprint
from flask_smorest.utils import prepare_response
from webargs.core import is_json, missing
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    RequestEntityTooLarge,
    UnsupportedMediaType,
)
from werkzeug.routing import BaseConverter

from shop.api import errors
from shop.core import strict_json
from shop.core.csp import NO_PAGE

PREFIX = "/api/v1"
MAX_BODY = 1024 * 1024
View = TypeVar("View", bound=Callable[..., Any])
Described = dict[str, Any]


class IdConverter(BaseConverter):
    """A row's number in an address. Eighteen digits: what no row can have is an unknown address."""

    regex = "[1-9][0-9]{0,17}"

    def to_python(self, value: str) -> int:
        return int(value)


class Parser(FlaskParser):
    """Reads bodies strictly: the right type, valid JSON, text that can be stored."""

    def load_json(self, req: Any, schema: Any) -> Any:
        """The body; an absent one counts as an empty object. Raises 400, 413 or 415."""
        body = whole_body()
        if not body:
            return missing
        if not is_json(req.mimetype):
            raise UnsupportedMediaType("Send the body as application/json.")
        try:
            data = strict_json.parse(body)
        except ValueError:
            raise BadRequest(
                "The body is not valid JSON, or its values are nested too deep:"
                f" {strict_json.MAX_DEPTH} levels are accepted."
            ) from None
        if not strict_json.is_storable(data):
            raise BadRequest("The body contains text that cannot be stored.")
        return data


class Door(Blueprint):
    """A group of routes under ``/api/v1``; its name is its heading in the documentation."""

    ARGUMENTS_PARSER = Parser()

    def __init__(self, name: str, description: str) -> None:
        super().__init__(name, __name__, url_prefix=PREFIX, description=description)
        self._prepare_doc_cbks.append(_with_arguments)
        errors.handle(self)
        self.before_request(_bound)
        self.after_request(seal)


class Documentation(Api):
    """flask-smorest with our kind of errors; the handlers belong to the blueprints."""

    ERROR_SCHEMA = errors.ProblemSchema

    def _register_error_handlers(self) -> None:
        """Only for what fails before a route is found; every blueprint has handlers of its own."""
        self._app.register_error_handler(HTTPException, _unrouted)

    def _register_responses(self) -> None:
        """One description for all errors instead of one for each status."""
        response = {
            "description": "Any error, as problem details (RFC 9457).",
            "schema": self.ERROR_SCHEMA,
        }
        prepare_response(response, self.spec, "application/problem+json")
        self.spec.components.response("DEFAULT_ERROR", response, lazy=True)
        for status, code in errors.CODES.items():
            known = {"description": f"`{code}`", "schema": self.ERROR_SCHEMA}
            prepare_response(known, self.spec, "application/problem+json")
            name = HTTPStatus(status).name
            self.spec.components.response(name, known, lazy=True)


def seal(response: Response) -> Response:
    """Headers of an answer that is data: not to be shown as a page, not to be kept."""
    response.headers.setdefault("Content-Security-Policy", NO_PAGE)
    response.headers.setdefault("X-Frame-Options", "DENY")
    response.headers.setdefault("Cache-Control", "no-store")
    response.vary.add("Authorization")
    if response.status_code == 204:
        response.set_data(b"")
        del response.headers["Content-Type"]
    return response


def _with_arguments(doc: Described, doc_info: Described, **_known: Any) -> Described:
    """flask-smorest lets parameters that a route spells out replace those of its arguments."""
    spelt_out = doc_info.get("manual_doc", {})
    if "parameters" in spelt_out:
        spelt_out["parameters"] = doc.get("parameters", []) + spelt_out["parameters"]
    return doc


def _unrouted(error: HTTPException) -> Any:
    return seal(errors.failed(error)) if request.path.startswith("/api/") else error


def allow_body(size: int) -> None:
    """Take a larger body than usual in this request. Call before anything reads it."""
    request.max_content_length = size


def whole_body() -> bytes:
    """The body as it was sent. Raises 413 for one that is too large."""
    body = request.get_data(cache=True)
    # A body that comes in chunks says no length, and Werkzeug just stops reading at the limit.
    stopped = request.content_length is None and len(body) == request.max_content_length
    if stopped and request.environ["wsgi.input"].read(1):
        raise RequestEntityTooLarge
    return body


def _bound() -> None:
    request.max_content_length = MAX_BODY
    if not strict_json.is_storable([request.path, *request.args.keys(), *request.args.values()]):
        raise BadRequest("The address contains text that cannot be stored.")
