"""The first page shows each role its own, and figures that equal their sums."""

import re

import pytest
from flask import Flask

from shop.admin.dashboard import figures, midnight
from shop.admin.framework.charts import columns, steps
from shop.analytics import Totals
from shop.core import clock
from shop.core.money import Money
from tests import cast as people
from tests.admin.desk import sit
from tests.cast import Cast


def figure(page: str, key: str) -> str:
    found = re.search(rf'data-figure="{key}".*?class="figure num">([^<]+)<', page, re.S)
    assert found
    return found[1]


@pytest.mark.parametrize("period", ["today", "7", "30", "none-such"])
def test_the_figures_equal_what_was_paid(app: Flask, cast: Cast, period: str) -> None:
    order = cast.paid_order
    net = order.total_minor - order.tax_minor - order.shipping_minor + order.shipping_tax_minor

    page = sit(app, "Owner").text(f"/admin/?range={period}")

    assert figure(page, "net") == Money(net, "EUR").format()
    assert figure(page, "orders") == "1"
    assert figure(page, "average") == Money(order.total_minor, "EUR").format()
    assert order.number in page


def test_tiles_lead_to_the_filtered_queue(app: Flask, cast: Cast) -> None:
    assert cast.paid_order

    page = sit(app, "Owner").text("/admin/")

    assert '/admin/orders/list/?tab=to_pack"' in page
    assert "is-info" in page


def test_who_does_not_see_orders_sees_no_money(app: Flask, cast: Cast) -> None:
    order = cast.paid_order

    page = sit(app, "Catalogue").text("/admin/")

    assert "Net sales" not in page
    assert order.number not in page
    assert "Low stock" in page


def test_page_and_part_cost_at_most_eleven_statements(
    app: Flask, cast: Cast, statements: list[str]
) -> None:
    people.pay(people.order(cast.lamp))
    desk = sit(app, "Owner")
    assert desk.token
    statements.clear()

    desk.text("/admin/dashboard/part?range=7")

    assert len(statements) <= 11, "\n".join(statements)


def test_changes_in_percent_never_divide_by_zero() -> None:
    this, before = Totals(net_minor=1500, orders=3), Totals(net_minor=1000)

    net, orders, average, _units = figures(this, before, "EUR")

    assert (net.change, net.trend) == ("+50.0 %", "up")
    assert (orders.change, orders.trend) == ("new", "up")
    assert (average.change, average.trend) == ("±0 %", "level")


def test_day_begins_at_shop_midnight_through_clock_changes() -> None:
    # In Berlin 2026-03-29 has 23 hours.
    noon = clock.now().replace(year=2026, month=3, day=30, hour=10, minute=0)

    assert f"{midnight(noon, days_ago=1):%Y-%m-%d %H:%M %z}" == "2026-03-29 00:00 +0100"
    assert f"{midnight(noon, days_ago=0):%Y-%m-%d %H:%M %z}" == "2026-03-30 00:00 +0200"


def test_plots_stay_in_their_box() -> None:
    now = clock.now()

    bars = columns([0, 250, -40, 1000], ["a", "", "", "d"], ["w"] * 4, 100).bars
    line = steps([(now, 3), (now, 11)])

    assert all(bar.height >= 0 and bar.y >= 0 for bar in bars)
    assert bars[3].height > bars[1].height > bars[2].height == bars[0].height == 0
    assert line.line.startswith("M")
