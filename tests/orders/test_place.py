"""Placing an order holds its stock."""

from tests.cast import Cast
from tests.support.stock import level


def test_an_order_holds_its_stock(cast: Cast) -> None:
    order = cast.unpaid_order

    assert order.status == "pending"
    assert level(cast.mug.id) == (10, 2, 0)
