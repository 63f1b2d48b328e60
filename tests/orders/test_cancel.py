"""Cancelling an order, while nothing of it was sent."""

import pytest

from shop import orders, payments
from shop.core.db import transaction
from shop.orders import TransitionRefused
from tests.cast import Cast
from tests.support.stock import level


def test_a_shipped_order_cannot_be_cancelled(cast: Cast) -> None:
    order = cast.paid_order
    with transaction():
        orders.ship(orders.lock(order.id))

    with pytest.raises(TransitionRefused, match="was shipped"), transaction():
        payments.cancel_order(orders.lock(order.id), reason="customer")

    assert order.status == "confirmed"


def test_cancelling_a_paid_order_releases_stock_and_refunds(cast: Cast) -> None:
    order = cast.paid_order

    with transaction():
        payments.cancel_order(orders.lock(order.id), reason="customer")

    assert level(cast.mug.id) == (10, 0, 0)
    (payment,) = payments.of_order(order.id)
    assert [refund.amount_minor for refund in payment.refunds] == [order.total_minor]
