"""Nobody keeps goods from others without paying: limits per item, buyer, and on the last units."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from shop import cart as carts
from shop import checkout, orders, payments
from shop.cart import limits
from shop.catalog.models import Variant
from shop.checkout import reservations
from shop.checkout.reservations import ReservationRefused
from shop.core import clock
from shop.core.db import session, transaction
from shop.core.errors import DomainError
from shop.orders.models import Order
from shop.payments import intents
from shop.payments.stripe_objects import Voucher
from tests import cast as people
from tests.cast import Cast


def buyer(
    variant: Variant, email: str, units: int = 1, *, customer_id: int | None = None
) -> carts.Cart:
    with transaction():
        cart = carts.open_cart(customer_id)
        carts.add(cart, variant.id, units)
        checkout.set_contact(cart, email=email, address=people.ADDRESS)
        checkout.set_method(cart, "standard")
    return cart


def place(cart: carts.Cart, **more: Any) -> Order:
    with transaction():
        return checkout.place_order(cart.id, **more)


@pytest.fixture
def later() -> Any:
    """Moves the clock on and lets unpaid orders expire."""
    start, passed = clock.now(), [timedelta()]

    class Later:
        def __call__(self, **by: float) -> Any:
            passed[0] += timedelta(**by)
            return clock.freeze(start + passed[0])

        def expire(self, order: Order) -> None:
            with self(minutes=16), transaction():
                orders.expire(orders.lock(order.id))

        def place(self, cart: carts.Cart, **more: Any) -> Order:
            with self(seconds=1):
                return place(cart, **more)

    return Later()


def test_order_takes_twenty_of_a_variant(cast: Cast) -> None:
    pins = people.product("Pin", price_minor=100, stock=100)
    cart = buyer(pins, "ada@example.com", 20)

    with pytest.raises(carts.TooMany, match="You can order up to 20 of this item"), transaction():
        carts.add(cart, pins.id, 1)
    with transaction():
        note = carts.add(cart, pins.id, 30, cap=True)

    assert note == "You can order up to 20 of this item, so that is what is in your cart now."
    assert carts.view(cart).count == 20


def test_cart_above_the_limit_is_not_ordered(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    pins = people.product("Pin", price_minor=100, stock=100)
    cart = buyer(pins, "ada@example.com", 20)
    monkeypatch.setattr(limits, "_max_per_variant", 5)

    with pytest.raises(checkout.CartProblems, match="You can order up to 5 of this item"):
        place(cart)


def test_scarce_stock_is_named_before_the_limit(cast: Cast) -> None:
    with pytest.raises(carts.NotEnough, match="Only 2 are left"):
        buyer(cast.lamp, "ada@example.com", 50)


@pytest.fixture
def mugs() -> Variant:
    """More than all unpaid orders of one buyer could reserve."""
    return people.product("Many", stock=100)


def test_thirteenth_unpaid_order_is_refused(cast: Cast, mugs: Variant) -> None:
    emails = ["ada@example.com", "ADA+1@example.com", "ada+2@example.com"] * 5
    for email in emails[:12]:
        place(buyer(mugs, email))

    with pytest.raises(ReservationRefused, match="You have 12 unpaid orders") as refused:
        place(buyer(mugs, emails[12]))

    assert refused.value.code == "unpaid_limit"
    assert session.scalar(select(func.count()).select_from(Order)) == 12
    assert place(buyer(mugs, "bob@example.com")).status == "pending"


def test_paying_or_cancelling_makes_room(cast: Cast, mugs: Variant) -> None:
    placed = [place(buyer(mugs, "ada@example.com")) for _ in range(12)]
    people.pay(placed[0])
    place(buyer(mugs, "ada@example.com"))
    with transaction():
        payments.cancel_order(orders.lock(placed[1].id), reason="customer")

    assert place(buyer(mugs, "ada@example.com")).status == "pending"


def test_replacing_an_order_reserves_nothing_more(cast: Cast, mugs: Variant) -> None:
    for _ in range(11):
        place(buyer(mugs, "ada@example.com"))
    cart = buyer(mugs, "ada@example.com")
    place(cart)
    with transaction():
        carts.add(cart, mugs.id, 1)

    assert place(cart).item_count == 2


def test_account_is_not_blocked_by_its_email(cast: Cast, mugs: Variant) -> None:
    for _ in range(12):
        place(buyer(mugs, cast.ada.email))
    cart = buyer(mugs, cast.ada.email, customer_id=cast.ada.id)

    assert place(cart).customer_id == cast.ada.id


def test_equal_orders_at_once_stay_within_the_limit(live_database: str) -> None:
    mugs = people.product("Many", stock=100)
    cart_ids = [buyer(mugs, "ada@example.com").id for _ in range(16)]
    session.remove()
    refused = []
    gate = threading.Barrier(len(cart_ids))

    def press(cart_id: int) -> None:
        gate.wait()
        try:
            with transaction():
                checkout.place_order(cart_id)
        except DomainError as error:
            refused.append(error.code)
        finally:
            session.remove()

    threads = [threading.Thread(target=press, args=(cart_id,)) for cart_id in cart_ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    pending = select(func.count()).where(Order.status == "pending")
    assert session.scalar(pending) == 12
    assert refused == ["unpaid_limit"] * 4


@pytest.mark.parametrize("again", ["same cart", "same email", "tagged email"])
def test_last_units_are_not_reserved_repeatedly(cast: Cast, later: Any, again: str) -> None:
    def another() -> carts.Cart:
        if again == "same cart":
            with transaction():
                checkout.set_contact(
                    cart, email=f"{clock.now():%H%M}@example.com", address=people.ADDRESS
                )
            return cart
        return buyer(cast.lamp, "eve@example.com" if again == "same email" else "Eve+2@example.com")

    cart = buyer(cast.lamp, "eve@example.com", 2 if again == "same cart" else 1)
    for _ in range(2):
        later.expire(later.place(cart))
        cart = another()

    with pytest.raises(ReservationRefused, match="Pebble lamp: the last ones were reserved"):
        later.place(cart)

    other = later.place(buyer(cast.lamp, "bob@example.com"))
    later.expire(other)
    with later(hours=25):
        assert place(cart).status == "pending"


def test_replaced_and_cancelled_reservations_count_as_time(cast: Cast, later: Any) -> None:
    cart = buyer(cast.lamp, "eve@example.com", 2)
    for minute in range(3):
        order = later.place(cart)
        with later(minutes=11), transaction():
            if minute == 1:
                payments.cancel_order(orders.lock(order.id), reason="customer")
            else:
                checkout.set_contact(
                    cart,
                    email="eve@example.com",
                    address=people.ADDRESS | {"line1": f"Street {minute}"},
                )

    with pytest.raises(ReservationRefused, match="reserved several times"):
        later.place(cart)


def test_plenty_is_ordered_again_after_expiry(cast: Cast, mugs: Variant, later: Any) -> None:
    cart = buyer(mugs, "ada@example.com")
    for _ in range(4):
        later.expire(later.place(cart))

    assert later.place(cart).status == "pending"


def test_network_that_never_pays_loses_the_last_units(cast: Cast, later: Any) -> None:
    for n in range(5):
        later.expire(later.place(buyer(cast.lamp, f"eve{n}@example.com", 2), network="n1"))

    with pytest.raises(ReservationRefused):
        later.place(buyer(cast.lamp, "eve6@example.com"), network="n1")

    assert later.place(buyer(cast.lamp, "bob@example.com"), network="n2").status == "pending"
    ada = buyer(cast.lamp, "ada@example.com", customer_id=cast.ada.id)
    assert later.place(ada, network="n1").status == "pending"


def test_network_that_pays_keeps_its_access(cast: Cast, later: Any) -> None:
    vases = people.product("Vase", stock=8)
    for n in range(6):
        people.pay(later.place(buyer(vases, f"payer{n}@example.com"), network="n1"))
    for n in range(5):
        later.expire(later.place(buyer(vases, f"late{n}@example.com", 2), network="n1"))

    assert later.place(buyer(vases, "bob@example.com", 2), network="n1").status == "pending"


def test_networks_are_deleted_after_two_days(cast: Cast) -> None:
    order = place(buyer(cast.mug, "ada@example.com"), network="n1")
    assert reservations.delete_expired_networks() == 0

    with clock.freeze(clock.now() + timedelta(hours=49)):
        assert reservations.delete_expired_networks() == 1

    session.expire_all()
    assert orders.by_id(order.id).placed_from == ""


def test_unpaid_voucher_counts_as_a_reservation(cast: Cast, later: Any) -> None:
    order = later.place(buyer(cast.lamp, "eve@example.com", 2))
    payment = people.attempt(order)
    given = Voucher(
        "https://payments.stripe.com/voucher/x", "21800", clock.now() + timedelta(days=3)
    )
    with transaction():
        intents.apply_intent(
            payment.id,
            people.intent(payment, "requires_action", method="multibanco", voucher=given),
        )
    session.refresh(order)
    until = order.expires_at - order.placed_at
    with later(seconds=until.total_seconds() + 1), transaction():
        orders.expire(orders.lock(order.id))

    with pytest.raises(ReservationRefused, match="Pebble lamp: the last ones were reserved"):
        later.place(buyer(cast.lamp, "eve@example.com"))

    with later(hours=25):
        assert place(buyer(cast.lamp, "eve@example.com")).status == "pending"
