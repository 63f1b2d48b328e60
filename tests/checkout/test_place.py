"""Placing an order: what was shown is what is ordered, or nothing is."""

from datetime import timedelta
from decimal import Decimal

import pytest

from shop import cart, catalog, checkout, inventory, orders
from shop.cart import CartChanged, NotEnough
from shop.checkout import CartProblems, NoDelivery
from shop.core import clock
from shop.core.db import transaction
from shop.core.errors import Invalid, NotFound
from shop.discounts import price
from tests import cast as people
from tests.cast import Cast
from tests.discounts.offers import offer


def place(
    basket: cart.Cart, *, seen_version: int | None = None, seen_total_minor: int | None = None
) -> orders.Order:
    with transaction():
        return checkout.place_order(
            basket.id, seen_version=seen_version, seen_total_minor=seen_total_minor
        )


def test_totals_contain_tax_and_delivery(cast: Cast) -> None:
    order = place(people.filled_cart(cast.mug, 2))

    assert (order.subtotal_minor, order.shipping_minor, order.total_minor) == (3800, 490, 4290)
    assert order.tax_minor == 607 + 78


def test_delivery_is_free_from_sixty_euros_on(cast: Cast) -> None:
    assert place(people.filled_cart(cast.lamp)).shipping_minor == 0


def test_pressing_twice_orders_once(cast: Cast) -> None:
    basket = people.filled_cart(cast.mug)

    assert place(basket).id == place(basket).id
    assert inventory.levels([cast.mug.id])[cast.mug.id].reserved == 1


def test_a_changed_cart_replaces_the_unpaid_order_and_its_hold(cast: Cast) -> None:
    lamp, mug = cast.lamp, cast.mug
    basket = people.filled_cart(lamp, 2)
    first = place(basket)
    with transaction():
        (line,) = cart.view(basket).lines
        cart.remove(basket, line.item_id)
        cart.add(basket, mug.id, 1)

    second = place(basket)

    assert (first.status, second.status) == ("cancelled", "pending")
    assert inventory.available([lamp.id, mug.id]) == {lamp.id: 2, mug.id: 9}


def test_an_own_hold_does_not_block_its_buyer(cast: Cast) -> None:
    basket = people.filled_cart(cast.lamp, 2)
    first = place(basket)
    assert cart.view(basket).problems == []

    with transaction():
        checkout.set_contact(
            basket, email="ada@example.com", address=people.ADDRESS | {"line1": "Elsewhere 2"}
        )
    second = place(basket)

    assert second.id != first.id
    assert first.status == "cancelled"
    assert inventory.levels([cast.lamp.id])[cast.lamp.id].reserved == 2


def test_another_billing_address_makes_another_order(cast: Cast) -> None:
    basket = people.filled_cart(cast.mug)
    first = place(basket)

    with transaction():
        second = checkout.place_order(basket.id, billing_address=people.ADDRESS)

    assert second.id != first.id
    assert second.billing_address is not None
    assert inventory.levels([cast.mug.id])[cast.mug.id].reserved == 1


def test_a_version_that_was_not_seen_orders_nothing(cast: Cast) -> None:
    basket = people.filled_cart(cast.mug)

    with pytest.raises(CartChanged):
        place(basket, seen_version=basket.version - 1)

    assert inventory.levels([cast.mug.id])[cast.mug.id].reserved == 0


def test_a_total_that_was_not_seen_orders_nothing(cast: Cast) -> None:
    with pytest.raises(CartChanged, match="total"):
        place(people.filled_cart(cast.mug), seen_total_minor=1)


def test_what_sold_out_meanwhile_stops_before_payment(cast: Cast) -> None:
    mine, yours = people.filled_cart(cast.lamp, 2), people.filled_cart(cast.lamp, 2)
    place(yours)

    with pytest.raises(CartProblems, match="sold out"):
        place(mine)


def test_an_empty_cart_orders_nothing(cast: Cast) -> None:
    with transaction():
        basket = cart.open_cart()

    with pytest.raises(CartProblems, match="empty"):
        place(basket)


@pytest.mark.parametrize("quantity", [-1, 0, 10**9, True, "abc", 1.5])
def test_impossible_quantities_are_refused(cast: Cast, quantity: object) -> None:
    mug = cast.mug
    with transaction():
        basket = cart.open_cart()

    with pytest.raises(Invalid, match="quantity"), transaction():
        cart.add(basket, mug.id, quantity)  # type: ignore[arg-type]


def test_more_than_there_is_can_be_capped_with_a_note(cast: Cast) -> None:
    lamp = cast.lamp
    with transaction():
        basket = cart.open_cart()
        note = cart.add(basket, lamp.id, 5, cap=True)

    assert "Only 2" in note
    assert cart.view(basket).count == 2
    with pytest.raises(NotEnough), transaction():
        cart.add(basket, lamp.id, 1)


def test_a_draft_cannot_be_put_into_a_cart(cast: Cast) -> None:
    with transaction():
        basket = cart.open_cart()

    with pytest.raises(NotFound), transaction():
        cart.add(basket, 999_999, 1)


def test_we_do_not_promise_delivery_where_we_cannot_send(cast: Cast) -> None:
    with transaction():
        basket = cart.open_cart()

    with pytest.raises(NoDelivery), transaction():
        checkout.set_contact(
            basket, email="ada@example.com", address=people.ADDRESS | {"country": "BR"}
        )


def test_signing_in_brings_the_guest_cart_along(cast: Cast) -> None:
    ada, mug, lamp = cast.ada, cast.mug, cast.lamp
    with transaction():
        own, guest = cart.open_cart(ada.id), cart.open_cart()
        cart.add(own, mug.id, 5)
        cart.add(guest, mug.id, 1)
        cart.add(guest, lamp.id, 2)

    with transaction():
        merged, notes = checkout.merge_carts(guest, ada.id)

    assert merged is not None and merged.id == own.id
    lines = {line.variant_id: line.quantity for line in cart.view(own).lines}
    assert lines == {mug.id: 1, lamp.id: 2}
    assert notes == ["Tidal mug: now 1 instead of 5."]


def test_somebody_elses_cart_is_not_found_by_its_token(cast: Cast) -> None:
    ada = cast.ada
    with transaction():
        own = cart.open_cart(ada.id)

    assert cart.find(own.token) is None
    assert cart.find(own.token, ada.id) is not None


class Line:
    def __init__(self, quantity: int, unit: int, tax_class: str) -> None:
        self.quantity, self.unit_price_minor, self.tax_class = quantity, unit, tax_class


@pytest.mark.parametrize("included", [True, False])
def test_mixed_rates_split_delivery_and_add_up(included: bool) -> None:
    rates = {"standard": Decimal("0.19"), "reduced": Decimal("0.07")}
    lines = [Line(1, 999, "standard"), Line(3, 333, "reduced")]

    quote = price(
        lines, rates=rates, shipping_minor=490, currency="EUR", prices_include_tax=included
    )

    goods = 999 + 999
    assert quote.subtotal_minor == goods
    expected = goods + 490 + (0 if included else quote.tax_minor)
    assert quote.total_minor == expected
    assert quote.tax_minor == sum(line.tax_minor for line in quote.lines) + quote.shipping_tax_minor


def test_a_price_that_changed_since_is_never_charged_by_an_older_order(cast: Cast) -> None:
    basket = people.filled_cart(cast.mug)
    first = place(basket)
    with transaction():
        catalog.update_variant(cast.mug, price_minor=2500)

    second = place(basket, seen_total_minor=2500 + 490)

    assert (first.status, second.total_minor) == ("cancelled", 2990)
    assert inventory.levels([cast.mug.id])[cast.mug.id].reserved == 1


def test_an_order_whose_time_is_up_does_not_stop_its_buyer_from_ordering_again(
    cast: Cast,
) -> None:
    basket = people.filled_cart(cast.lamp, 2)
    first = place(basket)

    with clock.freeze(first.expires_at + timedelta(seconds=1)):
        second = place(basket)

    assert (first.status, second.status) == ("cancelled", "pending")


def test_who_signs_in_between_finds_the_order_in_the_account(cast: Cast) -> None:
    basket = people.filled_cart(cast.mug)
    order, ada = place(basket), cast.ada
    with transaction():
        checkout.merge_carts(basket, ada.id)

    assert place(basket).id == order.id
    assert [row.id for row in orders.of_customer(ada.id).rows] == [order.id]


def test_paying_after_signing_in_empties_the_cart_that_the_goods_moved_to(cast: Cast) -> None:
    mug, lamp, ada = cast.mug, cast.lamp, cast.ada
    own = people.filled_cart(mug, 3, customer_id=ada.id)
    guest = people.filled_cart(lamp, 2)
    order = place(guest)
    with transaction():
        checkout.merge_carts(guest, ada.id)

    assert cart.view(own).problems == []
    people.pay(order)

    assert [(line.variant_id, line.quantity) for line in cart.view(own).lines] == [(mug.id, 3)]


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

    assert cart.view(own).problems == []


def test_ordering_anew_after_signing_in_replaces_the_guests_order(cast: Cast) -> None:
    lamp, ada = cast.lamp, cast.ada
    own = people.filled_cart(cast.mug, customer_id=ada.id)
    guest = people.filled_cart(lamp, 2)
    first = place(guest)
    with transaction():
        checkout.merge_carts(guest, ada.id)

    second = place(own)

    assert (first.status, second.status, second.customer_id) == ("cancelled", "pending", ada.id)
    assert inventory.available([lamp.id])[lamp.id] == 0


def test_what_no_card_can_be_charged_is_not_ordered(cast: Cast) -> None:
    offer(kind="free_shipping", value=0)
    pin = people.product("Pin", price_minor=49)
    yacht = people.product("Yacht", price_minor=2_000_000_000)

    with pytest.raises(Invalid, match=r"The least that can be paid by card is €0\.50"):
        place(people.filled_cart(pin))
    with pytest.raises(Invalid, match=r"At most €999,999\.99 can be paid at once"):
        place(people.filled_cart(yacht, 3))

    assert inventory.available([pin.id, yacht.id]) == {pin.id: 10, yacht.id: 10}


def test_goods_of_any_price_can_be_given_away_but_not_beyond_all_bounds(cast: Cast) -> None:
    offer(kind="free_shipping", value=0)
    offer(kind="percentage", value=10_000)

    assert place(people.filled_cart(people.product("Pin", price_minor=1))).status == "confirmed"
    with pytest.raises(Invalid, match="At most"):
        place(people.filled_cart(people.product("Yacht", price_minor=2_000_000_000), 3))
