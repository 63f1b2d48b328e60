"""An order's page: for who has its link, and for nobody else."""

from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from shop import orders, payments
from shop.core import clock, db
from shop.payments import intents, refund_news
from shop.payments.models import Refund
from tests import cast as people
from tests.cast import Cast


def link(order: orders.Order) -> str:
    return f"/orders/{order.number}?token={order.token}"


def test_the_link_opens_the_order_for_a_guest(browser: FlaskClient, cast: Cast) -> None:
    page = browser.get(link(cast.paid_order))

    assert page.status_code == 200
    assert "Tidal mug" in page.text and "Payment received" in page.text
    assert '<meta name="robots" content="noindex' in page.text
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "same-origin"


def test_receipt_is_announced_only_after_payment(browser: FlaskClient, cast: Cast) -> None:
    order = cast.paid_order

    just_paid = browser.get(link(order) + "&thanks=1").text
    later = browser.get(link(order)).text
    with clock.freeze(clock.now() + timedelta(hours=2)):
        bookmarked = browser.get(link(order) + "&thanks=1").text

    assert "We sent a receipt to" in just_paid and "Thank you" in just_paid
    for text in (later, bookmarked):
        assert "receipt" not in text and "Thank you" not in text
        assert "Keep this page’s address" in text


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


def test_page_of_paid_order_asks_five_things(
    browser: FlaskClient, cast: Cast, statements: list[str]
) -> None:
    address = link(cast.paid_order)
    browser.get(address)
    statements.clear()

    assert browser.get(address).status_code == 200

    assert len(statements) == 5, statements


def test_page_shows_the_shipment(browser: FlaskClient, cast: Cast) -> None:
    order_id = cast.paid_order.id
    with db.transaction():
        order = orders.lock(order_id)
        orders.ship(order, carrier="DHL", tracking_number="JD0001")

    page = browser.get(link(order)).text

    assert "JD0001" in page and "A shipment is on its way" in page and "Shipped" in page


def test_cancelled_unpacked_order_is_refunded(browser: FlaskClient, cast: Cast) -> None:
    order = cast.paid_order

    answer = browser.post(f"/orders/{order.number}/cancel", data={"token": order.token})

    assert answer.status_code == 303
    assert orders.by_id(order.id).status == "cancelled"
    assert db.session.query(Refund).one().amount_minor == order.total_minor


def test_order_that_is_being_packed_cannot_be_cancelled(browser: FlaskClient, cast: Cast) -> None:
    order = cast.paid_order
    order_id, address, data = order.id, f"/orders/{order.number}/cancel", {"token": order.token}
    with db.transaction():
        orders.start_processing(orders.lock(order_id))

    answer = browser.post(address, data=data)

    assert answer.status_code == 409 and "can no longer be cancelled" in answer.text
    assert "Processing" in answer.text and "Cancel this order" not in answer.text
    assert orders.by_id(order_id).status == "confirmed"


def cancel(order: orders.Order, **form: str) -> tuple[str, dict[str, str]]:
    line = order.lines[0]
    named = {
        f"quantity-{line.id}" if name == "pieces" else name: value for name, value in form.items()
    }
    usual = {"token": order.token, "what": "lines", "version": str(order.version)}
    return f"/orders/{order.number}/cancel", usual | named


def test_cancelling_a_refunded_order_mentions_the_charge(browser: FlaskClient, cast: Cast) -> None:
    order = cast.paid_order
    with db.transaction():
        locked = orders.lock(order.id)
        payments.request_refund(locked, payments.everything(locked), reason="goodwill")

    answer = browser.post(
        f"/orders/{order.number}/cancel", data={"token": order.token}, follow_redirects=True
    )

    assert "See below what is refunded or on its way" in answer.text
    assert "Nothing was charged" not in answer.text


def test_some_items_are_cancelled_and_refunded(browser: FlaskClient, cast: Cast) -> None:
    order = cast.paid_order
    with db.transaction():
        orders.lock(order.id).lines[0].variant_title = "Ember"
    address, form = cancel(order, pieces="1")
    assert "Cancel only some items" in browser.get(link(order)).text

    answer = browser.post(address, data=form)
    again = browser.post(address, data=form)

    assert answer.status_code == 303
    assert again.status_code == 409 and "has changed since you looked" in again.text
    db.session.expire_all()
    (refund,) = db.session.query(Refund)
    assert (refund.amount_minor, refund.source) == (1900, "customer")
    assert orders.by_id(order.id).lines[0].cancelled == 1
    page = browser.get(link(order)).text
    assert "Some items were cancelled" in page and "1 × Tidal mug (Ember)" in page
    assert "1 of them cancelled" in page and "€19.00" in page and "Refund pending" in page
    assert "Cancel only some items" not in page


@pytest.mark.parametrize(
    ("pieces", "status", "sentence"),
    [
        ("0", 422, "Choose at least one"),
        ("3", 422, "2 left to cancel, not 3"),
        ("-1", 422, "must be a whole number"),
        ("1.5", 422, "must be a whole number"),
        ("9" * 30, 422, "must be a whole number"),
        ("", 422, "must be a whole number"),
    ],
)
def test_missing_units_are_not_cancelled(
    browser: FlaskClient, cast: Cast, pieces: str, status: int, sentence: str
) -> None:
    order = cast.paid_order
    order_id, version = order.id, order.version
    address, form = cancel(order, pieces=pieces)

    answer = browser.post(address, data=form)

    assert answer.status_code == status and sentence in answer.text
    assert f'data-address="{link(order)}"' in answer.text and "Cancel only some" in answer.text
    assert db.session.query(Refund).count() == 0
    assert orders.by_id(order_id).version == version


def test_another_order_s_line_is_not_cancelled(browser: FlaskClient, cast: Cast) -> None:
    order = cast.paid_order
    other = people.order(cast.lamp)
    address, form = cancel(order)

    answer = browser.post(address, data=form | {f"quantity-{other.lines[0].id}": "1"})

    assert answer.status_code == 422 and "not part of the order" in answer.text


def test_the_page_says_what_became_of_a_refund(browser: FlaskClient, cast: Cast) -> None:
    order = cast.paid_order
    with db.transaction():
        locked = orders.lock(order.id)
        locked.lines[0].variant_title = "Ember"
        wanted = payments.Wanted(lines={locked.lines[0].id: 1}, shipping_minor=100)
        refund = payments.request_refund(locked, wanted, reason="goodwill")
    db.session.expire_all()
    assert "1 × Tidal mug (Ember), shipping" in browser.get(link(order)).text

    with db.transaction():
        refund_news.apply_refund(refund.id, people.sent(refund, "failed", failure="lost_card"))
    failed = browser.get(link(order)).text
    assert "Delayed: we are looking into it" in failed and "lost_card" not in failed

    with db.transaction():
        again = payments.retry_refund(refund.id)
    with db.transaction():
        refund_news.apply_refund(refund.id, people.sent(again, id="re_again"))
    done = browser.get(link(order)).text
    assert "Refunded" in done and "Banks can take up to ten days" in done


def test_authorised_money_is_charged_at_shipment(browser: FlaskClient, cast: Cast) -> None:
    order = cast.unpaid_order
    payment = people.attempt(order, capture="manual")
    with db.transaction():
        intents.apply_intent(payment.id, people.intent(payment, "requires_capture"))

    page = browser.get(link(order)).text

    assert "€42.90 is authorised. We charge it when we send your order." in page
    assert "The amount authorised on your card is released." in page

    with db.transaction():
        line = orders.by_id(order.id).lines[0].id
        payments.cancel_lines(orders.lock(order.id), {line: 1}, reason="customer")
    page = browser.get(link(order)).text

    assert "€23.90 is authorised." in page
    assert "Cancelled before you paid" in page


def test_a_stranger_cannot_cancel(browser: FlaskClient, cast: Cast) -> None:
    order = cast.paid_order

    answers = [
        browser.post(f"/orders/{order.number}/cancel", data={"token": "a" * 32}),
        browser.post(f"/orders/{order.number}/cancel"),
    ]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert orders.by_id(order.id).status == "confirmed"


@pytest.mark.parametrize("wrong", [{"received_minor": 100}, {"currency": "USD"}])
def test_buyer_of_another_amount_is_not_asked_again(
    browser: FlaskClient, cast: Cast, wrong: dict[str, Any]
) -> None:
    order = cast.unpaid_order
    assert "Pay now" in browser.get(link(order)).text
    payment = people.attempt(order)
    with db.transaction():
        intents.apply_intent(payment.id, people.intent(payment, **wrong))
    db.session.expire_all()

    page = browser.get(link(order)).text
    form = browser.get(f"/checkout/payment?order={order.number}&token={order.token}")
    with clock.freeze(clock.now() + timedelta(days=1)), db.transaction():
        orders.expire(orders.lock(order.id))
    ended = browser.get(link(order)).text

    for text in (page, ended):
        assert "please do not pay again" in text
        assert "Pay now" not in text and "Nothing was charged" not in text
    assert form.status_code == 303
