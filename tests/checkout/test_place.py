"""Placing an order: what was shown is what is ordered, or nothing is."""

from datetime import timedelta

import pytest

from shop import cart as carts
from shop import catalog, checkout, inventory, orders
from shop.cart import CartChanged
from shop.checkout import CartProblems
from shop.core import clock
from shop.core.db import transaction
from shop.core.errors import Invalid
from tests import cast as people
from tests.cast import Cast
from tests.discounts.offers import offer


def place(
    cart: carts.Cart, *, seen_version: int | None = None, seen_total_minor: int | None = None
) -> orders.Order:
    with transaction():
        return checkout.place_order(
            cart.id, seen_version=seen_version, seen_total_minor=seen_total_minor
        )


def test_totals_contain_tax_and_shipping(cast: Cast) -> None:
    order = place(people.filled_cart(cast.mug, 2))

    assert (order.subtotal_minor, order.shipping_minor, order.total_minor) == (3800, 490, 4290)
    assert order.tax_minor == 607 + 78


def test_shipping_is_free_from_sixty_euros(cast: Cast) -> None:
    assert place(people.filled_cart(cast.lamp)).shipping_minor == 0


def test_pressing_twice_orders_once(cast: Cast) -> None:
    cart = people.filled_cart(cast.mug)

    assert place(cart).id == place(cart).id
    assert inventory.levels([cast.mug.id])[cast.mug.id].reserved == 1


def test_changed_cart_replaces_the_unpaid_order(cast: Cast) -> None:
    lamp, mug = cast.lamp, cast.mug
    cart = people.filled_cart(lamp, 2)
    first = place(cart)
    with transaction():
        (line,) = carts.view(cart).lines
        carts.remove(cart, line.item_id)
        carts.add(cart, mug.id, 1)

    second = place(cart)

    assert (first.status, second.status) == ("cancelled", "pending")
    assert inventory.available([lamp.id, mug.id]) == {lamp.id: 2, mug.id: 9}


def test_own_reservation_does_not_block_its_buyer(cast: Cast) -> None:
    cart = people.filled_cart(cast.lamp, 2)
    first = place(cart)
    assert carts.view(cart).problems == []

    with transaction():
        checkout.set_contact(
            cart, email="ada@example.com", address=people.ADDRESS | {"line1": "Elsewhere 2"}
        )
    second = place(cart)

    assert second.id != first.id
    assert first.status == "cancelled"
    assert inventory.levels([cast.lamp.id])[cast.lamp.id].reserved == 2


def test_another_billing_address_makes_another_order(cast: Cast) -> None:
    cart = people.filled_cart(cast.mug)
    first = place(cart)

    with transaction():
        second = checkout.place_order(cart.id, billing_address=people.ADDRESS)

    assert second.id != first.id
    assert second.billing_address is not None
    assert inventory.levels([cast.mug.id])[cast.mug.id].reserved == 1


def test_a_version_that_was_not_seen_orders_nothing(cast: Cast) -> None:
    cart = people.filled_cart(cast.mug)

    with pytest.raises(CartChanged):
        place(cart, seen_version=cart.version - 1)

    assert inventory.levels([cast.mug.id])[cast.mug.id].reserved == 0


def test_a_total_that_was_not_seen_orders_nothing(cast: Cast) -> None:
    with pytest.raises(CartChanged, match="total"):
        place(people.filled_cart(cast.mug), seen_total_minor=1)


def test_sold_out_item_stops_before_payment(cast: Cast) -> None:
    mine, yours = people.filled_cart(cast.lamp, 2), people.filled_cart(cast.lamp, 2)
    place(yours)

    with pytest.raises(CartProblems, match="sold out"):
        place(mine)


def test_an_empty_cart_orders_nothing(cast: Cast) -> None:
    with transaction():
        cart = carts.open_cart()

    with pytest.raises(CartProblems, match="empty"):
        place(cart)


def test_older_order_never_charges_a_changed_price(cast: Cast) -> None:
    cart = people.filled_cart(cast.mug)
    first = place(cart)
    with transaction():
        catalog.update_variant(cast.mug, price_minor=2500)

    second = place(cart, seen_total_minor=2500 + 490)

    assert (first.status, second.total_minor) == ("cancelled", 2990)
    assert inventory.levels([cast.mug.id])[cast.mug.id].reserved == 1


def test_expired_order_does_not_stop_a_new_one(
    cast: Cast,
) -> None:
    cart = people.filled_cart(cast.lamp, 2)
    first = place(cart)

    with clock.freeze(first.expires_at + timedelta(seconds=1)):
        second = place(cart)

    assert (first.status, second.status) == ("cancelled", "pending")


def test_total_above_card_limit_is_not_ordered(cast: Cast) -> None:
    offer(kind="free_shipping", value=0)
    pin = people.product("Pin", price_minor=49)
    yacht = people.product("Yacht", price_minor=2_000_000_000)

    with pytest.raises(Invalid, match=r"The least that can be paid by card is €0\.50"):
        place(people.filled_cart(pin))
    with pytest.raises(Invalid, match=r"At most €999,999\.99 can be paid at once"):
        place(people.filled_cart(yacht, 3))

    assert inventory.available([pin.id, yacht.id]) == {pin.id: 10, yacht.id: 10}


def test_free_goods_of_any_price_within_bounds(cast: Cast) -> None:
    offer(kind="free_shipping", value=0)
    offer(kind="percentage", value=10_000)

    assert place(people.filled_cart(people.product("Pin", price_minor=1))).status == "confirmed"
    with pytest.raises(Invalid, match="At most"):
        place(people.filled_cart(people.product("Yacht", price_minor=2_000_000_000), 3))
