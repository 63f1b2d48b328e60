"""Money that is authorised first and captured later, in full, in part, or never."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from shop import cart, checkout, inventory, orders, payments
from shop.core import clock
from shop.core.db import session, transaction
from shop.core.errors import Invalid, WrongState
from shop.payments import operations as money
from shop.payments import stripe_gateway as gateway
from shop.payments.models import Payment, PaymentEvent, Task
from tests import cast as people
from tests.cast import Cast


def apply(payment: Payment, status: str, **changes: Any) -> str:
    with transaction():
        return money.apply_intent(payment.id, people.intent(payment, status, **changes))


@pytest.fixture
def held(cast: Cast) -> tuple[orders.Order, Payment]:
    """An order whose money is authorised."""
    order = cast.unpaid_order
    payment = people.attempt(order, capture="manual")
    assert apply(payment, "requires_capture") == "authorised"
    return order, payment


def test_authorised_money_promises_the_stock_and_is_not_paid(held: Any, cast: Cast) -> None:
    order, payment = held

    assert (order.status, order.payment_status, order.paid_at) == ("confirmed", "authorised", None)
    level = inventory.levels([cast.mug.id])[cast.mug.id]
    assert (level.reserved, level.committed) == (0, 2)
    assert payment.capturable_minor == order.total_minor
    assert payment.capture_before is not None
    assert apply(payment, "requires_capture") == "known"


def test_what_is_only_authorised_is_not_shipped(held: Any) -> None:
    order, _ = held

    with pytest.raises(WrongState, match="Capture it before"), transaction():
        orders.ship(orders.lock(order.id))


def test_capturing_all_of_it_pays_the_order(held: Any) -> None:
    order, payment = held

    assert apply(payment, "succeeded") == "paid"

    assert (order.payment_status, payment.capturable_minor) == ("paid", 0)
    assert order.paid_at is not None
    assert apply(payment, "requires_capture") == "known"  # an answer that was on its way
    assert order.payment_status == "paid"


def test_capturing_a_part_releases_the_rest(held: Any) -> None:
    order, payment = held

    apply(payment, "succeeded", received_minor=1000)

    assert order.payment_status == "partly_paid"
    events = session.execute(select(PaymentEvent.kind, PaymentEvent.amount_minor)).all()
    assert set(map(tuple, events)) == {
        ("authorised", order.total_minor),
        ("captured", 1000),
        ("cancelled", order.total_minor - 1000),
    }


@pytest.mark.parametrize("amount", [0, -1, 10**9, True])
def test_more_than_is_held_cannot_be_captured(held: Any, amount: int) -> None:
    _, payment = held

    with pytest.raises(Invalid, match="can be captured"):
        payments.capture(payment.id, amount)


def test_capturing_asks_stripe_once_with_the_same_key(
    held: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, payment = held
    asked: list[tuple[str, int]] = []

    def capture(_: str, *, key: str, amount_minor: int) -> gateway.Intent:
        asked.append((key, amount_minor))
        return people.intent(payment, received_minor=amount_minor)

    monkeypatch.setattr(gateway, "capture_intent", capture)

    assert payments.capture(payment.id) == "paid"
    with pytest.raises(WrongState, match="not captured yet"):
        payments.capture(payment.id)

    assert asked == [(f"{payment.key}:capture:{payment.amount_minor}", payment.amount_minor)]


def test_a_cancelled_order_has_its_authorisation_released(
    held: Any, monkeypatch: pytest.MonkeyPatch, cast: Cast
) -> None:
    order, payment = held
    monkeypatch.setattr(gateway, "cancel_intent", lambda _: people.intent(payment, "canceled"))
    with transaction():
        payments.cancel_order(orders.lock(order.id), reason="customer")

    payments.close_intents(order.id)

    session.refresh(payment)
    assert (payment.status, order.payment_status) == ("cancelled", "unpaid")
    assert inventory.available([cast.mug.id])[cast.mug.id] == 10
    assert payments.of_order(order.id)[0].refunds == []
    with pytest.raises(WrongState):
        payments.capture(payment.id)


def test_an_authorisation_that_runs_out_is_told_to_staff(held: Any) -> None:
    order, payment = held

    apply(payment, "canceled")

    assert (order.status, order.payment_status) == ("confirmed", "unpaid")
    assert session.scalars(select(Task.kind)).all() == ["authorisation_ended"]


@pytest.mark.usefixtures("held")
def test_one_that_will_run_out_tomorrow_is_told_before() -> None:
    with transaction() as current:
        soon = clock.now() + timedelta(hours=3)
        current.execute(update(Payment).values(capture_before=soon))
        current.expire_all()

    payments.reconcile()
    payments.reconcile()

    (task,) = session.scalars(select(Task)).all()
    assert task.kind == "capture_soon"


def test_money_held_for_an_order_that_was_called_off_is_released(cast: Cast) -> None:
    order = cast.unpaid_order
    payment = people.attempt(order, capture="manual")
    with transaction():
        payments.cancel_order(orders.lock(order.id), reason="customer")

    assert apply(payment, "requires_capture") == "late"

    assert [entry.type for entry in orders.timeline(order.id)][-1] == "VoidRequested"
    assert order.status == "cancelled"


def test_cancelling_the_last_line_gives_back_what_was_captured_for_the_others(cast: Cast) -> None:
    basket, one_lamp = people.filled_cart(cast.mug, 2), cast.lamp.id
    with transaction():
        cart.add(basket, one_lamp, 1)
        order = checkout.place_order(basket.id)
    payment = people.attempt(order, capture="manual")
    apply(payment, "requires_capture")
    mugs, lamp = order.lines
    with transaction():
        payments.cancel_lines(orders.lock(order.id), {mugs.id: 2}, reason="customer")
    apply(payment, "succeeded")
    session.refresh(payment)

    with transaction():
        payments.cancel_lines(orders.lock(order.id), {lamp.id: 1}, reason="customer")

    session.refresh(payment)
    assert (order.status, payment.balance_minor) == ("cancelled", 0)


def test_who_wants_to_pay_after_the_money_was_let_go_is_told_how_it_is(held: Any) -> None:
    order, payment = held
    with pytest.raises(WrongState, match="paid already"):
        payments.start(order.id)

    apply(payment, "canceled")

    with pytest.raises(WrongState, match="is set free"):
        payments.start(order.id)


def test_what_was_let_go_is_not_shipped(held: Any) -> None:
    order, payment = held
    apply(payment, "canceled")

    with pytest.raises(WrongState, match="nothing is paid"), transaction():
        orders.ship(orders.lock(order.id))


def test_what_was_taken_out_meanwhile_is_not_captured(
    held: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, payment = held
    (line,) = orders.by_id(order.id).lines
    asked: list[int] = []

    def capture(_: str, *, key: str, amount_minor: int) -> gateway.Intent:
        asked.append(amount_minor)
        return people.intent(payment, received_minor=amount_minor)

    monkeypatch.setattr(gateway, "capture_intent", capture)
    with transaction():
        payments.cancel_lines(orders.lock(order.id), {line.id: 1}, reason="customer")

    payments.capture(payment.id)

    assert asked == [order.total_minor - line.total_minor // 2]


def test_what_was_asked_before_an_authorisation_ended_does_not_bring_it_back(held: Any) -> None:
    order, payment = held
    apply(payment, "canceled")

    assert apply(payment, "requires_capture") == "known"

    assert (payment.status, payment.capturable_minor) == ("cancelled", 0)
    assert order.payment_status == "unpaid"


def test_an_authorisation_that_is_heard_of_after_its_end_promises_nothing(cast: Cast) -> None:
    payment = people.attempt(cast.unpaid_order, capture="manual")
    apply(payment, "canceled")

    assert apply(payment, "requires_capture") == "known"

    assert (cast.unpaid_order.status, payment.status) == ("pending", "cancelled")


def test_an_old_refusal_is_not_told_once_the_money_is_held(held: Any) -> None:
    order, payment = held

    told = apply(payment, "requires_payment_method", failure="Declined.", failure_reference="ch_0")

    assert told == "known"
    assert "PaymentFailed" not in [entry.type for entry in orders.timeline(order.id)]


@pytest.mark.parametrize("ends", ["succeeded", "canceled"])
def test_nobody_is_asked_to_capture_what_is_captured_or_gone(held: Any, ends: str) -> None:
    _, payment = held
    with transaction():
        payment.capture_before = clock.now() + timedelta(hours=3)
    payments.reconcile()
    (task,) = session.scalars(select(Task)).all()

    apply(payment, ends)

    session.refresh(task)
    assert (task.kind, task.closed_at is not None) == ("capture_soon", True)


def test_an_authorisation_whose_end_nobody_told_us_of_is_asked_about(
    held: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, payment = held
    with transaction():
        payment.capture_before = clock.now() - timedelta(hours=1)
    monkeypatch.setattr(gateway, "fetch_intent", lambda _: people.intent(payment, "canceled"))

    assert payments.reconcile() == 1

    assert orders.by_id(order.id).payment_status == "unpaid"
    assert "authorisation_ended" in session.scalars(select(Task.kind)).all()


def test_money_still_held_for_an_order_that_is_off_is_released(
    held: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, payment = held
    with transaction():
        payments.cancel_order(orders.lock(order.id), reason="customer")
        order.closed_at = clock.now() - timedelta(minutes=5)
    monkeypatch.setattr(gateway, "cancel_intent", lambda _: people.intent(payment, "canceled"))

    payments.reconcile()

    session.refresh(payment)
    assert payment.status == "cancelled"


def test_closing_a_further_attempt_leaves_the_money_that_the_order_stands_on(
    held: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, payment = held
    with transaction():
        further = Payment(
            order_id=order.id,
            attempt=2,
            amount_minor=order.total_minor,
            currency="EUR",
            status="started",
            intent_id="pi_further",
        )
        session.add(further)
    asked: list[str] = []

    def cancel(intent_id: str) -> gateway.Intent:
        asked.append(intent_id)
        return people.intent(further, "canceled", id=intent_id)

    monkeypatch.setattr(gateway, "cancel_intent", cancel)

    payments.close_intents(order.id)

    assert asked == ["pi_further"]
    session.refresh(payment)
    assert payment.status == "authorised"
