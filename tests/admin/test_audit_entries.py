"""What people do at the staff's doors leaves entries: signing in and out, and too much asked."""

import re

from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from shop.admin.staff import accounts
from shop.audit import AuditAction, AuditEntry
from shop.checkout.models import TaxRate
from shop.core.db import transaction
from tests.admin.desk import sit
from tests.admin.test_roles import role

PASSWORD = "a quiet kiln of clay"


def newest(session: Session, count: int = 1) -> list[AuditEntry]:
    """The newest entries, oldest of them first."""
    found = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(count))
    return list(found)[::-1]


def test_sign_ins_and_refused_ones_are_entries(app: Flask, session: Session) -> None:
    with transaction():
        user = accounts.create(
            email="noor@example.com", first_name="Noor", last_name="", password=PASSWORD,
            held=[role("Viewer")], by=None,
        )  # fmt: skip
    client = app.test_client()

    def sign_in(name: str, password: str) -> int:
        with app.app_context():
            page = client.get("/admin/login/").get_data(as_text=True)
            token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
            assert token
            form = {"csrf_token": token[1], "username": name, "password": password}
            return client.post("/admin/login/", data=form).status_code

    assert sign_in("nobody@example.com", "my password in the wrong field") == 401
    assert sign_in("noor@example.com", "wrong") == 401
    assert sign_in("noor@example.com", PASSWORD) == 303

    unknown, wrong, right = newest(session, 3)
    assert [one.action for one in (unknown, wrong, right)] == [
        AuditAction.SIGN_IN_REFUSED, AuditAction.SIGN_IN_REFUSED, AuditAction.SIGN_IN,
    ]  # fmt: skip
    assert (unknown.record_id, unknown.label, unknown.details) == ("", "", {})
    assert (wrong.actor_kind, wrong.record_id) == ("guest", str(user.id))
    assert (right.actor_kind, right.actor_id, right.actor_name) == ("staff", user.id, "Noor")
    assert (right.source, right.address) == ("admin", "127.0.0.1")


def test_signing_out_is_an_entry(app: Flask, session: Session) -> None:
    desk = sit(app, "Viewer")

    assert desk.post("/admin/logout/").status_code == 303

    (entry,) = newest(session)
    assert (entry.action, entry.actor_name) == (AuditAction.SIGN_OUT, desk.name)


def test_asking_for_more_than_the_role_has_is_an_entry(app: Flask, session: Session) -> None:
    desk = sit(app, "Viewer")

    assert desk.get("/admin/staff/list/").status_code == 403

    (entry,) = newest(session)
    assert (entry.action, entry.actor_name) == (AuditAction.REFUSED, desk.name)
    assert entry.details == {"method": "GET", "path": "/admin/staff/list/"}


def test_a_form_of_the_admin_is_an_entry(app: Flask, session: Session) -> None:
    desk = sit(app, "Owner")

    answer = desk.post("/admin/tax-rates/add", {"country": "NO", "tax_class": "zero", "rate": "0"})

    assert answer.status_code == 303, answer.get_data(as_text=True)
    made = session.scalars(select(TaxRate).where(TaxRate.country == "NO")).one()
    (entry,) = newest(session)
    assert (entry.record_type, entry.record_id) == ("tax_rate", str(made.id))
    assert (entry.actor_name, entry.source) == (desk.name, "admin")
    assert entry.changes["country"] == [None, "NO"]
