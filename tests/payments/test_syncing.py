"""Syncing: the one way to paid, called by anybody, in any order, any number of times."""

import pytest
from sqlalchemy import select

from shop import inventory, orders, payments
from shop.core.db import transaction
from shop.core.errors import WrongState
from shop.payments import attempts, intents
from shop.payments.models import PaymentEvent
from tests import cast as people
from tests.cast import Cast
from tests.support.events import count_events


def apply(payment: payments.Payment, status: str = "succeeded", **changes: object) -> str:
    with transaction() as session:
        done = intents.apply_intent(payment.id, people.intent(payment, status, **changes))
        session.flush()
    return done


def test_telling_it_five_times_pays_once(cast: Cast) -> None:
    payment = people.attempt(cast.unpaid_order)

    done = [apply(payment) for _ in range(5)]

    assert done == ["paid"] + ["known"] * 4
    assert count_events("OrderPaid") == 1
    assert inventory.levels([cast.mug.id])[cast.mug.id].committed == 2


def test_declined_order_stays_payable_and_reserved(cast: Cast) -> None:
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


def test_one_cent_too_little_opens_a_task(cast: Cast) -> None:
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


def test_late_money_buys_goods_while_there_are_some(cast: Cast) -> None:
    order = cast.unpaid_order
    payment = people.attempt(order)
    people.expire(order)

    assert apply(payment) == "paid"

    assert (order.status, order.payment_status) == ("confirmed", "paid")
    level = inventory.levels([cast.mug.id])[cast.mug.id]
    assert (level.reserved, level.committed) == (0, 2)


def test_late_payment_for_sold_out_goods_is_refunded(cast: Cast) -> None:
    order = people.order(cast.lamp, 2)
    payment = people.attempt(order)
    people.expire(order)
    people.pay(people.order(cast.lamp, 2))

    assert apply(payment) == "late"

    assert order.status == "expired"
    assert count_events("RefundRequested") == 1
    assert count_events("LatePaymentRefused") == 1
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
