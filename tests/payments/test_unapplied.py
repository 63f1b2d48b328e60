"""What is at Stripe and our books cannot take: named, asked about, and nothing else stops."""

from datetime import timedelta
from typing import Any

from sqlalchemy import select, update

from shop import orders, payments
from shop.core import clock
from shop.core.db import session, transaction
from shop.payments import webhooks
from shop.payments.models import Dispute, Payment, Refund, Task, WebhookDelivery
from tests import cast as people
from tests.cast import Cast
from tests.payments.test_reconciliation import paid_there
from tests.tools import stripe_rig

HUGE = 10**30


def paid(order: orders.Order, stripe: stripe_rig.Rig) -> str:
    """An order that is paid at Stripe and here. Returns its intent's id."""
    intent_id = paid_there(order.id, stripe)
    assert payments.sync_order(order.id) == "paid"
    return intent_id


def refund_there(stripe: stripe_rig.Rig, intent_id: str, **fields: Any) -> dict[str, Any]:
    """A refund that stands at Stripe, whatever its rules say."""
    intent = next(one for one in stripe.state()["payment_intents"] if one["id"] == intent_id)
    whole = {
        "object": "refund",
        "amount": 500,
        "balance_transaction": None,
        "charge": intent["latest_charge"],
        "currency": intent["currency"],
        "metadata": {},
        "payment_intent": intent_id,
        "reason": None,
        "status": "succeeded",
    }
    return dict(stripe.control(put=whole | fields)["objects"][0])


def hear(kind: str, about: Any, **event: Any) -> str:
    """A message of Stripe's comes in and is applied once. Returns its outcome."""
    stored = select(WebhookDelivery).order_by(WebhookDelivery.id.desc()).limit(1)
    with transaction():
        whole = {"id": f"evt_{clock.now().timestamp()}_{id(about)}", "type": kind} | event
        assert webhooks.record_verified({"data": {"object": about}} | whole)
    message = session.scalars(stored).one()
    payments.apply_webhook(message.id)
    session.refresh(message)
    assert message.applied_at is not None
    return message.outcome


def tasks() -> list[tuple[str, str]]:
    """Open tasks by kind and reference."""
    rows = session.execute(
        select(Task.kind, Task.reference).where(Task.closed_at.is_(None)).order_by(Task.id)
    )
    return [(row.kind, row.reference) for row in rows]


REFUNDS: list[tuple[dict[str, Any], str]] = [
    ({"amount": 999_999}, "refused: more than captured"),
    ({"amount": 3 * 10**9}, "refused: more than captured"),
    ({"amount": HUGE}, "refused: cannot be read"),
    ({"amount": 0}, "refused: refused by the database"),
    ({"amount": -5}, "refused: refused by the database"),
    ({"currency": "usd"}, "refused: other currency"),
    ({"currency": "jpy"}, "refused: other currency"),
    ({"currency": "kwd"}, "refused: other currency"),
    ({"currency": "doubloons"}, "refused: other currency"),
    ({"currency": None}, "refused: cannot be read"),
    ({"amount": None}, "refused: cannot be read"),
    ({"amount": "12.50"}, "refused: cannot be read"),
    ({"created": 10**15}, "refused: cannot be read"),
    ({"status": "requires_action"}, "external refund"),
    ({"status": "pending"}, "external refund"),
    ({"status": "something_new"}, "external refund"),
    ({"status": None}, "external refund"),
    ({"status": "canceled"}, "external refund"),
    ({"status": "failed", "amount": 999_999}, "external refund"),
    ({"metadata": None}, "external refund"),
    ({"metadata": {"refund": "\ud83d", "attempt": "\0"}}, "external refund"),
    ({"metadata": {"refund": 7, "attempt": {"a": []}}}, "external refund"),
]


def test_refund_messages_are_applied_or_refused_once(cast: Cast, stripe: stripe_rig.Rig) -> None:
    tray = people.product("Tray", stock=100)
    for fields, outcome in REFUNDS:
        intent_id = paid(people.order(tray), stripe)
        sent = refund_there(stripe, intent_id, **fields)

        assert hear("refund.updated", sent) == outcome, fields

        is_refused = outcome.startswith("refused")
        kept = session.scalar(select(Refund.id).where(Refund.stripe_id == sent["id"]))
        assert (("stripe_refused", sent["id"]) in tasks()) is is_refused, fields
        assert (kept is None) is is_refused, fields


def test_refund_of_money_not_captured_is_refused(cast: Cast, stripe: stripe_rig.Rig) -> None:
    started = payments.start(cast.unpaid_order.id)
    intent_id = started.client_secret.partition("_secret")[0]
    sent = refund_there(stripe, intent_id)

    assert hear("refund.created", sent) == "refused: nothing captured"

    assert orders.by_id(cast.unpaid_order.id).payment_status == "unpaid"
    (task,) = session.scalars(select(Task))
    assert "no money of this order has moved" in task.sentence
    assert task.order_id == cast.unpaid_order.id


def test_refund_of_a_void_is_refused(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    started = payments.start(order.id)
    intent_id = started.client_secret.partition("_secret")[0]
    with transaction():
        payments.cancel_order(orders.lock(order.id), reason="customer")
    payments.close_intents(order.id)

    assert hear("refund.created", refund_there(stripe, intent_id)) == "refused: nothing captured"
    assert payments.reconcile_all(days=1).refused == 1


def test_reconciliation_goes_on_past_every_refused_object(
    cast: Cast, stripe: stripe_rig.Rig
) -> None:
    order = people.order(cast.mug)
    intent_id = paid(order, stripe)
    weird = [refund_there(stripe, intent_id, **fields) for fields, _ in REFUNDS[:13]]
    stripe.control(put={"object": "dispute", "payment_intent": intent_id, "amount": "much"})
    good = refund_there(stripe, intent_id, amount=100, created=int(clock.now().timestamp()) - 60)
    later = people.order(cast.mug)
    paid_there(later.id, stripe)

    run = payments.reconcile_all(days=1)

    refused = {one["reference"]: one["done"] for one in run.differences}
    assert {one["id"]: refused[one["id"]] for one in weird} == {
        one["id"]: outcome for one, (_, outcome) in zip(weird, REFUNDS, strict=False)
    }
    assert (run.refused, run.failure) == (14, "")
    assert refused[good["id"]] == "external refund"
    assert orders.by_id(later.id).payment_status == "paid"
    assert len([kind for kind, _ in tasks() if kind == "stripe_refused"]) == 14


def test_only_looking_names_what_cannot_be_read(cast: Cast, stripe: stripe_rig.Rig) -> None:
    intent_id = paid(cast.unpaid_order, stripe)
    refund_there(stripe, intent_id, currency=None)

    run = payments.reconcile_all(days=1, mend=False)

    assert [(one["what"], one["stripe"]) for one in run.differences] == [
        ("refund", "cannot be read")
    ]
    assert tasks() == []


INTENTS: list[dict[str, Any]] = [
    {"currency": None},
    {"status": None},
    {"amount_received": HUGE},
    {"amount_received": 3 * 10**9},
]


def test_payments_that_cannot_be_read_are_named(cast: Cast, stripe: stripe_rig.Rig) -> None:
    weird = []
    for fields in INTENTS:
        weird.append(paid_there(people.order(cast.mug, 1).id, stripe))
        stripe.control(change={"id": weird[-1], **fields})
    other = people.order(cast.mug)
    paid_there(other.id, stripe)

    outcomes = [hear("payment_intent.succeeded", {"id": one}) for one in weird]
    run = payments.reconcile_all(days=1)

    assert set(outcomes) == {"refused: cannot be read", "refused: refused by the database"}
    assert tasks() == [("stripe_refused", one) for one in weird]
    assert (run.refused, run.failure) == (len(INTENTS), "")
    assert orders.by_id(other.id).payment_status == "paid"


def test_payments_in_other_currencies_are_never_paid(cast: Cast, stripe: stripe_rig.Rig) -> None:
    for currency in ("usd", "jpy", "kwd", "zzz"):
        order = people.order(cast.mug)
        intent_id = paid_there(order.id, stripe)
        stripe.control(change={"id": intent_id, "currency": currency})

        assert hear("payment_intent.succeeded", {"id": intent_id}) == "amount differs"

        assert orders.by_id(order.id).payment_status == "unpaid"
    assert [kind for kind, _ in tasks()] == ["amount_differs"] * 4
    assert payments.reconcile_all(days=1).failure == ""


def test_deleted_objects_are_named_in_messages(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    intent_id = paid(order, stripe)
    refund = refund_there(stripe, intent_id)
    dispute = stripe.control("/dispute", payment_intent=intent_id)
    stripe.control(delete=[refund["id"], dispute["id"], intent_id])

    outcomes = [
        hear("refund.updated", refund),
        hear("charge.dispute.updated", dispute),
        hear("payment_intent.succeeded", {"id": intent_id}),
    ]

    assert outcomes == ["refused: deleted at Stripe"] * 3
    assert orders.by_id(order.id).payment_status == "paid"
    assert {ref for _, ref in tasks()} == {refund["id"], dispute["id"], intent_id}


def test_deleted_objects_are_named_by_a_reconciliation(cast: Cast, stripe: stripe_rig.Rig) -> None:
    intent_id = paid(cast.unpaid_order, stripe)
    dispute = stripe.control("/dispute", payment_intent=intent_id, amount=700)
    payments.reconcile_all(days=1)
    stripe.control(delete=[dispute["id"], intent_id])

    with clock.freeze(clock.now() + timedelta(hours=2)):
        run = payments.reconcile_all(days=1)

    assert [(one["what"], one["done"]) for one in run.differences] == [
        ("payment", "refused: deleted at Stripe"),
        ("dispute", "refused: deleted at Stripe"),
    ]
    assert (run.refused, run.failure) == (2, "")


def test_task_closes_once_the_object_fits(cast: Cast, stripe: stripe_rig.Rig) -> None:
    intent_id = paid(cast.unpaid_order, stripe)
    sent = refund_there(stripe, intent_id, amount=999_999)
    hear("refund.created", sent)
    stripe.control(change={"id": sent["id"], "amount": 500})

    assert hear("refund.updated", sent) == "external refund"

    assert ("stripe_refused", sent["id"]) not in tasks()


def test_our_refund_with_another_amount_is_refused(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    paid(order, stripe)
    with transaction():
        refund = payments.request_refund(
            orders.lock(order.id), payments.Wanted(amount_minor=500), reason="goodwill"
        )
    payments.send_refund(refund.id)
    session.refresh(refund)
    stripe.control(change={"id": refund.stripe_id, "amount": 700})

    assert hear("refund.updated", {"id": refund.stripe_id}) == "refused: other amount"
    assert payments.reconcile_all(days=1).refused == 1


def test_timetable_goes_on_past_a_refused_refund(cast: Cast, stripe: stripe_rig.Rig) -> None:
    found = []
    for _ in range(2):
        order = people.order(cast.mug)
        intent_id = paid_there(order.id, stripe, card="pm_card_pendingRefund")
        payments.sync_order(order.id)
        with transaction():
            refund = payments.request_refund(
                orders.lock(order.id), payments.Wanted(amount_minor=500), reason="goodwill"
            )
        payments.send_refund(refund.id)
        session.refresh(refund)
        found.append(refund)
        assert refund.status == "sent", intent_id
    stripe.control(change={"id": found[0].stripe_id, "amount": None})
    stripe.control(change={"id": found[1].stripe_id, "status": "succeeded"})
    with transaction():
        session.execute(update(Refund).values(requested_at=clock.now() - timedelta(hours=1)))

    assert payments.reconcile_refunds() == 2

    session.expire_all()
    assert [one.status for one in found] == ["sent", "done"]
    assert tasks() == [("stripe_refused", found[0].stripe_id)]


def test_timetable_goes_on_past_a_refused_payment(cast: Cast, stripe: stripe_rig.Rig) -> None:
    first, second = people.order(cast.mug), people.order(cast.mug)
    bad = paid_there(first.id, stripe)
    paid_there(second.id, stripe)
    stripe.control(change={"id": bad, "amount_received": "much"})
    with transaction():
        session.execute(update(Payment).values(created_at=clock.now() - timedelta(hours=1)))

    payments.reconcile()

    assert orders.by_id(second.id).payment_status == "paid"
    assert tasks() == [("stripe_refused", bad)]


ODD_DATA: list[Any] = [
    None, [], "x", {"object": None}, {"object": []}, {"object": {"id": None}},
    {"object": {"id": ["re_1"]}}, {"object": {"id": "re_\0"}}, {"object": {"id": "\ud800"}},
    {"object": {"id": "re_1", "amount": float("nan")}},
]  # fmt: skip


def test_any_message_can_be_stored_and_applied(cast: Cast, stripe: stripe_rig.Rig) -> None:
    assert {hear("refund.updated", {}, data=data) for data in ODD_DATA} == {"not ours"}
    assert tasks() == []


def test_webhooks_without_id_are_stored_once(cast: Cast) -> None:
    with transaction():
        stored = [
            webhooks.record_verified({"type": "refund.created", "data": {"object": {"id": one}}})
            for one in ("re_1", "re_2", "re_1")
        ]

    assert stored == [True, True, False]


def test_dispute_that_cannot_be_counted_is_named(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    intent_id = paid(order, stripe)
    dispute = stripe.control("/dispute", payment_intent=intent_id)
    moved = [{**dispute["balance_transactions"][0], "currency": "usd", "exchange_rate": None}]
    stripe.control(change={"id": dispute["id"], "balance_transactions": moved, "currency": "gbp"})

    assert hear("charge.dispute.created", dispute) == "refused: other currency"
    assert session.scalars(select(Dispute)).all() == []

    fields: list[dict[str, Any]] = [
        {"status": None},
        {"balance_transactions": ["txn_1"]},
        {"balance_transactions": [{"id": "txn_1", "amount": None}]},
    ]
    for one in fields:
        stripe.control(change={"id": dispute["id"], **one})
        assert hear("charge.dispute.updated", dispute) == "refused: cannot be read"
