"""The description of the API is valid and complete, and has a page for readers."""

from typing import Any

import pytest
from flask import Flask
from openapi_spec_validator import validate

from tests.api.conftest import Program

METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}
APART = {"/api/", "/api/<path:path>", "/api/v1/openapi.json", "/api/v1/docs", "/api/v1/docs.css"}


@pytest.fixture
def spec(guest: Program) -> dict[str, Any]:
    found: dict[str, Any] = guest.get("openapi.json").get_json()
    return found


def test_the_description_is_valid_openapi(spec: dict[str, Any]) -> None:
    validate(spec)


def test_every_route_is_described(app: Flask, spec: dict[str, Any]) -> None:
    routes = {
        (rule.rule.count("/"), rule.rule.partition("<")[0], method.lower())
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/") and rule.rule not in APART
        for method in (rule.methods or set()) & METHODS
    }
    described = {
        (path.count("/"), path.partition("{")[0], method)
        for path, operations in spec["paths"].items()
        for method in operations
        if method.upper() in METHODS
    }
    assert routes
    assert routes == described


def test_every_route_declares_who_may_use_it(app: Flask) -> None:
    undeclared = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(("/api/", "/healthz", "/readyz", "/metrics"))
        and not getattr(app.view_functions[rule.endpoint], "policy", "")
    }
    assert undeclared == set()


def test_readers_find_every_operation_on_page_without_scripts(
    guest: Program, spec: dict[str, Any]
) -> None:
    page = guest.get("docs")
    assert page.status_code == 200
    assert "<script" not in page.text and 'style="' not in page.text
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    for path in spec["paths"]:
        assert f"<code>{path}</code>" in page.text
    assert guest.get("docs.css").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "names"),
    [
        (
            "get",
            "products",
            {"q", "category", "sort", "page", "per_page", "min_price", "max_price", "in_stock"}
            | {"option.<name>"},
        ),
        ("get", "shipping-methods", {"country", "cart_token", "X-Cart-Token"}),
        ("post", "orders/{number}/cancel", {"token", "Idempotency-Key"}),
    ],
)
def test_parameters_of_both_kinds_are_described(
    guest: Program, spec: dict[str, Any], method: str, path: str, names: set[str]
) -> None:
    parameters = spec["paths"][f"/api/v1/{path}"][method]["parameters"]
    assert {one["name"] for one in parameters} == names
    page = guest.get("docs").text
    assert all(name in page for name in names - {"option.<name>"})
