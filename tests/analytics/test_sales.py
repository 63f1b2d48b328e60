"""Orders and units count once, when they are paid for; products lose what is taken back."""

from datetime import datetime, timedelta

import pytest

from shop import analytics, orders, payments
from shop.core import clock
from shop.core.db import transaction
from shop.payments import intents, refund_news
from shop.payments.models import PaymentEvent
from tests import cast as people
from tests.cast import Cast
from tests.discounts.offers import offer

DAY = timedelta(days=1)


def free_order(cast: Cast, units: int = 2) -> orders.Order:
    offer("All free", value=10_000)
    offer("Free delivery", kind="free_shipping", value=0)
    return people.order(cast.mug, units)


def figures(start: datetime, end: datetime) -> tuple[int, int]:
    found = analytics.totals(start, end, currency="EUR")
    return found.orders, found.units


def top(start: datetime, end: datetime) -> dict[str, tuple[int, int]]:
    found = analytics.top_products(start, end, currency="EUR")
    return {one.name: (one.units, one.revenue_minor) for one in found}


def refund_units(order: orders.Order, units: int) -> payments.Refund:
    with transaction():
        locked = orders.lock(order.id)
        wanted = payments.Wanted(lines={locked.lines[0].id: units})
        return payments.request_refund(locked, wanted, reason="damaged")


def test_free_order_counts_with_its_units(cast: Cast) -> None:
    order = free_order(cast)
    now = clock.now()

    assert order.total_minor == 0
    assert figures(now - DAY, now + DAY) == (1, 2)
    days = analytics.by_day(now - DAY, now + DAY, currency="EUR", zone="Europe/Berlin")
    assert [(day.orders, day.net_minor) for day in days] == [(1, 0)]
    assert top(now - DAY, now + DAY) == {"Tidal mug": (2, 0)}


def test_order_captured_in_parts_counts_once(cast: Cast) -> None:
    order, now = cast.paid_order, clock.now()
    payment = payments.of_order(order.id)[0]
    with transaction() as session:
        part = {"payment_id": payment.id, "kind": "captured", "currency": "EUR"}
        session.add(
            PaymentEvent(
                **part, amount_minor=0, reference="second part", at=now + DAY, occurred_at=now + DAY
            )
        )

    assert figures(now - DAY, now + 2 * DAY) == (1, 2)
    assert figures(now + DAY / 2, now + 2 * DAY) == (0, 0)


def test_units_cancelled_before_capture_were_never_sold(cast: Cast) -> None:
    order, now = people.order(cast.mug, 3), clock.now()
    payment = people.attempt(order, capture="manual")
    with transaction():
        intents.apply_intent(payment.id, people.intent(payment, "requires_capture"))
    with transaction():
        locked = orders.lock(order.id)
        payments.cancel_lines(locked, {locked.lines[0].id: 1}, reason="customer")
    owed = order.total_minor - 1_900
    with transaction():
        intents.apply_intent(payment.id, people.intent(payment, received_minor=owed))

    sold = analytics.totals(now - DAY, now + DAY, currency="EUR")
    assert (sold.orders, sold.units, sold.average_minor) == (1, 2, owed)
    assert top(now - DAY, now + DAY) == {"Tidal mug": (2, 3_800)}


def test_top_products_subtract_on_the_day(cast: Cast) -> None:
    now = clock.now()
    with clock.freeze(now - 5 * DAY):
        order = people.order(cast.mug, 5)
        people.pay(order)
    with clock.freeze(now - 3 * DAY):
        refund_units(order, 1)
    with clock.freeze(now - DAY), transaction():
        locked = orders.lock(order.id)
        payments.cancel_lines(locked, {locked.lines[0].id: 2}, reason="customer")

    assert top(now - 6 * DAY, now - 4 * DAY) == {"Tidal mug": (5, 9_500)}
    assert top(now - 6 * DAY, now - 2 * DAY) == {"Tidal mug": (4, 7_600)}
    assert top(now - 6 * DAY, now) == {"Tidal mug": (2, 3_800)}
    assert figures(now - 6 * DAY, now) == (1, 5)


def test_cancelled_order_leaves_top_products(cast: Cast) -> None:
    order, now = cast.paid_order, clock.now()

    with transaction():
        payments.cancel_order(orders.lock(order.id), reason="customer")

    assert top(now - DAY, now + DAY) == {}


def test_failed_refund_brings_its_units_again(cast: Cast) -> None:
    order, now = cast.paid_order, clock.now()
    asked = refund_units(order, 1)
    assert top(now - DAY, now + DAY) == {"Tidal mug": (1, 1_900)}

    with transaction():
        refund_news.apply_refund(asked.id, people.sent(asked, "failed", failure="closed"))
    assert top(now - DAY, now + DAY) == {"Tidal mug": (2, 3_800)}
    with transaction():
        payments.retry_refund(asked.id)

    assert top(now - DAY, now + DAY) == {"Tidal mug": (1, 1_900)}


@pytest.mark.parametrize("goodwill", [100, 1_900])
def test_refund_of_an_amount_keeps_units(cast: Cast, goodwill: int) -> None:
    order, now = cast.paid_order, clock.now()

    with transaction():
        wanted = payments.Wanted(amount_minor=goodwill)
        payments.request_refund(orders.lock(order.id), wanted, reason="goodwill")

    assert top(now - DAY, now + DAY) == {"Tidal mug": (2, 3_800)}
