"""The first page: how the shop does, what waits for people, and what has just happened."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from flask import current_app, request, url_for
from flask_appbuilder import expose
from flask_appbuilder.security.decorators import has_access, permission_name

from shop import analytics, checkout, orders
from shop.admin import emails
from shop.admin.framework import Page, Screen, charts
from shop.core import clock
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext, ngettext
from shop.core.money import Money, exponent

# key: label, days, what it is compared with
RANGES = {
    "today": (lazy_gettext("Today"), 1, lazy_gettext("vs. the same day last week, until now")),
    "7": (lazy_gettext("7 days"), 7, lazy_gettext("vs. the 7 days before")),
    "30": (lazy_gettext("30 days"), 30, lazy_gettext("vs. the 30 days before")),
}
FEED = 6
DEFINITIONS = {
    "net": lazy_gettext("Captured minus refunded in this period, without tax and shipping."),
    "orders": lazy_gettext(
        "Orders paid for in this period, free orders included. An order counts once, on the"
        " day it is paid for, and stays when it is cancelled or refunded later."
    ),
    "average": lazy_gettext(
        "What those orders cost with tax and shipping, divided by their number."
    ),
    "units": lazy_gettext("Items in those orders, without those cancelled before payment."),
    "top": lazy_gettext(
        "Items sold in this period minus items cancelled, refunded or returned in it, each on the"
        " day it happens, at their price after discounts. Refunds of an amount without items do"
        " not count here."
    ),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One number with its change; ``trend`` is up, down or level."""

    key: str
    label: str
    words: str
    definition: str
    change: str
    trend: str
    before: str


@dataclass(frozen=True, slots=True)
class Tile:
    """Something that waits for people, with the way to it."""

    label: str
    count: int
    href: str
    icon: str
    tone: str


class DashboardView(Screen):
    """Where everybody starts; shows what one's role may see."""

    route_base = "/admin"
    default_view = "index"

    @expose("/")
    @has_access
    def index(self) -> Page:
        """The start page. Ten statements at most."""
        return self.page("admin/dashboard/index.html", title=_("Dashboard"), **self._facts())

    @expose("/dashboard/part")
    @has_access
    @permission_name("index")
    def part(self) -> Page:
        """What ticks: put in place when something happened."""
        return self.page("admin/dashboard/_part.html", **self._facts())

    def _facts(self) -> dict[str, object]:
        asked = request.args.get("range", "")
        asked = asked if asked in RANGES else "7"
        sees_sales = self._sees("OrdersView")
        counts = orders.tab_counts() if sees_sales else {}
        return {
            "range": asked,
            "ranges": {key: label for key, (label, _, _) in RANGES.items()},
            "compared": RANGES[asked][2],
            "tiles": self._tiles(counts),
            "now": clock.now(),
            "sees_sales": sees_sales,
            **(self._sales(asked) if sees_sales else {}),
        }

    def _sales(self, asked: str) -> dict[str, object]:
        currency = str(current_app.config["SETTINGS"].currency)
        now = clock.now()
        days = RANGES[asked][1]
        zone = checkout.terms().zone
        start = midnight(now, days_ago=days - 1)
        # A part of a day is compared with the same part of an earlier day, or it would always lose.
        back = timedelta(days=7 if asked == "today" else days)
        this = analytics.totals(start, now, currency=currency)
        before = analytics.totals(start - back, now - back, currency=currency)
        shown = max(days, 14)
        first = midnight(now, days_ago=shown - 1)
        known = {
            day.on: day for day in analytics.by_day(first, now, currency=currency, zone=str(zone))
        }
        dates = [
            (first + timedelta(days=n, hours=12)).astimezone(zone).date() for n in range(shown)
        ]
        series = [known.get(on, analytics.Day(on, 0, 0)) for on in dates]
        every = -(-shown // 7)
        return {
            "figures": figures(this, before, currency),
            "series": series,
            "plot": charts.columns(
                [day.net_minor for day in series],
                [f"{day.on:%-d %b}" if n % every == 0 else "" for n, day in enumerate(series)],
                [
                    ngettext(
                        "%(day)s: %(amount)s, %(num)s order",
                        "%(day)s: %(amount)s, %(num)s orders",
                        day.orders,
                        day=f"{day.on:%a %-d %b}",
                        amount=Money(day.net_minor, currency).format(),
                    )
                    for day in series
                ],
                10 ** exponent(currency),
            ),
            "shown": shown,
            "currency": currency,
            "top_definition": DEFINITIONS["top"],
            "top": analytics.top_products(start, now, currency=currency),
            "latest": orders.desk(orders.OrderFilters(per_page=FEED)).rows,
        }

    def _tiles(self, counts: dict[str, int]) -> list[Tile]:
        waits = analytics.handling()
        wanted = [
            (
                "OrdersView",
                _("To pack"),
                counts.get("to_pack", 0),
                "package",
                "info",
                {"tab": "to_pack"},
            ),
            (
                "OrdersView",
                _("Unpaid"),
                counts.get("unpaid", 0),
                "clock",
                "warn",
                {"tab": "unpaid"},
            ),
            ("PaymentsView", _("Open tasks"), waits.open_tasks, "triangle-alert", "bad", {}),
            ("InventoryView", _("Low stock"), waits.low_stock, "boxes", "warn", {"tab": "low"}),
            ("InventoryView", _("Sold out"), waits.sold_out, "ban", "bad", {"tab": "out"}),
            ("MailView", _("Failed emails"), -1, "mail", "bad", {"tab": "failed"}),
            ("JobsView", _("Failed jobs"), waits.dead_jobs, "refresh-cw", "bad", {"tab": "dead"}),
        ]
        return [
            Tile(
                label,
                emails.failed_count() if count < 0 else count,
                self._list_of(view, arguments),
                icon,
                tone,
            )
            for view, label, count, icon, tone, arguments in wanted
            if self._sees(view)
        ]

    def _sees(self, view: str) -> bool:
        return bool(self.appbuilder.sm.has_access("can_list", view))

    def _list_of(self, view: str, arguments: dict[str, Any]) -> str:
        return url_for(f"{view}.list", **arguments)


def midnight(now: datetime, *, days_ago: int) -> datetime:
    """The start of a day in the shop's zone; a day is not always 24 hours long."""
    zone = checkout.terms().zone
    day = now.astimezone(zone).date() - timedelta(days=days_ago)
    return datetime.combine(day, time(), zone)


def figures(this: analytics.Totals, before: analytics.Totals, currency: str) -> list[Figure]:
    """The row of numbers on top, each with its change against an earlier period."""

    def money(minor: int) -> str:
        return Money(minor, currency).format()

    def plain(units: int) -> str:
        return f"{units:,}"

    rows = [
        ("net", _("Net sales"), this.net_minor, before.net_minor, money),
        ("orders", _("Orders"), this.orders, before.orders, plain),
        ("average", _("Average order"), this.average_minor, before.average_minor, money),
        ("units", _("Units sold"), this.units, before.units, plain),
    ]
    return [
        Figure(
            key=key,
            label=label,
            words=say(now),
            definition=DEFINITIONS[key],
            change=_change(now, then),
            trend="up" if now > then else "down" if now < then else "level",
            before=say(then),
        )
        for key, label, now, then, say in rows
    ]


def _change(now: int, then: int) -> str:
    if now == then:
        return "±0 %"
    if then <= 0:
        return "new"
    percent = (now - then) / then * 100
    return f"{'+' if percent > 0 else '−'}{abs(percent):.1f} %"
