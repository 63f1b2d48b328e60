"""Figures are sums over rows that never change: what is captured, refunded, promised and low."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from shop import analytics, inventory, orders, payments
from shop.catalog.models import Variant
from shop.core import clock
from shop.core.db import session, transaction
from shop.payments import refund_news
from shop.payments.tasks import open_task
from tests import cast as people
from tests.cast import Cast


def window() -> analytics.Totals:
    now = clock.now()
    return analytics.totals(now - timedelta(days=1), now + timedelta(minutes=1), currency="EUR")


def goods(order: orders.Order) -> int:
    """What an order's goods cost without tax and shipping, by its own snapshot."""
    shipping = order.shipping_minor - order.shipping_tax_minor
    return order.total_minor - order.tax_minor - shipping


def refund(order: orders.Order, amount_minor: int) -> None:
    with transaction():
        asked = payments.request_refund(
            orders.lock(order.id), payments.Wanted(amount_minor=amount_minor), reason="goodwill"
        )
    with transaction():
        refund_news.apply_refund(asked.id, people.sent(asked))


def test_paid_order_counts_without_its_tax_and_shipping(cast: Cast) -> None:
    order = cast.paid_order

    figures = window()

    assert figures.net_minor == goods(order)
    assert (figures.orders, figures.units) == (1, 2)
    assert figures.average_minor == order.total_minor


def test_an_unpaid_order_counts_nothing(cast: Cast) -> None:
    assert cast.unpaid_order

    assert window() == analytics.Totals()


def test_full_refund_subtracts_revenue_and_keeps_the_count(cast: Cast) -> None:
    order = cast.paid_order

    refund(order, order.total_minor)

    figures = window()
    assert figures.net_minor == 0
    assert figures.refunded_minor == order.total_minor
    assert figures.orders == 1


def test_part_refund_takes_its_share_of_goods(cast: Cast) -> None:
    order = cast.paid_order

    refund(order, order.total_minor // 2)

    assert window().net_minor == pytest.approx(goods(order) / 2, abs=1)


def test_the_days_add_up_to_the_period(cast: Cast) -> None:
    first, now = cast.paid_order, clock.now()
    with clock.freeze(now - timedelta(days=3)):
        earlier = people.order(cast.lamp)
        people.pay(earlier)

    start, end = now - timedelta(days=7), now + timedelta(minutes=1)
    days = analytics.by_day(start, end, currency="EUR", zone="Europe/Berlin")

    assert [day.orders for day in days] == [1, 1]
    assert sum(day.net_minor for day in days) == goods(first) + goods(earlier)
    assert analytics.totals(start, end, currency="EUR").net_minor == goods(first) + goods(earlier)


def test_another_currency_is_another_sum(cast: Cast) -> None:
    assert cast.paid_order
    now = clock.now()

    others = analytics.totals(now - timedelta(days=1), now + timedelta(days=1), currency="USD")

    assert others == analytics.Totals()


def test_what_sells_best_comes_first(cast: Cast) -> None:
    assert cast.paid_order
    people.pay(people.order(cast.lamp))
    now = clock.now()

    top = analytics.top_products(
        now - timedelta(days=1), now + timedelta(minutes=1), currency="EUR"
    )

    assert [(p.name, p.units, p.revenue_minor) for p in top] == [
        ("Pebble lamp", 1, 8900),
        ("Tidal mug", 2, 3800),
    ]


def test_regular_customer_is_known_by_address(cast: Cast) -> None:
    order, unpaid = cast.paid_order, people.order(cast.lamp)
    refund(order, 500)

    known = analytics.regular("ADA@example.com", None)

    assert unpaid.email == order.email
    assert (known.orders, known.paid_orders) == (2, 1)
    assert known.spent_minor == order.total_minor - 500


def test_low_and_sold_out_counts_match_stock_page(cast: Cast) -> None:
    assert cast.mug and cast.lamp
    people.product("Empty jar", stock=0)

    seen = analytics.handling()

    assert (seen.low_stock, seen.sold_out) == (1, 1)
    for state, count in ((inventory.IS_LOW, 1), (inventory.IS_OUT, 1)):
        sold = select(func.count()).select_from(Variant).where(Variant.archived_at.is_(None))
        assert session.scalar(sold.where(state)) == count


def test_open_tasks_and_dead_jobs_wait_for_people(cast: Cast) -> None:
    order_id, before = cast.paid_order.id, analytics.handling()
    with transaction():
        open_task("late", "1", "Look at this.", order_id=order_id)
    session.remove()

    after = analytics.handling()

    assert after.open_tasks == before.open_tasks + 1


def test_the_ledger_tells_what_came_and_went(cast: Cast) -> None:
    order = cast.paid_order
    with transaction():
        orders.ship(orders.lock(order.id))

    assert analytics.ledger_sums(cast.mug.id) == {"receive": 10, "ship": -2}
    assert [units for _, units in analytics.on_hand_history(cast.mug.id)] == [10, 8]
