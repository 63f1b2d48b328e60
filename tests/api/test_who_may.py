"""Who may use which route: a table written by hand, checked against every route there is."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from shop.admin.roles import ROLES, offered
from tests.api.conftest import Program, asked_permissions
from tests.cast import Cast

ALL = frozenset(ROLES)
RUN = frozenset({"Owner", "Manager"})
MONEY = RUN | {"Finance"}
SHIP = RUN | {"Warehouse"}
SEES_ORDERS = ALL - {"Catalogue"}
WRITES_CATALOG = RUN | {"Catalogue"}
SEES_PRODUCTS = ALL - {"Finance"}
COUNTS = RUN | {"Warehouse"}
SEES_STOCK = ALL - {"Finance"}
SEES_DISCOUNTS = RUN | {"Support", "Finance", "Viewer"}
SEES_CUSTOMERS = RUN | {"Support", "Finance", "Viewer"}

EVERYBODY = """
    POST auth/token · POST auth/refresh · POST auth/register · POST auth/confirm
    POST auth/password-reset · POST auth/password-reset/confirm
    GET products · GET products/1 · GET products/1/variants
    GET categories · GET categories/tree · GET categories/1
    GET cart · POST cart/items · PATCH cart/items/1 · DELETE cart/items/1 · GET shipping-methods
    POST cart/discount · DELETE cart/discount/NONE
    POST orders · POST webhooks/stripe
"""
# For guests and strangers the order does not exist; staff need a role that sees orders.
OF_THE_OWNER = {
    "GET orders/EO-1": SEES_ORDERS,
    "POST orders/EO-1/payment-intent": SEES_ORDERS,
    "POST orders/EO-1/cancel": RUN | {"Support"},
}
SIGNED_IN = "GET auth/me · POST auth/logout · POST realtime/ticket"
CUSTOMERS = """
    GET addresses · POST addresses · GET addresses/1 · PATCH addresses/1 · DELETE addresses/1
"""
CUSTOMERS_AND = {"GET orders": SEES_ORDERS}
STAFF = {
    "POST products": WRITES_CATALOG,
    "PUT products/1": WRITES_CATALOG,
    "PATCH products/1": WRITES_CATALOG,
    "DELETE products/1": WRITES_CATALOG,
    "POST products/1/variants": WRITES_CATALOG,
    "POST products/1/images": WRITES_CATALOG,
    "GET variants/1": SEES_PRODUCTS,
    "PATCH variants/1": WRITES_CATALOG,
    "DELETE variants/1": WRITES_CATALOG,
    "PATCH variants/1/inventory": COUNTS,
    "GET variants/1/movements": SEES_STOCK,
    "PATCH images/1": WRITES_CATALOG,
    "DELETE images/1": WRITES_CATALOG,
    "POST categories": WRITES_CATALOG,
    "PATCH categories/1": WRITES_CATALOG,
    "DELETE categories/1": WRITES_CATALOG,
    "POST orders/EO-1/fulfilments": SHIP,
    "POST fulfilments/1/shipped": SHIP,
    "POST fulfilments/1/delivered": SHIP,
    "POST orders/EO-1/processing": SHIP,
    "POST orders/EO-1/refunds": MONEY,
    "POST refunds/1/retry": MONEY,
    "POST orders/EO-1/capture": MONEY,
    "POST orders/EO-1/void": MONEY,
    "POST orders/EO-1/notes": RUN | {"Warehouse", "Support", "Finance"},
    "GET discounts": SEES_DISCOUNTS,
    "POST discounts": RUN,
    "GET discounts/1": SEES_DISCOUNTS,
    "PATCH discounts/1": RUN,
    "DELETE discounts/1": RUN,
    "GET discounts/1/codes": SEES_DISCOUNTS,
    "POST discounts/1/codes": RUN,
    "POST discounts/validate": SEES_DISCOUNTS,
    "GET customers": SEES_CUSTOMERS,
    "GET customers/1": SEES_CUSTOMERS,
    "GET customers/1/orders": SEES_CUSTOMERS,
}
APART = {"", "<path:path>", "v1/openapi.json", "v1/docs", "v1/docs.css"}


def listed(text: str) -> list[str]:
    return [
        entry.strip() for line in text.split("\n") for entry in line.split("·") if entry.strip()
    ]


def call(program: Program, entry: str) -> tuple[int, str]:
    """Status and code of a call with an empty body."""
    method, path = entry.split(" ")
    body: dict[str, Any] = {"json": {}} if method in {"POST", "PUT", "PATCH"} else {}
    answer = program(method, path, **body)
    assert answer.status_code < 500, (entry, answer.text)
    return answer.status_code, (answer.json or {}).get(
        "code", ""
    ) if answer.status_code >= 400 else ""


def test_the_table_names_every_route(app: Flask) -> None:
    table = {
        *listed(EVERYBODY),
        *OF_THE_OWNER,
        *listed(SIGNED_IN),
        *listed(CUSTOMERS),
        *CUSTOMERS_AND,
        *STAFF,
    }
    adapter = app.url_map.bind("localhost")
    reached = set()
    for entry in table:
        method, path = entry.split(" ")
        endpoint, _ = adapter.match(f"/api/v1/{path}", method=method)
        reached.add((method, endpoint))
    there = {
        (method, rule.endpoint)
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/") and rule.rule.removeprefix("/api/") not in APART
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert reached == there


def test_guests(guest: Program) -> None:
    for entry in listed(EVERYBODY):
        assert call(guest, entry)[0] not in {401, 403}, entry
    for entry in OF_THE_OWNER:
        assert call(guest, entry) == (404, "not_found"), entry
    for entry in [*listed(SIGNED_IN), *listed(CUSTOMERS), *CUSTOMERS_AND, *STAFF]:
        assert call(guest, entry) == (401, "unauthenticated"), entry


def test_a_customer(bruno: Program, cast: Cast) -> None:
    assert cast.unpaid_order
    for entry in [*listed(EVERYBODY), *listed(CUSTOMERS), *CUSTOMERS_AND]:
        assert call(bruno, entry)[0] not in {401, 403}, entry
    for entry in OF_THE_OWNER:
        theirs = entry.replace("EO-1", cast.unpaid_order.number)
        assert call(bruno, theirs) == (404, "not_found"), entry
    for entry in STAFF:
        assert call(bruno, entry) == (403, "forbidden"), entry


@pytest.mark.parametrize("role", sorted(ROLES))
def test_staff(role: str, hire: Callable[[str], Program], cast: Cast) -> None:
    person = hire(role)
    for entry in listed(EVERYBODY):
        assert call(person, entry)[0] not in {401, 403}, entry
    for entry in listed(CUSTOMERS):
        assert call(person, entry) == (403, "forbidden"), entry
    for entry, allowed in (CUSTOMERS_AND | STAFF).items():
        status, code = call(person, entry)
        assert status != 401
        assert (code == "forbidden") is (role not in allowed), (entry, status, code)
    for entry, allowed in OF_THE_OWNER.items():
        theirs = entry.replace("EO-1", cast.unpaid_order.number)
        refused = role not in allowed or entry.endswith("payment-intent")
        assert (call(person, theirs)[0] == 403) is refused, entry


def test_addresses_of_others_do_not_exist(ada: Program, bruno: Program) -> None:
    body = {
        "name": "Ada",
        "line1": "Street 1",
        "city": "Berlin",
        "postal_code": "10117",
        "country": "DE",
    }
    kept = ada.post("addresses", json=body).json
    for path in (
        f"addresses/{kept['id']}",
        "addresses/999999",
        "addresses/0",
        "addresses/" + "9" * 30,
    ):
        for method in ("GET", "PATCH", "DELETE"):
            answer = bruno(method, path, **({"json": {"city": "X"}} if method == "PATCH" else {}))
            assert (answer.status_code, answer.json["code"]) == (404, "not_found"), (method, path)
    assert ada.get("addresses").json == [kept]


def test_every_requested_permission_is_one_of_the_admin(app: Flask) -> None:
    assert asked_permissions(app) - offered(app) == set()
