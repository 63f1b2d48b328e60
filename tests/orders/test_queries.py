"""Reading orders: the timeline, and what the desk finds."""

from shop import orders
from shop.core.db import transaction
from tests.cast import Cast


def test_the_timeline_tells_the_story_in_order(cast: Cast) -> None:
    order = cast.paid_order
    with transaction():
        orders.start_processing(orders.lock(order.id))
    with transaction():
        orders.ship(orders.lock(order.id))

    told = [entry.type for entry in orders.timeline(order.id)]

    assert told == ["OrderPlaced", "OrderPaid", "OrderProcessing", "OrderShipped"]


def test_order_list_finds_number_email_and_name(cast: Cast) -> None:
    order = cast.paid_order

    for q in (order.number, "ada@example", "lovelace ada"):
        found = orders.desk(orders.OrderFilters(q=q))
        assert [row.number for row in found.rows] == [order.number]
    assert orders.desk(orders.OrderFilters(q="%")).total == 0
