"""Accounts as their owners and strangers meet them."""

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from shop import customers, orders
from shop.core import clock, db, tokens
from shop.core.events import EventRecord
from shop.core.sessions import SignIn
from shop.customers.events import GuestOrdersRequested
from shop.customers.models import Address, Customer
from shop.notifications import emails
from shop.notifications.models import EmailMessage
from tests.cast import ADDRESS, PASSWORD, Cast, order, pay

FAILED = "We could not sign you in with this email address and password."


def sign_in(
    browser: FlaskClient, email: str = "ada@example.com", password: str = PASSWORD, **more: str
) -> TestResponse:
    """Send the form."""
    return browser.post("/account/login", data={"email": email, "password": password, **more})


def main(text: str) -> str:
    """What a page says, without the frame around it."""
    return text.partition("<main")[2].partition("</main>")[0]


@pytest.fixture
def ada(browser: FlaskClient, cast: Cast) -> Iterator[FlaskClient]:
    """Ada's browser, signed in."""
    assert cast.ada and sign_in(browser).status_code == 303
    yield browser


def test_signing_in_leads_to_the_account(browser: FlaskClient, cast: Cast) -> None:
    assert cast.ada

    answer = sign_in(browser)

    assert answer.location == "/account"
    assert "Hello, Ada Lovelace" in browser.get("/account").text


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("ada@example.com", "wrong password 123"),
        ("nobody@example.com", PASSWORD),
        ("not an address", PASSWORD),
        ("", ""),
        ("ada@example.com\x00", PASSWORD),
    ],
)
def test_all_failures_read_the_same(
    browser: FlaskClient, cast: Cast, email: str, password: str
) -> None:
    assert cast.ada

    answer = sign_in(browser, email, password)

    assert answer.status_code == 422 and FAILED in answer.text
    assert browser.get("/account").status_code == 303


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "/\\evil.example", "https://evil.example", "\\\\evil.example",
     "/\tevil", "javascript:alert(1)", "evil.example", "http:evil.example", "/a\r\nX: y", "///x"],
)  # fmt: skip
def test_nobody_is_sent_to_another_site(browser: FlaskClient, cast: Cast, target: str) -> None:
    assert cast.ada

    assert sign_in(browser, next=target).location == "/account"


def test_a_page_of_ours_is_returned_to(browser: FlaskClient, cast: Cast) -> None:
    assert cast.ada

    sent = browser.get("/account/orders?page=1")

    assert sent.location == "/account/login?next=/account/orders?page%3D1"
    assert sign_in(browser, next="/account/orders?page=1").location == "/account/orders?page=1"


def test_the_guests_cart_comes_along(browser: FlaskClient, cast: Cast) -> None:
    assert cast.ada
    browser.post("/cart/add", data={"variant_id": cast.mug.id, "quantity": 2})

    sign_in(browser)

    assert "Tidal mug" in browser.get("/cart").text
    browser.post("/account/logout")
    assert "Your cart is empty" in browser.get("/cart").text


def test_signing_out_ends_the_session_in_the_database(ada: FlaskClient) -> None:
    stolen = ada.get_cookie("shop")
    assert stolen

    ada.post("/account/logout")
    ada.set_cookie("shop", stolen.value)

    assert ada.get("/account").status_code == 303
    assert db.session.query(SignIn).filter_by(audience="customer").one().ended_at


def test_a_new_password_ends_all_other_sessions(ada: FlaskClient, app: Flask) -> None:
    other = app.test_client()
    sign_in(other)

    answer = ada.post(
        "/account/password",
        data={"old_password": PASSWORD, "password": "a quite different sentence"},
    )

    assert answer.status_code == 303
    assert ada.get("/account").status_code == 200
    assert other.get("/account").status_code == 303


def test_old_password_is_needed_for_new_one(ada: FlaskClient) -> None:
    answer = ada.post(
        "/account/password", data={"old_password": "guess", "password": "a quite different one"}
    )

    assert answer.status_code == 422 and "This is not your current password." in answer.text


def test_registering_says_the_same_to_known_and_unknown(browser: FlaskClient, cast: Cast) -> None:
    assert cast.ada

    pages = [
        browser.post(
            "/account/register",
            data={"email": email, "password": "quite a long sentence", "name": "Ada"},
        )
        for email in ("ada@example.com", "new@example.com")
    ]

    assert [page.status_code for page in pages] == [200, 200]
    texts = [re.sub(r"(ada|new)@example.com", "", page.text) for page in pages]
    assert texts[0] == texts[1]


def test_a_short_password_is_refused_beside_its_field(browser: FlaskClient) -> None:
    data = {"email": "new@example.com", "password": "short"}

    answer = browser.post("/account/register", data=data)

    assert answer.status_code == 422 and 'href="#password"' in answer.text
    assert db.session.query(Customer).count() == 0


def test_opening_an_emailed_link_does_not_use_it(browser: FlaskClient) -> None:
    data = {"email": "new@example.com", "password": "quite a long sentence", "name": "New"}
    browser.post("/account/register", data=data)
    with db.transaction():
        token = tokens.issue("confirm", db.session.query(Customer).one().id, minutes=30)

    looked = [browser.get(f"/account/confirm/{token}") for _ in range(2)]
    wrong = browser.post(f"/account/confirm/{token}", data={"password": "somebody else's"})
    right = {"password": data["password"]}
    done = browser.post(f"/account/confirm/{token}", data=right)
    again = browser.post(f"/account/confirm/{token}", data=right)

    assert [page.status_code for page in looked] == [200, 200]
    assert wrong.status_code == 422 and "not the password" in wrong.text
    assert done.location == "/account" and browser.get("/account").status_code == 200
    assert again.status_code == 404 and "no longer valid" in again.text
    looked_again = browser.get(f"/account/confirm/{token}")
    assert looked_again.status_code == 404 and "Ask for a new link" in looked_again.text


def test_expired_link_is_refused_when_opened(browser: FlaskClient, cast: Cast) -> None:
    ada = cast.ada.id
    with db.transaction():
        kinds = {
            "confirm": tokens.issue("confirm", ada, minutes=30),
            "password": tokens.issue("password", ada, minutes=30),
        }

    with clock.freeze(clock.now() + timedelta(minutes=31)):
        old = {kind: browser.get(f"/account/{kind}/{link}", follow_redirects=True)
               for kind, link in kinds.items()}  # fmt: skip
    unknown = {kind: browser.get(f"/account/{kind}/{'a' * 32}", follow_redirects=True)
               for kind in kinds}  # fmt: skip

    for kind, page in old.items():
        assert page.status_code == 404 and "<form" not in main(page.text)
        assert main(page.text) == main(unknown[kind].text)


def test_orders_without_an_account_follow_the_proven_address(
    browser: FlaskClient, cast: Cast
) -> None:
    as_guest, of_bruno = order(cast.mug), order(cast.mug, customer_id=cast.bruno.id)
    data = {"email": "Ada@Example.com", "password": "quite a long sentence", "name": "Ada"}
    browser.post("/account/register", data=data)
    with db.transaction():
        ada = db.session.query(Customer).filter_by(email="ada@example.com").one().id
        token = tokens.issue("confirm", ada, minutes=30)
    assert orders.by_id(as_guest.id).customer_id is None

    browser.post(f"/account/confirm/{token}", data={"password": "not the one that was chosen"})
    db.session.expire_all()
    assert orders.by_id(as_guest.id).customer_id is None
    browser.post(f"/account/confirm/{token}", data={"password": data["password"]})
    db.session.expire_all()

    assert orders.by_id(as_guest.id).customer_id == ada
    assert orders.by_id(of_bruno.id).customer_id == cast.bruno.id
    listed = browser.get("/account/orders").text
    assert as_guest.number in listed and of_bruno.number not in listed


def test_forgotten_password_is_replaced_by_an_emailed_link(
    browser: FlaskClient, cast: Cast
) -> None:
    ada = cast.ada
    with db.transaction():
        token = tokens.issue("password", ada.id, minutes=30)

    link = browser.get(f"/account/password/{token}")
    form = browser.get(link.location)
    done = browser.post(link.location, data={"password": "my brand new sentence"})

    assert link.headers["Referrer-Policy"] == "no-referrer" and token not in link.location
    assert token not in form.text
    assert done.location == "/account"
    assert sign_in(browser, password="my brand new sentence").location == "/account"
    assert browser.post(link.location, data={"password": "my next new sentence"}).status_code == 404
    again = browser.get(link.location)
    assert again.status_code == 404 and "no longer valid" in again.text


def test_repeated_link_requests_break_no_earlier_link(browser: FlaskClient, cast: Cast) -> None:
    ada = cast.ada.id
    with db.transaction():
        emailed = [tokens.issue("password", ada, minutes=30) for _ in range(5)]

    browser.post("/account/password/forgot", data={"email": "ada@example.com"})

    link = browser.get(f"/account/password/{emailed[0]}")
    done = browser.post(link.location, data={"password": "my brand new sentence"})
    other = browser.get(f"/account/password/{emailed[1]}", follow_redirects=True)
    assert (done.location, other.status_code) == ("/account", 404)


def test_asking_for_link_says_same_to_all(browser: FlaskClient, cast: Cast) -> None:
    assert cast.ada

    pages = [
        browser.post("/account/password/forgot", data={"email": email}).text
        for email in ("ada@example.com", "nobody@example.com")
    ]

    assert pages[0].replace("ada@", "") == pages[1].replace("nobody@", "")


def test_only_ones_own_orders_are_shown(ada: FlaskClient, cast: Cast) -> None:
    mine = order(cast.mug, customer_id=cast.ada.id)
    pay(mine)
    theirs = order(cast.mug, customer_id=cast.bruno.id)

    listed = ada.get("/account/orders").text

    assert mine.number in listed and theirs.number not in listed
    for address in (f"/account/orders/{mine.number}", f"/orders/{mine.number}"):
        page = ada.get(address)
        assert page.status_code == 200 and 'href="/account/orders">Orders' in page.text
    for address in (f"/account/orders/{theirs.number}", f"/orders/{theirs.number}"):
        assert ada.get(address).status_code == 404
    assert ada.post(f"/orders/{theirs.number}/cancel").status_code == 404
    assert orders.by_id(theirs.id).status == "pending"


def test_day_of_order_is_shops_own(ada: FlaskClient, cast: Cast) -> None:
    late = clock.now().replace(hour=23, minute=30)  # in Berlin it is the next day already
    with clock.freeze(late):
        order(cast.mug, customer_id=cast.ada.id)

    listed = ada.get("/account/orders").text

    assert f"{late + timedelta(days=1):%-d %B %Y}</time>" in listed


@pytest.mark.parametrize("page", ["0", "-1", "abc", "9" * 30, "2", "\x00"])
def test_a_page_that_is_none_is_unknown(ada: FlaskClient, page: str) -> None:
    assert ada.get("/account/orders", query_string={"page": page}).status_code == 404


def test_addresses_are_added_changed_and_deleted(ada: FlaskClient) -> None:
    ada.post("/account/addresses", data={**ADDRESS, "is_default": "y"})
    saved = db.session.query(Address).one().id
    ada.post(f"/account/addresses/{saved}", data={**ADDRESS, "city": "Potsdam"})

    assert "Potsdam" in ada.get("/account/addresses").text
    assert 'value="Potsdam"' in ada.get(f"/account/addresses/{saved}").text
    assert ada.post(f"/account/addresses/{saved}/delete").status_code == 303
    assert db.session.query(Address).count() == 0


def test_saved_address_is_offered_at_checkout_in_full(ada: FlaskClient, cast: Cast) -> None:
    ada.post("/account/addresses", data=ADDRESS)
    ada.post("/cart/add", data={"variant_id": str(cast.mug.id)})

    page = ada.get("/checkout").text

    assert "Unter den Linden 1, 10117 Berlin, Germany" in page


def test_a_foreign_address_is_out_of_reach(ada: FlaskClient, cast: Cast) -> None:
    bruno = cast.bruno.id
    with db.transaction():
        foreign = customers.save_address(bruno, {**ADDRESS, "name": "Bruno"}).id

    for address_id in (str(foreign), "0", "abc", "9" * 30):
        address = f"/account/addresses/{address_id}"
        assert ada.get(address).status_code == 404
        assert ada.post(address, data=ADDRESS).status_code == 404
        assert ada.post(f"{address}/delete").status_code == 404
    assert db.session.query(Address).one().name == "Bruno"


@pytest.mark.parametrize(
    "address", ["/account", "/account/orders", "/account/addresses", "/account/password"]
)
def test_personal_pages_are_for_who_is_signed_in(browser: FlaskClient, address: str) -> None:
    answer = browser.get(address)

    assert answer.status_code == 303 and answer.location.startswith("/account/login?next=")
    assert answer.headers["Cache-Control"] == "no-store"


def test_every_form_needs_its_secret(app: Flask, session: object) -> None:
    stranger = app.test_client()
    rules = [
        rule
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("store.") and "POST" in (rule.methods or ())
    ]
    assert len(rules) >= 15

    for rule in rules:
        address = re.sub(r"<[^>]+>", "1", rule.rule)
        answer = stranger.post(address, data={"email": "ada@example.com"})
        assert answer.status_code == 400, rule
        assert "Nothing was changed" in answer.text


def test_signing_in_renews_what_the_forms_carry(ada: FlaskClient) -> None:
    with ada.session_transaction() as kept:
        assert "csrf_token" not in kept and kept["customer_token"]


def link_emailed(purpose: str, customer_id: int) -> str:
    """The secret of a link as the email would carry it."""
    with db.transaction():
        return tokens.issue(purpose, customer_id, minutes=customers.LINK_MINUTES)


def test_guest_orders_are_claimed_by_an_emailed_link(ada: FlaskClient, cast: Cast) -> None:
    placed = order(cast.mug)
    assert placed.number not in ada.get("/account").text

    asked = ada.post("/account/orders/find")
    assert "ada@example.com" in asked.text
    events = db.session.scalars(
        select(EventRecord.payload).where(EventRecord.type == "GuestOrdersRequested")
    )
    assert [one["customer_id"] for one in events] == [cast.ada.id]
    secret = link_emailed("orders", cast.ada.id)
    looked = ada.get(f"/account/claim/{secret}")
    assert looked.headers["Referrer-Policy"] == "no-referrer"
    assert placed.number not in ada.get("/account").text
    followed = ada.post(f"/account/claim/{secret}")

    assert followed.location == "/account/orders"
    page = ada.get("/account/orders").text
    assert placed.number in page and "1 order is now in your account." in page
    again = ada.post(f"/account/claim/{secret}")
    assert again.status_code == 404 and "Go to your account" in again.text


def test_finding_orders_answers_the_same_without_any(ada: FlaskClient, cast: Cast) -> None:
    without = ada.post("/account/orders/find")
    order(cast.mug)
    with_some = ada.post("/account/orders/find")

    assert main(without.text) == main(with_some.text)
    assert without.status_code == with_some.status_code == 200


def test_claim_takes_only_orders_of_the_address(ada: FlaskClient, cast: Cast) -> None:
    of_bruno = order(cast.mug, customer_id=cast.bruno.id)
    other = order(cast.mug)
    with db.transaction():
        orders.lock(other.id).email = "ada+shop@example.com"

    ada.post(f"/account/claim/{link_emailed('orders', cast.ada.id)}")

    db.session.expire_all()
    assert orders.by_id(of_bruno.id).customer_id == cast.bruno.id
    assert orders.by_id(other.id).customer_id is None


def test_claim_link_expires_and_serves_no_other_purpose(ada: FlaskClient, cast: Cast) -> None:
    placed_id = order(cast.mug).id
    secret = link_emailed("orders", cast.ada.id)
    of_password = link_emailed("password", cast.ada.id)

    with clock.freeze(clock.now() + timedelta(minutes=customers.LINK_MINUTES + 1)):
        late = ada.post(f"/account/claim/{secret}")
    wrong = ada.post(f"/account/claim/{of_password}")

    assert (late.status_code, wrong.status_code) == (404, 404)
    db.session.expire_all()
    assert orders.by_id(placed_id).customer_id is None


def test_guests_cannot_ask_for_orders(browser: FlaskClient, cast: Cast) -> None:
    assert "/account/login" in browser.post("/account/orders/find").location


def test_links_to_guest_orders_are_limited(cast: Cast, session: Session) -> None:
    asked = GuestOrdersRequested(customer_id=cast.ada.id)
    for _ in range(emails.MAX_PER_HOUR + 3):
        with db.transaction():
            emails.send_orders_link(asked)

    written = select(func.count()).where(EmailMessage.kind == "orders_link")
    assert session.scalar(written) == emails.MAX_PER_HOUR
