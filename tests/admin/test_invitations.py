"""Invitations: one link, once, for seven days; nobody gets in by another way or above their own."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from flask_appbuilder.security.sqla.models import Role, User
from sqlalchemy import select
from sqlalchemy.orm import Session

from shop.admin.staff import accounts, invitations
from shop.audit import AuditAction, AuditEntry
from shop.core import clock, mail, tokens
from shop.core.db import session as database
from shop.core.db import transaction
from shop.core.errors import DomainError, Invalid, NotFound
from shop.notifications import with_secret, without_secret
from shop.staff import INVITATION, Invitation
from tests.admin.desk import Desk, sit
from tests.admin.strangers import Stranger, emails_of, link_in

PASSWORD = "a quiet kiln of clay"
NEW = {"password": PASSWORD, "repeat": PASSWORD}
KIND = "staff_invitation_link"
GONE = "This link is no longer valid"


@pytest.fixture
def olga(app: Flask, session: Session) -> Desk:
    """The Owner."""
    return sit(app, "Owner", "Olga")


def role(name: str) -> Role:
    return database.scalars(select(Role).where(Role.name == name)).one()


def user(email: str = "pia@example.com") -> User:
    database.expire_all()
    return database.scalars(select(User).where(User.email == email)).one()


def invite(desk: Desk, *, held: str = "Support") -> str:
    """Invite Pia. Returns the path of her link."""
    answer = desk.post(
        "/admin/staff/add",
        {"first_name": "Pia", "last_name": "Berg", "email": "pia@example.com",
         "roles": [role(held).id]},
    )  # fmt: skip
    assert answer.status_code == 303, answer.text
    return link_in(emails_of(KIND)[-1])


def act(desk: Desk, action: str) -> None:
    desk.post(f"/admin/staff/action/{action}/{user().id}")


def test_invited_person_joins_with_own_password(app: Flask, olga: Desk) -> None:
    link = invite(olga)
    pia = Stranger(app)

    page = pia.get(link)
    assert page.request.path == "/admin/invitation/"
    assert "Olga Lindt invites you" in page.text and "Support" in page.text
    answer = pia.send(link, **NEW)

    assert answer.status_code == 303 and answer.location == "/admin/"
    assert pia.is_in()
    assert [one.name for one in user().roles] == ["Support"]
    assert Stranger(app).send("/admin/login/", username="pia@example.com", password=PASSWORD)


def test_joining_stands_in_the_audit(app: Flask, olga: Desk) -> None:
    Stranger(app).send(invite(olga), **NEW)

    entries = database.scalars(
        select(AuditEntry).where(AuditEntry.actor_id == user().id).order_by(AuditEntry.id)
    ).all()

    assert {one.actor_name for one in entries} == {"Pia Berg"}
    done = [(one.action, one.record_type) for one in entries]
    assert (AuditAction.UPDATE, "ab_user") in done and (AuditAction.SIGN_IN, "ab_user") in done


def test_email_says_who_invites_to_what(olga: Desk) -> None:
    invite(olga)

    (message,) = emails_of(KIND)

    assert message.recipient == "pia@example.com"
    assert "Olga Lindt invites you" in message.text and "as Support" in message.text
    assert with_secret(message).html.count("/admin/invitation/") == 1
    assert "(hidden)" in without_secret(message).text
    assert "/admin/invitation/" not in without_secret(message).html


def test_only_a_hash_of_the_link_is_stored(olga: Desk) -> None:
    secret = invite(olga).rpartition("/")[2]

    (message,) = emails_of(KIND)

    assert secret not in message.text + message.html + message.key


def test_invited_account_cannot_sign_in(app: Flask, olga: Desk) -> None:
    invite(olga)
    stranger = Stranger(app)

    for password in ("", "x", PASSWORD):
        stranger.send("/admin/login/", username="pia@example.com", password=password)

    assert not stranger.is_in()
    assert not user().active and user().password is None


def test_looking_does_not_use_the_link_up(app: Flask, olga: Desk) -> None:
    link = invite(olga)
    for _ in range(3):
        assert Stranger(app).get(link).status_code == 200

    assert Stranger(app).send(link, **NEW).status_code == 303


def test_link_works_once(app: Flask, olga: Desk) -> None:
    link = invite(olga)
    Stranger(app).send(link, **NEW)
    thief = Stranger(app)

    answer = thief.send(link, password="nine blue herons walk", repeat="nine blue herons walk")

    assert answer.status_code == 404 and GONE in answer.text
    assert not thief.is_in()


def test_weak_password_leaves_the_link_good(app: Flask, olga: Desk) -> None:
    link, pia = invite(olga), Stranger(app)

    refused = pia.send(link, password="piaberg12345", repeat="piaberg12345")
    differs = pia.send("/admin/invitation/", password=PASSWORD, repeat="something else")

    assert refused.status_code == 422 and "Do not build the password from" in refused.text
    assert differs.status_code == 422 and "do not match" in differs.text
    assert pia.send("/admin/invitation/", **NEW).status_code == 303


def test_link_ends_after_seven_days(app: Flask, olga: Desk) -> None:
    link, now = invite(olga), clock.now()

    with clock.freeze(now + timedelta(days=6, hours=23)):
        assert Stranger(app).get(link).status_code == 200
    with clock.freeze(now + timedelta(days=7, minutes=1)):
        assert Stranger(app).send(link, **NEW).status_code == 404


def test_resent_invitation_kills_the_old_link(app: Flask, olga: Desk) -> None:
    old = invite(olga)

    act(olga, "resend")
    new = link_in(emails_of(KIND)[-1])

    assert new != old
    assert Stranger(app).send(old, **NEW).status_code == 404
    assert Stranger(app).send(new, **NEW).status_code == 303


def test_corrected_address_kills_the_link_in_the_wrong_mailbox(app: Flask, olga: Desk) -> None:
    wrong = invite(olga)
    form = {"first_name": "Pia", "last_name": "Berg", "email": "right@example.com",
            "roles": [role("Support").id]}  # fmt: skip

    assert olga.post(f"/admin/staff/edit/{user().id}", form).status_code == 303
    newest = emails_of(KIND)[-1]

    assert newest.recipient == "right@example.com"
    assert Stranger(app).send(wrong, **NEW).status_code == 404
    assert Stranger(app).send(link_in(newest), **NEW).status_code == 303


def test_email_still_unsent_when_resent_leads_nowhere(app: Flask, olga: Desk) -> None:
    invite(olga)
    about = emails_of(KIND)[-1].staff_link_id
    assert about is not None
    act(olga, "resend")

    with transaction():
        late = tokens.issue(INVITATION, about, minutes=30)

    with pytest.raises(NotFound):
        invitations.of_link(late)


def test_revoked_invitation_leads_nowhere(app: Flask, olga: Desk) -> None:
    link = invite(olga)

    act(olga, "revoke")

    assert Stranger(app).send(link, **NEW).status_code == 404
    assert not user().active
    assert "Invitation revoked" in olga.text("/admin/staff/list/")


def test_revoked_while_the_form_is_open(app: Flask, olga: Desk) -> None:
    link, pia = invite(olga), Stranger(app)
    assert pia.get(link).status_code == 200

    act(olga, "revoke")

    assert pia.send("/admin/invitation/", **NEW).status_code == 404
    assert not pia.is_in()


def test_deactivated_after_joining_stays_out(app: Flask, olga: Desk) -> None:
    link, pia = invite(olga), Stranger(app)
    pia.send(link, **NEW)

    act(olga, "deactivate")

    assert not pia.is_in()
    assert pia.send(link, **NEW).status_code == 404


@pytest.mark.parametrize("action", ["activate", "deactivate"])
def test_invited_person_is_not_let_in_by_other_ways(olga: Desk, action: str) -> None:
    invite(olga)

    act(olga, action)
    answer = olga.post(f"/admin/staff/{user().id}/password", NEW)

    assert answer.status_code == 403
    assert not user().active and user().password is None


def test_list_says_who_is_invited_until_when(olga: Desk) -> None:
    invite(olga)
    until = database.scalars(select(Invitation.expires_at)).one()

    page = olga.text("/admin/staff/list/?tab=invited")

    assert ">Invited<" in page and until.isoformat(timespec="seconds")[:16] in page
    assert "Pia Berg" not in olga.text("/admin/staff/list/?tab=off")
    record = olga.text(f"/admin/staff/show/{user().id}")
    assert "Resend invitation" in record and "Revoke invitation" in record
    assert "Set password" not in record and "Olga Lindt" in record
    with clock.freeze(clock.now() + timedelta(days=8)):
        desk = sit(olga.app, "Owner", "Otto")
        assert "Invitation expired" in desk.text("/admin/staff/list/")


def test_same_address_is_not_invited_twice(olga: Desk) -> None:
    invite(olga)
    form = {"first_name": "Pia", "last_name": "B", "email": "PIA@example.com",
            "roles": [role("Support").id]}  # fmt: skip

    answer = olga.post("/admin/staff/add", form)

    assert answer.status_code == 422 and "is invited" in answer.text


def test_nobody_invites_above_their_own(session: Session, app: Flask) -> None:
    sit(app, "Manager", "Max")
    max_ = user("max.manager@example.com")

    with pytest.raises(accounts.NotAllowed, match="more permissions"), transaction():
        invitations.invite(
            email="eve@example.com", first_name="Eve", last_name="", held=[role("Owner")], by=max_
        )

    assert database.scalar(select(User.id).where(User.email == "eve@example.com")) is None


def test_nobody_resends_or_revokes_above_their_own(app: Flask, olga: Desk) -> None:
    invite(olga, held="Owner")
    sit(app, "Manager", "Max")
    max_ = user("max.manager@example.com")

    for act_on in (invitations.resend, invitations.revoke):
        with pytest.raises(accounts.NotAllowed), transaction():
            act_on(user(), by=max_)


def test_invited_owner_is_no_owner_yet(app: Flask, olga: Desk) -> None:
    invite(olga, held="Owner")
    owner = user("olga.owner@example.com")

    with pytest.raises(accounts.LastOwner), transaction():
        accounts._keep_an_owner(without=owner)


@pytest.mark.parametrize("name", ["Manager", "Support", "Viewer"])
def test_only_owners_read_links_of_staff(app: Flask, olga: Desk, name: str) -> None:
    link = invite(olga)
    (message,) = emails_of(KIND)

    assert link.rpartition("/")[2] in olga.text(f"/admin/mail/show/{message.id}")
    answer = sit(app, name).get(f"/admin/mail/show/{message.id}")
    assert link.rpartition("/")[2] not in answer.text


def test_of_two_at_once_one_joins(app: Flask, live_database: str) -> None:
    app.extensions["staff"].install()
    with app.app_context(), transaction():
        held = database.scalars(select(Role).where(Role.name == "Support")).one()
        pia = invitations.invite(
            email="pia@example.com", first_name="Pia", last_name="", held=[held], by=None
        )
        token = invitations.new_link(pia)

    def join(password: str) -> str:
        with app.app_context():
            try:
                with transaction():
                    invitations.accept(token, password)
            except DomainError as refusal:
                return refusal.code
            finally:
                database.remove()
        return password

    words = ["nine blue herons walk", PASSWORD, "twelve warm lamps", "a lamp beside the sea"]
    with ThreadPoolExecutor(4) as hands:
        ends = sorted(hands.map(join, words))

    assert len([end for end in ends if end in words]) == 1
    assert ends.count("not_found") == 3


# -- by command ------------------------------------------------------------------------------------


def run(app: Flask, *arguments: str) -> tuple[int, str]:
    answer = app.test_cli_runner().invoke(args=["shop", *arguments])
    return answer.exit_code, answer.output


def test_command_invites_and_shows_the_link_once(app: Flask, session: Session) -> None:
    code, said = run(app, "staff", "invite", "Pia@example.com", "--role", "Support")

    link = said.rpartition("http://localhost")[2].strip()
    assert code == 0 and "is on its way" in said
    assert Stranger(app).send(link, **NEW).status_code == 303
    assert user().active
    assert emails_of(KIND) == []


def test_command_hides_the_link_where_emails_are_sent(app: Flask, session: Session) -> None:
    mail.configure("smtp://127.0.0.1:9", "shop@example.com")

    code, said = run(app, "staff", "invite", "pia@example.com", "--role", "Support")

    assert code == 0 and "/admin/invitation/" not in said


def test_command_sends_again_and_refuses_in_words(app: Flask, session: Session) -> None:
    first = run(app, "staff", "invite", "pia@example.com", "--role", "Support")[1]
    code, _ = run(app, "staff", "invite", "pia@example.com", "--role", "Manager")
    assert code == 0
    assert [one.name for one in user().roles] == ["Manager"]
    old = first.rpartition("http://localhost")[2].strip()
    assert Stranger(app).send(old, **NEW).status_code == 404

    assert run(app, "staff", "invite", "eve@example.com", "--role", "King")[0] == 1
    assert run(app, "staff", "invite", "no address", "--role", "Support")[0] == 1


def test_first_owner_is_invited_once(app: Flask, session: Session) -> None:
    staff = app.extensions["staff"]

    link = staff.invite_owner("first@example.com")
    assert staff.invite_owner("second@example.com") is None
    with clock.freeze(clock.now() + timedelta(days=8)):
        again = staff.invite_owner("first@example.com")
        assert again and again != link
        assert Stranger(app).send(again, **NEW).status_code == 303

        assert staff.has_owner()
        assert staff.invite_owner("first@example.com") is None
    with pytest.raises(Invalid), transaction():
        invitations.invite_by_command("first@example.com", "Support")


def test_production_invites_its_first_owner(
    app: Flask, live_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail.configure("smtp://127.0.0.1:9", "shop@example.com")
    settings = app.config["SETTINGS"]
    monkeypatch.setitem(app.config, "SETTINGS", replace(settings, env="production"))

    said = [
        run(app, "init"),
        run(app, "init", "--owner-email", "first@example.com"),
        run(app, "init", "--owner-email", "first@example.com"),
    ]

    assert [code for code, _ in said] == [0, 0, 0]
    assert "has no owner yet" in said[0][1]
    assert "The invitation to first@example.com is on its way" in said[1][1]
    assert said[2][1].endswith("The shop is up to date.\n")
    assert not (settings.var / "owner.json").exists()
