"""What Stripe warns of becomes a task in words, and closes with what it warns of."""

import pytest
from sqlalchemy import select

from shop import doctor, payments
from shop.core import clock
from shop.core.db import session, transaction
from shop.payments.models import Task
from tests.cast import Cast
from tests.payments.test_ownership import foreign
from tests.payments.test_unapplied import hear, paid, tasks
from tests.tools import stripe_rig


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


def test_failed_payout_is_task_until_one_is_paid(cast: Cast, stripe: stripe_rig.Rig) -> None:
    payout = stripe.control("/payout", amount=123_400, failure_code="account_closed")

    assert hear("payout.failed", payout) == "payout failed"

    assert tasks() == [("payout_failed", payout["id"])]
    assert "€1,234.00 to your bank account: The bank account has been closed." in sentence()
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


def reconciled() -> list[tuple[str, str]]:
    """What a reconciliation finds and does."""
    run = payments.reconcile_all(days=1)
    assert run.failure == ""
    return [(one["what"], one["done"]) for one in run.differences]


def test_alerts_of_lost_messages_are_found(cast: Cast, stripe: stripe_rig.Rig) -> None:
    intent_id = paid(cast.unpaid_order, stripe)
    warning = stripe.control("/fraud_warning", payment_intent=intent_id)
    review = stripe.control("/review", payment_intent=intent_id)
    payout = stripe.control("/payout")

    looked = payments.reconcile_all(days=1, mend=False)
    assert [one["what"] for one in looked.differences] == [
        "early fraud warning",
        "review",
        "payout",
    ]
    assert tasks() == []
    found = doctor.run_all(with_stripe=True, checks=()).faults
    assert [(one.check.id, one.count) for one in found] == [("stripe", 3)]

    assert reconciled() == [
        ("early fraud warning", "warning open"),
        ("review", "review open"),
        ("payout", "payout failed"),
    ]
    assert tasks() == [
        ("fraud_warning", warning["id"]),
        ("review", review["id"]),
        ("payout_failed", payout["id"]),
    ]
    assert reconciled() == []


def test_alerts_end_without_a_message(cast: Cast, stripe: stripe_rig.Rig) -> None:
    intent_id = paid(cast.unpaid_order, stripe)
    warning = stripe.control("/fraud_warning", payment_intent=intent_id)
    review = stripe.control("/review", payment_intent=intent_id)
    stripe.control("/payout")
    reconciled()
    stripe.control(change={"id": warning["id"], "actionable": False})
    stripe.control("/review", review=review["id"])
    stripe.control("/payout", status="paid")

    assert reconciled() == [
        ("early fraud warning", "warning closed"),
        ("review", "review closed"),
        ("payout", "payout failed, a later one is paid"),
    ]
    assert tasks() == []
    assert reconciled() == []


def test_who_has_looked_is_not_asked_again(cast: Cast, stripe: stripe_rig.Rig) -> None:
    intent_id = paid(cast.unpaid_order, stripe)
    stripe.control("/fraud_warning", payment_intent=intent_id)
    stripe.control("/review", payment_intent=intent_id)
    stripe.control("/payout")
    assert len(reconciled()) == 3
    with transaction():
        for task in session.scalars(select(Task)):
            payments.close_task(task.id)

    assert reconciled() == []
    assert tasks() == []


def test_reconciliation_leaves_alerts_of_other_shops(cast: Cast, stripe: stripe_rig.Rig) -> None:
    intent_id = foreign(stripe)
    stripe.control("/fraud_warning", payment_intent=intent_id)
    stripe.control("/review", payment_intent=intent_id)
    ours = paid(cast.unpaid_order, stripe)
    warning = stripe.control("/fraud_warning", payment_intent=ours)

    assert reconciled() == [("early fraud warning", "warning open")]
    assert tasks() == [("fraud_warning", warning["id"])]


def test_odd_alerts_do_not_stop_a_reconciliation(cast: Cast, stripe: stripe_rig.Rig) -> None:
    intent_id = paid(cast.unpaid_order, stripe)
    warning = stripe.control("/fraud_warning", payment_intent=intent_id)
    review = stripe.control("/review", payment_intent=intent_id)
    odd, good = stripe.control("/payout"), stripe.control("/payout", amount=500)
    reconciled()
    stripe.control(
        change=[{"id": warning["id"], "actionable": "perhaps"}, {"id": odd["id"], "amount": None}]
    )
    stripe.control(delete=[review["id"], good["id"]])

    assert reconciled() == [
        ("early fraud warning", "refused: cannot be read"),
        ("review", "refused: deleted at Stripe"),
        ("payout", "refused: cannot be read"),
        ("payout", "refused: deleted at Stripe"),
    ]


@pytest.mark.parametrize("error", ["permission_error", "charge_not_refundable"])
def test_lists_that_stripe_refuses_are_named(
    cast: Cast, stripe: stripe_rig.Rig, error: str
) -> None:
    intent_id = paid(cast.unpaid_order, stripe)
    stripe.control("/review", payment_intent=intent_id)
    denied = {"path": "/v1/radar/early_fraud_warnings", "method": "GET", "error": error}
    stripe.control(fail={**denied, "times": 2})

    assert reconciled() == [
        ("early fraud warning list", "refused: cannot be listed"),
        ("review", "review open"),
    ]
    assert ("stripe_refused", "early fraud warning list") in tasks()
    assert reconciled() == []  # somebody is asked already
    assert reconciled() == []  # the key may list them now
    assert [kind for kind, _ in tasks()] == ["review"]


def test_payout_in_another_currency_ends_nothing(cast: Cast, stripe: stripe_rig.Rig) -> None:
    failed = stripe.control("/payout")
    hear("payout.failed", failed)

    hear("payout.paid", stripe.control("/payout", status="paid", currency="usd"))
    assert tasks() == [("payout_failed", failed["id"])]

    hear("payout.paid", stripe.control("/payout", status="paid"))
    assert tasks() == []


def test_payout_paid_before_the_failure_ends_nothing(cast: Cast, stripe: stripe_rig.Rig) -> None:
    failed, paid_one = stripe.control("/payout"), stripe.control("/payout", status="paid")
    yesterday = int(clock.now().timestamp()) - 86_400
    stripe.control(change={"id": failed["id"], "created": yesterday - 86_400})
    stripe.control(change={"id": paid_one["id"], "created": yesterday})

    assert hear("payout.failed", failed) == "payout failed"
    assert hear("payout.paid", paid_one) == "payout paid"

    assert tasks() == [("payout_failed", failed["id"])]


def test_late_news_of_a_failed_payout_asks_nobody(cast: Cast, stripe: stripe_rig.Rig) -> None:
    failed = stripe.control("/payout")
    hear("payout.paid", stripe.control("/payout", status="paid"))

    assert hear("payout.failed", failed) == "payout failed, a later one is paid"
    assert tasks() == []
    assert reconciled() == []


def test_payout_below_zero_is_said_as_such(cast: Cast, stripe: stripe_rig.Rig) -> None:
    payout = stripe.control("/payout")
    stripe.control(change={"id": payout["id"], "amount": -5000, "failure_message": None})

    hear("payout.failed", payout)

    assert sentence().startswith("Stripe could not collect €50.00 from your bank account: could")
