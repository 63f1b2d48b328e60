"""The demo's story of orders, played at the Stripe stand-in: every state is there, twice changes
nothing."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from shop import payments
from shop.catalog.models import Product
from shop.cli import demo_discounts, demo_orders
from shop.core import clock
from shop.core.db import session, transaction
from shop.orders import Order
from shop.payments import Refund
from shop.payments.models import PaymentEvent
from tests.cast import Cast
from tests.tools.stripe_rig import Rig

# What is on its way depends on the time of day.
AN_EVENING = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)


def test_the_story_has_orders_in_every_state(
    cast: Cast, stripe: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_orders, "DAYS", 16)
    monkeypatch.setattr(demo_orders, "WITH_CODE", 1)
    monkeypatch.setattr(demo_orders, "RETURNED", 0.9)
    assert cast.mug and cast.lamp
    with transaction():
        for product in session.scalars(select(Product)):
            product.published_at = AN_EVENING - timedelta(days=90)
    demo_discounts.load()

    with clock.freeze(AN_EVENING):
        said = demo_orders.load(stripe.url)
        again = demo_orders.load(stripe.url)
    stored = list(session.scalars(select(Order)))

    assert said == f"{len(stored)} demo orders."
    assert {order.status for order in stored} == {
        "pending", "confirmed", "completed", "cancelled", "expired",
    }  # fmt: skip
    assert {order.fulfilment_status for order in stored} == {
        "unfulfilled", "partly_shipped", "shipped", "delivered",
    }  # fmt: skip
    assert {refund.reason for refund in session.scalars(select(Refund))} == {
        "cancelled", "returned",
    }  # fmt: skip
    back = session.scalars(
        select(PaymentEvent.at).where(PaymentEvent.kind == "refunded").order_by(PaymentEvent.at)
    ).all()
    assert back and back[-1] < AN_EVENING - timedelta(hours=1), "money went back as time passed"
    assert any(order.discount_minor for order in stored)
    assert any(order.customer_id for order in stored), "somebody made an account"
    assert again == "0 demo orders."


def test_sweep_expires_no_order_that_demo_will_pay(
    cast: Cast, stripe: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_orders, "DAYS", 3)
    assert cast.mug and cast.lamp
    with transaction():
        for product in session.scalars(select(Product)):
            product.published_at = AN_EVENING - timedelta(days=90)
    swept = []
    start = payments.start

    def sweep_first(order_id: int) -> payments.Started:
        with clock.freeze(AN_EVENING):
            swept.append(payments.expire_unpaid())
        return start(order_id)

    monkeypatch.setattr(payments, "start", sweep_first)
    with clock.freeze(AN_EVENING):
        demo_orders.load(stripe.url)

    assert swept and not any(swept)
