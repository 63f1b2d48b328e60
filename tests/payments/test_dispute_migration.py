"""Disputes of before the balance transactions were counted mean what they meant, and go on."""

from pathlib import Path

from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import text

from shop import doctor, orders, payments
from shop.core.db import engine, session, transaction
from shop.payments import disputes
from tests import cast as people

MIGRATIONS = str(Path(__file__).parents[2] / "migrations")
BEFORE = "0018"
OPENED = """
INSERT INTO dispute (payment_id, stripe_id, status, amount_minor, currency, opened_at, closed_at)
VALUES (:payment, :dispute, :status, 1000, 'EUR', now(), CASE WHEN :over THEN now() END)
"""
NOTED = """
INSERT INTO payment_event (payment_id, kind, amount_minor, currency, reference, at, occurred_at)
VALUES (:payment, :kind, :amount, 'EUR', :dispute, now() - interval '40 days',
        now() - interval '40 days')
"""
ROWS = {
    "won": ["dispute_opened", "fee", "dispute_won"],
    "lost": ["dispute_opened", "fee", "dispute_lost"],
    "needs_response": ["dispute_opened", "fee"],
}


def test_earlier_disputes_keep_their_meaning(app: Flask, live_database: str) -> None:
    mug = people.product("Mug", stock=10)
    made = {status: people.order(mug) for status in ROWS}
    paid = {status: people.pay(order).id for status, order in made.items()}
    session.remove()
    with app.app_context():
        downgrade(directory=MIGRATIONS, revision=BEFORE)
    with engine().begin() as connection:
        for status, kinds in ROWS.items():
            about = {"payment": paid[status], "dispute": f"du_{status}", "status": status}
            connection.execute(text(OPENED), about | {"over": status in {"won", "lost"}})
            for kind in kinds:
                amount = 1500 if kind == "fee" else 1000
                connection.execute(text(NOTED), about | {"kind": kind, "amount": amount})

    with app.app_context():
        upgrade(directory=MIGRATIONS)

    assert books(made) == {"won": (0, 0), "lost": (0, 1000), "needs_response": (1000, 0)}
    assert withdrawn() == {"won": 0, "lost": 1000, "needs_response": 1000}
    # Stripe tells their balance transactions: only what differs, or is new, counts.
    out, back = ("txn_1", -1000, 1500), ("txn_2", 1000, 0)
    hear(paid["won"], "won", "lost", out, back, ("txn_3", -1000, 0))
    hear(paid["lost"], "lost", "won", out, back)
    hear(paid["needs_response"], "needs_response", "lost", ("txn_1", -1080, 1500))
    assert books(made) == {"won": (0, 1000), "lost": (0, 0), "needs_response": (0, 1080)}
    assert withdrawn() == {"won": 1000, "lost": 0, "needs_response": 1080}
    found = {result.check.id for result in doctor.run_all().faults}
    assert found & {"withdrawn", "dispute-task", "payment-status", "guards"} == set()

    session.remove()
    with app.app_context():
        downgrade(directory=MIGRATIONS, revision=BEFORE)
        upgrade(directory=MIGRATIONS)
    assert books(made)["needs_response"] == (0, 1080)


def hear(payment_id: int, name: str, status: str, *facts: people.Moved) -> None:
    with transaction():
        payment = session.get_one(payments.Payment, payment_id)
        sent = people.dispute(payment, status, *facts, id=f"du_{name}", amount_minor=1000)
        disputes.apply_dispute(payment_id, sent)


def books(made: dict[str, orders.Order]) -> dict[str, tuple[int, int]]:
    """Disputed and lost, by what the dispute was."""
    sums = {status: payments.balance_of(order.id, "EUR") for status, order in made.items()}
    session.remove()
    return {status: (one.disputed_minor, one.lost_minor) for status, one in sums.items()}


def withdrawn() -> dict[str, int]:
    with engine().connect() as connection:
        rows = connection.execute(
            text(
                "SELECT substr(d.stripe_id, 4) AS name, p.withdrawn_minor FROM payment p"
                " JOIN dispute d ON d.payment_id = p.id"
            )
        )
        return {row.name: row.withdrawn_minor for row in rows}
