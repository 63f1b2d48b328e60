"""The cart as a visitor meets it, with and without scripts."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from shop import catalog, inventory
from shop.cart.models import CartItem
from shop.core import db
from shop.core.statements import Statements
from tests.cast import Cast

FETCH = {"X-Requested-With": "fetch"}


def items() -> dict[int, int]:
    """Units in all carts by variant."""
    return {row.variant_id: row.quantity for row in db.session.scalars(select(CartItem))}


def only_item() -> int:
    return db.session.scalars(select(CartItem.id)).one()


def put(browser: FlaskClient, variant_id: int, quantity: object = 1) -> TestResponse:
    return browser.post("/cart/add", data={"variant_id": variant_id, "quantity": quantity})


def test_a_form_adds_and_shows_the_cart(browser: FlaskClient, cast: Cast) -> None:
    answer = put(browser, cast.mug.id, 2)

    page = browser.get(answer.location)
    assert (answer.status_code, answer.location) == (303, "/cart")
    assert "Tidal mug" in page.text and "€42.90" in page.text
    assert page.headers["Cache-Control"] == "no-store"


def test_a_script_gets_the_fragment(browser: FlaskClient, cast: Cast) -> None:
    data = {"variant_id": cast.mug.id, "quantity": 1}

    answer = browser.post("/cart/add", data=data, headers=FETCH)

    assert answer.status_code == 200
    assert answer.text.strip().startswith("<div") and 'data-count="1"' in answer.text


def test_cart_cookie_is_out_of_reach_of_scripts(browser: FlaskClient, cast: Cast) -> None:
    answer = put(browser, cast.mug.id)

    (cookie,) = [c for c in answer.headers.getlist("Set-Cookie") if c.startswith("cart=")]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Max-Age=5184000" in cookie


@pytest.mark.parametrize("quantity", ["-1", "0", "1000000000", "abc", "", "1.5", "²"])
def test_an_unusable_quantity_changes_nothing(
    browser: FlaskClient, cast: Cast, quantity: str
) -> None:
    put(browser, cast.mug.id, 2)
    address = f"/cart/items/{only_item()}"

    answers = [
        put(browser, cast.mug.id, quantity),
        browser.post(address, data={"quantity": quantity}),
    ]

    for answer in answers:
        assert answer.status_code == 422
        assert "Please choose a quantity from 1 to 20." in answer.text
    assert items() == {cast.mug.id: 2}


@pytest.mark.parametrize("variant", ["0", "-1", "99999999", "9" * 30, "abc", "", "\x00", "null"])
def test_an_unknown_thing_cannot_be_added(browser: FlaskClient, cast: Cast, variant: str) -> None:
    answer = browser.post("/cart/add", data={"variant_id": variant})

    assert answer.status_code == 404
    assert items() == {}


def test_quantity_above_stock_becomes_the_available_one(browser: FlaskClient, cast: Cast) -> None:
    put(browser, cast.lamp.id)
    address = f"/cart/items/{only_item()}"

    answer = browser.post(address, data={"quantity": 5}, headers=FETCH)

    assert "Only 2 are left, so that is what is in your cart now." in answer.text
    assert items() == {cast.lamp.id: 2}


def test_a_removed_line_can_be_put_back(browser: FlaskClient, cast: Cast) -> None:
    put(browser, cast.mug.id, 3)

    page = browser.post(f"/cart/items/{only_item()}/remove", follow_redirects=True)

    assert "Tidal mug</strong> is no longer in your cart" in page.text and ">Undo<" in page.text
    put(browser, cast.mug.id, 3)
    assert items() == {cast.mug.id: 3}
    assert ">Undo<" not in browser.get("/cart").text


def test_nobody_reaches_into_another_cart(browser: FlaskClient, cast: Cast, app: Flask) -> None:
    put(browser, cast.mug.id, 2)
    stranger = app.test_client()
    put(stranger, cast.lamp.id)
    foreign = db.session.scalars(
        select(CartItem.id).where(CartItem.variant_id == cast.mug.id)
    ).one()

    answers = [
        stranger.post(f"/cart/items/{foreign}", data={"quantity": 1}),
        stranger.post(f"/cart/items/{foreign}/remove"),
    ]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert items() == {cast.mug.id: 2, cast.lamp.id: 1}


@pytest.mark.parametrize("token", ["x", "\x00" * 20, "ü" * 20, "a" * 500, "'; DROP TABLE cart; --"])
def test_a_forged_cart_cookie_is_an_empty_cart(browser: FlaskClient, token: str) -> None:
    browser.set_cookie("cart", token)

    answer = browser.get("/cart")

    assert answer.status_code == 200 and "Your cart is empty" in answer.text


def test_a_tampered_price_is_not_even_read(browser: FlaskClient, cast: Cast) -> None:
    browser.post("/cart/add", data={"variant_id": cast.mug.id, "price": "1", "unit_price_minor": 1})

    assert "€19.00" in browser.get("/cart").text


def test_a_shortfall_is_shown_with_a_way_out(browser: FlaskClient, cast: Cast) -> None:
    put(browser, cast.lamp.id, 2)
    with db.transaction():
        inventory.adjust(cast.lamp.id, -1, reason="damage")

    page = browser.get("/cart")

    assert "Only 1 left." in page.text and "Change to 1" in page.text
    assert "Check out</a>" not in page.text
    assert browser.get("/checkout").status_code == 303


def test_header_asks_database_only_for_who_has_cart(browser: FlaskClient, cast: Cast) -> None:
    catalog.menu()

    def asked() -> int:
        with Statements() as seen:
            browser.get("/pages/about")
        return sum("cart" in s for s in seen.seen)

    assert asked() == 0
    put(browser, cast.mug.id)
    assert asked() == 1
