"""Money that is authorised first and captured later, in full, in part, or never."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from shop import cart as carts
from shop import checkout, doctor, inventory, orders, payments
from shop.core import clock
from shop.core.db import session, transaction
from shop.core.errors import Invalid, WrongState
from shop.doctor.checks import EVER, Scope
from shop.payments import intents, refund_news, stripe_objects
from shop.payments import stripe_gateway as gateway
from shop.payments.models import Payment, PaymentEvent, Task
from tests import cast as people
from tests.cast import Cast
from tests.discounts.offers import offer


def apply(payment: Payment, status: str, **changes: Any) -> str:
    with transaction():
        return intents.apply_intent(payment.id, people.intent(payment, status, **changes))


@pytest.fixture
def authorised(cast: Cast) -> tuple[orders.Order, Payment]:
    """An order whose money is authorised."""
    order = cast.unpaid_order
    payment = people.attempt(order, capture="manual")
    assert apply(payment, "requires_capture") == "authorised"
    return order, payment


def test_authorised_order_commits_stock_and_is_unpaid(authorised: Any, cast: Cast) -> None:
    order, payment = authorised

    assert (order.status, order.payment_status, order.paid_at) == ("confirmed", "authorised", None)
    level = inventory.levels([cast.mug.id])[cast.mug.id]
    assert (level.reserved, level.committed) == (0, 2)
    assert payment.capturable_minor == order.total_minor
    assert payment.capture_before is not None
    assert apply(payment, "requires_capture") == "known"


def test_what_is_only_authorised_is_not_shipped(authorised: Any) -> None:
    order, _ = authorised

    with pytest.raises(WrongState, match="Capture it before"), transaction():
        orders.ship(orders.lock(order.id))


def test_capturing_all_of_it_pays_the_order(authorised: Any) -> None:
    order, payment = authorised

    assert apply(payment, "succeeded") == "paid"

    assert (order.payment_status, payment.capturable_minor) == ("paid", 0)
    assert order.paid_at is not None
    assert apply(payment, "requires_capture") == "known"  # an answer that was on its way
    assert order.payment_status == "paid"


def test_capturing_a_part_releases_the_rest(authorised: Any) -> None:
    order, payment = authorised

    apply(payment, "succeeded", received_minor=1000)

    assert order.payment_status == "partly_paid"
    events = session.execute(select(PaymentEvent.kind, PaymentEvent.amount_minor)).all()
    assert set(map(tuple, events)) == {
        ("authorised", order.total_minor),
        ("captured", 1000),
        ("cancelled", order.total_minor - 1000),
    }


@pytest.mark.parametrize("amount", [0, -1, 10**9, True])
def test_more_than_authorised_cannot_be_captured(authorised: Any, amount: int) -> None:
    _, payment = authorised

    with pytest.raises(Invalid, match="at most"):
        payments.capture(payment.id, amount)


def test_capturing_asks_stripe_once_with_the_same_key(
    authorised: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, payment = authorised
    asked: list[tuple[str, int]] = []

    def capture(_: str, *, key: str, amount_minor: int) -> stripe_objects.Intent:
        asked.append((key, amount_minor))
        return people.intent(payment, received_minor=amount_minor)

    monkeypatch.setattr(gateway, "capture_intent", capture)

    assert payments.capture(payment.id) == "paid"
    with pytest.raises(WrongState, match="not captured yet"):
        payments.capture(payment.id)

    assert asked == [(f"{payment.key}:capture:{payment.amount_minor}", payment.amount_minor)]


def test_a_cancelled_order_has_its_authorisation_released(
    authorised: Any, monkeypatch: pytest.MonkeyPatch, cast: Cast
) -> None:
    order, payment = authorised
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


def test_expired_authorisation_opens_a_task(authorised: Any) -> None:
    order, payment = authorised

    apply(payment, "canceled")

    assert (order.status, order.payment_status) == ("confirmed", "unpaid")
    assert session.scalars(select(Task.kind)).all() == ["authorisation_ended"]


@pytest.mark.usefixtures("authorised")
def test_ending_authorisation_is_reported_a_day_before() -> None:
    with transaction() as current:
        soon = clock.now() + timedelta(hours=3)
        current.execute(update(Payment).values(capture_before=soon))
        current.expire_all()

    payments.reconcile()
    payments.reconcile()

    (task,) = session.scalars(select(Task)).all()
    assert task.kind == "capture_soon"


def test_authorised_money_of_a_cancelled_order_is_released(cast: Cast) -> None:
    order = cast.unpaid_order
    payment = people.attempt(order, capture="manual")
    with transaction():
        payments.cancel_order(orders.lock(order.id), reason="customer")

    assert apply(payment, "requires_capture") == "late"

    assert [entry.type for entry in orders.timeline(order.id)][-1] == "VoidRequested"
    assert order.status == "cancelled"


def test_cancelling_the_last_line_refunds_the_other_captures(cast: Cast) -> None:
    cart, one_lamp = people.filled_cart(cast.mug, 2), cast.lamp.id
    with transaction():
        carts.add(cart, one_lamp, 1)
        order = checkout.place_order(cart.id)
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


def test_paying_after_the_release_explains_the_state(authorised: Any) -> None:
    order, payment = authorised
    with pytest.raises(WrongState, match="already paid"):
        payments.start(order.id)

    apply(payment, "canceled")

    with pytest.raises(WrongState, match="was released"):
        payments.start(order.id)


def test_released_authorisation_is_not_shipped(authorised: Any) -> None:
    order, payment = authorised
    apply(payment, "canceled")

    with pytest.raises(WrongState, match="nothing is paid"), transaction():
        orders.ship(orders.lock(order.id))


def test_items_cancelled_before_capture_are_not_captured(
    authorised: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, payment = authorised
    (line,) = orders.by_id(order.id).lines
    asked: list[int] = []

    def capture(_: str, *, key: str, amount_minor: int) -> stripe_objects.Intent:
        asked.append(amount_minor)
        return people.intent(payment, received_minor=amount_minor)

    monkeypatch.setattr(gateway, "capture_intent", capture)
    with transaction():
        payments.cancel_lines(orders.lock(order.id), {line.id: 1}, reason="customer")

    payments.capture(payment.id)

    assert asked == [order.total_minor - line.total_minor // 2]


def test_answer_before_an_expiry_does_not_restore_it(
    authorised: Any,
) -> None:
    order, payment = authorised
    apply(payment, "canceled")

    assert apply(payment, "requires_capture") == "known"

    assert (payment.status, payment.capturable_minor) == ("cancelled", 0)
    assert order.payment_status == "unpaid"


def test_expired_authorisation_commits_no_stock(cast: Cast) -> None:
    payment = people.attempt(cast.unpaid_order, capture="manual")
    apply(payment, "canceled")

    assert apply(payment, "requires_capture") == "known"

    assert (cast.unpaid_order.status, payment.status) == ("pending", "cancelled")


def test_authorised_payment_shows_no_old_refusal(authorised: Any) -> None:
    order, payment = authorised

    outcome = apply(
        payment, "requires_payment_method", failure="Declined.", failure_reference="ch_0"
    )

    assert outcome == "known"
    assert "PaymentFailed" not in [entry.type for entry in orders.timeline(order.id)]


@pytest.mark.parametrize("ends", ["succeeded", "canceled"])
def test_no_capture_task_for_captured_or_released_money(authorised: Any, ends: str) -> None:
    _, payment = authorised
    with transaction():
        payment.capture_before = clock.now() + timedelta(hours=3)
    payments.reconcile()
    (task,) = session.scalars(select(Task)).all()

    apply(payment, ends)

    session.refresh(task)
    assert (task.kind, task.closed_at is not None) == ("capture_soon", True)


def test_unreported_end_of_authorisation_is_synced(
    authorised: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, payment = authorised
    with transaction():
        payment.capture_before = clock.now() - timedelta(hours=1)
    monkeypatch.setattr(gateway, "fetch_intent", lambda _: people.intent(payment, "canceled"))

    assert payments.reconcile() == 1

    assert orders.by_id(order.id).payment_status == "unpaid"
    assert "authorisation_ended" in session.scalars(select(Task.kind)).all()


def test_authorised_money_of_a_closed_order_is_released(
    authorised: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, payment = authorised
    with transaction():
        payments.cancel_order(orders.lock(order.id), reason="customer")
        order.closed_at = clock.now() - timedelta(minutes=5)
    monkeypatch.setattr(gateway, "cancel_intent", lambda _: people.intent(payment, "canceled"))

    payments.reconcile()

    session.refresh(payment)
    assert payment.status == "cancelled"


def test_closing_an_attempt_keeps_the_money_in_use(
    authorised: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, payment = authorised
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

    def cancel(intent_id: str) -> stripe_objects.Intent:
        asked.append(intent_id)
        return people.intent(further, "canceled", id=intent_id)

    monkeypatch.setattr(gateway, "cancel_intent", cancel)

    payments.close_intents(order.id)

    assert asked == ["pi_further"]
    session.refresh(payment)
    assert payment.status == "authorised"


def three_with_one_cancelled(cast: Cast) -> tuple[orders.Order, Payment]:
    """Three mugs whose money is authorised, of which the customer wants two."""
    order = people.order(cast.mug, 3)
    payment = people.attempt(order, capture="manual")
    apply(payment, "requires_capture")
    cancel_units(order, 1)
    return order, payment


def cancel_units(order: orders.Order, units: int) -> None:
    with transaction():
        locked = orders.lock(order.id)
        payments.cancel_lines(locked, {locked.lines[0].id: units}, reason="customer")


def misjudged() -> list[str]:
    """What the doctor finds wrong about orders and their money."""
    results = doctor.run_checks(session.connection(), Scope(clock.now(), EVER), doctor.CHECKS)
    return [one.check.id for one in results if one.count and one.check.about == "order"]


def test_cancelled_units_are_not_captured_by_full_amount(
    cast: Cast,
) -> None:
    order, payment = three_with_one_cancelled(cast)

    with pytest.raises(Invalid, match=r"at most €42\.90\."):
        payments.capture(payment.id, order.total_minor)


def test_nothing_is_captured_when_only_free_items_remain(cast: Cast) -> None:
    offer("Free mug", value=10_000, is_targeted=True, product_ids=[cast.mug.product_id])
    cart, lamp_id = people.filled_cart(cast.mug, 1), cast.lamp.id
    with transaction():
        carts.add(cart, lamp_id, 1)
        order = checkout.place_order(cart.id)
    payment = people.attempt(order, capture="manual")
    apply(payment, "requires_capture")
    _, lamp = order.lines
    with transaction():
        payments.cancel_lines(orders.lock(order.id), {lamp.id: 1}, reason="customer")

    with pytest.raises(WrongState, match="release the money"):
        payments.capture(payment.id)


def test_order_is_paid_once_the_rest_is_captured(cast: Cast) -> None:
    order, payment = three_with_one_cancelled(cast)

    apply(payment, "succeeded", received_minor=order.total_minor - 1_900)

    session.refresh(order)
    assert (order.payment_status, payment.refunding_minor) == ("paid", 0)
    assert misjudged() == []


def test_order_with_too_little_captured_is_partly_paid(cast: Cast) -> None:
    order, payment = three_with_one_cancelled(cast)

    apply(payment, "succeeded", received_minor=order.total_minor - 1_901)

    session.refresh(order)
    assert order.payment_status == "partly_paid"
    assert misjudged() == []


def test_refund_of_a_partly_cancelled_order_is_seen(cast: Cast) -> None:
    order, payment = three_with_one_cancelled(cast)
    apply(payment, "succeeded", received_minor=order.total_minor - 1_900)

    with transaction():
        wanted = payments.Wanted({}, amount_minor=100)
        refund = payments.request_refund(orders.lock(order.id), wanted, reason="goodwill")
    with transaction():
        refund_news.apply_refund(refund.id, people.sent(refund))

    session.refresh(order)
    assert order.payment_status == "partly_refunded"
    assert misjudged() == []


def test_money_captured_for_cancelled_units_is_refunded(cast: Cast) -> None:
    _, payment = three_with_one_cancelled(cast)

    assert apply(payment, "succeeded") == "paid"

    session.refresh(payment)
    assert payment.refunding_minor == 1_900


@pytest.mark.parametrize(
    ("units", "status", "back"), [(1, "confirmed", 1_900), (2, "cancelled", 0)]
)
def test_items_cancelled_during_capture_are_refunded(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, units: int, status: str, back: int
) -> None:
    order, payment = three_with_one_cancelled(cast)

    def capture(_: str, *, key: str, amount_minor: int) -> stripe_objects.Intent:
        cancel_units(order, units)  # by the customer, meanwhile
        return people.intent(payment, received_minor=amount_minor)

    monkeypatch.setattr(gateway, "capture_intent", capture)

    payments.capture(payment.id)

    session.refresh(payment)
    assert orders.by_id(order.id).status == status
    assert payment.refunding_minor == (back or payment.captured_minor)
    assert session.scalars(select(Task)).all() == []


def test_refund_is_exact_after_an_unpaid_cancellation(cast: Cast) -> None:
    odd = people.product("Odd", price_minor=334)
    offer("A cent or two", kind="fixed", value=2)  # three of them come to 1000
    order = people.order(odd, 3)
    payment = people.attempt(order, capture="manual")
    apply(payment, "requires_capture")
    cancel_units(order, 1)
    apply(payment, "succeeded", received_minor=payment.amount_minor - 333)
    (line,) = orders.by_id(order.id).lines

    given = []
    for _ in range(2):
        with transaction():
            wanted = payments.Wanted(lines={line.id: 1})
            refund = payments.request_refund(orders.lock(order.id), wanted, reason="other")
            given.append(refund.amount_minor)

    assert given == [333, 334]
    session.refresh(payment)
    assert payment.balance_minor == order.shipping_minor
    with pytest.raises(Invalid, match="0 can still be refunded"), transaction():
        payments.request_refund(orders.lock(order.id), wanted, reason="other")


@pytest.mark.parametrize("is_sent", [False, True])
def test_paid_units_restock_after_an_unpaid_cancellation(cast: Cast, is_sent: bool) -> None:
    order, payment = three_with_one_cancelled(cast)
    apply(payment, "succeeded", received_minor=payment.amount_minor - 1_900)
    if is_sent:
        with transaction():
            orders.ship(orders.lock(order.id))
    (line,) = orders.by_id(order.id).lines
    before = inventory.levels([cast.mug.id])[cast.mug.id]

    with transaction():
        wanted = payments.Wanted(lines={line.id: 1}, restock=frozenset({line.id}))
        payments.request_refund(orders.lock(order.id), wanted, reason="returned")

    after = inventory.levels([cast.mug.id])[cast.mug.id]
    assert after.available == before.available + 1
