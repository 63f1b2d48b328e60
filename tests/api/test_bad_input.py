"""Whatever is sent: a clear refusal, nothing changed, and never a failure."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from tests.api.conftest import Program
from tests.api.test_sale import wish
from tests.cast import ADDRESS, Cast
from tests.discounts.offers import offer

BAD_QUANTITIES = [-1, 0, 1000, 10**9, 10**30, 1.5, 2.0, True, "1", "abc", "", None, [1], {}]
NASTY: list[object] = [
    None,
    True,
    -1,
    0,
    10**9,
    2**63,
    10**400,
    1.5,
    "",
    "abc",
    "ü" * 30_000,
    "<b>",
    [],
    [[]],
    {},
]
DISCOUNT: dict[str, Any] = {
    "buy_quantity": 0,
    "get_quantity": 0,
    "currency": "EUR",
    "lane": "main",
    "is_automatic": False,
    "is_active": True,
    "is_targeted": False,
    "category_ids": [],
    "product_ids": [],
    "min_subtotal_minor": 1,
    "audience": "everyone",
    "customer_ids": [],
    "first_order": False,
    "countries": ["DE"],
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": None,
    "limit_total": 1,
    "limit_per_customer": None,
}
VALID: dict[str, dict[str, Any]] = {
    "POST auth/token": {"email": "a@example.com", "password": "x", "audience": "customer"},
    "POST auth/refresh": {"refresh_token": "x"},
    "POST auth/register": {"email": "not an address", "password": "x", "name": "N"},
    "POST auth/confirm": {"token": "x", "password": "a long enough one"},
    "POST auth/password-reset": {"email": "n@example.com"},
    "POST auth/password-reset/confirm": {"token": "x", "password": "x"},
    "POST cart/items": {"variant_id": 999999, "quantity": 1},
    "PATCH cart/items/{item}": {"quantity": 1},
    "POST orders": wish({"token": "x", "version": 1, "total_minor": 1}, billing_address=ADDRESS),
    "POST orders/{number}/cancel": {
        "reason": "nobody's",
        "lines": [{"line_id": 1, "quantity": 1}],
        "refund": True,
    },
    "POST orders/{number}/refunds": {
        "lines": [{"line_id": 1, "quantity": 1}],
        "shipping_minor": 0,
        "reason": "nobody's",
        "restock": False,
    },
    "POST orders/{number}/capture": {"amount_minor": 1},
    "POST orders/{number}/fulfilments": {
        "lines": [{"line_id": 1, "quantity": 1}],
        "carrier": "DHL",
        "tracking_number": "1",
        "notify": True,
    },
    "POST orders/{number}/notes": {"text": "x"},
    "POST addresses": ADDRESS | {"line2": "", "region": "", "phone": "", "is_default": True},
    "PATCH addresses/{address}": ADDRESS | {"is_default": False},
    "POST products": {
        "name": "X",
        "slug": "x",
        "tagline": "",
        "description": "",
        "keywords": "",
        "attributes": {"a": "b"},
        "tax_class": "standard",
        "seo_title": "",
        "seo_description": "",
        "featured_rank": 1,
        "category_ids": [],
        "primary_category_id": None,
        "options": [{"name": "Size", "values": [{"name": "S", "swatch": None}]}],
        "status": "draft",
        "published_at": "2026-01-01T00:00:00Z",
        "unpublish_at": None,
    },
    "PUT products/{product}": {"name": "X"},
    "PATCH products/{product}": {"name": "X", "status": "draft", "featured_rank": 1},
    "POST products/{product}/variants": {
        "sku": "X",
        "price_minor": 1,
        "compare_at_minor": None,
        "barcode": "",
        "weight_g": 1,
        "position": 1,
        "low_stock_level": 1,
        "backorder_allowed": False,
        "option_value_ids": [],
    },
    "PATCH variants/{variant}": {"price_minor": 1, "archived": False, "backorder_allowed": True},
    "PATCH variants/{variant}/inventory": {"delta": 1, "reason": "count", "note": ""},
    "PATCH images/{image}": {"alt": "", "option_value_id": None, "position": 0},
    "POST categories": {
        "name": "X",
        "slug": "x",
        "description": "",
        "parent_id": None,
        "position": 0,
    },
    "PATCH categories/{category}": {"name": "X", "parent_id": None, "position": 0},
    "POST cart/discount": {"code": "NOPE"},
    "POST discounts": {"name": "X", "kind": "percentage", "value": 1_000} | DISCOUNT,
    "PATCH discounts/{discount}": {"name": "X", "value": 1_000} | DISCOUNT,
    "POST discounts/{discount}/codes": {"count": 2, "prefix": "X", "limit": 1},
    "POST discounts/validate": {
        "code": "TEN",
        "items": [{"variant_id": 999999, "quantity": 1}],
        "country": "DE",
        "customer_id": None,
    },
}
FORBIDDEN = (
    "id",
    "price_minor_",
    "total_minor",
    "user_id",
    "customer_id",
    "role",
    "paid_at",
    "token_",
)


@pytest.fixture
def send(ada: Program, cast: Cast, hire: Callable[[str], Program]) -> Callable[..., Any]:
    """Sends a body to an entry of ``VALID``, as somebody who may."""
    owner = hire("Owner")
    cart = ada.post("cart/items", json={"variant_id": cast.mug.id}).json
    address = ada.post("addresses", json=ADDRESS).json
    category = owner.post("categories", json={"name": "Things"}).json
    names = {
        "item": cart["items"][0]["id"],
        "address": address["id"],
        "category": category["id"],
        "number": cast.paid_order.number,
        "product": cast.lamp.product_id,
        "variant": cast.lamp.id,
        "image": 999999,
        "discount": offer(code="TEN").id,
    }
    of_ada = ("auth", "cart", "addresses")

    def sent(entry: str, **given: Any) -> Any:
        method, path = entry.format(**names).split(" ")
        mine = path.startswith(of_ada) or path == "orders"
        program = Program(ada.client, token="" if path.startswith("auth") else ada.token)
        return (program if mine else Program(ada.client, token=owner.token))(method, path, **given)

    return sent


def is_refusal(answer: Any, *statuses: int) -> bool:
    """Whether this is a problem detail that says what is wrong, and nothing else."""
    fields = {"type", "title", "status", "code", "detail", "errors", "request_id"}
    if answer.json["code"] == "cart_changed":
        fields |= {"totals"}
    return (
        answer.status_code in statuses
        and answer.mimetype == "application/problem+json"
        and set(answer.json) == fields
        and answer.json["status"] == answer.status_code
    )


def test_every_route_that_takes_json_is_tried(app: Flask) -> None:
    spec = app.test_client().get("/api/v1/openapi.json").json
    takes = {
        (
            method.upper(),
            path.removeprefix("/api/v1/").count("/"),
            path.partition("{")[0].removeprefix("/api/v1/"),
        )
        for path, operations in spec["paths"].items()
        for method, operation in operations.items()
        if method != "parameters"
        and "webhooks" not in path
        and "application/json" in operation.get("requestBody", {}).get("content", {})
    }
    tried = {
        (entry.split(" ")[0], path.count("/"), path.partition("{")[0])
        for entry in VALID
        for path in [entry.split(" ")[1]]
    }
    assert tried == takes


def test_bodies_that_are_no_objects_of_json(send: Callable[..., Any]) -> None:
    as_json = {"content_type": "application/json"}
    as_form = {"content_type": "application/x-www-form-urlencoded"}
    broken = [
        b"{",
        b"nonsense",
        b'{"a": NaN}',
        b"\xff\xfe{",
        b"[" * 100_000,
        b'{"a":' * 900 + b"1" + b"}" * 900,
        b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"a": %s}' % (b"9" * 5000),
        b'{"name": "a\\u0000b"}',
        b'{"name": "\\ud800"}',
    ]
    for entry in VALID:
        for body in broken:
            assert is_refusal(send(entry, data=body, **as_json), 400), (entry, body[:20])
        for body in (b"[]", b'"x"', b"1", b"true"):
            assert is_refusal(send(entry, data=body, **as_json), 422), (entry, body)
        assert is_refusal(send(entry, data=b"a=1", **as_form), 415), entry
        assert is_refusal(send(entry, data=b"{}", content_type="text/plain"), 415), entry
        assert is_refusal(send(entry, data=b" " * (2**20 + 1), **as_json), 413), entry


@pytest.mark.parametrize("path", ["auth/token", "webhooks/stripe"])
def test_large_body_in_chunks_is_refused_as_such(guest: Program, path: str) -> None:
    def answer_to(body: bytes) -> Any:
        return guest.post(
            path,
            input_stream=io.BytesIO(body),
            content_type="application/json",
            environ_overrides={"wsgi.input_terminated": True},
        )

    assert is_refusal(answer_to(b" " * (2**20 + 1)), 413)
    assert is_refusal(answer_to(b" " * 2**20), 400)


def test_fields_that_nobody_may_write_are_named(send: Callable[..., Any]) -> None:
    for entry, body in VALID.items():
        for field in FORBIDDEN:
            answer = send(entry, json=body | {field: 1})
            assert is_refusal(answer, 422), (entry, field, answer.json)
            assert field in {fault["field"] for fault in answer.json["errors"]}


def test_no_value_makes_it_fail(send: Callable[..., Any]) -> None:
    for entry, body in VALID.items():
        for field in body:
            for value in NASTY:
                sent = json.dumps(body | {field: value})
                answer = send(entry, data=sent, content_type="application/json")
                assert answer.status_code < 500, (entry, field, value, answer.text)
                if answer.status_code >= 400:
                    refused = is_refusal(answer, 400, 401, 404, 409, 422)
                    assert refused, (entry, field, value, answer.text)


@pytest.mark.parametrize("quantity", BAD_QUANTITIES)
def test_quantity_is_whole_number_from_1_to_999(ada: Program, cast: Cast, quantity: object) -> None:
    added = ada.post("cart/items", json={"variant_id": cast.mug.id}).json
    for answer in (
        ada.post("cart/items", json={"variant_id": cast.mug.id, "quantity": quantity}),
        ada.patch(f"cart/items/{added['items'][0]['id']}", json={"quantity": quantity}),
    ):
        assert is_refusal(answer, 422), answer.json
        assert answer.json["errors"][0]["field"] == "quantity"
    assert ada.get("cart").json == added


def test_a_category_that_is_named_twice_is_one(send: Callable[..., Any]) -> None:
    shelf = send("POST categories", json={"name": "Shelf"}).json

    answer = send("POST products", json={"name": "Twice", "category_ids": [shelf["id"]] * 2})

    assert answer.status_code == 201, answer.json
    assert answer.json["category_ids"] == [shelf["id"]]


@pytest.mark.parametrize(
    "path",
    [
        "cart/items/0",
        "cart/items/-1",
        "cart/items/x",
        "cart/items/9223372036854775808",
        "cart/items/1.5",
    ],
)
def test_numbers_that_no_row_has_are_unknown(ada: Program, path: str) -> None:
    assert is_refusal(ada.delete(path), 404)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "nothing", 404),
        ("POST", "nothing/at/all", 404),
        ("DELETE", "cart", 405),
        ("PUT", "orders", 405),
        ("GET", "auth/token", 405),
        ("GET", "cart/", 404),
        ("TRACE", "cart", 405),
        ("GET", "orders/%00", 400),
        ("GET", "products?q=%00", 400),
        ("GET", "products?page=99999999999999999999", 422),
        ("GET", "orders/%ED%A0%80", 404),
    ],
)
def test_odd_addresses(guest: Program, method: str, path: str, status: int) -> None:
    answer = guest(method, path)
    assert is_refusal(answer, status), answer.text
    assert status != 405 or answer.headers["Allow"]


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/v2/cart", "/api/v1", "/api/v1/"])
def test_everything_below_api_answers_as_the_api(guest: Program, path: str) -> None:
    answer = guest.client.get(path, follow_redirects=True)
    assert is_refusal(answer, 404)


def test_answers_are_not_cached_and_not_rendered(ada: Program) -> None:
    answer = ada.get("cart", headers={"Origin": "https://evil.example"})
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("typed", ["5_0", "٥", "５", "+5", "5.0", "1e1", "", "9" * 5000])
@pytest.mark.parametrize("name", ["page", "per_page"])
def test_numbers_in_addresses_are_plain_digits(guest: Program, name: str, typed: str) -> None:
    answer = guest.get("products", query_string={name: typed})

    assert answer.status_code == 422
    assert answer.json["errors"][0]["field"] == name
