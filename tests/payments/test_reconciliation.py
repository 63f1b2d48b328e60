"""What no webhook said is found by reconciling with Stripe, here played by the stand-in."""

import json
import threading
import time
from datetime import timedelta

import psycopg
import pytest
from flask import Flask
from sqlalchemy import select, text

from shop import orders, payments
from shop.core import clock, db
from shop.core.db import session, transaction
from shop.core.errors import Invalid, WrongState
from shop.payments import refund_news
from shop.payments.models import Dispute, ReconcileRun, Refund, Task
from tests import cast as people
from tests.cast import Cast
from tests.conftest import _url
from tests.support import servers
from tests.support.stack import eventually
from tests.tools import stripe_rig

VISA = "pm_card_visa"


def paid_there(order_id: int, stripe: stripe_rig.Rig, *, card: str = VISA) -> str:
    """The customer pays at Stripe, and no message reaches us. Returns the intent's id."""
    started = payments.start(order_id)
    intent_id = started.client_secret.partition("_secret")[0]
    stripe.client.v1.payment_intents.confirm(
        intent_id, {"payment_method": card, "return_url": "https://example.com/"}
    )
    return intent_id


def ended(refund: Refund) -> bool:
    """Whether the refund is over once Stripe was asked."""
    payments.reconcile_all(days=1)
    session.refresh(refund)
    return refund.status == "failed"


def kinds() -> list[str]:
    return list(session.scalars(select(Task.kind).order_by(Task.id)))


def test_lost_payments_refunds_and_disputes_are_repaired(
    cast: Cast, stripe: stripe_rig.Rig
) -> None:
    first, second, third = (people.order(cast.mug) for _ in range(3))
    intents = [paid_there(order.id, stripe) for order in (first, second, third)]
    stripe.control("/refund", payment_intent=intents[1], amount=500)
    stripe.control("/dispute", payment_intent=intents[2])

    run = payments.reconcile_all(days=1)

    assert [(one["what"], one["done"]) for one in run.differences] == [
        ("payment", "paid"),
        ("payment", "paid"),
        ("payment", "paid"),
        ("refund", "external refund"),
        ("dispute", "dispute needs_response"),
    ]
    assert [orders.by_id(order.id).payment_status for order in (first, second, third)] == [
        "paid",
        "partly_refunded",
        "disputed",
    ]
    assert kinds() == ["external_refund", "dispute"]
    again = payments.reconcile_all(days=1)
    assert (again.differences, again.checked, again.failure) == ([], 5, "")


def test_only_looking_changes_nothing(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    paid_there(order.id, stripe)

    run = payments.reconcile_all(days=1, mend=False)

    (one,) = run.differences
    assert (one["order"], one["ours"].split(",")[0], one["stripe"].split(",")[0]) == (
        order.number,
        "started",
        "succeeded",
    )
    assert orders.by_id(order.id).payment_status == "unpaid"


def test_payment_that_stripe_does_not_know_is_listed(cast: Cast, stripe: stripe_rig.Rig) -> None:
    assert cast.paid_order
    with clock.freeze(clock.now() + timedelta(hours=2)):
        run = payments.reconcile_all(days=1)

    assert [(one["what"], one["stripe"]) for one in run.differences] == [("payment", "unknown")]


def test_stripe_that_is_away_is_said_and_kept(
    cast: Cast, stripe: stripe_rig.Rig, app: Flask
) -> None:
    stripe.control(error_rate=1)

    answer = app.test_cli_runner().invoke(args=["shop", "reconcile", "--days", "1", "--json"])

    assert answer.exit_code == 2
    assert "does not answer" in json.loads(answer.stdout)["failure"]
    assert session.scalars(select(ReconcileRun.failure)).one()


def test_the_command_lists_differences_and_says_so(
    cast: Cast, stripe: stripe_rig.Rig, app: Flask
) -> None:
    order = cast.unpaid_order
    paid_there(order.id, stripe)
    run = app.test_cli_runner().invoke

    looked = run(args=["shop", "reconcile", "--days", "1", "--look"])
    mended = run(args=["shop", "reconcile", "--days", "1"])
    after = run(args=["shop", "reconcile", "--days", "1"])

    assert (looked.exit_code, mended.exit_code, after.exit_code) == (1, 1, 0)
    assert order.number in looked.output and "→ paid" in mended.output
    assert "0 differences" in after.output


@pytest.mark.parametrize("days", [0, -1, 0.01, 1000])
def test_a_span_that_makes_no_sense_is_refused(cast: Cast, days: float) -> None:
    with pytest.raises(Invalid, match="at most a year"), transaction():
        payments.request_reconciliation(days=days)


def test_requested_reconciliation_runs_once(cast: Cast, stripe: stripe_rig.Rig) -> None:
    paid_there(cast.unpaid_order.id, stripe)
    with transaction():
        run = payments.request_reconciliation(days=1)

    payments.run_reconciliation(run.id)
    payments.run_reconciliation(run.id)

    session.refresh(run)
    assert run.finished_at is not None
    assert [one["done"] for one in run.differences] == ["paid"]


def test_a_month_is_reconciled_once_a_night(cast: Cast) -> None:
    payments.reconcile_nightly()
    payments.reconcile_nightly()

    assert len(session.scalars(select(ReconcileRun)).all()) == 1


def test_a_look_does_not_replace_the_nightly_reconciliation(
    cast: Cast, stripe: stripe_rig.Rig
) -> None:
    payments.reconcile_all(days=30, mend=False)
    assert session.scalars(select(ReconcileRun)).all() == []

    payments.reconcile_nightly()

    assert len(session.scalars(select(ReconcileRun)).all()) == 1


def test_missed_night_is_reconciled_when_stripe_is_back(cast: Cast, stripe: stripe_rig.Rig) -> None:
    payments.reconcile_nightly()
    (first,) = session.scalars(select(ReconcileRun)).all()
    stripe.control(error_rate=1)
    payments.run_reconciliation(first.id)

    payments.reconcile_nightly()

    assert len(session.scalars(select(ReconcileRun)).all()) == 2


def test_night_whose_worker_died_is_made_up_for(cast: Cast) -> None:
    payments.reconcile_nightly()
    (first,) = session.scalars(select(ReconcileRun)).all()
    with transaction():
        first.started_at = clock.now() - timedelta(minutes=16)
        first.since = first.started_at - timedelta(days=30)

    payments.reconcile_nightly()

    assert len(session.scalars(select(ReconcileRun)).all()) == 2


def test_one_reconciliation_runs_at_a_time(live_database: str, stripe: stripe_rig.Rig) -> None:
    paid_there(people.order(people.product("Mug", stock=5)).id, stripe)
    with transaction():
        run_id = payments.request_reconciliation(days=1).id
    stripe.control(latency_s=1)
    first = threading.Thread(target=payments.run_reconciliation, args=(run_id,))

    first.start()
    time.sleep(0.5)
    with pytest.raises(WrongState, match="Another reconciliation"):
        payments.run_reconciliation(run_id)
    first.join()
    payments.run_reconciliation(run_id)

    run = session.get_one(ReconcileRun, run_id, populate_existing=True)
    assert ([one["done"] for one in run.differences], run.failure) == (["paid"], "")


def test_reconciliation_without_end_is_stopped_and_says_so(
    cast: Cast, stripe: stripe_rig.Rig
) -> None:
    for _ in range(2):
        paid_there(people.order(cast.mug).id, stripe)

    run = payments.reconcile_all(days=1, within=timedelta(0))

    assert (run.checked, len(run.differences)) == (1, 1)
    assert run.failure == "Not done after 0 minutes: reconcile fewer days."


def test_friday_failure_is_kept_over_the_weekend(cast: Cast, stripe: stripe_rig.Rig) -> None:
    paid_there(cast.unpaid_order.id, stripe)
    friday = payments.reconcile_all(days=1).id
    session.execute(text("SELECT setval('reconcile_run_id_seq', :id)"), {"id": friday + 400})

    payments.reconcile_recent()

    assert session.scalars(select(ReconcileRun.id)).all() == [friday]


def test_the_newest_hundred_reconciliations_are_kept(cast: Cast, stripe: stripe_rig.Rig) -> None:
    now = clock.now()
    with transaction():
        session.add_all(
            ReconcileRun(since=now, started_at=now, finished_at=now) for _ in range(105)
        )

    newest = payments.reconcile_all(days=1).id

    kept = session.scalars(select(ReconcileRun.id).order_by(ReconcileRun.id)).all()
    assert (len(kept), kept[-1]) == (100, newest)


def test_failed_and_retried_refund_is_no_difference(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    paid_there(order.id, stripe, card="pm_card_refundFail")
    payments.sync_order(order.id)
    stripe.control(refund_after_s=0)
    with transaction():
        refund = payments.request_refund(
            orders.lock(order.id), payments.Wanted(amount_minor=100), reason="goodwill"
        )
    for attempt in (1, 2):
        payments.send_refund(refund.id)
        eventually(lambda: ended(refund), within_s=20, what="the bank refuses it")
        if attempt == 1:
            with transaction():
                payments.retry_refund(refund.id)

    run = payments.reconcile_all(days=1)

    assert len(stripe.client.v1.refunds.list().data) == 2
    assert run.differences == []


def test_refund_that_stripe_does_not_know_is_listed(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    paid_there(order.id, stripe)
    payments.sync_order(order.id)
    with transaction():
        refund = payments.request_refund(
            orders.lock(order.id), payments.Wanted(amount_minor=100), reason="goodwill"
        )
    with transaction():
        refund_news.apply_refund(refund.id, people.sent(refund, id="re_nowhere"))

    with clock.freeze(clock.now() + timedelta(minutes=10)):
        run = payments.reconcile_all(days=1)

    assert [(one["what"], one["reference"], one["stripe"]) for one in run.differences] == [
        ("refund", "re_nowhere", "unknown")
    ]


def test_old_dispute_is_followed_to_its_end(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    intent = paid_there(order.id, stripe)
    dispute = stripe.control("/dispute", payment_intent=intent)
    payments.reconcile_all(days=1)
    stripe.control("/dispute", dispute=dispute["id"], status="won")

    with clock.freeze(clock.now() + timedelta(days=40)):
        run = payments.reconcile_all(days=30)

    assert [(one["what"], one["done"]) for one in run.differences] == [("dispute", "dispute won")]
    assert orders.by_id(order.id).payment_status == "paid"


def test_a_restored_backup_finds_what_was_paid_since(
    live_database: str, running: servers.Servers, stripe: stripe_rig.Rig
) -> None:
    """Orders of the backup are paid; of later ones their money is reported, and their numbers and
    keys, of which some are given out a second time, never lead to somebody else's money."""
    mug = people.product("Mug", stock=100)
    before = [people.order(mug).id for _ in range(5)]
    for order_id in before:
        payments.start(order_id)
    backup = _copy(running, live_database)
    try:
        for order_id in before:
            paid_there(order_id, stripe)
        later = [people.order(mug) for _ in range(5)]
        lost = {paid_there(order.id, stripe) for order in later}
        numbers = {order.number for order in later}
        db.session.remove()
        db.engine().dispose()
        db.configure(_url(running.postgres_url, backup))
        newcomer = people.order(mug)
        fresh = payments.start(newcomer.id)

        run = payments.reconcile_all(days=1)

        assert {orders.by_id(order_id).payment_status for order_id in before} == {"paid"}
        assert orders.by_id(newcomer.id).payment_status == "unpaid"
        assert newcomer.number in numbers
        assert fresh.client_secret.partition("_secret")[0] not in lost
        assert set(session.scalars(select(Task.reference))) == lost
        assert len(run.differences) == 10
        assert people.order(mug).number not in numbers  # no more of them is given out again
        db.session.remove()
        db.engine().dispose()
    finally:
        with psycopg.connect(running.postgres_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {backup} WITH (FORCE)")


def test_own_refund_is_never_taken_for_foreign(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    paid_there(order.id, stripe)
    payments.reconcile_all(days=1)
    with transaction():
        ours = payments.request_refund(
            orders.lock(order.id), payments.Wanted(amount_minor=700), reason="goodwill"
        )
    payments.send_refund(ours.id)

    run = payments.reconcile_all(days=1)

    assert run.differences == []
    assert [refund.source for refund in session.scalars(select(Refund))] == ["staff"]
    assert session.scalars(select(Dispute)).all() == []


def _copy(running: servers.Servers, url: str) -> str:
    """A copy of the database as it is now, as a backup would be. Returns its name."""
    name = url.partition("?")[0].rpartition("/")[2]
    db.session.remove()
    db.engine().dispose()
    with psycopg.connect(running.postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}_backup TEMPLATE {name}")
    return f"{name}_backup"
