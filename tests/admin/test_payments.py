"""The payments page: what needs a person, what is on its way, and reconciliations with Stripe."""

import pytest
from flask import Flask
from sqlalchemy import select

from shop import orders, payments
from shop.core import clock
from shop.core.db import session, transaction
from shop.core.events import EventRecord
from shop.payments import disputes, refund_news
from shop.payments.models import ReconcileRun
from tests import cast as people
from tests.admin.desk import Desk, sit
from tests.cast import Cast

PAGE = "/admin/payments/list/"


@pytest.fixture
def finance(app: Flask, cast: Cast) -> Desk:
    return sit(app, "Finance")


def refund_of(order: orders.Order, amount_minor: int) -> payments.Refund:
    with transaction():
        wanted = payments.Wanted(amount_minor=amount_minor)
        return payments.request_refund(orders.lock(order.id), wanted, reason="goodwill")


def test_page_says_what_to_do_and_links_order(finance: Desk, cast: Cast) -> None:
    order = cast.paid_order
    waiting, failed = refund_of(order, 100), refund_of(order, 250)
    with transaction():
        refund_news.apply_refund(failed.id, people.sent(failed, "failed", failure="lost card"))
    number, pk = order.number, order.id
    assert waiting.status == "requested"

    page = finance.text(PAGE)

    assert "Press Retry in the order" in page
    assert page.count(f"/admin/orders/show/{pk}") >= 3 and number in page
    part = page.partition('id="refunds-title"')[2].partition("</section>")[0]
    assert "€1.00" in part and "Pending" in part
    assert "€2.50" in part and "lost card" in part and "Failed" in part


def test_handled_failed_refund_is_not_shown(finance: Desk, cast: Cast) -> None:
    refund = refund_of(cast.paid_order, 250)
    with transaction():
        refund_news.apply_refund(refund.id, people.sent(refund, "failed", failure="lost card"))
    (task,) = payments.open_tasks()

    finance.post(f"/admin/payments/tasks/{task.id}/close")

    session.remove()
    assert payments.open_refunds() == []


def test_open_disputes_say_by_when(finance: Desk, cast: Cast) -> None:
    order = cast.paid_order
    (payment,) = payments.of_order(order.id)
    seen = people.dispute(
        payment, "needs_response", amount_minor=1000, reason="fraudulent", due_by=clock.now()
    )
    with transaction():
        disputes.apply_dispute(payment.id, seen)
    session.remove()

    page = finance.text(PAGE)

    part = page.partition('id="disputes-title"')[2].partition("</section>")[0]
    assert "€10.00" in part and "fraudulent" in part and "respond in Stripe by" in part


def test_requested_reconciliation_is_run_by_a_worker(finance: Desk) -> None:
    status, _ = finance.ask("/admin/payments/compare", {"days": "7"})
    again, refusal = finance.ask("/admin/payments/compare", {"days": "7"})

    assert (status, again) == (200, 409)
    assert refusal["error"] == "Reconciliation is already running."
    session.remove()
    (run,) = payments.runs()
    asked = session.scalars(select(EventRecord).where(EventRecord.type == "ComparisonRequested"))
    assert [event.payload for event in asked] == [{"run_id": run.id}]
    page = finance.text(PAGE)
    assert "data-running" in page and "Running…" in page


@pytest.mark.parametrize("days", ["", "0", "-1", "1.5", "abc", "367", "9999999999"])
def test_days_that_cannot_be_are_refused(finance: Desk, days: str) -> None:
    status, refusal = finance.ask("/admin/payments/compare", {"days": days})

    assert status == 422 and refusal["error"]
    assert payments.runs() == []


def test_differences_are_shown_side_by_side(finance: Desk) -> None:
    difference = {
        "what": "payment", "reference": "pi_lost", "order": "EO-10001", "ours": "started, €0.00",
        "stripe": "succeeded, €42.00", "done": "paid",
    }  # fmt: skip
    now = clock.now()
    with transaction():
        session.add(ReconcileRun(since=now, started_at=now, finished_at=now, checked=1234,
                                 differences=[difference]))  # fmt: skip
        session.add(ReconcileRun(since=now, started_at=now, finished_at=now, failure="Stripe away"))

    page = finance.text(PAGE)

    for words in ("EO-10001", "pi_lost", "started, €0.00", "succeeded, €42.00", "Paid", "1,234"):
        assert words in page
    assert "1 difference" in page and "Interrupted" in page and "Stripe away" in page


@pytest.mark.parametrize("role", ["Support", "Viewer"])
def test_others_look_and_do_not_reconcile(app: Flask, cast: Cast, role: str) -> None:
    desk = sit(app, role)

    assert "Reconcile now" not in desk.text(PAGE)
    assert desk.ask("/admin/payments/compare", {"days": "7"})[0] == 403
