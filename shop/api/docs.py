"""The description of this API: OpenAPI for programs, and a page for readers made from it.

The page is plain HTML from this server: nothing is loaded from elsewhere and no script runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, current_app, json, render_template

from shop.api import errors
from shop.api.callers import unasked
from shop.api.door import PREFIX, seal

bp = Blueprint("api_docs", __name__, url_prefix=PREFIX)
errors.handle(bp)
bp.after_request(seal)

STYLE = Path(__file__).with_name("docs.css")
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter or a member of an object, as the page says it."""

    name: str
    kind: str
    is_required: bool
    words: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address."""

    method: str
    path: str
    summary: str
    description: str
    needs: str
    parameters: list[Field]
    body: list[Field]
    body_kind: str
    answers: list[tuple[str, str, list[Field]]]

    @property
    def anchor(self) -> str:
        """What a link to it says after ``#``."""
        readable = self.path.removeprefix(PREFIX).strip("/")
        return self.method + "-" + readable.replace("/", "-").replace("{", "").replace("}", "")


@bp.get("/openapi.json")
@unasked
def openapi() -> Response:
    """The whole description, OpenAPI 3."""
    response = Response(json.dumps(_spec(), sort_keys=False), mimetype="application/json")
    response.headers["Cache-Control"] = "public, max-age=300"
    return response


@bp.get("/docs")
@unasked
def page() -> Response:
    """The description for people."""
    spec = _spec()
    html = render_template(
        "api/docs.html",
        spec=spec,
        groups=[
            (tag["name"], tag.get("description", ""), list(_operations(spec, tag["name"])))
            for tag in spec["tags"]
        ],
        codes=errors.CODES,
        pieces=_pieces,
    )
    response = Response(html, mimetype="text/html")
    response.headers["Content-Security-Policy"] = PAGE_POLICY
    response.headers["Cache-Control"] = "no-cache"
    return response


@bp.get("/docs.css")
@unasked
def style() -> Response:
    """How the page looks."""
    response = Response(STYLE.read_bytes(), mimetype="text/css")
    response.headers["Cache-Control"] = "public, max-age=300"
    return response


def _pieces(words: str) -> list[tuple[bool, str]]:
    """A text as (is code, words): backticks become code."""
    return [(n % 2 == 1, piece) for n, piece in enumerate(words.split("`"))]


def _spec() -> dict[str, Any]:
    apis = current_app.extensions["flask-smorest"]["apis"]
    spec: dict[str, Any] = apis[""]["ext_obj"].spec.to_dict()
    return spec


def _operations(spec: dict[str, Any], tag: str) -> Iterator[Operation]:
    for path, methods in spec["paths"].items():
        for method in METHODS:
            operation = methods.get(method)
            if operation is None or tag not in operation["tags"]:
                continue
            parameters = [_resolved(spec, one) for one in methods.get("parameters", [])]
            parameters += [_resolved(spec, one) for one in operation.get("parameters", [])]
            kind, schema = _content(_resolved(spec, operation.get("requestBody", {})))
            yield Operation(
                method=method,
                path=path,
                summary=operation.get("summary", ""),
                description=operation.get("description", ""),
                needs=_needs(operation),
                parameters=[
                    Field(
                        f"{one['name']} ({one['in']})",
                        _kind(spec, one.get("schema", {})),
                        bool(one.get("required")),
                        one.get("description", "") or one.get("schema", {}).get("description", ""),
                    )
                    for one in parameters
                ],
                body=_members(spec, schema, deep=True),
                body_kind=kind,
                answers=list(_answers(spec, operation)),
            )


def _answers(
    spec: dict[str, Any], operation: dict[str, Any]
) -> Iterator[tuple[str, str, list[Field]]]:
    for status, response in operation["responses"].items():
        if status.startswith(("2", "3")):
            _, schema = _content(_resolved(spec, response))
            yield status, _kind(spec, schema) if schema else "nothing", _members(spec, schema)


def _needs(operation: dict[str, Any]) -> str:
    if "x-permission" in operation:
        permission, page = operation["x-permission"].split()
        return f"Staff: {permission} on {page}"
    security = operation.get("security")
    if not security:
        return "Everybody"
    return "Everybody; a token says who you are" if {} in security else "Access token"


def _content(holder: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    for kind, content in holder.get("content", {}).items():
        return kind, content.get("schema", {})
    return "", {}


def _members(
    spec: dict[str, Any], schema: dict[str, Any], *, within: str = "", deep: bool = False
) -> list[Field]:
    """The members of an object, or of the objects in a list; ``deep`` names theirs as well."""
    schema = _object(spec, schema)
    required = schema.get("required", [])
    found = []
    for name, one in schema.get("properties", {}).items():
        words = _resolved(spec, one).get("description", "")
        found.append(Field(within + name, _kind(spec, one), name in required, words))
        if deep:
            found += _members(spec, one, within=f"{within}{name}.", deep=True)
    return found


def _object(spec: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """What a schema is in the end, out of its wrappers and lists."""
    schema = _resolved(spec, schema)
    for wrapper in ("allOf", "anyOf"):
        if schema.get(wrapper):
            return _object(spec, schema[wrapper][0])
    return _object(spec, schema["items"]) if schema.get("type") == "array" else schema


def _kind(spec: dict[str, Any], schema: dict[str, Any]) -> str:
    """A type in few words: ``integer 1–999``, ``list of LineSchema`` …"""
    for wrapper in ("allOf", "anyOf"):
        if schema.get(wrapper):
            return _kind(spec, schema[wrapper][0]) + (" or null" if schema.get("nullable") else "")
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if schema.get("type") == "array":
        return f"list of {_kind(spec, schema.get('items', {}))}"
    words = str(schema.get("format") or schema.get("type", "anything"))
    if schema.get("enum"):
        words = " · ".join(str(one) for one in schema["enum"] if one not in {"", None})
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        words += f" {low}–{high}"
    if schema.get("maxLength"):
        words += f" ≤ {schema['maxLength']}"
    return words + (" or null" if schema.get("nullable") else "")


def _resolved(spec: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        part: Any = spec
        for step in schema["$ref"].removeprefix("#/").split("/"):
            part = part[step]
        schema = part
    return schema
