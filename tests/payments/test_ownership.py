"""One account of Stripe's may serve several shops and connected accounts: only ours count."""

from typing import Any

import pytest
from sqlalchemy import func, select

from shop import orders, payments
from shop.core.db import session, transaction
from shop.payments import attempts, ownership, webhooks
from shop.payments.models import (
    Dispute,
    Payment,
    PaymentEvent,
    Refund,
    ShopIdentity,
    Task,
    WebhookDelivery,
)
from tests import cast as people
from tests.cast import Cast
from tests.payments.test_reconciliation import VISA, paid_there
from tests.payments.test_unapplied import hear, paid, tasks
from tests.tools import stripe_rig


def foreign(stripe: stripe_rig.Rig, **metadata: str) -> str:
    """A payment that another shop of the account was paid by. Returns its id."""
    intent = stripe.client.v1.payment_intents.create(
        {
            "amount": 4290,
            "currency": "eur",
            "payment_method": VISA,
            "confirm": True,
            "metadata": metadata,
            "return_url": "https://example.com/",
        }
    )
    return intent.id


def shown(stripe: stripe_rig.Rig, kind: str, stripe_id: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in stripe.state()[kind] if one["id"] == stripe_id)
    return found


def numbers() -> tuple[Any, ...]:
    """What must not change: rows of money, open tasks."""
    counted = (
        session.scalar(select(func.count()).select_from(table))
        for table in (Payment, PaymentEvent, Refund, Dispute, Task)
    )
    return tuple(counted)


def test_nothing_of_another_shop_changes_ours(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    paid(order, stripe)
    owners: tuple[dict[str, str], ...] = (
        {},
        {"shop": "somebody else", "payment": "k1"},
        {"order": order.number, "payment": "k"},
    )
    before = numbers()

    for metadata in owners:
        intent_id = foreign(stripe, **metadata)
        refund = stripe.control("/refund", payment_intent=intent_id, amount=500)
        dispute = stripe.control("/dispute", payment_intent=intent_id)
        outcomes = {
            hear("payment_intent.succeeded", shown(stripe, "payment_intents", intent_id)),
            hear("refund.created", refund),
            hear("charge.dispute.created", dispute),
        }
        assert outcomes == {"not ours"}, metadata
    run = payments.reconcile_all(days=1)

    assert (run.differences, run.failure, numbers()) == ([], "", before)
    assert orders.by_id(order.id).payment_status == "paid"


def test_test_messages_are_not_ours(cast: Cast, stripe: stripe_rig.Rig) -> None:
    for kind in ("payment_intent.succeeded", "refund.created", "charge.dispute.created"):
        assert hear(kind, {"id": "xx_00000000000000", "payment_intent": "pi_000"}) == "not ours"
    assert tasks() == []


@pytest.mark.parametrize("event", [{"account": "acct_1"}, {"livemode": True}])
def test_other_accounts_and_modes_are_not_ours(
    cast: Cast, stripe: stripe_rig.Rig, event: dict[str, Any]
) -> None:
    intent_id = paid_there(cast.unpaid_order.id, stripe)
    about = shown(stripe, "payment_intents", intent_id)
    with transaction():
        webhooks.record_verified(
            {"id": "evt_1", "type": "payment_intent.succeeded", "data": {"object": about}, **event}
        )

    stored = session.scalars(select(WebhookDelivery)).one()
    assert (stored.outcome, stored.applied_at is not None) == ("not ours", True)
    assert orders.by_id(cast.unpaid_order.id).payment_status == "unpaid"


def test_all_that_we_make_carries_the_shops_id(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    intent_id = paid(order, stripe)
    with transaction():
        refund = payments.request_refund(
            orders.lock(order.id), payments.Wanted(amount_minor=500), reason="goodwill"
        )
    payments.send_refund(refund.id)

    made = stripe.state()
    assert session.scalars(select(ShopIdentity.shop_id)).one() == ownership.shop_id()
    assert {one["metadata"]["shop"] for one in made["payment_intents"] + made["refunds"]} == {
        ownership.shop_id()
    }
    intent = shown(stripe, "payment_intents", intent_id)
    assert intent["description"] == f"Order {order.number}"
    assert intent["receipt_email"] is None
    assert intent["shipping"]["name"] == "Ada Lovelace"
    assert intent["shipping"]["address"]["line1"] == "Unter den Linden 1"
    assert intent["metadata"]["order"] == order.number


def test_intents_of_before_are_ours_by_their_key(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    with transaction():
        payment = attempts.open_payment(orders.lock(order.id), capture="automatic")
    intent_id = foreign(stripe, order=order.number, payment=payment.key)

    assert hear("payment_intent.succeeded", shown(stripe, "payment_intents", intent_id)) == "paid"


def test_orphan_money_of_ours_is_asked_about(cast: Cast, stripe: stripe_rig.Rig) -> None:
    intent_id = foreign(stripe, shop=ownership.shop_id(), order="EO-99999", payment="lost")

    outcome = hear("payment_intent.succeeded", shown(stripe, "payment_intents", intent_id))

    assert (outcome, tasks()) == ("unknown payment", [("orphan_money", intent_id)])


def test_dispute_of_an_intent_not_stored_counts(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = people.order(cast.mug)
    with transaction():
        payment = attempts.open_payment(orders.lock(order.id), capture="automatic")
    intent_id = foreign(stripe, shop=ownership.shop_id(), order=order.number, payment=payment.key)
    stripe.control(change={"id": intent_id, "amount": order.total_minor})
    stripe.control(change={"id": intent_id, "amount_received": order.total_minor})
    dispute = stripe.control("/dispute", payment_intent=intent_id)

    assert hear("charge.dispute.created", dispute) == "dispute needs_response"

    assert orders.by_id(order.id).payment_status == "disputed"
