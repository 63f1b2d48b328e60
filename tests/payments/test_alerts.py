"""What Stripe warns of becomes a task in words, and closes with what it warns of."""

from datetime import timedelta

from sqlalchemy import select, update

from shop.core import clock
from shop.core.db import session, transaction
from shop.payments.models import Task
from tests.cast import Cast
from tests.dev import stripe_rig
from tests.payments.test_ownership import foreign
from tests.payments.test_refused_objects import hear, paid, tasks


def sentence() -> str:
    return session.scalars(select(Task.sentence).order_by(Task.id.desc()).limit(1)).one()


def test_fraud_warning_is_a_task_until_refunded(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    intent_id = paid(order, stripe)
    warning = stripe.control("/fraud_warning", payment_intent=intent_id)

    assert hear("radar.early_fraud_warning.created", warning) == "warning open"

    assert tasks() == [("fraud_warning", warning["id"])]
    assert f"order {order.number} as fraud (made with stolen card)" in sentence()
    stripe.control(change={"id": warning["id"], "actionable": False})
    assert hear("radar.early_fraud_warning.updated", warning) == "warning closed"
    assert tasks() == []


def test_review_is_a_task_until_closed(cast: Cast, stripe: stripe_rig.Rig) -> None:
    intent_id = paid(cast.unpaid_order, stripe)
    review = stripe.control("/review", payment_intent=intent_id)

    assert hear("review.opened", review) == "review open"
    assert tasks() == [("review", review["id"])]

    stripe.control("/review", review=review["id"])
    assert hear("review.closed", review) == "review closed"
    assert hear("review.opened", review) == "review closed"
    assert tasks() == []


def test_failed_payout_is_a_task_until_one_is_paid(cast: Cast, stripe: stripe_rig.Rig) -> None:
    payout = stripe.control("/payout", amount=123_400, failure_code="account_closed")

    assert hear("payout.failed", payout) == "payout failed"

    assert tasks() == [("payout_failed", payout["id"])]
    assert "€1,234.00 to your bank account: The bank account has been closed." in sentence()
    with transaction():
        session.execute(update(Task).values(opened_at=clock.now() - timedelta(hours=1)))
    assert hear("payout.paid", stripe.control("/payout", status="paid")) == "payout paid"
    assert tasks() == []


def test_alerts_about_other_shops_open_nothing(cast: Cast, stripe: stripe_rig.Rig) -> None:
    intent_id = foreign(stripe)
    warning = stripe.control("/fraud_warning", payment_intent=intent_id)
    review = stripe.control("/review", payment_intent=intent_id)

    assert hear("radar.early_fraud_warning.created", warning) == "not ours"
    assert hear("review.opened", review) == "not ours"
    assert tasks() == []


def test_deleted_and_odd_alerts_are_named(cast: Cast, stripe: stripe_rig.Rig) -> None:
    intent_id = paid(cast.unpaid_order, stripe)
    review = stripe.control("/review", payment_intent=intent_id)
    payout = stripe.control("/payout")
    warning = stripe.control("/fraud_warning", payment_intent=intent_id)
    stripe.control(
        change=[{"id": review["id"], "open": "perhaps"}, {"id": payout["id"], "amount": 1.5}]
    )
    stripe.control(delete=warning["id"])

    assert hear("radar.early_fraud_warning.updated", warning) == "refused: deleted at Stripe"
    assert hear("review.opened", review) == "refused: cannot be read"
    assert hear("payout.failed", payout) == "refused: cannot be read"
