"""Sums for the dashboard, the customer card and the stock page. Each says what it costs.

A payment's net share is ``(total − tax − shipping without tax) / total`` of its order: what was
agreed does not change, so neither does the figure of a past day. Orders and units count at the
moment the order is paid for (free ones when they are placed), once, however its money comes.
Products are sums over ``sale_entry``, whose rows are dated by what happened and never change.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Date,
    Numeric,
    and_,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    text,
    true,
    union_all,
)

from shop import inventory
from shop.catalog.models import Product, Variant
from shop.core.db import session
from shop.core.reaction_runs import ReactionRun
from shop.inventory.models import StockLevel, StockMovement
from shop.orders.models import Order, OrderLine, SaleEntry
from shop.payments import MoneyEventKind
from shop.payments.models import Payment, PaymentEvent, Task

MOVES_MONEY = (
    MoneyEventKind.CAPTURED, MoneyEventKind.REFUNDED, MoneyEventKind.REFUND_FAILED,
    MoneyEventKind.DISPUTE_WITHDRAWN, MoneyEventKind.DISPUTE_REINSTATED,
    MoneyEventKind.DISPUTE_LOST,  # what is now a withdrawal, until November 2026
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Totals:
    """A period in figures, in minor units. ``orders`` and ``units`` are those paid for in it, free
    ones included; ``paid_minor`` is what they cost, with tax and shipping. Units that were
    cancelled before their order was paid for are in none of these."""

    net_minor: int = 0
    refunded_minor: int = 0
    paid_minor: int = 0
    orders: int = 0
    units: int = 0

    @property
    def average_minor(self) -> int:
        """What a paid order cost on average, with tax and shipping; 0 without orders."""
        return round(self.paid_minor / self.orders) if self.orders else 0


@dataclass(frozen=True, slots=True)
class Day:
    """Net sales and paid orders of one day in the shop's zone."""

    on: date
    net_minor: int
    orders: int


@dataclass(frozen=True, slots=True)
class TopProduct:
    """What sold best. ``units`` and ``revenue_minor`` (the price after discounts) are those sold in
    the period less those cancelled, refunded or returned in it."""

    product_id: int
    name: str
    units: int
    revenue_minor: int
    image_key: str


@dataclass(frozen=True, slots=True)
class Regular:
    """What a person ordered so far; ``spent_minor`` is what was paid less what went back."""

    orders: int
    paid_orders: int
    spent_minor: int
    first_at: datetime | None


@dataclass(frozen=True, slots=True)
class Handling:
    """How much waits for people."""

    open_tasks: int
    dead_jobs: int
    low_stock: int
    sold_out: int


def totals(start: datetime, end: datetime, *, currency: str) -> Totals:
    """The figures of a period, ``end`` not included. One statement."""
    money = (
        select(
            func.coalesce(func.sum(_net_share()), 0).label("net"),
            func.coalesce(
                -func.sum(_signed()).filter(PaymentEvent.kind != MoneyEventKind.CAPTURED), 0
            ).label("refunded"),
        )
        .select_from(PaymentEvent)
        .join(Payment, Payment.id == PaymentEvent.payment_id)
        .join(Order, Order.id == Payment.order_id)
        .where(*_money_in(start, end, currency))
        .subquery()
    )
    row = session.execute(
        select(money, _ORDERS).select_from(money.join(_ORDERS, true())),
        {"start": start, "end": end, "currency": currency},
    ).one()
    return Totals(int(row.net), int(row.refunded), int(row.paid), row.orders, int(row.units))


# What was cancelled before the order was paid for is not in its entry of the sale, and not owed.
_ORDERS = (
    text("""
SELECT count(*) AS orders, coalesce(sum(l.units), 0) AS units,
    coalesce(sum(o.total_minor - l.never_owed), 0) AS paid
FROM "order" o
CROSS JOIN LATERAL (
    SELECT coalesce(sum(s.units), 0) AS units, sum(
        (l.total_minor + CASE WHEN o.prices_include_tax THEN 0 ELSE l.tax_minor END)::bigint
        * (l.quantity - coalesce(s.units, 0)) / l.quantity) AS never_owed
    FROM order_line l
    LEFT JOIN sale_entry s
        ON s.order_id = o.id AND s.order_line_id = l.id AND s.kind = 'sold'
    WHERE l.order_id = o.id
) l
WHERE o.paid_at >= :start AND o.paid_at < :end AND o.currency = :currency
""")
    .columns(orders=BigInteger, units=BigInteger, paid=BigInteger)
    .subquery("paid_orders")
)


def by_day(start: datetime, end: datetime, *, currency: str, zone: str) -> list[Day]:
    """Net sales and orders of each day that had any, oldest first. One statement."""

    def day(moment: Any) -> Any:
        return cast(func.timezone(zone, moment), Date).label("day")

    money = (
        select(day(PaymentEvent.at), _net_share().label("net"), literal(0).label("orders"))
        .select_from(PaymentEvent)
        .join(Payment, Payment.id == PaymentEvent.payment_id)
        .join(Order, Order.id == Payment.order_id)
        .where(*_money_in(start, end, currency))
    )
    paid = select(day(Order.paid_at), literal(0).label("net"), literal(1).label("orders")).where(
        Order.paid_at >= start, Order.paid_at < end, Order.currency == currency
    )
    both = union_all(money, paid).subquery()
    rows = session.execute(
        select(both.c.day, func.sum(both.c.net), func.sum(both.c.orders))
        .group_by(both.c.day)
        .order_by(both.c.day)
    )
    return [Day(on, int(net or 0), int(orders)) for on, net, orders in rows]


def top_products(
    start: datetime, end: datetime, *, currency: str, limit: int = 5
) -> list[TopProduct]:
    """What sold best in a period, by revenue: what was sold in it less what was cancelled, refunded
    or returned in it. One statement."""
    units, revenue = func.sum(SaleEntry.units), func.sum(SaleEntry.amount_minor)
    rows = session.execute(
        select(SaleEntry.product_id, Product.name, units, revenue, func.max(OrderLine.image_key))
        .join(Product, Product.id == SaleEntry.product_id)
        .join(OrderLine, OrderLine.id == SaleEntry.order_line_id)
        .where(SaleEntry.at >= start, SaleEntry.at < end, SaleEntry.currency == currency)
        .group_by(SaleEntry.product_id, Product.name)
        .having(units > 0)
        .order_by(revenue.desc(), SaleEntry.product_id)
        .limit(limit)
    )
    return [TopProduct(r[0], r[1], int(r[2]), int(r[3]), r[4] or "") for r in rows]


def regular(email: str, customer_id: int | None) -> Regular:
    """What the person behind an order ordered so far: by account, or by address. One statement."""
    theirs: ColumnElement[bool] = Order.email == email
    if customer_id is not None:
        theirs = or_(theirs, Order.customer_id == customer_id)
    was_paid = Order.paid_at.is_not(None)
    kept = (
        select(func.coalesce(func.sum(_signed()), 0))
        .join(Payment, Payment.id == PaymentEvent.payment_id)
        .where(
            Payment.order_id == Order.id,
            PaymentEvent.currency == Order.currency,
            PaymentEvent.kind.in_(MOVES_MONEY),
        )
        .correlate(Order)
        .scalar_subquery()
    )
    row = session.execute(
        select(
            func.count(),
            func.count().filter(was_paid),
            func.coalesce(func.sum(kept).filter(was_paid), 0),
            func.min(Order.placed_at),
        )
        .select_from(Order)
        .where(theirs)
    ).one()
    return Regular(row[0], row[1], int(row[2]), row[3])


def handling() -> Handling:
    """How much waits for people besides orders. One statement."""
    low, out = _stock_conditions()
    row = session.execute(
        select(
            select(func.count()).where(Task.closed_at.is_(None)).scalar_subquery(),
            select(func.count())
            .select_from(ReactionRun)
            .where(ReactionRun.state == "dead")
            .scalar_subquery(),
            _stock_count(low),
            _stock_count(out),
        )
    ).one()
    return Handling(*row)


def ledger_sums(variant_id: int) -> dict[str, int]:
    """What each kind of movement added to or took from what is on hand. One statement."""
    rows = session.execute(
        select(StockMovement.kind, func.sum(StockMovement.on_hand_delta))
        .where(StockMovement.variant_id == variant_id, StockMovement.on_hand_delta != 0)
        .group_by(StockMovement.kind)
    )
    return {kind: int(units) for kind, units in rows}


def on_hand_history(variant_id: int, *, limit: int = 200) -> list[tuple[datetime, int]]:
    """When what is on hand changed, and to what: the latest ``limit`` points, oldest first. One
    statement."""
    rows = session.execute(
        select(StockMovement.at, StockMovement.on_hand_after)
        .where(StockMovement.variant_id == variant_id, StockMovement.on_hand_delta != 0)
        .order_by(StockMovement.id.desc())
        .limit(limit)
    ).all()
    return [(row.at, row.on_hand_after) for row in reversed(rows)]


def _net_share() -> ColumnElement[Any]:
    """A money event's goods without tax and shipping; refunds count below zero."""
    shipping = Order.shipping_minor - _included(Order.shipping_tax_minor)
    goods = Order.total_minor - Order.tax_minor - shipping
    return func.round(cast(_signed(), Numeric) * goods / func.nullif(Order.total_minor, 0))


def _signed() -> ColumnElement[Any]:
    """What an event brought: refunds and what disputes took count below zero, and a refund that
    failed after all, or a dispute that is won, brings its money again."""
    leaves = PaymentEvent.kind.in_(
        [MoneyEventKind.REFUNDED, MoneyEventKind.DISPUTE_WITHDRAWN, MoneyEventKind.DISPUTE_LOST]
    )
    sign = case((leaves, -1), else_=1)
    return PaymentEvent.amount_minor * sign


def _included(tax: Any) -> ColumnElement[Any]:
    """The tax inside a price, where prices include it."""
    return case((Order.prices_include_tax, tax), else_=0)


def _money_in(start: datetime, end: datetime, currency: str) -> list[ColumnElement[bool]]:
    return [
        PaymentEvent.kind.in_(MOVES_MONEY),
        PaymentEvent.at >= start,
        PaymentEvent.at < end,
        PaymentEvent.currency == currency,
    ]


def _stock_conditions() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    available = inventory.UNITS_AVAILABLE
    return and_(available > 0, available <= Variant.low_stock_level), available <= 0


def _stock_count(condition: ColumnElement[bool]) -> Any:
    matching = (
        select(Variant.id)
        .outerjoin(StockLevel, StockLevel.variant_id == Variant.id)
        .where(Variant.archived_at.is_(None))
        .group_by(Variant.id)
        .having(condition)
        .subquery()
    )
    return select(func.count()).select_from(matching).scalar_subquery()
