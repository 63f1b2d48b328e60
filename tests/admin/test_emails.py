"""Emails, jobs and money tasks: what staff read there, and what they may do about it."""

import pytest
from flask import Flask
from sqlalchemy import select, update

from shop.core.db import session, transaction
from shop.core.events import EventRecord
from shop.core.reaction_runs import ReactionRun
from shop.notifications import EmailMessage
from shop.payments import Task
from shop.payments.tasks import open_task
from tests.admin.desk import Desk, sit
from tests.cast import Cast


@pytest.fixture
def owner(app: Flask, cast: Cast) -> Desk:
    return sit(app, "Owner")


def stored_email(kind: str = "receipt", state: str = "failed", order_id: int | None = None) -> int:
    with transaction():
        made = EmailMessage(
            key=f"{kind}:1",
            kind=kind,
            recipient="ada@example.com",
            subject="Thank you",
            text="Hello Ada, https://shop.example/orders/1",
            html='<p style="color:red">Hello <a href="https://shop.example/o">Ada</a></p>',
            state=state,
            error="No route to host" if state == "failed" else "",
            order_id=order_id,
        )
        session.add(made)
        session.flush()
        return made.id


def job(order_id: int, state: str = "dead") -> int:
    with transaction():
        event = session.scalars(
            select(EventRecord).where(EventRecord.order_id == order_id).limit(1)
        ).one()
        made = ReactionRun(
            event_id=event.id, reaction="send_receipt", state=state, attempts=8, error="It broke"
        )
        session.add(made)
        session.flush()
        return made.id


def test_email_is_listed_and_shown_in_a_sandbox(owner: Desk, cast: Cast) -> None:
    order = cast.paid_order
    pk = stored_email(order_id=order.id)

    listed = owner.text("/admin/mail/list/?tab=failed&q=ada@")
    page = owner.get(f"/admin/mail/show/{pk}")
    letter = owner.get(f"/admin/mail/html/{pk}")

    assert order.number in listed
    assert "frame-src 'self'" in page.headers["Content-Security-Policy"]
    policy = letter.headers["Content-Security-Policy"]
    assert "sandbox allow-popups" in policy
    assert "script" not in policy
    assert letter.headers["X-Frame-Options"] == "SAMEORIGIN"


def test_other_pages_cannot_be_framed(owner: Desk) -> None:
    headers = owner.get("/admin/mail/list/").headers

    assert headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def test_failed_email_is_sent_again(owner: Desk) -> None:
    pk = stored_email()

    owner.post(f"/admin/mail/{pk}/retry")

    assert session.get_one(EmailMessage, pk).state == "queued"


def test_sent_email_is_not_sent_twice(owner: Desk) -> None:
    pk = stored_email(state="sent")

    status, answer = owner.ask(f"/admin/mail/{pk}/retry")

    assert status == 409
    assert answer["error"] == "Only a failed email can be sent again."


def test_only_owners_see_emails_with_sign_in_links(app: Flask, owner: Desk) -> None:
    pk = stored_email("password_link", "kept")
    support = sit(app, "Support", "Sam")

    assert owner.get(f"/admin/mail/html/{pk}").status_code == 200
    for page in ("show", "html"):
        assert support.get(f"/admin/mail/{page}/{pk}").status_code == 403


@pytest.mark.parametrize(
    ("role", "sees", "sends"),
    [("Manager", 200, 303), ("Support", 200, 303), ("Viewer", 200, 403), ("Warehouse", 403, 403)],
)
def test_who_sees_and_who_resends_emails(
    app: Flask, cast: Cast, role: str, sees: int, sends: int
) -> None:
    pk = stored_email()
    desk = sit(app, role)

    assert desk.get("/admin/mail/list/").status_code == sees
    assert desk.post(f"/admin/mail/{pk}/retry").status_code == sends


def test_dead_job_says_why_and_is_tried_again(owner: Desk, cast: Cast) -> None:
    pk = job(cast.paid_order.id)

    assert "It broke" in owner.text("/admin/jobs/list/?tab=dead")
    owner.post(f"/admin/jobs/action/retry/{pk}")

    state = session.execute(
        select(ReactionRun.state, ReactionRun.attempts).where(ReactionRun.id == pk)
    ).one()
    assert tuple(state) == ("due", 0)


def test_job_that_is_done_is_not_done_again(owner: Desk, cast: Cast) -> None:
    pk = job(cast.paid_order.id, state="done")
    session.execute(update(ReactionRun).where(ReactionRun.id == pk).values(attempts=1))

    owner.post(f"/admin/jobs/action/retry/{pk}")

    assert session.scalar(select(ReactionRun.state).where(ReactionRun.id == pk)) == "done"


def test_task_about_money_is_closed_by_whoever_looked(owner: Desk, cast: Cast) -> None:
    order = cast.paid_order
    with transaction():
        open_task("late", "7", "The amount differs.", order_id=order.id)
    pk = session.scalars(select(Task.id)).one()
    before = owner.text("/admin/payments/list/")

    owner.post(f"/admin/payments/tasks/{pk}/close")

    assert "The amount differs." in before
    assert order.number in before
    assert session.get_one(Task, pk).closed_by == "Mara Lindt"


@pytest.mark.parametrize(
    ("role", "sees", "closes"),
    [("Finance", 200, 303), ("Support", 200, 403), ("Viewer", 200, 403), ("Warehouse", 403, 403)],
)
def test_who_sees_and_who_closes_tasks(
    app: Flask, cast: Cast, role: str, sees: int, closes: int
) -> None:
    order_id = cast.paid_order.id
    with transaction():
        open_task("late", "7", "The amount differs.", order_id=order_id)
    pk = session.scalars(select(Task.id)).one()
    desk = sit(app, role)

    assert desk.get("/admin/payments/list/").status_code == sees
    assert desk.post(f"/admin/payments/tasks/{pk}/close").status_code == closes


@pytest.mark.parametrize(
    "path",
    ["/admin/mail/show/999999", "/admin/mail/html/999999", "/admin/mail/show/99999999999999999999"],
)
def test_what_is_not_there_is_not_found(owner: Desk, path: str) -> None:
    assert owner.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/admin/mail/", "/admin/jobs/", "/admin/payments/"])
def test_the_short_addresses_lead_to_the_lists(owner: Desk, path: str) -> None:
    assert owner.get(path).location == f"{path}list/"
    assert owner.get(f"{path}list/").status_code == 200
