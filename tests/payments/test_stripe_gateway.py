"""A refund by the SDK, against the stand-in: reported by webhook, asked about, found again."""

from datetime import timedelta

from sqlalchemy import update

from shop import orders, payments
from shop.core import clock
from shop.core.db import session, transaction
from shop.payments import stripe_gateway
from shop.payments.models import Refund
from tests.cast import Cast
from tests.tools import stripe_rig


def test_refund_with_lost_answer_is_never_repeated(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    started = payments.start(order.id)
    intent_id = started.client_secret.partition("_secret")[0]
    stripe.client.v1.payment_intents.confirm(
        intent_id, {"payment_method": "pm_card_visa", "return_url": "https://example.com/"}
    )
    assert payments.sync_payment(started.payment_id) == "paid"
    with transaction():
        payments.cancel_order(orders.lock(order.id), reason="mistake")
    (refund,) = session.query(Refund)
    made = stripe_gateway.create_refund(
        key="an answer that never arrived",
        intent_id=intent_id,
        amount_minor=order.total_minor,
        metadata={"refund": refund.key, "attempt": "1"},
    )
    with transaction() as current:
        current.execute(update(Refund).values(requested_at=clock.now() - timedelta(days=2)))
        current.expire_all()

    payments.reconcile_refunds()

    session.refresh(refund)
    assert (refund.stripe_id, refund.status) == (made.id, "done")
    assert stripe_gateway.fetch_refund(made.id).status == "succeeded"
    assert orders.by_id(order.id).payment_status == "refunded"
