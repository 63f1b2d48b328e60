"""Of the orders of one cart, one is live: whatever is paid, late, twice or on its way."""

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import func, select

from shop import cart as carts
from shop import checkout, inventory, orders
from shop.core import clock
from shop.core.db import retrying, session, transaction
from shop.core.errors import NotFound, WrongState
from shop.core.events import EventRecord
from shop.orders.models import Order
from shop.payments import attempts, cancelling, intents
from shop.payments.models import Payment, Refund
from shop.payments.stripe_objects import Intent, Voucher
from tests import cast as people
from tests.cast import Cast

ENDS = timedelta(days=3)


def arrives(payment: Payment, status: str = "succeeded", **facts: object) -> str:
    """Stripe says how a payment stands now."""
    with transaction():
        return intents.apply_intent(payment.id, people.intent(payment, status, **facts))


def replaced(cart: carts.Cart, variant_id: int) -> Order:
    """The cart has one more item and is ordered again."""
    with transaction():
        carts.add(cart, variant_id)
    with transaction():
        return checkout.place_order(cart.id)


def pair(cast: Cast) -> tuple[carts.Cart, Order, Payment, Order, Payment]:
    """A cart whose first order, with an attempt to pay, was replaced by a second one."""
    cart = people.filled_cart(cast.mug, 2)
    with transaction():
        first = checkout.place_order(cart.id)
    paying_first = people.attempt(first)
    second = replaced(cart, cast.lamp.id)
    return cart, first, paying_first, second, people.attempt(second)


def statuses(*placed: Order) -> list[tuple[str, str]]:
    session.expire_all()
    return [(order.status, order.payment_status) for order in placed]


def stock(variant_id: int) -> tuple[int, int]:
    level = inventory.levels([variant_id])[variant_id]
    return level.reserved, level.committed


def causes(order: Order) -> list[str]:
    """Why late money of an order was refunded, as its events say."""
    of_order = select(EventRecord.payload).where(
        EventRecord.order_id == order.id, EventRecord.type == "LatePaymentRefused"
    )
    return [payload["cause"] for payload in session.scalars(of_order)]


def test_late_payment_closes_unpaid_successor(cast: Cast) -> None:
    cart, first, paying, second, _paying_second = pair(cast)

    assert arrives(paying) == "paid"

    assert statuses(first, second) == [("confirmed", "paid"), ("cancelled", "unpaid")]
    assert second.close_reason == "another order of the same cart was paid"
    assert (stock(cast.mug.id), stock(cast.lamp.id)) == ((0, 2), (0, 0))
    left = {line.variant_id: line.quantity for line in carts.view(cart).lines}
    assert left == {cast.lamp.id: 1}
    with pytest.raises(WrongState):
        attempts.open_payment(orders.lock(second.id), capture="automatic")


def test_successor_paid_after_all_is_refunded(cast: Cast) -> None:
    _, first, paying, second, paying_second = pair(cast)
    arrives(paying)

    assert arrives(paying_second) == "paid twice"

    assert statuses(first, second) == [("confirmed", "paid"), ("cancelled", "paid")]
    refund = session.scalars(select(Refund).where(Refund.payment_id == paying_second.id)).one()
    assert refund.amount_minor == second.total_minor
    assert causes(second) == ["paid_twice"]
    assert (stock(cast.mug.id), stock(cast.lamp.id)) == ((0, 2), (0, 0))


@pytest.mark.parametrize("status", ["succeeded", "requires_capture", "processing"])
def test_late_payment_beside_ordered_successor_is_refunded(cast: Cast, status: str) -> None:
    _, first, paying, second, paying_second = pair(cast)
    arrives(paying_second, status)
    before = statuses(second)

    assert arrives(paying) == "paid twice"

    assert statuses(first, second) == [("cancelled", "paid"), *before]
    refund = session.scalars(select(Refund).where(Refund.payment_id == paying.id)).one()
    assert refund.amount_minor == first.total_minor
    assert causes(first) == ["paid_twice"]
    assert sum(stock(cast.lamp.id)) == 1


def test_processing_predecessor_becomes_the_order(cast: Cast) -> None:
    _, first, paying, second, _ = pair(cast)

    assert arrives(paying, "processing") == "processing"

    assert statuses(first, second) == [("pending", "processing"), ("cancelled", "unpaid")]
    assert (stock(cast.mug.id), stock(cast.lamp.id)) == ((2, 0), (0, 0))
    arrives(paying)
    assert statuses(first) == [("confirmed", "paid")]
    assert stock(cast.mug.id) == (0, 2)


def test_processing_beside_paid_successor_is_refunded_later(cast: Cast) -> None:
    _, first, paying, second, paying_second = pair(cast)
    arrives(paying_second)

    assert arrives(paying, "processing") == "unwanted"
    assert arrives(paying) == "paid twice"

    assert statuses(first, second) == [("cancelled", "paid"), ("confirmed", "paid")]
    assert causes(first) == ["paid_twice"]


def test_sold_out_predecessor_leaves_successor_open(cast: Cast) -> None:
    lamp, mug = cast.lamp, cast.mug
    cart = people.filled_cart(lamp, 2)
    with transaction():
        first = checkout.place_order(cart.id)
    paying = people.attempt(first)
    with transaction():
        carts.remove(cart, carts.view(cart).lines[0].item_id)
    second = replaced(cart, mug.id)
    people.order(lamp, 2)

    assert arrives(paying) == "late"

    assert statuses(first, second) == [("cancelled", "paid"), ("pending", "unpaid")]
    assert causes(first) == ["sold_out"]
    assert stock(mug.id) == (1, 0)
    people.pay(second)
    assert statuses(second) == [("confirmed", "paid")]


def test_cancelled_successor_keeps_predecessor_closed(cast: Cast) -> None:
    _, first, paying, second, _ = pair(cast)
    with transaction():
        cancelling.cancel_order(orders.lock(second.id), reason="customer")

    assert arrives(paying) == "late"

    assert statuses(first, second) == [("cancelled", "paid"), ("cancelled", "unpaid")]
    assert causes(first) == ["cancelled"]


def test_order_after_a_cancelled_one_can_be_paid(cast: Cast) -> None:
    cart = people.filled_cart(cast.mug)
    with transaction():
        first = checkout.place_order(cart.id)
        orders.cancel(first, reason="customer")
    with transaction():
        second = checkout.place_order(cart.id)

    people.pay(second)

    assert statuses(first, second) == [("cancelled", "unpaid"), ("confirmed", "paid")]


def test_expired_predecessor_is_paid_beside_live_successor(cast: Cast) -> None:
    cart = people.filled_cart(cast.mug)
    with transaction():
        first = checkout.place_order(cart.id)
    paying = people.attempt(first)
    with clock.freeze(first.expires_at + timedelta(minutes=1)), transaction():
        orders.expire(orders.lock(first.id))
    with transaction():
        second = checkout.place_order(cart.id)

    arrives(paying)

    assert statuses(first, second) == [("confirmed", "paid"), ("cancelled", "unpaid")]
    assert stock(cast.mug.id) == (0, 1)


def test_three_orders_of_a_cart_are_paid_once(cast: Cast) -> None:
    cart, first, paying_first, second, paying_second = pair(cast)
    third = replaced(cart, cast.mug.id)
    paying_third = people.attempt(third)

    outcomes = [arrives(one) for one in (paying_second, paying_first, paying_third)]

    assert outcomes == ["paid", "paid twice", "paid twice"]
    assert [one[0] for one in statuses(first, second, third)] == [
        "cancelled",
        "confirmed",
        "cancelled",
    ]
    assert stock(cast.mug.id) == (0, 2)


def test_items_left_after_paying_are_a_new_chain(cast: Cast) -> None:
    cart, first, paying, *_ = pair(cast)
    arrives(paying)

    with transaction():
        rest = checkout.place_order(cart.id)
    people.pay(rest)

    assert statuses(first, rest) == [("confirmed", "paid"), ("confirmed", "paid")]
    assert rest.chain_id != first.chain_id


def test_processing_order_is_not_replaced(cast: Cast) -> None:
    cart = people.filled_cart(cast.mug, 2)
    with transaction():
        order = checkout.place_order(cart.id)
    paying = people.attempt(order)
    lamp = cast.lamp
    arrives(paying, "processing")

    with pytest.raises(NotFound), transaction():
        carts.add(cart, lamp.id)
    with transaction():
        again = checkout.place_order(cart.id)

    assert again.id == order.id
    assert statuses(order) == [("pending", "processing")]
    with pytest.raises(WrongState, match="on its way"), transaction():
        attempts.open_payment(orders.lock(order.id), capture="automatic")


def test_processing_order_does_not_expire(cast: Cast) -> None:
    order = cast.unpaid_order
    paying = people.attempt(order)
    arrives(paying, "processing")

    with transaction():
        order.expires_at = clock.now() - timedelta(days=2)

    assert orders.due_to_expire() == []
    arrives(paying, "processing")
    assert order.expires_at > clock.now() + timedelta(hours=23)


def test_failed_debit_can_be_paid_until_it_expires(cast: Cast) -> None:
    order = cast.unpaid_order
    paying = people.attempt(order)
    arrives(paying, "processing")

    failed = {"failure": "The debit was returned.", "failure_reference": "py_1"}
    assert arrives(paying, "requires_payment_method", **failed) == "failed"

    assert statuses(order) == [("pending", "unpaid")]
    assert order.expires_at - clock.now() > timedelta(hours=71)
    with transaction():
        assert attempts.open_payment(orders.lock(order.id), capture="automatic").id == paying.id
    with clock.freeze(order.expires_at + timedelta(seconds=1)), transaction():
        orders.expire(orders.lock(order.id))
    assert stock(cast.mug.id) == (0, 0)


def test_older_answer_does_not_undo_processing(cast: Cast) -> None:
    order = cast.unpaid_order
    paying = people.attempt(order)
    before = clock.now() - timedelta(seconds=5)
    arrives(paying, "processing")

    assert arrives(paying, "requires_payment_method", asked_at=before) == "known"

    assert statuses(order) == [("pending", "processing")]


def test_cancelled_while_processing_is_refunded(cast: Cast) -> None:
    order = cast.unpaid_order
    paying = people.attempt(order)
    arrives(paying, "processing")
    with transaction():
        cancelling.cancel_order(orders.lock(order.id), reason="customer")
    assert stock(cast.mug.id) == (0, 0)

    assert arrives(paying, "processing") == "processing"
    assert arrives(paying) == "late"

    assert statuses(order) == [("cancelled", "paid")]
    assert causes(order) == ["cancelled"]
    assert session.scalar(select(func.sum(Refund.amount_minor))) == order.total_minor


def test_voucher_keeps_order_until_it_ends(cast: Cast) -> None:
    cart = people.filled_cart(cast.mug, 2)
    with transaction():
        order = checkout.place_order(cart.id)
    paying = people.attempt(order)
    ends = clock.now() + ENDS
    voucher = Voucher("https://stripe.test/voucher/1", "123 456", ends)

    assert arrives(paying, "requires_action", voucher=voucher) == "voucher"
    assert arrives(paying, "requires_action", voucher=voucher) == "waiting"

    assert order.expires_at >= ends
    assert session.get_one(carts.Cart, cart.id).status == "closed"
    assert arrives(paying, "requires_payment_method") == "failed"
    assert (paying.voucher_url, paying.voucher_expires_at) == ("", None)
    assert timedelta(hours=71) < order.expires_at - clock.now() <= timedelta(hours=72)


def test_voucher_paid_empties_nothing_twice(cast: Cast) -> None:
    cart = people.filled_cart(cast.mug, 2)
    with transaction():
        order = checkout.place_order(cart.id)
    paying = people.attempt(order)
    voucher = Voucher("https://stripe.test/voucher/1", "", clock.now() + ENDS)
    arrives(paying, "requires_action", voucher=voucher)

    assert arrives(paying) == "paid"

    assert statuses(order) == [("confirmed", "paid")]
    assert paying.voucher_url == ""


@pytest.mark.parametrize("first", ["processing", "voucher"])
def test_units_added_since_stay_when_the_money_arrives(cast: Cast, first: str) -> None:
    cart = people.filled_cart(cast.mug, 2)
    with transaction():
        order = checkout.place_order(cart.id)
    paying = people.attempt(order)
    with transaction():
        carts.add(cart, cast.mug.id)
    if first == "voucher":
        voucher = Voucher("https://stripe.test/voucher/1", "", clock.now() + ENDS)
        arrives(paying, "requires_action", voucher=voucher)
    arrives(paying, "processing")
    assert [line.quantity for line in carts.view(cart).lines] == [1]

    assert arrives(paying) == "paid"

    session.expire_all()
    assert [line.quantity for line in carts.view(cart).lines] == [1]


def test_items_added_while_processing_stay_orderable(cast: Cast) -> None:
    cart = people.filled_cart(cast.mug, 2)
    with transaction():
        order = checkout.place_order(cart.id)
    paying = people.attempt(order)
    with transaction():
        carts.add(cart, cast.mug.id)
    arrives(paying, "processing")
    with transaction():
        rest = checkout.place_order(cart.id)

    arrives(paying)

    session.expire_all()
    assert statuses(order, rest) == [("confirmed", "paid"), ("pending", "unpaid")]
    kept = session.get_one(carts.Cart, cart.id)
    assert kept.order_id == rest.id
    assert [line.quantity for line in carts.view(kept).lines] == [1]


def test_new_voucher_of_the_same_page_is_shown(cast: Cast) -> None:
    order = cast.unpaid_order
    paying = people.attempt(order)
    ends = clock.now() + ENDS
    arrives(paying, "requires_action", voucher=Voucher("https://stripe.test/v", "1", ends))

    again = Voucher("https://stripe.test/v", "2", ends)
    assert arrives(paying, "requires_action", voucher=again) == "voucher"

    assert paying.voucher_reference == "2"


def test_sign_in_leaves_one_of_two_unpaid_orders(cast: Cast) -> None:
    lamp, ada = cast.lamp, cast.ada
    own = people.filled_cart(lamp, 1, customer_id=ada.id)
    with transaction():
        first = checkout.place_order(own.id)
    paying_first = people.attempt(first)
    guest = people.filled_cart(lamp, 1)
    with transaction():
        second = checkout.place_order(guest.id)
    paying_second = people.attempt(second)

    with transaction():
        _, notes = checkout.merge_carts(guest, ada.id)

    assert statuses(first, second) == [("cancelled", "unpaid"), ("pending", "unpaid")]
    assert carts.view(own).problems == []
    assert notes == [f"Your unpaid order {first.number} was cancelled. Its items are in your cart."]
    assert (arrives(paying_second), arrives(paying_first)) == ("paid", "paid twice")
    assert session.get_one(carts.Cart, own.id).order_id is None
    assert stock(lamp.id) == (0, 1)


def test_sign_in_does_not_cancel_another_cart_order(cast: Cast) -> None:
    guest = people.filled_cart(cast.mug)
    with transaction():
        first = checkout.place_order(guest.id)
    paying = people.attempt(first)
    own = people.filled_cart(cast.lamp, customer_id=cast.ada.id)
    with transaction():
        other = checkout.place_order(own.id)
    with transaction():
        orders.cancel(orders.lock(other.id), reason="customer")
    with transaction():
        checkout.merge_carts(guest, cast.ada.id)
    with clock.freeze(first.expires_at + timedelta(minutes=1)), transaction():
        orders.expire(orders.lock(first.id))

    assert arrives(paying) == "paid"

    assert statuses(first, other) == [("confirmed", "paid"), ("cancelled", "unpaid")]


def test_sign_in_keeps_the_order_with_a_voucher(cast: Cast) -> None:
    ada = cast.ada
    own = people.filled_cart(cast.mug, customer_id=ada.id)
    with transaction():
        first = checkout.place_order(own.id)
    paying = people.attempt(first)
    with transaction():
        paying.voucher_url = "https://stripe.test/voucher/1"
    guest = people.filled_cart(cast.lamp)
    with transaction():
        second = checkout.place_order(guest.id)

    with transaction():
        checkout.merge_carts(guest, ada.id)

    assert statuses(first, second) == [("pending", "unpaid"), ("cancelled", "unpaid")]


def at_once(*works: Callable[[], object]) -> None:
    """Run these in threads that start together; a failure of one is raised."""
    barrier, failures = threading.Barrier(len(works)), []

    def run(work: Callable[[], object]) -> None:
        barrier.wait()
        try:
            retrying(work)
        except BaseException as error:
            failures.append(error)
        finally:
            session.remove()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []


def is_paid(payment_id: int, intent: Intent) -> None:
    with transaction():
        intents.apply_intent(payment_id, intent)


def is_ordered_again(cart_id: int) -> None:
    with transaction():
        found = carts.lock(cart_id)
        if found.status == "open":
            checkout.set_contact(found, email="bruno@example.com", address=people.ADDRESS)
        checkout.place_order(cart_id)


def live_of(cart_id: int) -> list[int]:
    live = select(Order.id).where(Order.cart_id == cart_id, Order.status.in_(orders.LIVE))
    found = list(session.scalars(live))
    session.remove()
    return found


def test_paying_and_ordering_again_at_once(live_database: str) -> None:
    mug = people.product("Mug", stock=1000)
    for _ in range(30):
        cart = people.filled_cart(mug)
        with transaction():
            first = checkout.place_order(cart.id)
        paying = people.attempt(first)
        first_id, cart_id = first.id, cart.id
        pays = partial(is_paid, paying.id, people.intent(paying))
        session.remove()

        at_once(pays, partial(is_ordered_again, cart_id))

        assert live_of(cart_id) == [first_id]
    level = inventory.levels([mug.id])[mug.id]
    assert (level.reserved, level.committed) == (0, 30)


def test_two_orders_of_a_cart_paid_at_once(live_database: str) -> None:
    mug = people.product("Mug", stock=1000)
    for _ in range(30):
        cart = people.filled_cart(mug)
        with transaction():
            first = checkout.place_order(cart.id)
        paying_first = people.attempt(first)
        second = replaced(cart, mug.id)
        paying_second = people.attempt(second)
        cart_id = cart.id
        works = [
            partial(is_paid, one.id, people.intent(one)) for one in (paying_first, paying_second)
        ]
        session.remove()

        at_once(*works)

        assert len(live_of(cart_id)) == 1
    assert session.scalar(select(func.count()).select_from(Refund)) == 30
    assert inventory.levels([mug.id])[mug.id].reserved == 0


def test_sign_in_and_paying_at_once(live_database: str) -> None:
    mug = people.product("Mug", stock=1000)
    for turn in range(20):
        who = people.customer(f"buyer{turn}@example.com", "Ada")
        own = people.filled_cart(mug, customer_id=who.id)
        with transaction():
            first = checkout.place_order(own.id)
        paying = people.attempt(first)
        guest = people.filled_cart(mug, email=f"buyer{turn}@example.com")
        with transaction():
            second = checkout.place_order(guest.id)
        guest_id, who_id, ids = guest.id, who.id, [first.id, second.id]
        pays = partial(is_paid, paying.id, people.intent(paying))
        session.remove()

        def signs_in(guest_id: int = guest_id, who_id: int = who_id) -> None:
            with transaction():
                checkout.merge_carts(session.get(carts.Cart, guest_id), who_id)

        at_once(pays, signs_in)

        found = session.scalars(select(Order).where(Order.id.in_(ids)).order_by(Order.id)).all()
        by_chain = Counter(one.chain_id for one in found if one.status in orders.LIVE)
        assert found[0].status == "confirmed"
        assert max(by_chain.values()) == 1
        session.remove()
