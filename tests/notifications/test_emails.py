"""Emails: written once per reason, sent until the server takes them."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import select, text

from shop import checkout, customers, notifications, orders, payments, reactions
from shop.core import clock, mail, reaction_runs, relay
from shop.core.db import session, transaction
from shop.core.reaction_runs import ReactionRun
from shop.notifications import with_secret
from shop.notifications.emails import MAX_PER_DAY, MAX_PER_HOUR
from shop.notifications.models import EmailMessage, EmailState
from shop.payments import intents, refund_news
from shop.realtime import broadcasts
from tests import cast as people
from tests.cast import PASSWORD, Cast
from tests.discounts.offers import offer


def work() -> list[str]:
    """Dispatch and deliver until nothing is left that talks to nobody but us."""
    states: list[str] = []
    while True:
        due_runs, _, claimed = relay.dispatch(reactions.REACTIONS, broadcasts.messages)
        if not claimed:
            return states
        states += [
            reaction_runs.run_reaction(due.run_id, reactions.BY_NAME)
            for due in due_runs
            if due.reaction != "close_intents"
        ]


def emails() -> list[EmailMessage]:
    return list(session.scalars(select(EmailMessage).order_by(EmailMessage.id)))


def test_paid_order_gets_one_receipt_with_secret_link(cast: Cast) -> None:
    order = cast.paid_order

    work()

    (receipt,) = emails()
    link = f"/orders/{order.number}?token={order.token}"
    assert receipt.recipient == "ada@example.com"
    assert receipt.state == "kept"
    assert order.number in receipt.subject
    sent = with_secret(receipt)
    assert link in sent.text and link.replace("&", "&amp;") in sent.html
    assert order.token not in receipt.text + receipt.html
    assert "€42.90" in receipt.text and "2 x Tidal mug" in receipt.text
    assert "10117 Berlin\n  Germany" in receipt.text and "10117 Berlin<br>Germany" in receipt.html


def test_free_order_is_confirmed_without_payment(cast: Cast) -> None:
    offer("All free", value=10_000)
    offer("Free delivery", kind="free_shipping", value=0)
    order = people.order(cast.mug, 2)

    work()
    with transaction():
        payments.cancel_order(orders.lock(order.id), reason="customer")
    work()

    receipt, cancelled = emails()
    assert receipt.subject == f"Your order {order.number} is confirmed"
    for words in (receipt.text, receipt.html):
        assert "There is nothing to pay, and we are packing your order." in words
        assert "payment" not in words
    assert "your order.\n\n  2 x Tidal mug" in receipt.text
    assert "You were not charged." in cancelled.text


def test_link_to_guest_orders_goes_to_the_account(cast: Cast) -> None:
    ada_id = cast.ada.id
    with transaction():
        customers.request_guest_orders(ada_id)

    work()

    emailed = next(one for one in emails() if one.kind == "orders_link")
    assert emailed.recipient == "ada@example.com"
    assert "/account/claim/" in emailed.text and "/account/claim/" in emailed.html


def test_each_shipment_has_an_email_with_its_number(cast: Cast) -> None:
    order = cast.paid_order
    line_id = order.lines[0].id
    for number in ("T-1", "T-2"):
        with transaction():
            orders.ship(orders.lock(order.id), {line_id: 1}, carrier="DHL", tracking_number=number)
        work()

    shipped = [m for m in emails() if m.kind == "shipped"]
    assert ["T-1" in shipped[0].text, "T-2" in shipped[1].text] == [True, True]
    assert "follows in another shipment" in shipped[0].text


def test_email_dates_use_the_shop_time_zone(cast: Cast) -> None:
    order = cast.paid_order
    late = clock.now().replace(hour=23, minute=30)  # in Berlin it is the next day already
    with clock.freeze(late), transaction():
        orders.ship(orders.lock(order.id))

    work()

    (shipped,) = [m for m in emails() if m.kind == "shipped"]
    assert f"{late + timedelta(days=1):%-d %B %Y}" in shipped.text


def test_names_cannot_forge_html_or_headers(cast: Cast) -> None:
    order = cast.paid_order
    order.customer_name = "<script>alert(1)</script>"

    work()

    assert "<script>" not in emails()[0].html


def test_known_and_unknown_addresses_get_the_same_answer(
    cast: Cast,
) -> None:
    ada = cast.ada
    work()
    before = len(emails())
    register: Callable[[str, str, str], object] = customers.register

    with transaction():
        answers = [register(email, PASSWORD, "X") for email in (ada.email, "new@example.com")]
    work()

    assert answers == [None, None]
    assert [m.kind for m in emails()[before:]] == ["already_registered", "confirm_link"]


def test_emailed_link_works_once(cast: Cast) -> None:
    ada = cast.ada
    with transaction():
        customers.request_password_reset(ada.email)
    work()
    link = next(m for m in emails() if m.kind == "password_link")
    token = with_secret(link).text.split("/account/password/")[1].split()[0]

    with transaction():
        customers.reset_password(token, "a brand new password")
    with transaction():
        assert customers.authenticate(ada.email, "a brand new password").id == ada.id

    with pytest.raises(Exception, match="no longer valid"), transaction():
        customers.reset_password(token, "another new password")


class Postman:
    """A mail server that says no as often as asked."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.taken: list[bytes] = []

    async def handle_DATA(self, _server: object, _session: object, envelope: object) -> str:
        if self.refusals:
            self.refusals -= 1
            return "451 Come back later"
        self.taken.append(envelope.content)  # type: ignore[attr-defined]
        return "250 OK"


def test_failing_mail_server_delays_and_loses_no_email(cast: Cast) -> None:
    postman = Postman(refusals=1)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    controller = Controller(postman, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        mail.configure(f"smtp://127.0.0.1:{port}", "Ember & Oak <shop@example.com>")
        assert cast.paid_order.status == "confirmed"

        assert work()[-1] == "due"
        (message,) = emails()
        assert (message.state, postman.taken) == ("failed", [])
        with transaction():
            waiting = session.scalars(select(ReactionRun).where(ReactionRun.state == "due")).one()
            waiting.due_at = waiting.due_at.replace(year=2020)
        assert reaction_runs.run_reaction(waiting.id, reactions.BY_NAME) == "done"
    finally:
        controller.stop()

    (message,) = emails()
    assert (message.state, message.attempts, len(postman.taken)) == ("sent", 2, 1)
    assert f"Message-ID: <receipt.{message.order_id}@example.com>".encode() in postman.taken[0]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
@pytest.mark.parametrize(("who", "is_taken"), [("", True), ("shop:secret@", False)])
def test_no_password_goes_to_an_unverified_server(
    cast: Cast, tmp_path: Path, who: str, is_taken: bool
) -> None:
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -keyout {key}"
        f" -out {certificate}".split(),
        check=True,
        capture_output=True,
    )
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    postman = Postman(refusals=0)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    controller = Controller(postman, hostname="127.0.0.1", port=port, tls_context=tls)
    controller.start()
    try:
        mail.configure(f"smtp://{who}127.0.0.1:{port}", "shop@example.com")
        assert cast.paid_order.status == "confirmed"

        assert work()[-1] == ("done" if is_taken else "due")
    finally:
        controller.stop()

    assert bool(postman.taken) is is_taken
    assert is_taken or "certificate" in emails()[0].error.lower()


def test_retry_sends_a_failed_email(cast: Cast) -> None:
    assert cast.paid_order.status == "confirmed"
    work()
    (message,) = emails()
    with transaction():
        session.get_one(EmailMessage, message.id).state = EmailState.FAILED

    with transaction():
        notifications.retry(message.id)
    work()

    assert emails()[0].state == "kept"


def test_refund_email_names_amount_lines_and_bank_days(cast: Cast) -> None:
    order = cast.paid_order
    with transaction():
        locked = orders.lock(order.id)
        wanted = payments.Wanted(lines={locked.lines[0].id: 1}, shipping_minor=100)
        refund = payments.request_refund(locked, wanted, reason="returned")
    with transaction():
        refund_news.apply_refund(refund.id, people.sent(refund))

    relay.dispatch(reactions.REACTIONS, broadcasts.messages)
    for run in session.scalars(select(ReactionRun).where(ReactionRun.reaction == "send_refunded")):
        reaction_runs.run_reaction(run.id, reactions.BY_NAME)

    (notice,) = (one for one in emails() if one.kind == "refunded")
    for words in (notice.text, notice.html):
        assert "€20.00" in words and "Tidal mug" in words and "€19.00" in words
        assert "€1.00" in words and "Banks can take up to ten days" in words


def test_each_cancelled_unit_sends_an_email(cast: Cast) -> None:
    order = people.order(cast.mug, 3)
    people.pay(order)
    line = orders.by_id(order.id).lines[0].id
    for _ in range(2):
        with transaction():
            payments.cancel_lines(orders.lock(order.id), {line: 1}, reason="customer")

    work()

    assert [one.kind for one in emails()].count("lines_cancelled") == 2


def test_receipt_excludes_units_cancelled_before_payment(cast: Cast) -> None:
    order = cast.unpaid_order
    payment = people.attempt(order, capture="manual")
    hear(payment, "requires_capture")
    with transaction():
        line = orders.by_id(order.id).lines[0].id
        payments.cancel_lines(orders.lock(order.id), {line: 1}, reason="customer")
    hear(payment, "succeeded", received_minor=2390)

    work()

    (notice,) = (one for one in emails() if one.kind == "receipt")
    for words in (notice.text, notice.html):
        assert "Cancelled before you paid" in words and "€19.00" in words
        assert "€23.90" in words and "€42.90" not in words and "Charged" not in words


def hear(payment: payments.Payment, status: str, **changes: Any) -> None:
    with transaction():
        intents.apply_intent(payment.id, people.intent(payment, status, **changes))


@pytest.mark.parametrize(("refund", "is_told"), [(True, True), (False, False)])
@pytest.mark.parametrize("units", [1, 3])
def test_a_cancellation_speaks_of_its_own_money_only(
    cast: Cast, units: int, refund: bool, is_told: bool
) -> None:
    order = people.order(cast.mug, 3)
    people.pay(order)
    goodwill(order, 100)
    line = orders.by_id(order.id).lines[0].id
    with transaction():
        payments.cancel_lines(orders.lock(order.id), {line: units}, reason="other", refund=refund)

    work()

    notice = next(one for one in emails() if "cancelled" in one.kind)
    assert (
        "We are refunding what you paid" in notice.text,
        "We are refunding what you paid" in notice.html,
    ) == (is_told, is_told)


def test_partial_refund_names_no_line_prices(cast: Cast) -> None:
    order = cast.paid_order
    goodwill(order, 1000)
    with transaction():
        payments.cancel_order(orders.lock(order.id), reason="other")
    sent_back(payments.refunds_of(order.id)[-1])
    work()

    notice = [one for one in emails() if one.kind == "refunded"][-1]

    for words in (notice.text, notice.html):
        assert "Tidal mug" in words and "€38.00" not in words


def goodwill(order: orders.Order, amount_minor: int) -> None:
    """Staff gave so much back, and Stripe has sent it."""
    with transaction():
        given = payments.Wanted(amount_minor=amount_minor)
        refund = payments.request_refund(orders.lock(order.id), given, reason="goodwill")
    sent_back(refund)


def sent_back(refund: payments.Refund) -> None:
    with transaction():
        refund_news.apply_refund(refund.id, people.sent(refund))


def account_emails(*kinds: str) -> int:
    return sum(m.kind in kinds for m in emails())


def test_reset_emails_are_capped_per_mailbox(cast: Cast) -> None:
    ada = cast.ada
    for _ in range(8):
        with transaction():
            customers.request_password_reset(ada.email)
    work()
    assert account_emails("password_link") == MAX_PER_HOUR

    with transaction():
        customers.request_password_reset(ada.email, from_known_device=True)
    work()
    assert account_emails("password_link") == MAX_PER_HOUR + 1

    for hours in (2, 4, 6, 8):
        for row in emails():
            row.created_at -= timedelta(hours=2)
        for _ in range(8):
            with transaction():
                customers.request_password_reset(ada.email)
        work()
        assert account_emails("password_link") <= MAX_PER_DAY + 1, hours
    assert account_emails("password_link") >= MAX_PER_DAY


@pytest.mark.parametrize(
    "addresses",
    [
        [f"eve+{n}@example.com" for n in range(8)],
        ["e.v.e@gmail.com", "ev.e@gmail.com", "eve+x@googlemail.com", "EVE@gmail.com"] * 2,
        ["eve@example.com"] * 8,
    ],
)
def test_register_emails_are_capped_per_mailbox(cast: Cast, addresses: list[str]) -> None:
    for address in addresses:
        with transaction():
            customers.register(address, PASSWORD, "Eve")
    work()

    assert account_emails("confirm_link", "already_registered") == MAX_PER_HOUR


def test_capped_registration_leaves_the_reset_free(cast: Cast) -> None:
    ada = cast.ada
    for _ in range(8):
        with transaction():
            customers.register(ada.email, PASSWORD + "!", "Eve")
    with transaction():
        customers.request_password_reset(ada.email)

    work()

    assert account_emails("already_registered", "confirm_link") == MAX_PER_HOUR
    assert account_emails("password_link") == 1


def test_one_time_token_is_stored_nowhere_once_sent(cast: Cast) -> None:
    ada = cast.ada
    work()
    postman = Postman(refusals=1)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    controller = Controller(postman, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        mail.configure(f"smtp://127.0.0.1:{port}", "Ember & Oak <shop@example.com>")
        with transaction():
            customers.request_password_reset(ada.email)
        work()
        with transaction():
            waiting = session.scalars(select(ReactionRun).where(ReactionRun.state == "due")).one()
            waiting.due_at = waiting.due_at.replace(year=2020)
        assert reaction_runs.run_reaction(waiting.id, reactions.BY_NAME) == "done"
    finally:
        controller.stop()

    sent = message_from_bytes(postman.taken[-1], policy=policy.default)
    body = sent.get_body(("plain",))
    assert body is not None
    token = body.get_content().split("/account/password/")[1].split()[0]
    row = next(m for m in emails() if m.kind == "password_link")
    assert row.state == "sent" and row.link_token is None
    assert token not in row.text + row.html
    assert token not in with_secret(row).text
    with transaction():
        assert customers.reset_password(token, "a brand new password").id == ada.id


def test_old_emails_lose_their_secrets_when_migrating(app: Flask, live_database: str) -> None:
    ada, order = people.customer("ada@example.com", "Ada"), people.order(people.product("Mug"))
    folder = str(Path(__file__).parents[2] / "migrations")
    secret, link = order.token, "abcdefghijklmnopqrstuvwxyz012345"
    session.remove()
    with app.app_context():
        downgrade(directory=folder, revision="0011")
        with transaction():
            for kind, path, of in (
                ("receipt", f"/orders/{order.number}?token={secret}", order.id),
                ("password_link", f"/account/password/{link}", None),
            ):
                session.execute(
                    text(
                        "INSERT INTO mail_message"
                        " (key, kind, recipient, subject, text, html, order_id) VALUES"
                        " (:kind, :kind, 'ADA@example.com', 'S', :text, :html, :of)"
                    ),
                    {"kind": kind, "text": f"See {path}", "html": f'<a href="{path}">', "of": of},
                )
        upgrade(directory=folder)

    receipt, reset = emails()
    for row in (receipt, reset):
        assert row.secret_mark in row.text and row.secret_mark in row.html
        assert secret not in row.text + row.html and link not in row.text + row.html
    assert secret not in with_secret(receipt).text
    receipt.state = EmailState.KEPT
    assert f"token={secret}" in with_secret(receipt).text
    assert (receipt.customer_id, reset.customer_id) == (None, ada.id)


def test_shipment_email_leads_to_the_page_of_its_carrier(cast: Cast) -> None:
    order = cast.paid_order
    line_id = order.lines[0].id
    for carrier in ("UPS", "Uncle Bob"):
        with transaction():
            orders.ship(orders.lock(order.id), {line_id: 1}, carrier=carrier, tracking_number="1Z9")
    work()

    known, unknown = (m for m in emails() if m.kind == "shipped")
    page = "https://www.ups.com/track?loc=en_US&tracknum=1Z9"
    assert page in known.text and page.replace("&", "&amp;") in known.html
    assert "1Z9" in unknown.html and "tracknum" not in unknown.html + unknown.text


def test_corrected_tracking_is_emailed_only_if_staff_say_so(cast: Cast) -> None:
    order = cast.paid_order
    with transaction():
        shipment = orders.ship(orders.lock(order.id), carrier="DHL", tracking_number="T-1")
    for number, notify in (("T-2", False), ("T-3", True)):
        with transaction():
            orders.correct_tracking(
                orders.lock(order.id),
                shipment.id,
                carrier="DHL",
                tracking_number=number,
                notify=notify,
            )

    work()

    (told,) = [m for m in emails() if m.kind == "tracking"]
    assert "T-3" in told.text and "T-3" in told.html
    assert order.number in told.subject


def test_changed_shipping_address_is_emailed(cast: Cast) -> None:
    order = cast.paid_order
    with transaction():
        checkout.change_address(orders.lock(order.id), people.ADDRESS | {"line1": "Allee 7"})

    work()

    (told,) = [m for m in emails() if m.kind == "address"]
    assert told.recipient == order.email
    assert "Allee 7\n" in told.text and "Allee 7<br>" in told.html
