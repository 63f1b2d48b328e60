"""An order's page: for who has its link, and for nobody else."""

import pytest
from flask.testing import FlaskClient

from shop import orders
from shop.core import db
from shop.payments.models import Refund
from tests.cast import Cast


def link(order: orders.Order) -> str:
    return f"/orders/{order.number}?token={order.token}"


def test_the_link_opens_the_order_for_a_guest(browser: FlaskClient, cast: Cast) -> None:
    page = browser.get(link(cast.paid_order))

    assert page.status_code == 200
    assert "Tidal mug" in page.text and "Your payment is here" in page.text
    assert '<meta name="robots" content="noindex' in page.text
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize("token", ["", "x", "None", "\x00", "ü" * 32, "a" * 32])
def test_a_wrong_link_looks_like_an_unknown_order(
    browser: FlaskClient, cast: Cast, token: str
) -> None:
    number = cast.paid_order.number

    wrong = browser.get(f"/orders/{number}", query_string={"token": token})
    unknown = browser.get("/orders/EO-99999", query_string={"token": token})

    assert wrong.status_code == unknown.status_code == 404
    assert "Tidal mug" not in wrong.text.partition("<main")[2].partition("Favourites")[0]


@pytest.mark.parametrize("number", ["%00", "EO-1'--", "ü", "9" * 400, "EO%2010001"])
def test_a_number_that_is_none_is_unknown(browser: FlaskClient, number: str) -> None:
    assert browser.get(f"/orders/{number}?token={'a' * 32}").status_code == 404
    assert browser.get(f"/checkout/payment?order={number}&token={'a' * 32}").status_code == 404


def test_the_page_tells_of_the_parcel(browser: FlaskClient, cast: Cast) -> None:
    order_id = cast.paid_order.id
    with db.transaction():
        order = orders.lock(order_id)
        orders.ship(order, carrier="DHL", tracking_number="JD0001")

    page = browser.get(link(order)).text

    assert "JD0001" in page and "A parcel is on its way" in page and "Shipped" in page


def test_a_paid_order_nobody_packs_can_be_cancelled_and_is_paid_back(
    browser: FlaskClient, cast: Cast
) -> None:
    order = cast.paid_order

    answer = browser.post(f"/orders/{order.number}/cancel", data={"token": order.token})

    assert answer.status_code == 303
    assert orders.by_id(order.id).status == "cancelled"
    assert db.session.query(Refund).one().amount_minor == order.total_minor


def test_an_order_that_is_being_packed_cannot_be_cancelled(
    browser: FlaskClient, cast: Cast
) -> None:
    order = cast.paid_order
    order_id, address, data = order.id, f"/orders/{order.number}/cancel", {"token": order.token}
    with db.transaction():
        orders.start_processing(orders.lock(order_id))

    answer = browser.post(address, data=data)

    assert answer.status_code == 409 and "can no longer be cancelled" in answer.text
    assert orders.by_id(order_id).status == "confirmed"


def test_a_stranger_cannot_cancel(browser: FlaskClient, cast: Cast) -> None:
    order = cast.paid_order

    answers = [
        browser.post(f"/orders/{order.number}/cancel", data={"token": "a" * 32}),
        browser.post(f"/orders/{order.number}/cancel"),
    ]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert orders.by_id(order.id).status == "confirmed"
