"""Guessing is slowed down: by caller and by account, also while Redis is away."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from redis.exceptions import ConnectionError as Away

from shop.api import limits
from tests.api.conftest import Program
from tests.api.test_sale import wish
from tests.cast import PASSWORD, Cast


class Broken:
    """A Redis that is away."""

    def hit(self, *_: object) -> bool:
        raise Away


class SwitchedOn:
    """The application's limiter, counting with ``limiter``."""

    enabled = True

    def __init__(self, limiter: Any) -> None:
        self.limiter = limiter


@pytest.fixture(params=["counting", "away"])
def limited(app: Flask, request: Any, monkeypatch: Any) -> Iterator[None]:
    """The limiter switched on, on storage that works or on one that does not."""
    works = FixedWindowRateLimiter(MemoryStorage())
    counter = works if request.param == "counting" else Broken()
    monkeypatch.setattr(limits, "_at_home", FixedWindowRateLimiter(MemoryStorage()))
    monkeypatch.setattr(limits, "_rests_until", 0.0)
    monkeypatch.setitem(app.extensions, "limiter", {SwitchedOn(counter)})
    yield


def guess(program: Program, email: str, **given: Any) -> Any:
    return program.post("auth/token", json={"email": email, "password": "guess"}, **given)


def test_eleventh_guess_waits_for_that_account_only(guest: Program, limited: None) -> None:
    for n in range(10):
        near = {"REMOTE_ADDR": f"2001:db8:0:1::{n}"}  # of one subscriber
        assert guess(guest, "ada@example.com", environ_base=near).status_code == 401
    answer = guess(guest, " ADA@example.com", environ_base={"REMOTE_ADDR": "2001:db8:0:1::99"})
    assert (answer.status_code, answer.json["code"]) == (429, "rate_limited")
    assert 0 < int(answer.headers["Retry-After"]) <= 15 * 60 + 1
    far = {"REMOTE_ADDR": "2001:db8:0:2::1"}
    assert guess(guest, "ada@example.com", environ_base=far).status_code == 401
    assert guess(guest, "bruno@example.com").status_code == 401


@pytest.mark.parametrize("audience", ["customer", "staff"])
def test_known_device_signs_in_past_a_network_limit(
    guest: Program, cast: Cast, hire: Any, limited: None, audience: str
) -> None:
    email = cast.ada.email if audience == "customer" else "viewer@staff.example.com"
    if audience == "staff":
        hire("Viewer")

    def sign_in(password: str, **more: str) -> Any:
        who = {"email": email, "password": password, "audience": audience}
        return guest.post("auth/token", json=who | more)

    device = sign_in(PASSWORD).json["device_token"]
    flood = [sign_in(f"guess {n}").status_code for n in range(31)]

    assert flood[-1] == 429
    assert sign_in(PASSWORD).status_code == 429
    assert sign_in(PASSWORD, device_token="x" + device).status_code == 429
    assert sign_in("a slip of the pen", device_token=device).status_code == 401
    assert sign_in(PASSWORD, device_token=device).status_code == 200


def test_known_device_asks_for_password_past_its_network(
    guest: Program, cast: Cast, limited: None
) -> None:
    email = cast.ada.email
    device = guest.post("auth/token", json={"email": email, "password": PASSWORD}).json
    kept = {"email": email, "device_token": device["device_token"]}
    flood = [guest.post("auth/password-reset", json={"email": email}) for _ in range(6)]
    for n in range(20):
        guest.post("auth/password-reset", json={"email": f"x{n}@example.com"})

    assert flood[-1].status_code == 429 and int(flood[-1].headers["Retry-After"]) > 0
    asked = [guest.post("auth/password-reset", json=kept).status_code for _ in range(6)]
    assert asked == [202] * 5 + [429]


def test_many_networks_lock_nobody_out(
    app: Flask, guest: Program, cast: Cast, limited: None
) -> None:
    right = {"email": cast.ada.email, "password": PASSWORD}
    for n in range(1000):
        far = {"REMOTE_ADDR": f"203.0.{n // 200}.{n % 200}"}
        with app.test_request_context(environ_base=far):
            limits.count("token", per_caller="30 per minute", per_account="10 per 15 minutes",
                         account=right["email"])  # fmt: skip

    assert guest.post("auth/token", json=right).status_code == 200


def test_one_caller_cannot_try_on_and_on(guest: Program, limited: None) -> None:
    answers = [
        guest.post(
            "auth/confirm",
            json={"token": f"guess {n}", "password": "a long enough one"},
            headers={"X-Forwarded-For": f"203.0.113.{n}"},
        )
        for n in range(31)
    ]
    assert [answer.status_code for answer in answers] == [404] * 30 + [429]


def test_codes_cannot_be_guessed_on_and_on(guest: Program, limited: None) -> None:
    answers = [guest.post("cart/discount", json={"code": f"GUESS{n}"}) for n in range(31)]
    assert [answer.status_code for answer in answers] == [404] * 30 + [429]


def test_emails_are_capped_per_caller(guest: Program, limited: None) -> None:
    answers = [guest.post("auth/password-reset", json={"email": "a@example.com"}) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [202] * 5 + [429]


def test_one_cart_is_not_ordered_on_and_on(guest: Program, limited: None) -> None:
    answers = [
        guest.post("orders", json=wish({"token": "x" * 43, "version": 1, "total_minor": 1}))
        for _ in range(11)
    ]
    assert [answer.status_code for answer in answers] == [404] * 10 + [429]
