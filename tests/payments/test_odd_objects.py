"""What a payment has come to is counted once, however odd the objects around it are."""

import random
import string

import pytest
from flask import Flask
from sqlalchemy import select

from shop import orders, payments
from shop.core.db import session, transaction
from shop.payments import attempts, ownership
from shop.payments.models import Payment, PaymentEvent, Refund, Task
from tests.admin.desk import sit
from tests.cast import Cast
from tests.payments.test_ownership import foreign, shown
from tests.payments.test_reconciliation import paid_there
from tests.payments.test_unapplied import hear, paid, refund_there, tasks
from tests.tools import stripe_rig

LONG = "".join(random.Random(3).choices(string.ascii_letters, k=9000))


def counted(kind: str) -> list[int]:
    kinds = select(PaymentEvent.amount_minor).where(PaymentEvent.kind == kind)
    return list(session.scalars(kinds))


def authorised_there(order_id: int, stripe: stripe_rig.Rig) -> Payment:
    """An order whose money is authorised, at Stripe and here."""
    with transaction():
        attempts.open_payment(orders.lock(order_id), capture="manual")
    paid_there(order_id, stripe)
    assert payments.sync_order(order_id) == "authorised"
    return session.scalars(select(Payment).where(Payment.order_id == order_id)).one()


def other_charge(stripe: stripe_rig.Rig, intent_id: str) -> None:
    """The PaymentIntent shows another charge than the one that was counted."""
    first = shown(stripe, "payment_intents", intent_id)["latest_charge"]
    stripe.control(put={**shown(stripe, "charges", first), "id": "ch_another"})
    stripe.control(change={"id": intent_id, "latest_charge": "ch_another"})


def test_another_charge_is_not_paid_twice(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    intent_id = paid_there(order.id, stripe)
    charge = shown(stripe, "payment_intents", intent_id)["latest_charge"]
    stripe.control(change={"id": intent_id, "latest_charge": None})
    assert hear("payment_intent.succeeded", {"id": intent_id}) == "paid"

    stripe.control(change={"id": intent_id, "latest_charge": charge})
    assert hear("payment_intent.succeeded", {"id": intent_id}) == "known"
    other_charge(stripe, intent_id)
    assert hear("payment_intent.succeeded", {"id": intent_id}) == "known"

    assert counted("captured") == [order.total_minor]
    assert session.scalars(select(Refund)).all() == []
    assert orders.by_id(order.id).payment_status == "paid"


def test_second_charge_is_not_authorised_twice(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    payment = authorised_there(order.id, stripe)
    other_charge(stripe, payment.intent_id or "")

    event = "payment_intent.amount_capturable_updated"
    assert hear(event, {"id": payment.intent_id}) == "known"

    assert counted("authorised") == [order.total_minor]
    assert orders.by_id(order.id).payment_status == "authorised"


def test_amount_changed_later_is_named(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    intent_id = paid(order, stripe)
    stripe.control(change={"id": intent_id, "amount_received": 1})

    assert hear("payment_intent.succeeded", {"id": intent_id}) == "refused: other amount"
    assert tasks() == [("stripe_refused", intent_id)]

    stripe.control(change={"id": intent_id, "amount_received": order.total_minor})
    assert hear("payment_intent.succeeded", {"id": intent_id}) == "known"
    assert tasks() == []


def test_refund_is_sent_beside_one_unreadable(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    refund_there(stripe, paid(order, stripe), amount=None)
    with transaction():
        refund = payments.request_refund(
            orders.lock(order.id), payments.Wanted(amount_minor=500), reason="goodwill"
        )
    stripe.control(fail={"path": "/v1/refunds", "method": "POST", "error": "api_error"})

    payments.send_refund(refund.id)

    session.refresh(refund)
    assert refund.status == "done"


def test_dispute_of_part_captured_takes_that_part(cast: Cast, stripe: stripe_rig.Rig) -> None:
    payment = authorised_there(cast.unpaid_order.id, stripe)
    part = cast.unpaid_order.total_minor // 2
    payments.capture(payment.id, part)
    charge = shown(stripe, "payment_intents", payment.intent_id or "")["latest_charge"]
    booked = {"currency": "usd", "amount": 2 * part, "exchange_rate": 2.0}
    stripe.control(change={"id": shown(stripe, "charges", charge)["balance_transaction"], **booked})
    dispute = stripe.control(
        "/dispute", payment_intent=payment.intent_id, amount=part, currency="gbp", withdrawn=part
    )
    taken = {"currency": "usd", "amount": -2 * part, "exchange_rate": 2.0}
    (movement,) = dispute["balance_transactions"]
    stripe.control(
        change=[
            {"id": movement["id"], **taken},
            {"id": dispute["id"], "balance_transactions": [{**movement, **taken}]},
        ]
    )

    assert hear("charge.dispute.created", dispute) == "dispute needs_response"

    assert counted("dispute_withdrawn") == [part]
    assert payments.reconcile_all(days=1).differences == []


def test_dispute_with_an_odd_movement_is_named(cast: Cast, stripe: stripe_rig.Rig) -> None:
    intent_id = paid(cast.unpaid_order, stripe)
    dispute = stripe.control("/dispute", payment_intent=intent_id)
    odd = [{**dispute["balance_transactions"][0], "amount": None}]
    stripe.control(change={"id": dispute["id"], "balance_transactions": odd})

    run = payments.reconcile_all(days=1)

    assert [(one["reference"], one["done"]) for one in run.differences] == [
        (dispute["id"], "refused: cannot be read")
    ]


def test_ids_that_are_too_long_stop_nothing(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    intent_id = paid(order, stripe)
    for kind, about in (
        ("refund.created", {"id": LONG, "payment_intent": intent_id}),
        ("payment_intent.succeeded", {"id": LONG}),
        ("payout.failed", {"id": LONG}),
        ("charge.dispute.created", {"id": LONG, "metadata": {"shop": ownership.shop_id()}}),
    ):
        assert hear(kind, about) == "not ours"
    assert hear("refund.created", {"id": "re_1"}, id=LONG) == "not ours"
    dispute = stripe.control("/dispute", payment_intent=intent_id)
    long = [{**dispute["balance_transactions"][0], "id": LONG}]
    stripe.control(change={"id": dispute["id"], "balance_transactions": long})

    assert hear("charge.dispute.created", dispute) == "refused: cannot be read"
    assert payments.reconcile_all(days=1).failure == ""


def test_dispute_without_a_reason_says_so(cast: Cast, stripe: stripe_rig.Rig) -> None:
    dispute = stripe.control("/dispute", payment_intent=paid(cast.unpaid_order, stripe))
    stripe.control(change={"id": dispute["id"], "reason": None, "evidence_details": None})

    hear("charge.dispute.created", dispute)

    sentence = session.scalars(select(Task.sentence)).one()
    assert sentence.endswith(f"of order {cast.unpaid_order.number} (no reason given).")


@pytest.mark.parametrize("due_by", [253_402_300_799, -62_135_596_800])
def test_moments_far_away_are_refused(
    cast: Cast, stripe: stripe_rig.Rig, app: Flask, due_by: int
) -> None:
    dispute = stripe.control("/dispute", payment_intent=paid(cast.unpaid_order, stripe))
    stripe.control(change={"id": dispute["id"], "evidence_details": {"due_by": due_by}})

    assert hear("charge.dispute.created", dispute) == "refused: cannot be read"

    assert sit(app, "Owner").get("/admin/payments/list/").status_code == 200


def test_unknown_payment_is_no_unknown_order(cast: Cast, stripe: stripe_rig.Rig) -> None:
    number = cast.unpaid_order.number
    intent_id = foreign(stripe, shop=ownership.shop_id(), order=number)

    hear("payment_intent.succeeded", shown(stripe, "payment_intents", intent_id))

    sentence = session.scalars(select(Task.sentence)).one()
    assert f"for order {number}, by a payment that is not in this database" in sentence


def test_refund_of_other_money_is_not_ours(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    paid(order, stripe)
    with transaction():
        refund = payments.request_refund(
            orders.lock(order.id), payments.Wanted(amount_minor=700), reason="goodwill"
        )
    copied = {"refund": refund.key, "attempt": "1"}
    alien = stripe.control("/refund", payment_intent=foreign(stripe), amount=700, metadata=copied)

    assert hear("refund.created", alien) == "unknown refund"
    payments.send_refund(refund.id)

    session.refresh(refund)
    assert (refund.status, refund.stripe_id != alien["id"]) == ("done", True)
    assert payments.reconcile_all(days=1).differences == []


@pytest.mark.parametrize("rate", ["nan", "-1", 1e300, 1e-300, True])
def test_odd_rate_stops_no_reconciliation(cast: Cast, stripe: stripe_rig.Rig, rate: object) -> None:
    intent_id = paid(cast.unpaid_order, stripe)
    charge = shown(stripe, "payment_intents", intent_id)["latest_charge"]
    booked = shown(stripe, "charges", charge)["balance_transaction"]
    stripe.control(change={"id": booked, "currency": "usd", "exchange_rate": rate})

    assert payments.reconcile_all(days=1).failure == ""
