"""Money confirms an order, and commits its stock."""

from shop import orders
from tests.cast import Cast
from tests.support.stock import level


def test_paid_order_commits_stock_and_empties_the_cart(cast: Cast) -> None:
    order = cast.paid_order

    assert (order.status, order.payment_status) == ("confirmed", "paid")
    assert level(cast.mug.id) == (10, 0, 2)
    assert orders.words(order).label == "Paid"
