"""Staff never see a secret that would let them act as somebody else: on no page, in no API answer.

The database holds real secrets of every kind. Every page and every answer is opened as a Viewer and
as those who may more; none of the secrets may be in there.
"""

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from flask_appbuilder.security.sqla.models import Role
from sqlalchemy import select, text, update
from werkzeug.routing import Rule

from shop import customers, notifications, orders
from shop.admin.staff import accounts, invitations
from shop.api import tokens as api_tokens
from shop.core import idempotency, sessions
from shop.core.db import session, transaction
from shop.notifications import EmailMessage
from shop.payments.models import Payment, WebhookDelivery
from tests import cast as people
from tests.admin.desk import Desk, sit
from tests.cast import PASSWORD, Cast
from tests.notifications.test_emails import work

CLIENT_SECRET = "pi_canary_secret_1a2b3c4d5e6f"
# Columns whose values let whoever has them act, or guess a password.
SECRET_COLUMNS = {
    "order": ("token",),
    "cart": ("token",),
    "payment": ("client_secret",),
    "mail_message": ("link_token",),
    "customer": ("password_hash",),
    "ab_user": ("password",),
    "sign_in": ("digest",),
    "api_token": ("digest",),
    "one_time_token": ("digest",),
}


@pytest.fixture
def full_shop(cast: Cast) -> Cast:
    """A shop with a row of every kind that could show a secret."""
    order, ada = cast.paid_order, cast.ada
    with transaction():
        orders.ship(orders.lock(order.id), {order.lines[0].id: 1}, carrier="DHL")
        customers.register("new@example.com", PASSWORD, "New")
        customers.register(ada.email, PASSWORD, "Ada")
        customers.request_password_reset(ada.email)
        customers.request_guest_orders(ada.id)
        customers.sign_in(ada)
        api_tokens.open_sign_in("customer", ada.id)
        payment = session.scalars(select(Payment).where(Payment.order_id == order.id)).one()
        payment.client_secret = CLIENT_SECRET
        about = {"id": payment.intent_id, "client_secret": CLIENT_SECRET}
        session.add(
            WebhookDelivery(
                stripe_event_id="evt_1",
                type="payment_intent.succeeded",
                object_id=str(payment.intent_id),
                payload={"id": "evt_1", "data": {"object": about}},
            )
        )
        claimed = idempotency.claim("cart:x", "key", "0")
        assert isinstance(claimed, idempotency.Claim)
        idempotency.store(claimed, 201, {"token": order.token})
        held = session.scalars(select(Role).where(Role.name == "Support")).all()
        invitations.invite(
            email="pia@example.com", first_name="Pia", last_name="", held=held, by=None
        )
        person = accounts.create(
            email="mara@example.com", first_name="Mara", last_name="", password=PASSWORD,
            held=held, by=None,
        )  # fmt: skip
        accounts.request_password(person.email)
    people.filled_cart(cast.lamp)
    work()
    return cast


def deliver_all() -> None:
    """As in production, where no email stays in the mailbox; the secrets of links are gone."""
    with transaction():
        session.execute(
            update(EmailMessage)
            .where(EmailMessage.state == "kept")
            .values(state="sent", link_token=None)
        )


def secrets() -> set[str]:
    """All secrets that are in the database now."""
    session.expire_all()
    found = {CLIENT_SECRET}
    for table, columns in SECRET_COLUMNS.items():
        for column in columns:
            rows = session.scalars(text(f'SELECT {column} FROM "{table}"'))
            found |= {value for value in rows if value}
    return found


def addresses(app: Flask, prefix: str) -> Iterator[str]:
    """Every address below ``prefix`` that can be opened, for each row that it could be about."""
    ids = {1}
    for table in ("order", "mail_message", "payment", "customer", "ab_user", "product", "variant"):
        ids |= set(session.scalars(text(f'SELECT id FROM "{table}" ORDER BY id DESC LIMIT 6')))
    numbers = set(session.scalars(select(orders.Order.number)))
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith(prefix) and "GET" in (rule.methods or ()):
            yield from _filled(rule, ids, numbers)


def _filled(rule: Rule, ids: set[int], numbers: set[str]) -> Iterator[str]:
    if not rule.arguments:
        yield rule.rule
    elif rule.arguments == {"number"}:
        yield from (re.sub(r"<[^>]+>", number, rule.rule) for number in numbers)
    elif len(rule.arguments) == 1 and "path" not in rule.arguments:
        yield from (re.sub(r"<[^>]+>", str(one), rule.rule) for one in sorted(ids))


def opened(desk: Desk, path: str) -> str:
    answer = desk.get(path)
    assert answer.status_code < 500, (path, answer.status_code)
    return answer.get_data(as_text=True) + str(answer.headers)


@pytest.mark.parametrize("role", ["Viewer", "Support", "Owner"])
def test_no_admin_page_shows_staff_a_secret(app: Flask, full_shop: Cast, role: str) -> None:
    desk = sit(app, role)
    if role == "Owner":  # who may use the links of the development mailbox
        deliver_all()
    hidden = secrets()
    assert len(hidden) > 12, "there are secrets to find"

    shown = {}
    for path in addresses(app, "/admin/"):
        body = opened(desk, path)
        leaked = {secret for secret in hidden if secret in body}
        if leaked:
            shown[path] = leaked

    assert shown == {}


@pytest.mark.parametrize("role", ["Owner", "Manager", "Support", "Viewer"])
def test_sent_email_links_are_dead_for_every_role(app: Flask, full_shop: Cast, role: str) -> None:
    deliver_all()
    desk, order = sit(app, role), full_shop.paid_order
    receipt = session.scalars(select(EmailMessage).where(EmailMessage.kind == "receipt")).one()

    html = desk.text(f"/admin/mail/html/{receipt.id}")
    page = desk.text(f"/admin/mail/show/{receipt.id}")

    (button,) = re.findall(r"<a([^>]*)>See your order", html)
    assert "href" not in button and order.token not in html + page
    assert "secret links are switched off here" in page
    assert f'href="/admin/orders/show/{order.id}"' in page


def test_owner_follows_links_of_the_development_mailbox(app: Flask, full_shop: Cast) -> None:
    receipt = session.scalars(select(EmailMessage).where(EmailMessage.kind == "receipt")).one()
    link = f"/orders/{full_shop.paid_order.number}?token={full_shop.paid_order.token}"

    owner, viewer, support = (sit(app, role) for role in ("Owner", "Viewer", "Support"))

    assert link in owner.text(f"/admin/mail/html/{receipt.id}")
    for dead in (viewer, support):
        html = dead.text(f"/admin/mail/html/{receipt.id}")
        (button,) = re.findall(r"<a([^>]*)>See your order", html)
        assert "href" not in button
        assert full_shop.paid_order.token not in html
        page = dead.text(f"/admin/mail/show/{receipt.id}")
        assert "secret links are switched off here" in page and "(hidden)" in page


def test_no_stored_email_holds_a_secret(full_shop: Cast) -> None:
    hidden = secrets()
    rows = list(session.scalars(select(EmailMessage)))
    links = {
        "confirm_link", "password_link", "orders_link", "staff_invitation_link",
        "staff_password_link",
    }  # fmt: skip
    assert {row.kind for row in rows} >= {"receipt", "shipped", *links}
    assert all(row.link_token for row in rows if row.kind in links)

    for row in rows:
        stored = row.subject + row.text + row.html + row.key
        assert not {secret for secret in hidden if secret in stored}, row.kind
        assert ("token=" in stored) is (row.order_id is not None)


@pytest.mark.parametrize("role", ["Viewer", "Support", "Owner"])
def test_no_api_answer_shows_staff_a_secret(app: Flask, full_shop: Cast, role: str) -> None:
    desk = sit(app, role)
    with transaction():
        user = session.scalar(
            select(sessions.SignIn.subject_id).order_by(sessions.SignIn.id.desc())
        )
        assert user is not None
        token = api_tokens.open_sign_in("staff", user).access_token
    client = app.test_client(use_cookies=False)
    hidden = secrets()
    seen = 0

    for path in addresses(app, "/api/v1/"):
        with app.app_context():
            answer = client.get(path, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code < 500, path
        seen += answer.status_code == 200
        assert not {secret for secret in hidden if secret in answer.text}, path

    assert seen > 10
    assert desk.name


def test_no_event_holds_a_secret(full_shop: Cast) -> None:
    hidden = secrets()
    for table in ("event", "broadcast", "delivery", "task"):
        for row in session.execute(text(f"SELECT row_to_json(t)::text FROM {table} t")):
            assert not {secret for secret in hidden if secret in row[0]}, (table, row[0][:200])


def test_typed_name_cannot_pull_secret_into_another_link(cast: Cast) -> None:
    with transaction():
        customers.register("eve@example.com", PASSWORD, "http://evil.example/?t=hidden_")
    work()

    (row,) = session.scalars(select(EmailMessage).where(EmailMessage.kind == "confirm_link"))

    assert row.secret_mark and row.link_token
    sent = notifications.with_secret(row)
    assert sent.text.count(row.link_token) == 1
    assert f"/account/confirm/{row.link_token}" in sent.text
