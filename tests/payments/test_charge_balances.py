"""The books of a charge are what Stripe's balance says, after each step of its disputes."""

import random
from typing import Any

from sqlalchemy import select

from shop import doctor, orders, payments
from shop.core.db import session, transaction
from shop.payments.models import DisputeStatus, Payment
from tests import cast as people
from tests.cast import Cast
from tests.payments.test_reconciliation import paid_there
from tests.payments.test_unapplied import hear, paid
from tests.tools import stripe_rig


def balance_at_stripe(stripe: stripe_rig.Rig, intent_id: str) -> tuple[int, int]:
    """What Stripe's balance says of a payment: its gross, and the fees of its disputes."""
    state = stripe.state()
    of_disputes = {one["id"] for one in state["disputes"] if one["payment_intent"] == intent_id}
    sources = of_disputes | {
        one["id"]
        for kind in ("charges", "refunds")
        for one in state[kind]
        if one["payment_intent"] == intent_id
    }
    moved = [one for one in state["balance_transactions"] if one["source"] in sources]
    return (
        sum(one["amount"] for one in moved),
        sum(one["fee"] for one in moved if one["source"] in of_disputes),
    )


def books(order: orders.Order) -> tuple[int, int]:
    balance = payments.balance_of(order.id, "EUR")
    gone = balance.refunded_minor + balance.disputed_minor + balance.lost_minor
    return balance.captured_minor - gone, balance.fees_minor


def assert_agree(stripe: stripe_rig.Rig, order: orders.Order, intent_id: str, what: Any) -> None:
    assert books(order) == balance_at_stripe(stripe, intent_id), what


def test_books_follow_disputes_in_any_order(cast: Cast, stripe: stripe_rig.Rig, seed: int) -> None:
    chance = random.Random(seed)
    stripe.control(dispute_fee_returned=True)
    order = cast.unpaid_order
    intent_id = paid(order, stripe)
    made = [
        stripe.control("/dispute", payment_intent=intent_id, amount=amount, status=status)
        for amount, status in ((1000, "warning_needs_response"), (700, "needs_response"))
    ]
    foreign = stripe.control(
        "/dispute", payment_intent=intent_id, amount=2100, currency="usd", withdrawn=1900
    )
    made.append(foreign)
    for one in made:
        hear("charge.dispute.created", one)
    assert_agree(stripe, order, intent_id, "opened")

    path = [(chance.choice(made)["id"], chance.choice(list(DisputeStatus))) for _ in range(15)]
    for number, (stripe_id, status) in enumerate(path):
        one = stripe.control("/dispute", dispute=stripe_id, status=str(status))
        assert hear("charge.dispute.updated", one) == f"dispute {status}"
        assert_agree(stripe, order, intent_id, path[: number + 1])

    run = payments.reconcile_all(days=1)
    assert (run.differences, run.failure) == ([], "")
    assert doctor.run_all(with_stripe=True, checks=()).faults == ()


def test_reconciliation_alone_follows_movements(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = people.order(cast.mug)
    intent_id = paid(order, stripe)
    dispute = stripe.control("/dispute", payment_intent=intent_id)
    payments.reconcile_all(days=1)

    for status in ("won", "lost", "won"):
        stripe.control("/dispute", dispute=dispute["id"], status=status)
        run = payments.reconcile_all(days=1)
        assert [one["done"] for one in run.differences] == [f"dispute {status}"]
        assert_agree(stripe, order, intent_id, status)

    payment = session.scalars(select(Payment).where(Payment.intent_id == intent_id)).one()
    session.refresh(payment)
    assert payment.withdrawn_minor == 0


def test_books_that_differ_are_a_task_until_equal(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = people.order(cast.mug)
    intent_id = paid(order, stripe)
    charge = next(one for one in stripe.state()["charges"] if one["payment_intent"] == intent_id)
    stripe.control(change={"id": charge["balance_transaction"], "amount": 1})

    run = payments.reconcile_all(days=1)

    assert [(one["what"], one["done"]) for one in run.differences] == [
        ("balance", "refused: books differ")
    ]
    found = {result.check.id for result in doctor.run_all(with_stripe=True, checks=()).faults}
    assert found == {"stripe-balance"}
    whole = order.total_minor
    stripe.control(change={"id": charge["balance_transaction"], "amount": whole})
    assert payments.reconcile_all(days=1).differences == []
    assert payments.open_tasks() == []


def faults() -> list[str]:
    """What the doctor says of the books, as a person reads it."""
    found = doctor.run_all(with_stripe=True, checks=()).faults
    return [fault.fact for result in found for fault in result.faults]


def booked_in_dollars(stripe: stripe_rig.Rig, source: str, rate: float) -> str:
    """Convert what Stripe has booked of a charge, refund or dispute. Returns the movement's id."""
    state = stripe.state()
    moved = next(one for one in state["balance_transactions"] if one["source"] == source)
    amount = round(moved["amount"] * rate)
    movement = moved | {"currency": "usd", "amount": amount, "exchange_rate": rate}
    stripe.control(put=movement)
    if source in {one["id"] for one in state["disputes"]}:
        stripe.control(change={"id": source, "balance_transactions": [movement]})
    return str(moved["id"])


def test_pending_refund_is_reconciled(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    intent_id = paid_there(order.id, stripe, card="pm_card_pendingRefund")
    payments.sync_order(order.id)
    with transaction():
        refund = payments.request_refund(
            orders.lock(order.id), payments.Wanted(amount_minor=500), reason="goodwill"
        )
    payments.send_refund(refund.id)
    session.refresh(refund)
    assert (refund.status, faults()) == ("sent", [])
    (moved,) = (
        one for one in stripe.state()["balance_transactions"] if one["source"] == refund.stripe_id
    )

    stripe.control(change={"id": moved["id"], "amount": -501})
    assert [fact.partition(": ")[2] for fact in faults()] == [
        "we have €37.90, Stripe has €37.89"
    ], intent_id
    stripe.control(delete=moved["id"])
    assert faults() == []  # pending, and not taken from the balance yet


def test_converted_balance_is_reconciled(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    intent_id = paid(order, stripe)
    charge = next(one for one in stripe.state()["charges"] if one["payment_intent"] == intent_id)
    booked_in_dollars(stripe, charge["id"], 1.0837)
    refund = stripe.control("/refund", payment_intent=intent_id, amount=333)
    hear("refund.created", refund)
    booked_in_dollars(stripe, refund["id"], 1.0911)
    dispute = stripe.control("/dispute", payment_intent=intent_id, amount=777)
    movement = booked_in_dollars(stripe, dispute["id"], 1.0789)
    hear("charge.dispute.created", dispute)
    assert faults() == []

    stripe.control(change={"id": movement, "amount": -400})

    assert [fact.partition(": ")[2] for fact in faults()] == [
        "we have €31.80, US$15.00 dispute fees, Stripe has €35.86, US$15.00 dispute fees"
    ]


def test_dispute_in_a_third_currency_is_reconciled(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    intent_id = paid(order, stripe)
    charge = next(one for one in stripe.state()["charges"] if one["payment_intent"] == intent_id)
    booked_in_dollars(stripe, charge["id"], 1.1)
    dispute = stripe.control(
        "/dispute", payment_intent=intent_id, amount=900, currency="gbp", withdrawn=1000
    )
    movement = booked_in_dollars(stripe, dispute["id"], 1.1)
    hear("charge.dispute.created", dispute)
    assert faults() == []

    stripe.control(change={"id": movement, "amount": -550})

    (fact,) = faults()
    assert "we have €32.90" in fact and "Stripe has €37.90" in fact
