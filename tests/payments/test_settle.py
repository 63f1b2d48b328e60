"""Settling: the one way to paid, called by anybody, in any order, any number of times."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from shop import cart, inventory, orders, payments
from shop.core import clock
from shop.core.db import transaction
from shop.core.errors import WrongState
from shop.core.events import EventRecord
from shop.payments import attempts, intents, webhooks
from shop.payments.models import PaymentEvent, Task
from shop.payments.tasks import open_task
from tests import cast as people
from tests.cast import Cast


def apply(payment: payments.Payment, status: str = "succeeded", **changes: object) -> str:
    with transaction() as session:
        done = intents.apply_intent(payment.id, people.intent(payment, status, **changes))
        session.flush()
    return done


def events(kind: str) -> int:
    from shop.core.db import session

    return session.scalar(select(func.count()).where(EventRecord.type == kind)) or 0


def test_telling_it_five_times_pays_once(cast: Cast) -> None:
    payment = people.attempt(cast.unpaid_order)

    done = [apply(payment) for _ in range(5)]

    assert done == ["paid"] + ["known"] * 4
    assert events("OrderPaid") == 1
    assert inventory.levels([cast.mug.id])[cast.mug.id].committed == 2


def test_a_decline_keeps_the_order_payable_and_its_hold(cast: Cast) -> None:
    order = cast.unpaid_order
    payment = people.attempt(order)

    assert apply(payment, "requires_payment_method", failure="Declined.") == "failed"

    assert order.status == "pending"
    assert inventory.levels([cast.mug.id])[cast.mug.id].reserved == 2
    assert apply(payment) == "paid"


def test_an_old_decline_after_the_success_changes_nothing(cast: Cast) -> None:
    order = cast.paid_order
    (payment,) = payments.of_order(order.id)

    apply(payment, "requires_payment_method", failure="Declined.", failure_reference="ch_old")

    assert (order.status, order.payment_status) == ("confirmed", "paid")


def test_a_cent_too_little_is_never_paid_and_opens_a_task(cast: Cast) -> None:
    order = cast.unpaid_order
    payment = people.attempt(order)

    done = apply(payment, received_minor=order.total_minor - 1)

    assert done == "amount differs"
    assert (order.status, order.payment_status) == ("pending", "partly_paid")
    assert [task.kind for task in payments.open_tasks()] == ["amount_differs"]
    with pytest.raises(WrongState, match="Do not pay twice"), transaction():
        attempts.open_payment(orders.lock(order.id), capture="automatic")


def test_another_currency_is_never_paid(cast: Cast) -> None:
    payment = people.attempt(cast.unpaid_order)

    assert apply(payment, currency="JPY") == "amount differs"


def expire(order: orders.Order) -> None:
    with clock.freeze(order.expires_at + timedelta(seconds=1)), transaction():
        orders.expire(orders.lock(order.id))


def test_expiry_frees_the_stock_and_keeps_the_cart(cast: Cast) -> None:
    order = cast.unpaid_order
    assert inventory.available([cast.mug.id])[cast.mug.id] == 8

    expire(order)

    assert inventory.available([cast.mug.id])[cast.mug.id] == 10
    with transaction():
        assert cart.lock(order.cart_id or 0).status == "open"


def test_an_expired_order_cannot_be_started_again(cast: Cast) -> None:
    order = cast.unpaid_order
    expire(order)

    with pytest.raises(WrongState, match="time to pay"), transaction():
        attempts.open_payment(orders.lock(order.id), capture="automatic")


def test_late_money_buys_the_goods_while_there_are_some(cast: Cast) -> None:
    order = cast.unpaid_order
    payment = people.attempt(order)
    expire(order)

    assert apply(payment) == "paid"

    assert (order.status, order.payment_status) == ("confirmed", "paid")
    level = inventory.levels([cast.mug.id])[cast.mug.id]
    assert (level.reserved, level.committed) == (0, 2)


def test_late_money_for_sold_out_goods_goes_back(cast: Cast) -> None:
    order = people.order(cast.lamp, 2)
    payment = people.attempt(order)
    expire(order)
    people.pay(people.order(cast.lamp, 2))

    assert apply(payment) == "late"

    assert order.status == "expired"
    assert events("RefundRequested") == 1
    assert events("LatePaymentRefused") == 1
    assert inventory.available([cast.lamp.id])[cast.lamp.id] == 0


def test_money_events_cannot_be_rewritten(cast: Cast) -> None:
    from sqlalchemy.exc import DBAPIError

    from shop.core.db import session

    assert cast.paid_order.payment_status == "paid"
    event = session.scalars(select(PaymentEvent)).first()
    assert event is not None

    with pytest.raises(DBAPIError, match="never changed"), session.begin_nested():
        event.amount_minor = 1
        session.flush()


def test_a_stored_message_is_stored_once(cast: Cast) -> None:
    message = {
        "id": "evt_1",
        "type": "payment_intent.succeeded",
        "data": {"object": {"id": "pi_1"}},
    }

    with transaction():
        stored = [webhooks.record_delivery(message) for _ in range(3)]

    assert stored == [True, False, False]
    assert events("WebhookReceived") == 1


def test_a_message_that_tells_nothing_is_kept_and_wakes_nobody(cast: Cast) -> None:
    message = {"id": "evt_2", "type": "charge.updated", "data": {"object": {"id": "ch_1"}}}

    with transaction():
        assert webhooks.record_delivery(message)

    assert events("WebhookReceived") == 0
    with transaction() as session:
        outcomes = session.scalars(select(payments.WebhookDelivery.outcome)).all()
    assert list(outcomes) == ["ignored"]


def test_a_task_is_opened_once(cast: Cast) -> None:
    with transaction() as session:
        for _ in range(2):
            open_task("kind", "1", "Look.", order_id=None)
        assert session.scalar(select(func.count()).select_from(Task)) == 1
