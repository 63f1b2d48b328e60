"""A forgotten password: the same answer for everybody, one link, thirty minutes, all signed out."""

from datetime import timedelta

import pytest
from flask import Flask
from flask_appbuilder.security.sqla.models import User
from sqlalchemy import select
from sqlalchemy.orm import Session

from shop.admin.staff import accounts
from shop.audit import AuditAction, AuditEntry
from shop.core import clock, db
from shop.core.db import transaction
from tests.admin.strangers import FORM_TOKEN, Stranger, emails_of, link_in
from tests.admin.test_security import (
    EMAIL,
    OTHER_PASSWORD,
    PASSWORD,
    is_in,
    limited,
    mara,
    sign_in,
)

__all__ = ["limited", "mara"]
KIND, CHANGED = "staff_password_link", "staff_password_changed"
NEW = {"password": OTHER_PASSWORD, "repeat": OTHER_PASSWORD}


@pytest.fixture
def off(session: Session, mara: User) -> User:
    """Somebody who was deactivated."""
    with transaction():
        made = accounts.create(
            email="off@example.com", first_name="Off", last_name="", password=PASSWORD,
            held=mara.roles, by=None,
        )  # fmt: skip
        made.active = False
    return made


def again(person: User) -> User:
    found = db.session.get(User, person.id)
    assert found
    return found


def ask(app: Flask, email: str = EMAIL) -> None:
    assert Stranger(app).send("/admin/forgotten/", username=email).status_code == 200


def link(app: Flask) -> str:
    ask(app)
    return link_in(emails_of(KIND)[-1])


def test_new_password_signs_everybody_else_out(app: Flask, mara: User) -> None:
    client = app.test_client()
    sign_in(client)
    assert is_in(client)

    answer = Stranger(app).send(link(app), **NEW)

    assert answer.status_code == 303 and answer.location == "/admin/login/"
    assert not is_in(client)
    assert sign_in(app.test_client()).status_code == 401
    assert sign_in(app.test_client(), password=OTHER_PASSWORD).status_code == 303
    (told,) = emails_of(CHANGED)
    assert told.recipient == EMAIL and OTHER_PASSWORD not in told.text


def test_new_password_stands_in_the_audit(app: Flask, mara: User) -> None:
    Stranger(app).send(link(app), **NEW)

    (entry,) = db.session.scalars(select(AuditEntry).where(AuditEntry.actor_id == mara.id))

    assert (entry.action, entry.record_type) == (AuditAction.UPDATE, "ab_user")
    assert entry.actor_name == "Mara Lindt"


def test_every_address_gets_the_same_answer(app: Flask, off: User, statements: list[str]) -> None:
    answers = []
    for email in (EMAIL, "nobody@example.com", "off@example.com", "no address", "a\0b"):
        stranger = Stranger(app)
        found = FORM_TOKEN.search(stranger.get("/admin/forgotten/").text)
        assert found
        del statements[:]
        with app.app_context():
            answer = stranger.client.post(
                "/admin/forgotten/", data={"csrf_token": found[1], "username": email}
            )
        answers.append((answer.status_code, len(answer.data), [s[:60] for s in statements]))

    assert answers[0][0] == 200
    assert all(one == answers[0] for one in answers)
    assert len(answers[0][2]) == 2
    assert [message.recipient for message in emails_of(KIND)] == [EMAIL]


def test_link_works_once(app: Flask, mara: User) -> None:
    path = link(app)
    Stranger(app).send(path, **NEW)

    again = Stranger(app).send(path, password=PASSWORD, repeat=PASSWORD)

    assert again.status_code == 404 and "Ask for a new link" in again.text
    assert sign_in(app.test_client(), password=OTHER_PASSWORD).status_code == 303


def test_link_ends_after_thirty_minutes(app: Flask, mara: User) -> None:
    path, now = link(app), clock.now()

    with clock.freeze(now + timedelta(minutes=29)):
        assert Stranger(app).get(path).status_code == 200
    with clock.freeze(now + timedelta(minutes=31)):
        assert Stranger(app).send(path, **NEW).status_code == 404


def test_weak_password_leaves_the_link_good(app: Flask, mara: User) -> None:
    path, stranger = link(app), Stranger(app)

    assert stranger.send(path, password="Password1234", repeat="Password1234").status_code == 422

    assert stranger.send("/admin/forgotten/new", **NEW).status_code == 303


def test_deactivated_meanwhile_gets_no_password(app: Flask, mara: User) -> None:
    path = link(app)
    with transaction():
        again(mara).active = False

    answer = Stranger(app).send(path, **NEW)

    assert answer.status_code == 404
    assert sign_in(app.test_client(), password=OTHER_PASSWORD).status_code == 401


def test_password_changed_meanwhile_kills_the_link(app: Flask, mara: User) -> None:
    path = link(app)
    with transaction():
        accounts.set_password(again(mara), OTHER_PASSWORD)

    assert Stranger(app).get(path).status_code == 404


def test_address_changed_meanwhile_kills_the_link(app: Flask, mara: User) -> None:
    path = link(app)
    with transaction():
        person = again(mara)
        accounts.change(
            person, email="new@example.com", first_name="Mara", last_name="", held=person.roles,
            by=person,
        )  # fmt: skip

    assert Stranger(app).get(path).status_code == 404


def test_invited_person_gets_no_password_link(app: Flask, mara: User) -> None:
    with transaction():
        accounts.create_inactive(
            email="pia@example.com", first_name="Pia", last_name="", held=mara.roles, by=None
        )

    ask(app, "pia@example.com")

    assert emails_of(KIND) == []


def test_one_mailbox_gets_five_links_an_hour(app: Flask, mara: User) -> None:
    for _ in range(7):
        ask(app)

    assert len(emails_of(KIND)) == 5


def test_link_comes_from_the_settings_not_the_request(app: Flask, mara: User) -> None:
    answer = app.test_client().post("/admin/forgotten/", headers={"Host": "evil.example"})

    assert answer.status_code == 400
    assert link(app).startswith("/admin/forgotten/")


def test_secret_leaves_the_address_at_once(app: Flask, mara: User) -> None:
    path = link(app)

    with app.app_context():
        answer = app.test_client().get(path)

    assert answer.status_code == 303 and answer.location == "/admin/forgotten/new"
    assert answer.headers["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize(
    "path",
    ["/admin/forgotten/" + "x" * 32, "/admin/forgotten/new", "/admin/invitation/"],
)
def test_what_is_no_link_is_said_to_be_stale(app: Flask, session: Session, path: str) -> None:
    answer = Stranger(app).get(path)

    assert answer.status_code == 404 and "no longer valid" in answer.text


def test_what_can_be_no_link_leaves_the_one_that_is_kept(app: Flask, mara: User) -> None:
    stranger = Stranger(app)
    assert stranger.get(link(app)).status_code == 200

    for odd in ("x", "%00", "base.css", "x" * 200):
        assert stranger.get(f"/admin/forgotten/{odd}").status_code == 404

    assert stranger.send("/admin/forgotten/new", **NEW).status_code == 303


def test_asking_is_limited_as_signing_in_is(limited: Flask, mara: User) -> None:
    client = limited.test_client()
    found = FORM_TOKEN.search(client.get("/admin/forgotten/").text)
    assert found

    def asked(email: str) -> int:
        data = {"csrf_token": found[1], "username": email}
        return client.post("/admin/forgotten/", data=data).status_code

    assert [asked(EMAIL) for _ in range(11)] == [200] * 10 + [429]
    others = [asked(f"guess{n}@example.com") for n in range(25)]
    assert others[0] == 200 and others[-1] == 429
