"""Addresses through the API: by their country, faults at their fields."""

from typing import Any

import pytest
from sqlalchemy import update

from shop import checkout
from shop.checkout.models import ShippingMethod
from shop.core.db import session as db_session
from shop.core.db import transaction
from tests.api.conftest import Program
from tests.api.test_sale import wish
from tests.cast import Cast

IRISH = {"name": "Ada Byrne", "line1": "1 Main Street", "city": "Dublin", "country": "IE"}
HONG_KONG = IRISH | {"city": "Hong Kong", "country": "HK"}
JAPANESE = {"name": "Ada", "line1": "1-1 Chiyoda", "postal_code": "100-0001", "region": "Tokyo",
            "country": "JP"}  # fmt: skip


@pytest.mark.parametrize("address", [IRISH, HONG_KONG, JAPANESE, IRISH | {"postal_code": None}])
def test_address_without_what_its_country_lacks_is_kept(
    ada: Program, address: dict[str, Any]
) -> None:
    answer = ada.post("addresses", json=address)

    assert answer.status_code == 201, answer.json
    empty = {"line2": "", "postal_code": "", "region": "", "city": "", "phone": ""}
    kept = {name: value for name, value in address.items() if value is not None}
    assert {name: answer.json[name] for name in (*empty, *kept)} == empty | kept


@pytest.mark.parametrize(
    ("address", "field"),
    [
        (IRISH | {"postal_code": "!!"}, "postal_code"),
        (IRISH | {"region": "Bavaria"}, "region"),
        (IRISH | {"city": "!!"}, "city"),
        (IRISH | {"country": "DE"}, "postal_code"),
        (IRISH | {"country": "US", "postal_code": "02108", "region": "CA"}, "postal_code"),
        (IRISH | {"country": "XX"}, "country"),
    ],
)
def test_address_fault_is_a_problem_at_its_field(
    ada: Program, address: dict[str, Any], field: str
) -> None:
    answer = ada.post("addresses", json=address)

    assert answer.status_code == 422
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert [one["field"] for one in answer.json["errors"]] == [field]


def test_changed_country_asks_for_its_fields(ada: Program) -> None:
    made = ada.post("addresses", json=IRISH).json

    refused = ada.patch(f"addresses/{made['id']}", json={"country": "US"})
    moved = {"country": "US", "city": "Boston", "postal_code": "02108"}
    changed = ada.patch(f"addresses/{made['id']}", json=moved)

    assert refused.status_code == 422
    assert {one["field"] for one in refused.json["errors"]} == {"postal_code", "region"}
    assert (changed.status_code, changed.json["region"]) == (200, "MA")


def test_order_to_ireland_needs_no_postal_code(guest: Program, cast: Cast) -> None:
    with transaction():
        db_session.execute(
            update(ShippingMethod).where(ShippingMethod.code == "europe").values(countries=["IE"])
        )
    checkout.clear_cache()
    cart = guest.post("cart/items", json={"variant_id": cast.mug.id}).json
    order = wish(cart, shipping_address=IRISH, shipping_method="europe")

    refused = guest.post("orders", json=order | {"shipping_address": IRISH | {"region": "!!"}})
    methods = guest.get("shipping-methods?country=IE", headers={"X-Cart-Token": cart["token"]})
    order["seen_total_minor"] = methods.json[0].get("total_minor", 2890)
    placed = guest.post("orders", json=order)
    checkout.clear_cache()

    assert refused.status_code == 422
    assert refused.json["errors"][0]["field"] == "shipping_address.region"
    assert placed.status_code == 201, placed.json
    assert placed.json["shipping_address"]["postal_code"] == ""


def test_openapi_says_how_addresses_are_checked(guest: Program) -> None:
    schema = guest.get("openapi.json").json["components"]["schemas"]["Address"]

    assert set(schema["required"]) == {"name", "line1", "country"}
    assert "Ireland and Hong Kong need no postal code" in schema["description"]
    assert schema["properties"]["region"]["description"]
