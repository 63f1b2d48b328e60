"""Discounts for programs: codes in the cart, and what staff do with discounts."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from shop import discounts
from shop.core.db import transaction
from shop.discounts.models import Discount, DiscountCode
from tests.api.conftest import Program
from tests.cast import ADDRESS, Cast
from tests.discounts.offers import offer

TEN = {"name": "Ten", "kind": "percentage", "value": 1_000}


@pytest.fixture
def manager(hire: Callable[[str], Program]) -> Program:
    return hire("Manager")


def filled(guest: Program, cast: Cast, quantity: int = 2) -> Program:
    answer = guest.post("cart/items", json={"variant_id": cast.mug.id, "quantity": quantity})
    assert answer.status_code == 201
    return guest


def test_a_code_in_the_cart(guest: Program, cast: Cast) -> None:
    offer("Welcome", code="WELCOME10")
    filled(guest, cast)

    answer = guest.post("cart/discount", json={"code": "welcome10"})

    assert answer.status_code == 200
    shown = answer.json
    assert (shown["subtotal_minor"], shown["discount_minor"]) == (3_800, 380)
    assert shown["total_minor"] == 3_420 + 490
    assert shown["items"][0]["discount_minor"] == 380
    assert shown["discounts"] == [
        {"name": "Welcome", "code": "WELCOME10", "amount_minor": 380, "shipping_minor": 0}
    ]
    answer = guest.delete("cart/discount/WELCOME10")
    assert (answer.status_code, answer.json["discount_minor"]) == (200, 0)
    assert guest.delete("cart/discount/WELCOME10").status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"code": "NOPE"}, 404, "unknown_code"),
        ({"code": ""}, 422, "invalid"),
        ({"code": "  "}, 422, "invalid"),
        ({"code": "x" * 201}, 422, "invalid"),
        ({"code": 5}, 422, "invalid"),
        ({}, 422, "invalid"),
        ({"code": "BIG"}, 409, "code_refused"),
    ],
)
def test_a_code_that_cannot_be_used_changes_nothing(
    guest: Program, cast: Cast, body: dict[str, Any], status: int, code: str
) -> None:
    offer(code="BIG", min_subtotal_minor=10_000, countries=["AT"])
    filled(guest, cast)
    before = guest.get("cart").json

    answer = guest.post("cart/discount", json=body)

    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert guest.get("cart").json == before
    if code == "code_refused":
        assert "€62.00 is missing" in answer.json["detail"]
        assert "orders to Austria" in answer.json["detail"]


def test_without_a_cart_there_is_nothing_to_discount(guest: Program) -> None:
    assert guest.post("cart/discount", json={"code": "TEN"}).status_code == 404


def test_the_order_keeps_what_applied(guest: Program, cast: Cast) -> None:
    offer("Welcome", code="WELCOME10")
    filled(guest, cast)
    cart = guest.post("cart/discount", json={"code": "WELCOME10"}).json
    wish = {
        "cart_version": cart["version"], "seen_total_minor": cart["total_minor"],
        "email": "ada@example.com", "shipping_address": ADDRESS, "shipping_method": "standard",
    }  # fmt: skip

    order = guest.post("orders", json=wish).json

    assert (order["discount_minor"], order["total_minor"]) == (380, 3_910)
    assert order["lines"][0]["discount_minor"] == 380
    assert order["discounts"] == [
        {"name": "Welcome", "code": "WELCOME10", "amount_minor": 380, "shipping_minor": 0}
    ]


def test_inapplicable_code_stops_the_order(guest: Program, cast: Cast) -> None:
    offer(code="TWO", min_subtotal_minor=3_000)
    filled(guest, cast)
    item = guest.post("cart/discount", json={"code": "TWO"}).json["items"][0]["id"]

    cart = guest.patch(f"cart/items/{item}", json={"quantity": 1}).json

    problem = "TWO: This offer is for orders from €30.00: €11.00 is missing."
    assert (cart["problems"], cart["discount_minor"]) == ([problem], 0)
    wish = {
        "cart_version": cart["version"], "seen_total_minor": cart["total_minor"] - 190,
        "email": "ada@example.com", "shipping_address": ADDRESS, "shipping_method": "standard",
    }  # fmt: skip
    answer = guest.post("orders", json=wish)
    assert (answer.status_code, answer.json["code"]) == (409, "cart_changed")
    assert answer.json["detail"] == problem


def test_dated_discount_is_listed_with_its_status(manager: Program) -> None:
    dates = {"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2027-01-01T00:00:00Z"}
    shown = manager.post("discounts", json=TEN | dates).json

    listed = manager.get("discounts?per_page=1")

    assert listed.status_code == 200
    assert listed.json == [shown]
    assert '"total": 1' in listed.headers["X-Pagination"]


def test_staff_make_change_and_remove_a_discount(manager: Program, session: Session) -> None:
    made = manager.post("discounts", json=TEN | {"code": "ten", "limit_per_customer": 1})

    assert made.status_code == 201
    shown = made.json
    assert shown["sentence"] == "10 % off everything, once per customer, with a code"
    assert (shown["status"], shown["used"], shown["currency"]) == ("active", 0, "EUR")
    here = f"discounts/{shown['id']}"
    assert manager.get(here).json == shown
    assert manager.get(f"{here}/codes").json[0]["code"] == "TEN"

    stale = manager.patch(here, json={"value": 1}, headers={"If-Match": '"old"'})
    assert stale.status_code == 412
    changed = manager.patch(
        here, json={"value": 2_000}, headers={"If-Match": made.headers["ETag"]}
    ).json
    assert changed["sentence"].startswith("20 % off everything, once per customer")
    assert [row["id"] for row in manager.get("discounts?status=active&q=te").json] == [shown["id"]]

    assert manager.delete(here).status_code == 204
    assert manager.get(here).status_code == 404
    assert session.scalar(select(func.count()).select_from(DiscountCode)) == 0


@pytest.mark.parametrize(
    ("changed", "field", "words"),
    [
        ({"value": 0}, "value", "whole number from 1 to 10000"),
        ({"value": -1}, "value", "whole number from 1 to 10000"),
        ({"value": 10_001}, "value", "whole number from 1 to 10000"),
        ({"value": 12.5}, "value", "must be a whole number"),
        ({"value": "10"}, "value", "must be a whole number"),
        ({"value": True}, "value", "must be a whole number"),
        ({"kind": "fixed", "value": 10**12}, "value", "between €0.01 and €1,000,000.00"),
        ({"kind": "free_shipping", "value": -1}, "value", "between €0.00 and €1,000,000.00"),
        ({"kind": "gift"}, "kind", "Choose one of"),
        ({"lane": "fast"}, "lane", "Choose one of"),
        ({"currency": "USD"}, "currency", "Prices of this shop are in EUR"),
        (
            {"is_targeted": True, "category_ids": [999_999]},
            "category_ids",
            "Category 999999 not found",
        ),
        (
            {"is_targeted": True, "product_ids": [999_999]},
            "product_ids",
            "Product 999999 not found",
        ),
        ({"is_targeted": True}, "category_ids", "at least one category or product"),
        (
            {"audience": "chosen", "customer_ids": [999_999]},
            "customer_ids",
            "Customer 999999 not found",
        ),
        (
            {"starts_at": "2030-02-01T00:00:00Z", "ends_at": "2030-01-01T00:00:00Z"},
            "ends_at",
            "cannot end before it starts",
        ),
        ({"ends_at": "tomorrow"}, "ends_at", "Not a valid"),
        ({"ends_at": "9999-12-31T23:59:59Z"}, "ends_at", "between 2000 and 2999"),
        ({"starts_at": "0001-01-01T00:00:00+02:00"}, "starts_at", "between 2000 and 2999"),
        ({"limit_total": 0}, "limit_total", "whole number from 1"),
        ({"limit_per_customer": -2}, "limit_per_customer", "whole number from 1"),
        ({"min_subtotal_minor": 0}, "min_subtotal_minor", "between €0.01 and €1,000,000.00"),
        ({"countries": ["XX"]}, "countries", "Country “XX” not found"),
        ({"name": ""}, "name", "1 to 80 characters"),
        ({"code": "a b"}, "code", "3 to 40 letters"),
        ({"price": 5}, "price", "Unknown field"),
    ],
)
def test_invalid_fields_are_named_and_nothing_is_saved(
    manager: Program, session: Session, changed: dict[str, Any], field: str, words: str
) -> None:
    answer = manager.post("discounts", json=TEN | changed)

    assert answer.status_code == 422, answer.json
    (fault,) = [one for one in answer.json["errors"] if one["field"].startswith(field)]
    assert words in fault["message"]
    assert session.scalar(select(func.count()).select_from(Discount)) == 0


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"count": 10_001}, "from 1 to 10000"),
        ({"count": 0}, "from 1 to 10000"),
        ({"count": -1}, "from 1 to 10000"),
        ({"count": 1.5}, "whole number"),
        ({"count": 5, "prefix": "ä"}, "A prefix has up to 20"),
        ({"count": 5, "limit": 0}, "The limit of a code is a whole number from 1"),
        ({"code": "TEN"}, "already exists"),
        ({"code": ""}, "3 to 40 letters"),
        ({}, "Say either code or count"),
        ({"code": "X", "count": 1}, "Say either code or count"),
    ],
)
def test_impossible_codes_are_refused(
    manager: Program, session: Session, body: dict[str, Any], words: str
) -> None:
    discount = offer(code="TEN")

    answer = manager.post(f"discounts/{discount.id}/codes", json=body)

    assert answer.status_code == 422
    assert words in answer.text
    assert session.scalar(select(func.count()).select_from(DiscountCode)) == 1


def test_codes_are_generated(manager: Program, session: Session) -> None:
    discount = offer(code="TEN")

    answer = manager.post(f"discounts/{discount.id}/codes", json={"count": 500, "prefix": "X-"})

    assert answer.status_code == 201
    assert len(set(answer.json["codes"])) == 500
    limits = session.scalars(
        select(DiscountCode.limit_total).where(DiscountCode.code.in_(answer.json["codes"]))
    )
    assert set(limits) == {1}


def test_validating_on_a_sample_cart(manager: Program, cast: Cast) -> None:
    mug, ada = cast.mug, cast.ada
    discount = offer(code="AUSTRIA", countries=["AT"], audience="signed_in")
    cart = {"items": [{"variant_id": mug.id, "quantity": 2}]}

    yes = manager.post(
        "discounts/validate",
        json=cart | {"code": "austria", "country": "AT", "customer_id": ada.id},
    ).json
    assert (yes["applies"], yes["saved_minor"], yes["total_minor"]) == (True, 380, 3_420 + 490)

    no = manager.post(
        "discounts/validate", json=cart | {"discount_id": discount.id, "country": "DE"}
    ).json
    assert (no["applies"], no["saved_minor"]) == (False, 0)
    assert no["reasons"] == [
        "This offer is for customers with an account: please sign in.",
        "This offer is for orders to Austria, not to Germany.",
    ]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"code": "NOPE", "items": []}, 404),
        ({"discount_id": 999_999, "items": []}, 404),
        ({"items": []}, 422),
        ({"code": "TEN", "discount_id": 1, "items": []}, 422),
        ({"code": "TEN", "items": [{"variant_id": 999_999, "quantity": 1}]}, 422),
        ({"code": "TEN", "items": [{"variant_id": 1, "quantity": 0}]}, 422),
        ({"code": "TEN", "items": [{"variant_id": 1, "quantity": 1.5}]}, 422),
        ({"code": "TEN", "items": [], "country": "XX"}, 422),
        ({"code": "TEN", "items": [], "customer_id": 999_999}, 422),
    ],
)
def test_a_sample_cart_that_cannot_be(manager: Program, body: dict[str, Any], status: int) -> None:
    offer(code="TEN")

    assert manager.post("discounts/validate", json=body).status_code == status


def test_discount_in_use_can_still_be_changed(manager: Program, cast: Cast) -> None:
    made = offer("Ten", code="TEN", value=1_000)
    here = f"discounts/{made.id}"
    seen = manager.get(here).headers["ETag"]
    with transaction():
        discounts.get_discount(made.id, to_change=True).used += 1

    again = manager.get(here, headers={"If-None-Match": seen})
    changed = manager.patch(here, json={"name": "Tenth"}, headers={"If-Match": seen})

    assert (again.status_code, again.json["used"]) == (200, 1)
    assert (changed.status_code, changed.json["name"]) == (200, "Tenth")
