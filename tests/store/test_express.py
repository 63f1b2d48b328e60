"""Buying with a wallet: what the server says to its buttons, and what it does for them."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from shop import catalog, inventory
from shop.catalog.models import Variant
from shop.core.db import session, transaction
from shop.orders.models import Order
from shop.payments import methods, stripe_client
from tests.cast import Cast
from tests.store.test_checkout import FakeStripe, place
from tests.store.test_checkout import stripe as stripe
from tests.tools import stripe_rig

WALLET: dict[str, Any] = {
    "email": "grace@example.com",
    "name": "Grace Hopper",
    "phone": "+49 30 1234567",
    "address": {
        "line1": "Unter den Linden 5",
        "city": "Berlin",
        "postal_code": "10117",
        "country": "DE",
    },
    "shipping_method": "standard",
}


def quote(browser: FlaskClient, **asked: Any) -> dict[str, Any]:
    answer = browser.post("/checkout/express/quote", json=asked)
    assert answer.status_code == 200
    return dict(answer.json or {})


def buy(browser: FlaskClient, shown: dict[str, Any], **changes: Any) -> TestResponse:
    seen = {"version": shown["version"], "amount_minor": shown["amount_minor"]}
    return browser.post("/checkout/express", json=WALLET | seen | changes)


@pytest.fixture
def shopper(browser: FlaskClient, cast: Cast, stripe: FakeStripe) -> FlaskClient:
    """A visitor with two mugs in the cart."""
    browser.post("/cart/add", data={"variant_id": cast.mug.id, "quantity": 2})
    return browser


def count_orders() -> int:
    return session.scalar(select(func.count()).select_from(Order)) or 0


def test_quote_adds_up_for_each_country(shopper: FlaskClient) -> None:
    home, abroad = quote(shopper), quote(shopper, country="FR")

    for shown in (home, abroad):
        assert shown["can_buy"]
        parts = sum(one["amount"] for one in shown["line_items"])
        assert shown["amount_minor"] == parts + shown["shipping_rates"][0]["amount"]
    assert home["amount_minor"] != abroad["amount_minor"]
    assert (home["currency"], home["methods"]) == ("eur", ["card"])


def test_quote_follows_the_shipping_method(shopper: FlaskClient) -> None:
    codes = [one["id"] for one in quote(shopper)["shipping_rates"]]

    totals = {code: quote(shopper, shipping_method=code) for code in codes}

    assert len(set(codes)) > 1
    for code, shown in totals.items():
        assert shown["shipping_rates"][0]["id"] == code
    assert len({shown["amount_minor"] for shown in totals.values()}) == len(codes)


def test_quote_changes_nothing(shopper: FlaskClient) -> None:
    before = quote(shopper)

    quote(shopper, country="FR", shipping_method="express")

    assert quote(shopper) == before
    assert count_orders() == 0


def test_wallet_places_and_starts_paying(shopper: FlaskClient, stripe: FakeStripe) -> None:
    shown = quote(shopper)

    answer = buy(shopper, shown).json

    order = session.scalars(select(Order)).one()
    (intent,) = stripe.intents.values()
    assert answer["client_secret"] == intent.client_secret
    assert answer["amount_minor"] == shown["amount_minor"] == order.total_minor
    assert intent.amount_minor == order.total_minor
    assert (order.email, order.customer_name) == ("grace@example.com", "Grace Hopper")
    assert order.shipping_address["line1"] == "Unter den Linden 5"
    assert answer["return_url"].startswith("http://localhost/checkout/return?order=")


def test_pressing_twice_orders_once(shopper: FlaskClient, stripe: FakeStripe) -> None:
    shown = quote(shopper)

    first, second = buy(shopper, shown).json, buy(shopper, shown).json

    assert first == second
    assert count_orders() == len(stripe.intents) == 1


def test_paid_order_is_not_ordered_again(shopper: FlaskClient, stripe: FakeStripe) -> None:
    shown = quote(shopper)
    placed = buy(shopper, shown).json
    stripe.pay()
    shopper.get(placed["return_url"].removeprefix("http://localhost"))

    again = buy(shopper, shown)

    assert again.status_code in {200, 422}
    assert "client_secret" not in again.get_json()
    assert count_orders() == 1


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({"amount_minor": 1}, 409, "fail"),
        ({"amount_minor": True}, 409, "fail"),
        ({"version": 99}, 409, "fail"),
        ({"email": "nobody"}, 422, "fail"),
        ({"name": ""}, 422, "invalid_shipping_address"),
        ({"address": "Berlin"}, 422, "invalid_shipping_address"),
        ({"address": WALLET["address"] | {"country": "AQ"}}, 422, "address_unserviceable"),
        ({"shipping_method": "pigeon"}, 422, "address_unserviceable"),
    ],
)
def test_wrong_facts_order_nothing(
    shopper: FlaskClient, change: dict[str, Any], status: int, reason: str
) -> None:
    answer = buy(shopper, quote(shopper), **change)

    assert (answer.status_code, answer.json["reason"]) == (status, reason), answer.json
    assert answer.json["message"].endswith(".")
    assert count_orders() == 0


def test_price_change_stops_the_wallet(shopper: FlaskClient, cast: Cast) -> None:
    mug_id = cast.mug.id
    shown = quote(shopper)
    with transaction():
        catalog.update_variant(session.get_one(Variant, mug_id), price_minor=9900)

    answer = buy(shopper, shown)

    assert answer.status_code == 409, answer.json
    assert answer.json["code"] == "cart_changed", answer.json
    assert count_orders() == 0


def test_sold_out_item_stops_the_wallet(shopper: FlaskClient, cast: Cast) -> None:
    with transaction():
        inventory.count(cast.mug.id, 1, reason="count")

    shown = quote(shopper)

    assert not shown["can_buy"]


def test_empty_cart_has_no_quote(browser: FlaskClient) -> None:
    assert quote(browser) == {
        "can_buy": False, "code": "invalid", "reason": "fail", "message": "Your cart is empty.",
    }  # fmt: skip


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b'"x"', b"\xff"])
def test_unreadable_body_is_an_empty_question(shopper: FlaskClient, body: bytes) -> None:
    for path in ("/checkout/express/quote", "/checkout/express"):
        answer = shopper.post(path, data=body, content_type="application/json")
        assert answer.status_code in {200, 409, 422}


def test_stripe_away_keeps_the_order(shopper: FlaskClient, stripe: FakeStripe) -> None:
    shown = quote(shopper)
    stripe.is_away = True

    answer = buy(shopper, shown)

    assert answer.status_code == 503
    assert answer.json["payment_url"].startswith("/checkout/payment?order=")
    stripe.is_away = False
    assert buy(shopper, shown).json["client_secret"]
    assert count_orders() == 1


def test_wallets_need_a_method_they_can_use(shopper: FlaskClient) -> None:
    methods.configure(["sepa_debit"])

    try:
        assert "data-quote-url" not in shopper.get("/cart").text
        assert not quote(shopper)["can_buy"]
    finally:
        methods.configure(["card"])


def test_wallets_can_be_switched_off(shopper: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "data-quote-url" in shopper.get("/cart").text
    off = replace(shopper.application.config["SETTINGS"], wallets=False)
    monkeypatch.setitem(shopper.application.config, "SETTINGS", off)

    page = shopper.get("/cart")

    assert "data-quote-url" not in page.text
    assert "stripe" not in page.headers["Content-Security-Policy"]
    assert "payment=()" in page.headers["Permissions-Policy"]
    assert buy(shopper, {"version": 1, "amount_minor": 4290}).status_code == 422
    assert count_orders() == 0


def test_only_pages_with_payment_allow_it(
    shopper: FlaskClient, cast: Cast, stripe: FakeStripe
) -> None:
    buying = shopper.get("/cart"), shopper.get("/checkout"), shopper.post("/checkout", data={})
    placed = buy(shopper, quote(shopper)).json
    paying = shopper.get(placed["payment_url"])

    for page in (*buying, paying):
        allowed = re.search(r"payment=\(([^)]*)\)", page.headers["Permissions-Policy"])
        assert allowed
        assert allowed[1].split() == [
            "self", '"https://js.stripe.com"', '"https://*.js.stripe.com"', '"http://127.0.0.1:9"',
        ]  # fmt: skip
        assert "https://js.stripe.com" in page.headers["Content-Security-Policy"]
        assert page.headers["Cross-Origin-Opener-Policy"] == "same-origin-allow-popups"
    for path in ("/", "/products/tidal-mug", "/account/login", "/admin/login/", "/api/v1/cart"):
        page = shopper.get(path)
        assert "payment=()" in page.headers["Permissions-Policy"], path
        assert "stripe" not in page.headers.get("Content-Security-Policy", ""), path


@pytest.fixture
def stand_in(browser: FlaskClient, cast: Cast, tmp_path: Path) -> Iterator[stripe_rig.Rig]:
    """Stripe, played by the stand-in."""
    settings = browser.application.config["SETTINGS"]
    facts = {
        "secret_key": settings.stripe_secret_key,
        "publishable_key": settings.stripe_publishable_key,
        "webhook_secrets": settings.stripe_webhook_secrets,
    }
    with stripe_rig.running(tmp_path) as (rig, _):
        stripe_client.configure(**facts, api_base=rig.url)
        yield rig
    stripe_client.configure(**facts, api_base=settings.stripe_api_base)


def intents(stand_in: stripe_rig.Rig) -> list[dict[str, Any]]:
    return sorted(stand_in.state()["payment_intents"], key=lambda one: one["created"])


def test_wallet_sets_the_shipping_address_itself(
    browser: FlaskClient, cast: Cast, stand_in: stripe_rig.Rig
) -> None:
    browser.post("/cart/add", data={"variant_id": cast.mug.id, "quantity": 2})

    buy(browser, quote(browser))

    (intent,) = intents(stand_in)
    assert intent["shipping"] is None


def test_intent_with_an_address_is_given_up(
    browser: FlaskClient, cast: Cast, stand_in: stripe_rig.Rig
) -> None:
    browser.post("/cart/add", data={"variant_id": cast.mug.id, "quantity": 2})
    browser.post("/checkout", data=WALLET | WALLET["address"])
    place(browser)

    answer = buy(browser, quote(browser)).json

    addressed, own = sorted(intents(stand_in), key=lambda one: one["shipping"] is None)
    assert addressed["status"] == "canceled" and addressed["shipping"]
    assert (own["status"], own["shipping"]) == ("requires_payment_method", None)
    assert answer["client_secret"] == own["client_secret"]
    assert count_orders() == 1
