"""The way of a guest's program from an empty cart to a paid order."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shop import orders, payments
from shop.payments import stripe_client
from tests.api.conftest import Program
from tests.cast import ADDRESS, Cast
from tests.tools import stripe_rig


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stripe_rig.Rig]:
    folder: Path = tmp_path_factory.mktemp("stripe")
    with stripe_rig.running(folder) as (rig, _):
        yield rig


@pytest.fixture
def stripe(app: Any, stand_in: stripe_rig.Rig) -> Iterator[stripe_rig.Rig]:
    """The stand-in, and a shop that talks to it."""

    def point(api_base: str) -> None:
        stripe_client.configure(
            secret_key="sk_test_standin",
            publishable_key="pk_test_standin",
            webhook_secrets=("whsec_tests",),
            api_base=api_base,
        )

    point(stand_in.url)
    yield stand_in
    point("http://127.0.0.1:9")


def wish(cart: Any, **more: Any) -> dict[str, Any]:
    """A body for POST orders; ``cart`` is what the API says of one."""
    return {
        "cart_token": cart["token"],
        "cart_version": cart["version"],
        "seen_total_minor": cart["total_minor"],
        "email": "ada@example.com",
        "shipping_address": ADDRESS,
        "shipping_method": "standard",
    } | more


def test_a_guest_buys_two_mugs(guest: Program, cast: Cast, stripe: stripe_rig.Rig) -> None:
    cart = guest.post("cart/items", json={"variant_id": cast.mug.id, "quantity": 2}).json
    assert cart["token"] and cart["items"][0]["total_minor"] == 3800
    assert {m["code"] for m in guest.get("shipping-methods?country=DE").json} == {
        "standard",
        "express",
    }

    placed = guest.post("orders", json=wish(cart), headers={"Idempotency-Key": "one"})
    assert placed.status_code == 201, placed.json
    order = placed.json
    assert order["total_minor"] == 3800 + 490
    assert (order["status"], order["payment_status"]) == ("pending", "unpaid")

    started = guest.post(f"orders/{order['number']}/payment-intent?token={order['token']}")
    assert started.status_code == 200, started.json
    assert started.json["amount_minor"] == order["total_minor"]
    intent_id = started.json["client_secret"].partition("_secret")[0]
    card: Any = stripe_rig.card("4242424242424242")
    stripe.client.v1.payment_intents.confirm(intent_id, {"payment_method_data": card})
    payments.sync_order(orders.by_number(order["number"]).id)

    paid = guest.get(f"orders/{order['number']}?token={order['token']}").json
    assert (paid["status"], paid["payment_status"]) == ("confirmed", "paid")
    assert guest.get("cart").status_code == 404
