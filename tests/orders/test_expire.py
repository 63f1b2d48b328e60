"""An order that nobody pays in time."""

import pytest

from shop import cart, inventory, orders
from shop.core.db import transaction
from shop.core.errors import WrongState
from shop.payments import attempts
from tests import cast as people
from tests.cast import Cast


def test_expiry_frees_the_stock_and_keeps_the_cart(cast: Cast) -> None:
    order = cast.unpaid_order
    assert inventory.available([cast.mug.id])[cast.mug.id] == 8

    people.expire(order)

    assert inventory.available([cast.mug.id])[cast.mug.id] == 10
    with transaction():
        assert cart.lock(order.cart_id or 0).status == "open"


def test_an_expired_order_cannot_be_started_again(cast: Cast) -> None:
    order = cast.unpaid_order
    people.expire(order)

    with pytest.raises(WrongState, match="time to pay"), transaction():
        attempts.open_payment(orders.lock(order.id), capture="automatic")
