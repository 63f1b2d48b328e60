"""Refunds by line, by amount, of shipping and of everything; exact, and never more than came."""

import threading
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError

from shop import cart as carts
from shop import checkout, inventory, orders, payments
from shop.core.actor import SYSTEM, Actor, acting_as
from shop.core.db import session, transaction
from shop.core.errors import DomainError, Invalid, WrongState
from shop.orders.models import OrderLine
from shop.payments import refund_news, syncing
from shop.payments.models import Payment, Refund, Task
from shop.payments.stripe_objects import SentRefund
from tests import cast as people
from tests.cast import Cast
from tests.discounts.offers import offer


def ask(order: orders.Order, *, reason: str = "returned", **wanted: Any) -> Refund:
    with transaction():
        return payments.request_refund(
            orders.lock(order.id), payments.Wanted(**wanted), reason=reason
        )


def done(refund: Refund) -> None:
    with transaction():
        refund_news.apply_refund(refund.id, people.sent(refund))


def failed(refund: Refund) -> None:
    with transaction():
        refund_news.apply_refund(refund.id, people.sent(refund, "failed", failure="lost card"))


def line_of(order: orders.Order) -> OrderLine:
    return orders.by_id(order.id).lines[0]


def test_line_unit_and_shipping_refunds_add_up(cast: Cast) -> None:
    order = cast.paid_order
    line = line_of(order)

    first = ask(order, lines={line.id: 1})
    second = ask(order, lines={line.id: 1}, shipping_minor=order.shipping_minor)
    done(first)
    assert orders.by_id(order.id).payment_status == "partly_refunded"
    done(second)

    assert first.amount_minor + second.amount_minor == order.total_minor
    assert orders.by_id(order.id).payment_status == "refunded"
    assert line_of(order).refunded == 2


def test_everything_left_is_refunded_in_one_step(cast: Cast) -> None:
    order = cast.paid_order
    ask(order, amount_minor=500, reason="goodwill")

    with transaction():
        locked = orders.lock(order.id)
        rest = payments.request_refund(locked, payments.everything(locked), reason="other")

    assert rest.amount_minor == order.total_minor - 500
    assert payments.preview(orders.by_id(order.id)).balance_minor == 0


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({}, "Choose what to refund"),
        ({"amount_minor": 0}, "Choose what to refund"),
        ({"amount_minor": -1}, "whole number"),
        ({"amount_minor": 10**12}, "more than the amount left to refund"),
        ({"amount_minor": 1.5}, "whole number"),
        ({"amount_minor": True}, "whole number"),
        ({"amount_minor": 1_000_000}, r"Only €\d+\.\d\d of this payment"),
        ({"shipping_minor": -1}, "whole number"),
        ({"shipping_minor": 100_000}, "of the shipping can still be refunded"),
        ({"lines": {10**12: 1}}, "not part of the order"),
    ],
)
def test_missing_records_are_refused_and_nothing_changes(
    cast: Cast, wanted: dict[str, Any], sentence: str
) -> None:
    order = cast.paid_order

    with pytest.raises(Invalid, match=sentence):
        ask(order, **wanted)

    assert session.scalar(select(func.count()).select_from(Refund)) == 0


@pytest.mark.parametrize("quantity", [3, -1, 10**9, 1.5])
def test_more_units_than_sold_are_not_refunded(cast: Cast, quantity: Any) -> None:
    order = cast.paid_order

    with pytest.raises(Invalid):
        ask(order, lines={line_of(order).id: quantity})

    assert line_of(order).refunded == 0


def test_line_of_another_order_cannot_be_refunded(cast: Cast) -> None:
    other = people.order(cast.lamp)

    with pytest.raises(Invalid, match="not part of the order"):
        ask(cast.paid_order, lines={line_of(other).id: 1})


def test_unpaid_order_cannot_be_refunded(cast: Cast) -> None:
    with pytest.raises(WrongState, match="Nothing was captured"):
        ask(cast.unpaid_order, amount_minor=100)


def test_unsent_units_are_cancelled_and_others_restocked(cast: Cast) -> None:
    order = cast.paid_order
    line = line_of(order)
    with transaction():
        orders.ship(orders.lock(order.id), {line.id: 1})

    ask(order, lines={line.id: 2}, restock=frozenset({line.id}))

    level = inventory.levels([cast.mug.id])[cast.mug.id]
    assert (level.on_hand, level.committed, level.reserved) == (10, 0, 0)
    now = orders.by_id(order.id)
    assert (now.lines[0].cancelled, now.fulfilment_status) == (1, "shipped")


@pytest.mark.parametrize(
    ("reason", "returned", "cancelled"),
    [("returned", 1, 0), ("damaged", 1, 0), ("not delivered", 0, 1), ("other", 0, 1)],
)
def test_reason_decides_which_unit_of_a_line_returns(
    cast: Cast, reason: str, returned: int, cancelled: int
) -> None:
    order = cast.paid_order
    line = line_of(order)
    with transaction():
        orders.ship(orders.lock(order.id), {line.id: 1})

    ask(order, lines={line.id: 1}, restock=frozenset({line.id}), reason=reason)

    assert inventory.restocked(order.id).get(cast.mug.id, 0) == returned
    assert line_of(order).cancelled == cancelled


def test_units_cancelled_before_are_not_restocked(cast: Cast) -> None:
    order = people.order(cast.mug, 3)
    people.pay(order)
    line = line_of(order)
    with transaction():
        orders.ship(orders.lock(order.id), {line.id: 1})
    with transaction():
        locked = orders.lock(order.id)
        payments.cancel_lines(locked, {line.id: 1}, reason="customer", refund=False)

    ask(order, lines={line.id: 3}, restock=frozenset({line.id}))

    level = inventory.levels([cast.mug.id])[cast.mug.id]
    assert (level.on_hand, level.committed) == (10, 0)
    assert (line_of(order).shipped, line_of(order).cancelled) == (1, 2)


def test_what_cost_nothing_comes_back_on_shelf_too(cast: Cast) -> None:
    offer("Free mug", value=10_000, is_targeted=True, product_ids=[cast.mug.product_id])
    cart, lamp_id = people.filled_cart(cast.mug, 2), cast.lamp.id
    with transaction():
        carts.add(cart, lamp_id, 1)
        order = checkout.place_order(cart.id)
    people.pay(order)
    mugs, lamp = order.lines
    with transaction():
        payments.cancel_lines(orders.lock(order.id), {mugs.id: 1}, reason="customer")
    with transaction():
        orders.ship(orders.lock(order.id))

    both = {mugs.id: 1, lamp.id: 1}
    ask(order, lines=both, restock=frozenset(both))

    assert inventory.restocked(order.id) == {cast.mug.id: 1, lamp_id: 1}


def test_cancelling_a_line_refunds_only_that_line(cast: Cast) -> None:
    """The middle one of three refunds failed, so the first units of its line are a cent short."""
    odd = people.product("Odd", price_minor=102)
    offer("Much", kind="fixed", value=306, is_targeted=True, product_ids=[odd.product_id])
    cart, mug_id = people.filled_cart(odd, 4), cast.mug.id
    with transaction():
        carts.add(cart, mug_id, 2)
        order = checkout.place_order(cart.id)
    people.pay(order)
    four, mugs = order.lines
    made = [ask(order, lines={four.id: 1}) for _ in range(3)]
    failed(made[1])

    with transaction():
        payments.cancel_lines(orders.lock(order.id), {mugs.id: 1}, reason="customer")

    last = session.scalars(select(Refund).order_by(Refund.id.desc()).limit(1)).one()
    assert [one.amount_minor for one in made] == [25, 26, 25]
    assert last.amount_minor == 1_900


def test_customer_cancellation_leaves_money_that_staff_kept(cast: Cast) -> None:
    order = cast.paid_order
    with transaction():
        locked = orders.lock(order.id)
        payments.cancel_lines(locked, {line_of(order).id: 1}, reason="other", refund=False)

    with acting_as(Actor("customer", None, "Ada")), transaction():
        payments.cancel_order(orders.lock(order.id), reason="customer")

    (refund,) = session.scalars(select(Refund)).all()
    assert (refund.amount_minor, refund.shipping_minor) == (2390, 490)


def test_staff_cancellation_refunds_kept_money_too(cast: Cast) -> None:
    order = cast.paid_order
    with transaction():
        locked = orders.lock(order.id)
        payments.cancel_lines(locked, {line_of(order).id: 1}, reason="other", refund=False)

    with transaction():
        payments.cancel_lines(orders.lock(order.id), {line_of(order).id: 1}, reason="other")

    (refund,) = session.scalars(select(Refund)).all()
    assert refund.amount_minor == order.total_minor


def test_retried_refund_restocks_no_unit_twice(
    cast: Cast,
) -> None:
    order = cast.paid_order
    line = line_of(order)
    with transaction():
        orders.ship(orders.lock(order.id))
    failed(ask(order, lines={line.id: 1}, restock=frozenset({line.id})))

    ask(order, lines={line.id: 1}, restock=frozenset({line.id}))
    assert inventory.levels([cast.mug.id])[cast.mug.id].on_hand == 9

    ask(order, lines={line.id: 1}, restock=frozenset({line.id}))
    assert inventory.levels([cast.mug.id])[cast.mug.id].on_hand == 10


def test_retried_refund_cancels_no_other_unit(cast: Cast) -> None:
    order = cast.paid_order
    line = line_of(order)
    failed(ask(order, lines={line.id: 1}, restock=frozenset({line.id})))

    ask(order, lines={line.id: 1}, restock=frozenset({line.id}))

    now = orders.by_id(order.id)
    assert (now.status, now.lines[0].cancelled, now.lines[0].open_quantity) == ("confirmed", 1, 1)


def test_failed_refund_counts_nothing_and_is_retried(cast: Cast) -> None:
    order = cast.paid_order
    line = line_of(order)
    refund = ask(order, lines={line.id: 2})
    done(refund)
    assert orders.by_id(order.id).payment_status == "partly_refunded"

    failed(refund)

    assert orders.by_id(order.id).payment_status == "paid"
    assert line_of(order).refunded == 0
    task = session.scalars(select(Task).where(Task.kind == "refund_failed")).one()
    assert "lost card" in task.sentence
    with transaction():
        payments.retry_refund(refund.id)
    assert (refund.status, refund.attempt, line_of(order).refunded) == ("requested", 2, 2)
    session.refresh(task)
    assert task.closed_at is not None
    with pytest.raises(WrongState, match="Only a failed refund"), transaction():
        payments.retry_refund(refund.id)


def test_shipping_refunded_meanwhile_is_not_refunded_again(cast: Cast) -> None:
    order = cast.paid_order
    first = ask(order, shipping_minor=order.shipping_minor)
    failed(first)
    done(ask(order, shipping_minor=order.shipping_minor))

    with pytest.raises(WrongState, match="of the shipping can still be refunded"), transaction():
        payments.retry_refund(first.id)


def test_retried_amount_excludes_shipping_refunded_since(
    cast: Cast,
) -> None:
    order = cast.paid_order
    first = ask(order, shipping_minor=order.shipping_minor, amount_minor=600)
    failed(first)
    done(ask(order, shipping_minor=order.shipping_minor))

    with transaction():
        payments.retry_refund(first.id)

    assert (first.amount_minor, first.shipping_minor) == (600, 0)


def test_news_of_an_earlier_attempt_changes_no_later(cast: Cast) -> None:
    refund = ask(cast.paid_order, amount_minor=100)
    early = people.sent(refund, "failed", id="re_first")
    with transaction():
        refund_news.apply_refund(refund.id, early)
    with transaction():
        payments.retry_refund(refund.id)
    with transaction():
        refund_news.apply_refund(refund.id, people.sent(refund, id="re_second"))

    with transaction():
        refund_news.apply_refund(refund.id, early)

    assert session.get_one(Refund, refund.id).status == "done"


def test_late_failure_of_one_attempt_leaves_the_next(cast: Cast) -> None:
    refund = ask(cast.paid_order, amount_minor=100)
    early = people.sent(refund, "failed", id="re_first")
    with transaction():
        refund_news.apply_refund(refund.id, early)
    with transaction():
        payments.retry_refund(refund.id)

    assert syncing.apply_sent_refund(early) == "earlier attempt"

    assert session.get_one(Refund, refund.id).status == "requested"


def test_news_of_the_first_attempt_keeps_the_second(cast: Cast) -> None:
    refund = ask(cast.paid_order, amount_minor=100)
    early = people.sent(refund, "failed", id="re_first")
    with transaction():
        refund_news.apply_refund(refund.id, early)
    with transaction():
        payments.retry_refund(refund.id)

    with transaction():
        refund_news.apply_refund(
            refund.id, early
        )  # whoever read it first asks for the row only now

    assert session.get_one(Refund, refund.id).status == "requested"


def test_success_read_before_a_refund_failed_is_ignored(cast: Cast) -> None:
    order = cast.paid_order
    refund = ask(order, lines={line_of(order).id: 1})
    done(refund)
    failed(refund)

    done(refund)

    assert session.get_one(Refund, refund.id).status == "failed"
    assert line_of(order).refunded == 0
    task = session.scalars(select(Task).where(Task.kind == "refund_failed")).one()
    assert task.closed_at is None


def test_adopted_first_attempt_is_followed_to_its_end(cast: Cast) -> None:
    refund = ask(cast.paid_order, amount_minor=100)
    early = people.sent(refund, "pending", id="re_first")
    with transaction():
        refund_news.fail_refund(orders.lock(cast.paid_order.id), refund, "No answer.")
    with transaction():
        payments.retry_refund(refund.id)
    syncing.apply_sent_refund(early)

    syncing.apply_sent_refund(replace(early, status="succeeded"))

    taken_over = session.scalars(select(Refund).where(Refund.stripe_id == "re_first")).one()
    assert (taken_over.source, taken_over.status) == ("external", "done")


def test_first_attempt_that_was_sent_opens_a_task(cast: Cast) -> None:
    refund = ask(cast.paid_order, amount_minor=100)
    early = people.sent(refund, id="re_first")
    with transaction():
        refund_news.fail_refund(orders.lock(cast.paid_order.id), refund, "No answer.")
    with transaction():
        payments.retry_refund(refund.id)

    assert syncing.apply_sent_refund(early) == "external refund"

    assert "external_refund" in session.scalars(select(Task.kind)).all()


def test_retried_refund_amount_excludes_later_refunds(cast: Cast) -> None:
    order = people.order(people.product("Odd", price_minor=400, stock=3), 3)
    people.pay(order)
    line = line_of(order)
    with transaction():
        line.discount_minor, line.total_minor = 200, 1000
    first = ask(order, lines={line.id: 1})
    failed(first)
    second = ask(order, lines={line.id: 2})

    with transaction():
        payments.retry_refund(first.id)

    assert (second.amount_minor, first.amount_minor) == (666, 334)


def test_database_refuses_to_refund_more_than_captured(cast: Cast) -> None:
    order = cast.paid_order
    refund = ask(order, amount_minor=order.total_minor)

    with pytest.raises(IntegrityError, match="ck_payment_refunded"), transaction() as current:
        current.execute(update(Refund).values(amount_minor=order.total_minor + 1))
    with pytest.raises(IntegrityError, match="ck_payment_refunded"), transaction() as current:
        current.execute(
            text(
                "INSERT INTO refund (payment_id, amount_minor, currency, reason, requested_by)"
                " SELECT payment_id, 1, currency, 'x', 'x' FROM refund WHERE id = :id"
            ),
            {"id": refund.id},
        )


def test_refund_at_stripe_is_adopted_and_opens_task(cast: Cast) -> None:
    order = cast.paid_order
    (payment,) = payments.of_order(order.id)
    seen = _made_there(payment, 700)

    with transaction():
        assert refund_news.adopt_refund(payment.id, seen)
    with transaction():
        assert not refund_news.adopt_refund(payment.id, seen)

    (refund,) = session.scalars(select(Refund))
    assert (refund.source, refund.status, refund.amount_minor) == ("external", "done", 700)
    assert orders.by_id(order.id).payment_status == "partly_refunded"
    assert session.scalars(select(Task.kind)).all() == ["external_refund"]
    assert orders.by_id(order.id).status == "confirmed"


def test_refund_at_stripe_cancels_ours_that_exceeds_it(cast: Cast) -> None:
    order = cast.paid_order
    (payment,) = payments.of_order(order.id)
    ours = ask(order, amount_minor=order.total_minor)

    with transaction():
        refund_news.adopt_refund(payment.id, _made_there(payment, order.total_minor))

    session.refresh(ours)
    session.refresh(payment)
    assert (ours.status, payment.balance_minor) == ("failed", 0)
    assert orders.by_id(order.id).payment_status == "refunded"


def test_failed_refund_at_stripe_cancels_nothing(cast: Cast) -> None:
    order = cast.paid_order
    (payment,) = payments.of_order(order.id)
    ours = ask(order, amount_minor=order.total_minor)

    with transaction():
        refund_news.adopt_refund(payment.id, _made_there(payment, 700, status="failed"))

    session.refresh(ours)
    session.refresh(payment)
    assert (ours.status, payment.balance_minor) == ("requested", 0)
    assert [r.status for r in session.scalars(select(Refund).order_by(Refund.id))] == [
        "requested",
        "failed",
    ]
    assert session.scalars(select(Task.kind)).all() == []


def test_who_asked_is_written_down(cast: Cast) -> None:
    with acting_as(Actor("staff", 1, "Fin")):
        refund = ask(cast.paid_order, amount_minor=100)

    assert (refund.source, refund.requested_by) == ("staff", "Fin")


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_refunds_failures_and_retries_always_add_up(cast: Cast, data: st.DataObject) -> None:
    price, units = data.draw(st.integers(1, 9_999)), data.draw(st.integers(1, 7))
    variant = people.product(f"Odd {uuid4().hex}", price_minor=price, stock=units)
    order = people.order(variant, units)
    people.pay(order)
    line = line_of(order)
    open_refunds: list[Refund] = []
    while (left := units - line_of(order).refunded) or open_refunds:
        if open_refunds and (not left or data.draw(st.booleans())):
            refund = open_refunds.pop(data.draw(st.integers(0, len(open_refunds) - 1)))
            (failed if data.draw(st.integers(0, 3)) == 3 else done)(refund)
            continue
        quantity = data.draw(st.integers(1, left))
        try:
            open_refunds.append(ask(order, lines={line.id: quantity}))
        except Invalid:  # so cheap that so few units come to nothing: take them all
            open_refunds.append(ask(order, lines={line.id: left}))

    if order.shipping_minor:
        ask(order, shipping_minor=order.shipping_minor)
    session.expire_all()
    (payment,) = payments.of_order(order.id)
    assert payment.balance_minor == 0


def test_sixteen_refunds_never_exceed_the_captured_money(live_database: str) -> None:
    order_id = Cast().paid_order.id
    session.remove()
    asked: list[int] = []
    refused: list[str] = []
    barrier = threading.Barrier(16)

    def one() -> None:
        with acting_as(SYSTEM):
            barrier.wait()
            for _ in range(4):
                try:
                    with transaction():
                        refund = payments.request_refund(
                            orders.lock(order_id),
                            payments.Wanted(amount_minor=300),
                            reason="goodwill",
                        )
                        asked.append(refund.amount_minor)
                except DomainError as refusal:
                    refused.append(refusal.sentence)
        session.remove()

    threads = [threading.Thread(target=one) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    captured = session.scalar(select(Payment.captured_minor).where(Payment.order_id == order_id))
    assert captured is not None
    assert len(asked) == captured // 300
    assert len(asked) + len(refused) == 64


def _made_there(payment: Payment, amount_minor: int, status: str = "succeeded") -> SentRefund:
    return SentRefund(
        id="re_there",
        intent_id=payment.intent_id or "",
        status=status,
        amount_minor=amount_minor,
        currency="EUR",
        failure="",
        created=payment.created_at,
        metadata={},
    )


def test_money_left_after_customer_cancels_is_task(cast: Cast) -> None:
    order = people.order(cast.mug, 3)
    people.pay(order)
    line = order.lines[0].id
    with transaction():
        wanted = payments.Wanted({line: 2}, amount_minor=500)
        payments.request_refund(orders.lock(order.id), wanted, reason="not delivered")

    with acting_as(Actor("customer", None, "Ada")), transaction():
        payments.cancel_order(orders.lock(order.id), reason="customer")

    task = session.scalars(select(Task).where(Task.kind == "money_left")).one()
    assert "€33.00 of its money is still here" in task.sentence
    assert (task.order_id, task.closed_at) == (order.id, None)
