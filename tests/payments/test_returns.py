"""Units come back and are restocked though no money moves, once per unit."""

from typing import Any

import pytest
from flask import Flask

from shop import cart as carts
from shop import checkout, discounts, inventory, orders, payments
from shop.core.db import session, transaction
from shop.core.errors import Invalid, WrongState
from shop.payments import intents, refund_news, stripe_gateway
from shop.payments.models import OrderReturn, Payment, Refund
from tests import cast as people
from tests.cast import Cast
from tests.discounts.offers import offer
from tests.payments.test_disputes import hear


def give(order: orders.Order, *, reason: str = "returned", **wanted: Any) -> Refund | OrderReturn:
    with transaction():
        return payments.refund_or_return(
            orders.lock(order.id), payments.Wanted(**wanted), reason=reason
        )


def give_all(order: orders.Order, *, restock: bool = True) -> Refund | OrderReturn:
    with transaction():
        locked = orders.lock(order.id)
        rest = payments.everything(locked)
        lines = frozenset(rest.lines) if restock else frozenset()
        wanted = payments.Wanted(rest.lines, rest.shipping_minor, rest.amount_minor, lines)
        return payments.refund_or_return(locked, wanted, reason="returned")


def ship(order: orders.Order) -> None:
    with transaction():
        orders.ship(orders.lock(order.id))


def free_order(cast: Cast, units: int = 2) -> orders.Order:
    offer("All free", value=10_000)
    offer("Free delivery", kind="free_shipping", value=0)
    return people.order(cast.mug, units)


def with_gift(cast: Cast, *, capture: str = "automatic", free_shipping: bool = False) -> Any:
    """A lamp that is paid for, and a mug for nothing. Returns order, lamp's and mug's lines."""
    offer("Gift", value=10_000, is_targeted=True, product_ids=[cast.mug.product_id])
    if free_shipping:
        offer("Free delivery", kind="free_shipping", value=0)
    cart = people.filled_cart(cast.lamp)
    with transaction():
        carts.add(cart, cast.mug.id, 1)
        order = checkout.place_order(cart.id)
    if capture == "automatic":
        people.pay(order)
    else:
        payment = people.attempt(order, capture="manual")
        with transaction():
            intents.apply_intent(payment.id, people.intent(payment, "requires_capture"))
    lines = {line.variant_id: line.id for line in orders.by_id(order.id).lines}
    return order, lines[cast.lamp.id], lines[cast.mug.id]


def counters(order: orders.Order) -> dict[int, tuple[int, int, int]]:
    session.expire_all()
    lines = orders.by_id(order.id).lines
    return {line.id: (line.shipped, line.cancelled, line.refunded) for line in lines}


def on_hand(variant_id: int) -> int:
    return inventory.levels([variant_id])[variant_id].on_hand


def test_free_order_comes_back_once(cast: Cast) -> None:
    order = free_order(cast)
    ship(order)
    (line,) = orders.by_id(order.id).lines

    made = give_all(order)

    assert isinstance(made, OrderReturn)
    assert counters(order) == {line.id: (2, 0, 2)}
    assert on_hand(cast.mug.id) == 10
    with pytest.raises(Invalid):
        give(order, lines={line.id: 1}, restock=frozenset({line.id}))
    assert on_hand(cast.mug.id) == 10
    entry = orders.timeline(order.id)[-1]
    assert (entry.type, entry.payload["lines"][0]["quantity"]) == ("UnitsReturned", 2)
    assert orders.by_id(order.id).payment_status == "paid"


def test_free_gift_is_returned_beside_a_paid_item(cast: Cast) -> None:
    order, lamp, mug = with_gift(cast)
    ship(order)

    made = give(order, lines={mug: 1}, restock=frozenset({mug}))
    rest = give_all(order)

    assert isinstance(made, OrderReturn) and isinstance(rest, Refund)
    assert rest.amount_minor == order.total_minor
    assert counters(order) == {lamp: (1, 0, 1), mug: (1, 0, 1)}
    assert (on_hand(cast.mug.id), on_hand(cast.lamp.id)) == (10, 2)


def test_restocking_an_unsent_gift_cancels_it(cast: Cast) -> None:
    order, lamp, mug = with_gift(cast)

    give(order, reason="other", lines={mug: 1}, restock=frozenset({mug}))

    assert counters(order) == {lamp: (0, 0, 0), mug: (0, 1, 1)}
    assert inventory.levels([cast.mug.id])[cast.mug.id].committed == 0
    cancelled = next(e for e in orders.timeline(order.id) if e.type == "LinesCancelled")
    assert cancelled.payload["goes_back"] is False


def test_parts_that_round_to_nothing_add_up(cast: Cast) -> None:
    pins = people.product("Pin", price_minor=1, stock=200)
    offer("Sixty", value=6_000)
    order = people.order(pins, 20)
    people.pay(order)
    ship(order)
    (line,) = orders.by_id(order.id).lines

    made = [give(order, lines={line.id: 1}, restock=frozenset({line.id})) for _ in range(20)]

    amounts = [one.amount_minor if isinstance(one, Refund) else 0 for one in made]
    assert amounts[:3] == [0, 0, 1]
    assert sum(amounts) == line.total_minor == 8
    assert counters(order) == {line.id: (20, 0, 20)}
    assert on_hand(pins.id) == 200


def test_cancelled_parts_that_round_to_nothing_add_up(cast: Cast) -> None:
    pins = people.product("Pin", price_minor=1, stock=200)
    offer("Sixty", value=6_000)
    order = people.order(pins, 20)
    payment = people.pay(order)
    (line,) = orders.by_id(order.id).lines

    for _ in range(19):
        with transaction():
            payments.cancel_lines(orders.lock(order.id), {line.id: 1}, reason="customer")

    session.refresh(payment)
    assert payment.refunding_minor == 7  # of 8; what 19 of 20 come to
    assert counters(order) == {line.id: (0, 19, 19)}


def test_items_come_back_after_all_money_went(cast: Cast) -> None:
    order = cast.paid_order
    ship(order)
    give(order, reason="goodwill", amount_minor=order.total_minor)

    made = give_all(order)

    assert isinstance(made, OrderReturn)
    assert on_hand(cast.mug.id) == 10


def test_items_come_back_after_a_lost_dispute(cast: Cast) -> None:
    order = cast.paid_order
    ship(order)
    payment = session.query(Payment).filter_by(order_id=order.id).one()
    hear(payment, "needs_response")
    hear(payment, "lost")

    made = give_all(order)

    assert isinstance(made, OrderReturn)
    assert on_hand(cast.mug.id) == 10


def test_return_after_a_failed_refund_restocks_once(cast: Cast) -> None:
    order, lamp, mug = with_gift(cast)
    ship(order)
    refund = give(order, lines={lamp: 1, mug: 1}, restock=frozenset({lamp, mug}))
    assert isinstance(refund, Refund)
    with transaction():
        refund_news.apply_refund(refund.id, people.sent(refund, "failed", failure="closed"))
    assert counters(order) == {lamp: (1, 0, 0), mug: (1, 0, 0)}

    give(order, lines={mug: 1}, restock=frozenset({mug}))

    assert counters(order) == {lamp: (1, 0, 0), mug: (1, 0, 1)}
    assert on_hand(cast.mug.id) == 10
    with pytest.raises(WrongState), transaction():
        payments.retry_refund(refund.id)


def test_cancelled_gift_cannot_be_returned(cast: Cast) -> None:
    order, lamp, mug = with_gift(cast)
    with transaction():
        payments.cancel_lines(orders.lock(order.id), {mug: 1}, reason="customer")

    with pytest.raises(Invalid, match="0 left to return"):
        give(order, lines={mug: 1})

    assert counters(order) == {lamp: (0, 0, 0), mug: (0, 1, 0)}
    assert not payments.preview(orders.by_id(order.id)).can_return


def test_unpaid_order_returns_nothing(cast: Cast) -> None:
    order = cast.unpaid_order

    with pytest.raises(WrongState):
        give_all(order)

    assert counters(order) == {order.lines[0].id: (0, 0, 0)}


def test_authorised_order_with_only_gifts_left_ships(cast: Cast) -> None:
    order, lamp, mug = with_gift(cast, capture="manual", free_shipping=True)

    with transaction():
        payments.cancel_lines(orders.lock(order.id), {lamp: 1}, reason="customer")

    asked = orders.timeline(order.id)[-1]
    assert asked.type == "VoidRequested"
    payment = session.get_one(Payment, asked.payload["payment_id"])
    with transaction():
        intents.apply_intent(payment.id, people.intent(payment, "canceled"))
    kept = orders.by_id(order.id)
    assert (kept.status, kept.payment_status) == ("confirmed", "paid")
    assert payments.open_tasks() == []
    ship(order)
    assert counters(order) == {lamp: (0, 1, 0), mug: (1, 0, 0)}
    assert discounts.of_order(order.id)


def test_staff_release_an_order_with_only_gifts_left(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, lamp, _ = with_gift(cast, capture="manual", free_shipping=True)
    with transaction():
        payments.cancel_lines(orders.lock(order.id), {lamp: 1}, reason="customer")
    payment = payments.of_order(order.id)[0]
    ended = people.intent(payment, "canceled")
    monkeypatch.setattr(stripe_gateway, "cancel_intent", lambda _: ended)

    payments.release(payment.id)

    kept = orders.by_id(order.id)
    assert (kept.status, kept.payment_status) == ("confirmed", "paid")


def test_command_returns_a_free_order(app: Flask, cast: Cast) -> None:
    order = free_order(cast)
    ship(order)
    asked = ["shop", "refund", order.number, "--all", "--restock", "--reason", "returned"]

    done = app.test_cli_runner().invoke(args=asked)
    again = app.test_cli_runner().invoke(args=asked)

    assert (done.exit_code, done.output) == (
        0,
        f"{order.number}: Returned without a refund, 2 items.\n",
    )
    assert again.exit_code == 1
    assert on_hand(cast.mug.id) == 10


def test_command_refunds_items(app: Flask, cast: Cast) -> None:
    order = cast.paid_order
    line = order.lines[0].id

    done = app.test_cli_runner().invoke(
        args=["shop", "refund", order.number, "--line", f"{line}:1", "--reason", "damaged"]
    )

    assert done.output == f"{order.number}: Refund of €19.00 requested, 1 item.\n"
    assert counters(order) == {line: (0, 0, 1)}
