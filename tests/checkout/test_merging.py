"""Signing in brings the guest's cart and its order along."""

from shop import cart as carts
from shop import checkout, inventory, orders
from shop.core.db import transaction
from tests import cast as people
from tests.cast import Cast


def place(cart: carts.Cart) -> orders.Order:
    with transaction():
        return checkout.place_order(cart.id)


def test_signing_in_brings_the_guest_cart_along(cast: Cast) -> None:
    ada, mug, lamp = cast.ada, cast.mug, cast.lamp
    with transaction():
        own, guest = carts.open_cart(ada.id), carts.open_cart()
        carts.add(own, mug.id, 5)
        carts.add(guest, mug.id, 1)
        carts.add(guest, lamp.id, 2)

    with transaction():
        merged, notes = checkout.merge_carts(guest, ada.id)

    assert merged is not None and merged.id == own.id
    lines = {line.variant_id: line.quantity for line in carts.view(own).lines}
    assert lines == {mug.id: 1, lamp.id: 2}
    assert notes == ["Tidal mug: now 1 instead of 5."]


def test_who_signs_in_between_finds_order_in_account(cast: Cast) -> None:
    cart = people.filled_cart(cast.mug)
    order, ada = place(cart), cast.ada
    with transaction():
        checkout.merge_carts(cart, ada.id)

    assert place(cart).id == order.id
    assert [row.id for row in orders.of_customer(ada.id).rows] == [order.id]


def test_paying_after_sign_in_empties_the_merged_cart(cast: Cast) -> None:
    mug, lamp, ada = cast.mug, cast.lamp, cast.ada
    own = people.filled_cart(mug, 3, customer_id=ada.id)
    guest = people.filled_cart(lamp, 2)
    order = place(guest)
    with transaction():
        checkout.merge_carts(guest, ada.id)

    assert carts.view(own).problems == []
    people.pay(order)

    assert [(line.variant_id, line.quantity) for line in carts.view(own).lines] == [(mug.id, 3)]


def test_a_dead_order_of_another_device_does_not_hide_the_own_hold(cast: Cast) -> None:
    mug, ada, lamp = cast.mug, cast.ada, cast.lamp
    own = people.filled_cart(mug, 9, customer_id=ada.id)
    place(own)
    guest = people.filled_cart(lamp)
    dead = place(guest)
    with transaction():
        orders.cancel(orders.lock(dead.id), reason="customer")
    with transaction():
        checkout.merge_carts(guest, ada.id)

    assert carts.view(own).problems == []


def test_order_after_sign_in_replaces_the_guest_order(cast: Cast) -> None:
    lamp, ada = cast.lamp, cast.ada
    own = people.filled_cart(cast.mug, customer_id=ada.id)
    guest = people.filled_cart(lamp, 2)
    first = place(guest)
    with transaction():
        checkout.merge_carts(guest, ada.id)

    second = place(own)

    assert (first.status, second.status, second.customer_id) == ("cancelled", "pending", ada.id)
    assert inventory.available([lamp.id])[lamp.id] == 0
