"""Reading discounts for people: lists, codes, figures, and what an order got."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, tzinfo
from typing import Any, cast

from sqlalchemy import ColumnElement, func, select, text

from shop.core import clock, search
from shop.core.db import session
from shop.discounts.models import Discount, DiscountCode

_STATUS_WHERE = {
    "": "true",
    "active": "is_active AND (ends_at IS NULL OR ends_at > :now)"
    " AND (limit_total IS NULL OR used < limit_total)"
    " AND (starts_at IS NULL OR starts_at <= :now)",
    "scheduled": "is_active AND starts_at > :now AND (limit_total IS NULL OR used < limit_total)",
    "ended": "is_active AND ends_at <= :now",
    "used_up": "is_active AND (ends_at IS NULL OR ends_at > :now) AND used >= limit_total",
    "off": "NOT is_active",
}


@dataclass(frozen=True, slots=True)
class DiscountList:
    """One page of discounts and how many there are in all."""

    rows: Sequence[Discount]
    total: int
    page: int
    per_page: int

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // self.per_page))


def page(*, status: str = "", q: str = "", page: int = 1, per_page: int = 24) -> DiscountList:
    """Discounts, newest first; ``q`` is part of a name or the start of a code. Two statements."""
    where = [
        status_condition(status if status in _STATUS_WHERE else ""),
        *(is_called(word) for word in search.words_of(q)),
    ]
    rows = session.scalars(
        select(Discount)
        .where(*where)
        .order_by(Discount.id.desc())
        .limit(per_page)
        .offset((page - 1) * per_page)
    ).all()
    total = session.scalar(select(func.count()).select_from(Discount).where(*where))
    return DiscountList(rows, total or 0, page, per_page)


def status_condition(status: str) -> ColumnElement[bool]:
    """Which discounts stand so at this moment; ``""`` is all of them."""
    where = text(_STATUS_WHERE[status]).bindparams(**_now(status))
    return cast(ColumnElement[bool], where)


def is_called(word: str) -> ColumnElement[bool]:
    """Discounts with ``word`` in their name or at the start of one of their codes."""
    coded = select(DiscountCode.discount_id).where(
        DiscountCode.code.startswith(word, autoescape=True)
    )
    return search.contains(Discount.name, word) | Discount.id.in_(coded)


def _now(status: str) -> dict[str, Any]:
    return {"now": clock.now()} if ":now" in _STATUS_WHERE.get(status, "") else {}


def codes(discount_id: int, *, page: int = 1, per_page: int = 24) -> Sequence[DiscountCode]:
    """A page of a discount's codes, in the order in which they were made."""
    return session.scalars(
        select(DiscountCode)
        .where(DiscountCode.discount_id == discount_id)
        .order_by(DiscountCode.id)
        .limit(per_page)
        .offset((page - 1) * per_page)
    ).all()


def count_codes(discount_id: int) -> int:
    """How many codes a discount has."""
    mine = DiscountCode.discount_id == discount_id
    return int(session.scalar(select(func.count()).select_from(DiscountCode).where(mine)) or 0)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a discount has done; uses that were released are left out. Minor units."""

    orders: int
    given_minor: int
    sales_minor: int
    released: int
    by_day: tuple[tuple[date, int], ...]


_USAGE = text("""
SELECT date(r.redeemed_at AT TIME ZONE :zone) AS day,
       count(*) FILTER (WHERE counted) AS orders, count(*) FILTER (WHERE NOT counted) AS released,
       coalesce(sum(r.amount_minor + r.shipping_minor) FILTER (WHERE counted), 0) AS given,
       coalesce(sum(o.total_minor) FILTER (WHERE counted), 0) AS sales
FROM redemption r JOIN "order" o ON o.id = r.order_id,
     LATERAL (SELECT r.released_at IS NULL OR r.honoured_at IS NOT NULL AS counted) AS c
WHERE r.discount_id = :discount_id
GROUP BY day ORDER BY day
""")


def usage(discount_id: int, zone: tzinfo) -> Usage:
    """Orders, money given and sales of a discount, and its uses by day. One statement."""
    rows = session.execute(_USAGE, {"discount_id": discount_id, "zone": str(zone)}).all()
    return Usage(
        orders=sum(row.orders for row in rows),
        given_minor=sum(int(row.given) for row in rows),
        sales_minor=sum(int(row.sales) for row in rows),
        released=sum(row.released for row in rows),
        by_day=tuple((row.day, row.orders) for row in rows if row.orders),
    )


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What an order got. Amounts in minor units; ``is_released`` uses do not count."""

    name: str
    code: str
    amount_minor: int
    shipping_minor: int
    currency: str
    is_released: bool

    @property
    def saved_minor(self) -> int:
        return self.amount_minor + self.shipping_minor


_OF_ORDERS = text("""
SELECT order_id, name, code, amount_minor, shipping_minor, currency,
       released_at IS NOT NULL AND honoured_at IS NULL AS is_released
FROM redemption WHERE order_id = :order_id ORDER BY id
""")


def of_order(order_id: int) -> tuple[Redeemed, ...]:
    """What applied when the order was placed. One statement."""
    rows = session.execute(_OF_ORDERS, {"order_id": order_id})
    return tuple(
        Redeemed(r.name, r.code, r.amount_minor, r.shipping_minor, r.currency, r.is_released)
        for r in rows
    )
