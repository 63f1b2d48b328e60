"""Who gets into the admin, how long they stay, and what strangers learn: nothing."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_appbuilder.security.sqla.models import Role, User
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_wtf import CSRFProtect
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from redis.exceptions import ConnectionError as RedisAway
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from shop import admin
from shop.admin import security
from shop.admin.staff import accounts, passwords
from shop.core import clock, db, redis, sessions
from shop.core.db import transaction
from shop.core.errors import Invalid
from tests.admin.desk import TOKEN, Desk, sit
from tests.conftest import make_settings
from tests.support.servers import Servers

EMAIL = "mara@example.com"
PASSWORD = "a quiet kiln of clay"
OTHER_PASSWORD = "nine blue herons walk"
FORM_TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


@pytest.fixture
def mara(session: Session) -> User:
    """A Manager who has not signed in yet."""
    with transaction():
        held = db.session.scalars(select(Role).where(Role.name == "Manager")).one()
        return accounts.create(
            email=EMAIL,
            first_name="Mara",
            last_name="Lindt",
            password=PASSWORD,
            held=[held],
            by=None,
        )


def sign_in(
    client: FlaskClient, email: str = EMAIL, password: str = PASSWORD, then: str = ""
) -> TestResponse:
    path = "/admin/login/" + (f"?next={then}" if then else "")
    found = FORM_TOKEN.search(client.get(path).text)
    assert found
    data = {"username": email, "password": password, "csrf_token": found[1]}
    return client.post(path, data=data)


def change_password(app: Flask, client: FlaskClient, current: str) -> TestResponse:
    typed = {"current": current, "password": OTHER_PASSWORD, "repeat": OTHER_PASSWORD}
    return Desk(app, client, "Mara").post("/admin/password/", typed)


def is_in(client: FlaskClient) -> bool:
    return client.get("/admin/profile/").status_code == 200


def test_the_right_password_lets_in_and_leads_back(client: FlaskClient, mara: User) -> None:
    answer = sign_in(client, then="/admin/customers/list/")

    assert answer.status_code == 303
    assert answer.location == "/admin/customers/list/"
    assert is_in(client)


def test_upper_case_in_the_address_does_not_matter(client: FlaskClient, mara: User) -> None:
    sign_in(client, email="  MARA@Example.com ")

    assert is_in(client)


@pytest.mark.parametrize(
    "email, password",
    [
        (EMAIL, "a wrong password"),
        ("nobody@example.com", PASSWORD),
        ("off@example.com", PASSWORD),
        (EMAIL, "\0" * 20),
        ("' OR 1=1 --", PASSWORD),
    ],
)
def test_every_failure_sounds_the_same(
    client: FlaskClient, mara: User, statements: list[str], email: str, password: str
) -> None:
    off = accounts.create(
        email="off@example.com", first_name="Off", last_name="", password=PASSWORD,
        held=mara.roles, by=None,
    )  # fmt: skip
    off.active = False
    db.session.commit()
    client.get("/admin/login/")
    del statements[:]

    answer = sign_in(client, email, password)

    assert answer.status_code == 401
    assert "The email address or the password is wrong." in answer.text
    assert len(statements) == 3
    assert not is_in(client)


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "https://evil.example/", "/\\evil.example", "/admin/../../evil", "/account",
     "javascript:alert(1)", "/admin/\nx", "/admin//evil.example\\x"],
)  # fmt: skip
def test_signing_in_never_leads_to_another_place(app: Flask, mara: User, target: str) -> None:
    answer = sign_in(app.test_client(), then=quote(target, safe=""))

    assert answer.status_code == 303
    assert answer.location in {"/admin/", "/admin/../../evil"}


def test_a_poisoned_host_is_refused(app: Flask, mara: User) -> None:
    answer = app.test_client().get("/admin/login/", headers={"Host": "evil.example"})

    assert answer.status_code == 400


def test_signing_out_ends_a_copied_cookie_too(app: Flask, mara: User) -> None:
    client, thief = app.test_client(), app.test_client()
    sign_in(client)
    cookie = client.get_cookie("shop", domain="localhost")
    assert cookie
    thief.set_cookie("shop", cookie.value, domain="localhost")
    assert is_in(thief)

    page = client.get("/admin/profile/").text
    found = TOKEN.search(page)
    assert found
    client.post("/admin/logout/", data={"csrf_token": found[1]})

    assert not is_in(client)
    assert not is_in(thief)


def test_signing_in_gives_a_new_secret_each_time(client: FlaskClient, mara: User) -> None:
    secrets = set()
    for _ in range(2):
        with client.session_transaction() as cookie:
            cookie.pop(security.SESSION_KEY, None)
        sign_in(client)
        with client.session_transaction() as cookie:
            secrets.add(cookie[security.SESSION_KEY])

    assert len(secrets) == 2


def test_a_sign_in_ends_after_twelve_hours(client: FlaskClient, mara: User) -> None:
    sign_in(client)
    start = clock.now()

    for minutes in range(0, 12 * 60, 29):
        with clock.freeze(start + timedelta(minutes=minutes)):
            assert is_in(client), minutes
    with clock.freeze(start + timedelta(hours=11, minutes=59)):
        assert is_in(client)
    with clock.freeze(start + timedelta(hours=12, minutes=1)):
        assert not is_in(client)


def test_unused_sign_in_ends_after_half_an_hour(client: FlaskClient, mara: User) -> None:
    sign_in(client)
    start = clock.now()
    by_itself = {"Sec-Fetch-Mode": "cors"}  # what a page fetches to follow along

    with clock.freeze(start + timedelta(minutes=29)):
        assert client.get("/admin/profile/", headers=by_itself).status_code == 200
    with clock.freeze(start + timedelta(minutes=31)):
        assert not is_in(client)
    with clock.freeze(start + timedelta(minutes=1)):
        assert is_in(client)


def test_who_types_a_long_text_stays_signed_in(client: FlaskClient, mara: User) -> None:
    sign_in(client)
    start = clock.now()

    with clock.freeze(start + timedelta(minutes=20)):
        client.head("/admin/profile/", headers={"Sec-Fetch-Mode": "cors", "X-Typing": "1"})
    with clock.freeze(start + timedelta(minutes=49)):
        assert is_in(client)


def test_a_use_is_written_down_once_a_minute(
    client: FlaskClient, mara: User, statements: list[str]
) -> None:
    sign_in(client)
    start = clock.now()
    written = []
    for seconds in (30, 59, 61, 90, 122):
        del statements[:]
        with clock.freeze(start + timedelta(seconds=seconds)):
            assert is_in(client)
        written.append(sum(s.startswith("UPDATE sign_in") for s in statements))

    assert written == [0, 0, 1, 0, 1]


def test_a_new_password_ends_all_other_sign_ins(app: Flask, mara: User) -> None:
    here, there = app.test_client(), app.test_client()
    sign_in(here)
    sign_in(there)
    assert is_in(there)

    answer = change_password(app, here, current=PASSWORD)

    assert answer.status_code == 303
    assert is_in(here)
    assert not is_in(there)
    assert sign_in(there).status_code == 401
    assert sign_in(there, password=OTHER_PASSWORD).status_code == 303


def test_the_current_password_is_asked_for(app: Flask, mara: User) -> None:
    client = app.test_client()
    sign_in(client)

    answer = change_password(app, client, current="something else")

    assert "This is not your current password." in answer.text
    assert sign_in(app.test_client()).status_code == 303


def test_deactivating_somebody_ends_their_access_at_once(app: Flask, mara: User) -> None:
    owner, client = sit(app, "Owner", "Olga"), app.test_client()
    sign_in(client)
    assert is_in(client)

    owner.post(f"/admin/staff/action/deactivate/{mara.id}")

    assert not is_in(client)
    assert sign_in(client).status_code == 401


def test_password_set_by_owner_ends_all_sign_ins(app: Flask, mara: User) -> None:
    owner, client = sit(app, "Owner", "Olga"), app.test_client()
    sign_in(client)

    owner.post(
        f"/admin/staff/{mara.id}/password", {"password": OTHER_PASSWORD, "repeat": OTHER_PASSWORD}
    )

    assert not is_in(client)
    assert sign_in(client, password=OTHER_PASSWORD).status_code == 303


def test_a_customer_is_nobody_here(client: FlaskClient, mara: User) -> None:
    with transaction():
        token = sessions.start("customer", mara.id)
    with client.session_transaction() as cookie:
        cookie["customer_token"] = token
        cookie[security.SESSION_KEY] = token

    assert not is_in(client)


@pytest.mark.parametrize(
    "path", ["/admin/customers/list/", "/admin/staff/add", "/admin/nope", "/admin/roles/show/Owner"]
)
def test_strangers_are_sent_to_the_sign_in_page(
    client: FlaskClient, session: Session, path: str
) -> None:
    answer = client.get(path)

    assert answer.status_code == 303
    assert answer.location.startswith("/admin/login/?next=")


def test_script_without_sign_in_gets_401(client: FlaskClient, session: Session) -> None:
    answer = client.get("/admin/orders/list/", headers={"Accept": "application/json"})

    assert answer.status_code == 401
    assert answer.get_json()["code"] == "signed_out"


def test_nothing_is_changed_without_the_forms_secret(app: Flask, session: Session) -> None:
    owner = sit(app, "Owner")

    answer = owner.client.post("/admin/profile/", data={"first_name": "Eve", "last_name": ""})

    assert answer.status_code == 400
    assert "Mara" in owner.text("/admin/profile/")


@pytest.mark.parametrize(
    "path",
    ["/admin/logout/", "/admin/shipping/delete/1", "/admin/shipping/action/x/1",
     "/admin/staff/action/deactivate/1", "/admin/profile/sign-out-elsewhere"],
)  # fmt: skip
def test_reading_never_changes_anything(app: Flask, session: Session, path: str) -> None:
    owner = sit(app, "Owner")

    assert owner.get(path).status_code in {404, 405}
    assert is_in(owner.client)


@pytest.mark.parametrize(
    "password, sentence",
    [
        ("short", "at least 12"),
        ("x" * 200, "at most 128"),
        ("Password1234", "Too many people"),
        ("aaaaaaaaaaaaaaa", "Too many people"),
        ("maralindt12345", "email address"),
        ("with\0nul-character", "cannot be part"),
    ],
)
def test_weak_passwords_are_refused_with_the_reason(password: str, sentence: str) -> None:
    with pytest.raises(Invalid, match=sentence) as refusal:
        passwords.check(password, email="maralindt@example.com")

    assert refusal.value.field == "password"


def test_flask_appbuilders_own_commands_obey_the_password_rules(
    app: Flask, session: Session
) -> None:
    manager = app.extensions["appbuilder"].sm
    role = db.session.scalars(select(Role).where(Role.name == "Owner")).one()

    with app.app_context():
        with pytest.raises(Invalid):
            manager.add_user("eve", "Eve", "X", "eve@example.com", role, password="eve")

        assert manager.find_user("eve") is None


# -- how often one may try ------------------------------------------------------------------------


@pytest.fixture
def limited(running: Servers, app: Flask, session: Session, tmp_path: Path) -> Iterator[Flask]:
    """The admin alone, with its limits switched on, on the test's own transaction."""
    strict = Flask("shop", root_path=app.root_path, template_folder="../templates")
    settings = make_settings(str(db.engine().url), running.redis_url, tmp_path, RATE_LIMITS="on")
    limits = {"RATELIMIT_ENABLED": True, "RATELIMIT_STORAGE_URI": running.redis_url}
    strict.config.update(app.config | {"SETTINGS": settings} | limits)
    strict.jinja_env.trim_blocks = strict.jinja_env.lstrip_blocks = True
    CSRFProtect(strict)
    Limiter(get_remote_address, app=strict)
    admin.init_app(strict)
    redis.client().flushall()
    yield strict
    redis.client().flushall()


def test_guessing_one_account_stops_after_ten_failures(limited: Flask, mara: User) -> None:
    client = limited.test_client()

    tries = [sign_in(client, password=f"wrong guess {n}").status_code for n in range(12)]

    assert tries == [401] * 10 + [429] * 2


def test_rate_limit_answer_is_a_styled_page(limited: Flask, mara: User) -> None:
    client = limited.test_client()
    for n in range(10):
        sign_in(client, password=f"wrong guess {n}")

    answer = sign_in(client)

    assert answer.status_code == 429
    assert "Too many attempts" in answer.text
    assert 0 < int(answer.headers["Retry-After"]) <= 600


def test_known_device_signs_in_past_a_network_limit(limited: Flask, mara: User) -> None:
    known, stranger = limited.test_client(), limited.test_client()
    assert sign_in(known).status_code == 303
    known.delete_cookie("shop")

    flood = [sign_in(stranger, password=f"wrong guess {n}").status_code for n in range(31)]

    assert flood[-1] == 429
    assert sign_in(stranger).status_code == 429
    assert sign_in(known, password="a slip of the pen").status_code == 401
    assert sign_in(known).status_code == 303


def test_sign_in_stays_limited_while_redis_is_away(
    limited: Flask, mara: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise RedisAway

    limiter = next(iter(limited.extensions["limiter"]))
    for method in ("hit", "test", "get_window_stats"):
        monkeypatch.setattr(limiter.limiter, method, away)
    monkeypatch.setattr(limiter, "_in_memory_fallback_enabled", True)
    monkeypatch.setattr(limiter, "_fallback_storage", MemoryStorage())
    monkeypatch.setattr(
        limiter, "_fallback_limiter", FixedWindowRateLimiter(limiter._fallback_storage)
    )
    client = limited.test_client()

    tries = [sign_in(client, password=f"wrong guess {n}").status_code for n in range(12)]

    assert tries[0] == 401 and tries[-1] == 429


def test_trying_many_accounts_from_one_address_stops(limited: Flask, mara: User) -> None:
    client = limited.test_client()

    tries = [sign_in(client, email=f"guess{n}@example.com").status_code for n in range(32)]

    assert tries == [401] * 30 + [429] * 2


def test_one_address_cannot_lock_somebody_out_everywhere(limited: Flask, mara: User) -> None:
    stranger, client = limited.test_client(), limited.test_client()
    for n in range(12):
        sign_in(stranger, password=f"wrong guess {n}")

    client.environ_base["REMOTE_ADDR"] = "198.51.100.7"
    answer = sign_in(client)

    assert answer.status_code == 303


def test_signing_in_rightly_is_not_counted_against_account(limited: Flask, mara: User) -> None:
    for _ in range(12):
        assert sign_in(limited.test_client()).status_code == 303
