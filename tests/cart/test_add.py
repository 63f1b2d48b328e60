"""What can be put into a cart, and how much of it."""

import pytest

from shop import cart as carts
from shop.cart import NotEnough
from shop.core.db import transaction
from shop.core.errors import Invalid, NotFound
from tests.cast import Cast


@pytest.mark.parametrize("quantity", [-1, 0, 10**9, True, "abc", 1.5])
def test_impossible_quantities_are_refused(cast: Cast, quantity: object) -> None:
    mug = cast.mug
    with transaction():
        cart = carts.open_cart()

    with pytest.raises(Invalid, match="quantity"), transaction():
        carts.add(cart, mug.id, quantity)  # type: ignore[arg-type]


def test_quantity_above_stock_can_be_capped_with_note(cast: Cast) -> None:
    lamp = cast.lamp
    with transaction():
        cart = carts.open_cart()
        note = carts.add(cart, lamp.id, 5, cap=True)

    assert "Only 2" in note
    assert carts.view(cart).count == 2
    with pytest.raises(NotEnough), transaction():
        carts.add(cart, lamp.id, 1)


def test_a_draft_cannot_be_put_into_a_cart(cast: Cast) -> None:
    with transaction():
        cart = carts.open_cart()

    with pytest.raises(NotFound), transaction():
        carts.add(cart, 999_999, 1)
