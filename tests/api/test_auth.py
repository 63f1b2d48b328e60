"""Programs sign in, stay signed in, and are signed out."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from shop import cart, customers
from shop.api.models import ApiToken
from shop.core import clock, db, sessions, tokens
from shop.core.sessions import SignIn
from shop.customers.models import Customer
from shop.realtime.tickets import redeem_ticket
from tests.api.conftest import Program
from tests.cast import PASSWORD, Cast

CREDENTIALS = {"email": "ada@example.com", "password": PASSWORD}


def test_a_customer_signs_in_and_is_known(ada: Program, cast: Cast) -> None:
    assert ada.get("auth/me").json == {
        "audience": "customer",
        "id": cast.ada.id,
        "name": "Ada Lovelace",
        "email": "ada@example.com",
        "roles": [],
    }


def test_staff_sign_in_with_their_role(hire: Callable[[str], Program]) -> None:
    me = hire("Warehouse").get("auth/me").json
    assert (me["audience"], me["roles"]) == ("staff", ["Warehouse"])


@pytest.mark.parametrize("audience", ["customer", "staff"])
def test_wrong_passwords_and_unknown_addresses_look_the_same(
    guest: Program, cast: Cast, audience: str
) -> None:
    assert cast.ada
    answers = [
        guest.post("auth/token", json={"email": email, "password": "x" * 12, "audience": audience})
        for email in ("ada@example.com", "nobody@example.com")
    ]
    bodies = [answer.get_json() | {"request_id": ""} for answer in answers]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert bodies[0] == bodies[1]
    assert bodies[0]["code"] == "wrong_credentials"


def test_a_customer_is_nobody_on_the_staff_side(guest: Program, cast: Cast) -> None:
    assert cast.ada
    assert guest.post("auth/token", json=CREDENTIALS | {"audience": "staff"}).status_code == 401


def test_only_hashes_of_tokens_are_stored(ada: Program, session: Session) -> None:
    stored = set(session.scalars(select(ApiToken.digest)))
    assert tokens.digest(ada.token) in stored
    assert ada.token not in stored


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer x", "Basic YTpi", "Bearer " + "y" * 9999]
)
def test_token_that_does_not_count_is_401_everywhere(guest: Program, header: str) -> None:
    answer = guest.get("cart", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_browsers_cookies_are_not_looked_at(app: Flask, ada: Program, cast: Cast) -> None:
    browser = app.test_client()
    with db.transaction():
        secret = customers.sign_in(cast.ada)
    with browser.session_transaction() as cookies:
        cookies["customer_token"] = cookies["customer"] = secret
    answer = browser.get("/api/v1/auth/me")
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers


def test_access_token_ends_after_quarter_of_hour(ada: Program) -> None:
    with clock.freeze(clock.now() + timedelta(minutes=14)):
        assert ada.get("auth/me").status_code == 200
    with clock.freeze(clock.now() + timedelta(minutes=16)):
        assert ada.get("auth/me").status_code == 401


def test_a_refresh_token_gives_a_new_pair_once(guest: Program, cast: Cast) -> None:
    assert cast.ada
    first = guest.post("auth/token", json=CREDENTIALS).json
    second = guest.post("auth/refresh", json={"refresh_token": first["refresh_token"]}).json
    guest.token = second["access_token"]
    assert guest.get("auth/me").status_code == 200

    again = Program(guest.client).post(
        "auth/refresh", json={"refresh_token": first["refresh_token"]}
    )

    assert again.status_code == 401
    assert guest.get("auth/me").status_code == 401, "the whole sign-in ends"
    third = Program(guest.client).post(
        "auth/refresh", json={"refresh_token": second["refresh_token"]}
    )
    assert third.status_code == 401


def test_an_access_token_refreshes_nothing(ada: Program) -> None:
    answer = Program(ada.client).post("auth/refresh", json={"refresh_token": ada.token})
    assert answer.status_code == 401
    assert ada.get("auth/me").status_code == 200


def test_staff_sign_in_ends_after_twelve_hours(hire: Callable[[str], Program], client: Any) -> None:
    hire("Viewer")
    body = {"email": "viewer@staff.example.com", "password": PASSWORD, "audience": "staff"}
    refresh = {"refresh_token": Program(client).post("auth/token", json=body).json["refresh_token"]}
    with clock.freeze(clock.now() + timedelta(hours=12, minutes=1)):
        assert Program(client).post("auth/refresh", json=refresh).status_code == 401


def test_signing_out_ends_both_tokens(guest: Program, cast: Cast) -> None:
    assert cast.ada
    pair = guest.post("auth/token", json=CREDENTIALS).json
    guest.token = pair["access_token"]
    answer = guest.post("auth/logout")
    assert (answer.status_code, answer.data) == (204, b"")
    assert guest.get("auth/me").status_code == 401
    refreshed = Program(guest.client).post(
        "auth/refresh", json={"refresh_token": pair["refresh_token"]}
    )
    assert refreshed.status_code == 401


def test_a_changed_password_ends_programs_too(ada: Program, cast: Cast) -> None:
    with db.transaction():
        customers.change_password(cast.ada, PASSWORD, "a wholly new pass phrase")
    assert ada.get("auth/me").status_code == 401


def test_ended_sign_ins_and_deactivated_staff_are_disconnected(
    app: Flask, hire: Callable[[str], Program], session: Session
) -> None:
    viewer, support = hire("Viewer"), hire("Support")
    assert viewer.get("auth/me").status_code == support.get("auth/me").status_code == 200
    user_model = app.extensions["appbuilder"].sm.user_model
    with db.transaction() as current:
        user = current.scalars(select(user_model).where(user_model.email.like("viewer%"))).one()
        user.active = False
        other = current.scalars(select(user_model).where(user_model.email.like("support%"))).one()
        sessions.end_all("staff", other.id)
    assert viewer.get("auth/me").status_code == 401
    assert support.get("auth/me").status_code == 401


def test_registering_says_same_for_known_and_unknown_addresses(
    guest: Program, cast: Cast, session: Session
) -> None:
    assert cast.ada
    answers = [
        guest.post("auth/register", json={"email": email, "password": PASSWORD + "!", "name": "N"})
        for email in ("ada@example.com", "new@example.com")
    ]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].data == answers[1].data
    reset = [
        guest.post("auth/password-reset", json={"email": a})
        for a in ("ada@example.com", "x@example.com")
    ]
    assert [answer.status_code for answer in reset] == [202, 202]
    assert reset[0].data == reset[1].data


def test_account_is_confirmed_and_password_reset_by_links(guest: Program, session: Session) -> None:
    who = {"email": "new@example.com", "password": PASSWORD, "name": "New"}
    assert guest.post("auth/register", json=who).status_code == 202
    customer = session.query(Customer).filter_by(email=who["email"]).one()
    sign_in = {"email": who["email"], "password": PASSWORD}
    assert guest.post("auth/token", json=sign_in).status_code == 401, "not confirmed yet"
    with db.transaction():
        link = tokens.issue("confirm", customer.id, minutes=30)
    confirm = {"token": link, "password": PASSWORD}
    guessed = guest.post("auth/confirm", json=confirm | {"password": "somebody elses"})
    assert guessed.status_code == 422
    assert guest.post("auth/confirm", json=confirm).status_code == 204
    assert guest.post("auth/confirm", json=confirm).status_code == 404
    assert guest.post("auth/token", json=sign_in).status_code == 200

    with db.transaction():
        link = tokens.issue("password", customer.id, minutes=30)
    weak = guest.post("auth/password-reset/confirm", json={"token": link, "password": "short"})
    assert (weak.status_code, weak.json["errors"][0]["field"]) == (422, "password")
    new = {"token": link, "password": "another fine pass phrase"}
    assert guest.post("auth/password-reset/confirm", json=new).status_code == 204
    assert guest.post("auth/token", json=sign_in).status_code == 401
    sign_in["password"] = new["password"]
    assert guest.post("auth/token", json=sign_in).status_code == 200


def test_a_guests_cart_comes_along_at_sign_in(guest: Program, cast: Cast) -> None:
    guest.post("cart/items", json={"variant_id": cast.mug.id, "quantity": 2})
    assert cast.ada
    guest.sign_in("ada@example.com")
    assert guest.get("cart").json["items"][0]["quantity"] == 2
    assert cart.find(guest.cart) is None, "it is nobody else's any more"


def test_ticket_opens_one_socket_while_signed_in(
    ada: Program, cast: Cast, session: Session
) -> None:
    answer = ada.post("realtime/ticket")
    assert answer.status_code == 200
    ticket = redeem_ticket(answer.json["ticket"])
    assert ticket is not None
    assert (ticket.audience, ticket.subject_id) == ("customer", cast.ada.id)
    assert session.scalar(select(SignIn.id).where(SignIn.digest == ticket.sign_in)) is not None
    assert redeem_ticket(answer.json["ticket"]) is None
