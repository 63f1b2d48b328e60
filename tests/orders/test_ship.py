"""Shipping: what can be sent, what of it is left, and who waits for stock."""

import pytest

from shop import inventory, orders
from shop.core.db import transaction
from shop.core.errors import Invalid
from shop.orders import TransitionRefused
from tests import cast as people
from tests.cast import Cast
from tests.support.stock import ledger_differences, level


def test_shipping_one_of_two_keeps_the_other_committed(cast: Cast) -> None:
    order = cast.paid_order
    line = order.lines[0]

    with transaction():
        orders.ship(orders.lock(order.id), {line.id: 1}, carrier="DHL", tracking_number="123")

    assert order.fulfilment_status == "partly_shipped"
    assert level(cast.mug.id) == (9, 0, 1)


def test_last_delivered_shipment_completes_the_order(cast: Cast) -> None:
    order = cast.paid_order
    with transaction():
        fulfilment = orders.ship(orders.lock(order.id))

    with transaction():
        orders.mark_delivered(orders.lock(order.id), fulfilment.id)

    assert (order.status, order.fulfilment_status) == ("completed", "delivered")
    assert level(cast.mug.id) == (8, 0, 0)


def test_an_unpaid_order_cannot_be_shipped(cast: Cast) -> None:
    order = cast.unpaid_order

    with pytest.raises(TransitionRefused, match="Only a paid order"), transaction():
        orders.ship(orders.lock(order.id))

    assert level(cast.mug.id) == (10, 2, 0)


@pytest.mark.parametrize("quantity", [-1, 3, 10**9])
def test_only_what_is_open_can_be_shipped(cast: Cast, quantity: int) -> None:
    order = cast.paid_order

    with pytest.raises(Invalid, match="left to ship"), transaction():
        orders.ship(orders.lock(order.id), {order.lines[0].id: quantity})

    assert level(cast.mug.id) == (10, 0, 2)


def test_a_foreign_line_cannot_be_shipped(cast: Cast) -> None:
    other = people.order(cast.lamp)
    order = cast.paid_order

    with pytest.raises(Invalid, match="not part of the order"), transaction():
        orders.ship(orders.lock(order.id), {other.lines[0].id: 1})


def test_received_stock_goes_to_earlier_paid_orders(cast: Cast) -> None:
    lamp = cast.lamp  # there are two
    with transaction():
        inventory.allow_backorder(lamp.id, True)
        lamp.backorder_allowed = True
    first, second, third = (people.order(lamp, 2) for _ in range(3))
    for order in (first, third, second):
        people.pay(order)

    def waits(order: orders.Order) -> list[int]:
        return list(orders.waiting(orders.by_id(order.id)).values())

    assert [waits(order) for order in (first, third, second)] == [[], [2], [2]]
    with transaction():
        inventory.receive(lamp.id, 1)
    assert [waits(order) for order in (first, third, second)] == [[], [1], [2]]

    line = third.lines[0].id
    with pytest.raises(Invalid, match="1 of 2 can be shipped now"), transaction():
        orders.ship(orders.lock(third.id))
    with pytest.raises(Invalid, match="0 of 2 can be shipped now"), transaction():
        orders.ship(orders.lock(second.id))
    with transaction():
        orders.ship(orders.lock(third.id), {line: 1})
        orders.ship(orders.lock(first.id))
        inventory.receive(lamp.id, 5)

    assert [waits(order) for order in (third, second)] == [[], []]
    assert ledger_differences() == []


def test_nobody_waits_for_what_is_here(cast: Cast) -> None:
    order = cast.paid_order

    assert orders.waiting(order) == {}
