"""Reading orders: for their owner, for the desk, and for the timeline."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    Index,
    Select,
    and_,
    bindparam,
    case,
    func,
    null,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.orm import aliased, joinedload, selectinload
from sqlalchemy.orm.interfaces import ORMOption

from shop import discounts, inventory
from shop.core import search, tokens
from shop.core.db import session
from shop.core.errors import NotFound
from shop.core.events import EventRecord
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
from shop.orders.events import LinesCancelled, OrderPaid
from shop.orders.models import Fulfilment, FulfilmentLine, Order, OrderLine
from shop.orders.states import LIVE, FulfilmentStatus, OrderStatus, PaymentStatus, Words, words

# A shorter word is part of too many tracking numbers, and so many orders are enough to see that.
MIN_TRACKED, MAX_TRACKED = 4, 200


def _is(column: Any, *words: StrEnum) -> ColumnElement[bool]:
    """Whether ``column`` holds one of ``words``, which stand in the statement itself: a plan that
    is kept for any words could not use the index of some."""
    condition: ColumnElement[bool] = column.in_(
        bindparam(None, list(words), column.type, expanding=True, literal_execute=True)
    )
    return condition


TABS: dict[str, tuple[str, ColumnElement[bool]]] = {
    "to_pack": (
        lazy_gettext("To pack"),
        _is(Order.status, OrderStatus.CONFIRMED)
        & _is(Order.fulfilment_status, FulfilmentStatus.UNFULFILLED)
        & Order.processing_at.is_(None),
    ),
    "processing": (
        lazy_gettext("Processing"),
        _is(Order.status, OrderStatus.CONFIRMED)
        & _is(Order.fulfilment_status, FulfilmentStatus.UNFULFILLED)
        & Order.processing_at.is_not(None),
    ),
    FulfilmentStatus.PARTLY_SHIPPED: (
        lazy_gettext("Partly shipped"),
        _is(Order.fulfilment_status, FulfilmentStatus.PARTLY_SHIPPED),
    ),
    "shipped": (
        lazy_gettext("Shipped"),
        _is(Order.fulfilment_status, FulfilmentStatus.SHIPPED),
    ),
    "unpaid": (
        lazy_gettext("Unpaid"),
        _is(Order.status, OrderStatus.PENDING) & (Order.payment_status != PaymentStatus.PROCESSING),
    ),
    "payment_processing": (
        lazy_gettext("Payment processing"),
        _is(Order.status, OrderStatus.PENDING)
        & _is(Order.payment_status, PaymentStatus.PROCESSING),
    ),
    FulfilmentStatus.DELIVERED: (
        lazy_gettext("Delivered"),
        _is(Order.fulfilment_status, FulfilmentStatus.DELIVERED),
    ),
    "closed": (
        lazy_gettext("Cancelled"),
        _is(Order.status, OrderStatus.CANCELLED, OrderStatus.EXPIRED),
    ),
}
# The other tabs ask for one status, which has an index of its own.
for _key in ("to_pack", "processing", "closed"):
    Index(
        f"ix_order_{_key}",
        Order.placed_at.desc(),
        Order.id.desc(),
        postgresql_where=TABS[_key][1],
    )


@dataclass(frozen=True, slots=True)
class OrderFilters:
    """What the orders desk asks for. ``tab`` is a key of ``TABS`` or empty for all; days are
    inclusive and in ``zone``; ``q`` is found as ``matches`` says."""

    tab: str = ""
    q: str = ""
    payment_status: str = ""
    placed_from: date | None = None
    placed_to: date | None = None
    zone: str = "UTC"
    sort: str = "newest"
    page: int = 1
    per_page: int = 24


@dataclass(frozen=True, slots=True)
class OrderRow:
    """A line of a list of orders."""

    id: int
    number: str
    placed_at: datetime
    customer_name: str
    email: str
    words: Words
    status: OrderStatus
    payment_status: PaymentStatus
    fulfilment_status: FulfilmentStatus
    item_count: int
    total_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class OrderList:
    """One page of orders and how many there are in all."""

    rows: Sequence[OrderRow]
    total: int
    page: int
    per_page: int

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // self.per_page))

    @property
    def previous(self) -> int | None:
        """The page with newer orders."""
        return self.page - 1 if self.page > 1 else None

    @property
    def next(self) -> int | None:
        """The page with older orders."""
        return self.page + 1 if self.page < self.pages else None


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One thing that happened, and who did it."""

    id: int
    type: str
    at: datetime
    actor_kind: str
    actor_name: str
    payload: dict[str, Any]


_SORTS: dict[str, Sequence[Any]] = {
    "newest": (Order.placed_at.desc(), Order.id.desc()),
    "oldest": (Order.placed_at, Order.id),
    "total": (Order.total_minor.desc(), Order.id.desc()),
}


def desk(filters: OrderFilters) -> OrderList:
    """One page of the orders desk. Two statements: the rows, and how many there are."""
    conditions = _conditions(filters)
    rows = session.execute(
        select(*_ROW)
        .where(*conditions)
        .order_by(*_SORTS.get(filters.sort, _SORTS["newest"]))
        .limit(filters.per_page)
        .offset((filters.page - 1) * filters.per_page)
    ).all()
    total = session.scalar(select(func.count()).select_from(Order).where(*conditions)) or 0
    return OrderList([_row(row) for row in rows], total, filters.page, filters.per_page)


def matches(text: str) -> ColumnElement[bool]:
    """Orders that every word of ``text`` fits: a part of number, email, name, postal code or of a
    tracking number, or a SKU, whatever case and accents.

    One statement, none without words: it looks for the words among tracking numbers and SKUs, so
    that the condition is one that an index of each table answers.
    """
    sought = search.words_of(text)
    if not sought:
        return true()
    found = session.execute(
        select(*(column for word in sought for column in (_tracked(word), _is_sku(word))))
    ).one()
    return and_(*(_fits(word, *found[2 * n : 2 * n + 2]) for n, word in enumerate(sought)))


def _tracked(word: str) -> ColumnElement[Any]:
    """The ids of orders with the word in a tracking number, as an array."""
    if len(word) < MIN_TRACKED:
        return null()
    contains = search.contains(Fulfilment.tracking_number, word)
    return func.array(
        select(Fulfilment.order_id).where(contains).limit(MAX_TRACKED).scalar_subquery()
    )


def _is_sku(word: str) -> ColumnElement[bool]:
    return select(OrderLine.id).where(_has_sku(word)).exists()


def _fits(word: str, tracked: Sequence[int] | None, is_sku: bool) -> ColumnElement[bool]:
    fits: ColumnElement[bool] = Order.searched.like(search.pattern(word))
    if tracked:
        fits = fits | Order.id.in_(tracked)
    if not is_sku:
        return fits
    return Order.id.in_(
        union_all(select(Order.id).where(fits), select(OrderLine.order_id).where(_has_sku(word)))
    )


def with_sku(sku: str) -> ColumnElement[bool]:
    """Orders of this SKU, whatever case and accents."""
    return Order.id.in_(select(OrderLine.order_id).where(_has_sku(sku)))


def _has_sku(sku: str) -> ColumnElement[bool]:
    return func.shop_fold(OrderLine.sku) == func.shop_fold(sku)


def can_be_packed() -> ColumnElement[bool]:
    """Orders that somebody can pack now: paid, and not shipped as a whole."""
    return (
        _is(Order.status, OrderStatus.CONFIRMED)
        & _is(
            Order.fulfilment_status, FulfilmentStatus.UNFULFILLED, FulfilmentStatus.PARTLY_SHIPPED
        )
        & Order.payment_status.not_in(
            [PaymentStatus.AUTHORISED, PaymentStatus.UNPAID, PaymentStatus.REFUNDED]
        )
    )


def tab_counts() -> dict[str, int]:
    """How many orders each tab holds, with ``""`` for all. One statement."""
    counts = [
        func.count(case((condition, 1))).label(key) for key, (_label, condition) in TABS.items()
    ]
    row = session.execute(select(func.count().label("everything"), *counts)).mappings().one()
    return {"": row["everything"]} | {key: row[key] for key in TABS}


def by_id(order_id: int) -> Order:
    """The order with lines and shipments. Raises ``NotFound``. Four statements at most."""
    return _one(Order.id == order_id)


def by_number(number: str) -> Order:
    """The order with this number. Raises ``NotFound``."""
    return _one(Order.number == number)


def by_token(
    number: str, token: str | None, *, whole: bool = True, with_lines: bool = False
) -> Order:
    """The order of who has its secret link. Raises ``NotFound``, also for a wrong token.

    Unless ``whole``, one statement; what it leaves out (lines, unless ``with_lines``, and
    shipments) is read only when it is asked for.
    """
    order = _one(Order.number == number, whole=whole, with_lines=with_lines)
    if not tokens.matches(token, order.token):
        raise NotFound(_("Order not found."))
    return order


def of_customer(customer_id: int, *, page: int = 1, per_page: int = 10) -> OrderList:
    """A customer's own orders, newest first. Two statements."""
    mine = Order.customer_id == customer_id
    rows = session.execute(
        select(*_ROW)
        .where(mine)
        .order_by(Order.placed_at.desc(), Order.id.desc())
        .limit(per_page)
        .offset((page - 1) * per_page)
    ).all()
    total = session.scalar(select(func.count()).select_from(Order).where(mine)) or 0
    return OrderList([_row(row) for row in rows], total, page, per_page)


def timeline(order_id: int) -> list[TimelineEntry]:
    """Everything that happened to an order, oldest first. One statement."""
    records = session.scalars(
        select(EventRecord)
        .where(EventRecord.order_id == order_id, EventRecord.type != "StockChanged")
        .order_by(EventRecord.id)
    )
    return [
        TimelineEntry(r.id, r.type, r.occurred_at, r.actor_kind, r.actor_name, r.payload)
        for r in records
    ]


def cancelled_units(order_id: int, *, reason: str) -> dict[int, int]:
    """Units that were taken out of an order for this reason, by line id. One statement."""
    is_reason = EventRecord.payload["reason"].astext == reason
    return units_in(session.scalars(_cancellations(EventRecord.order_id == order_id, is_reason)))


def unpaid_units(order_id: int) -> dict[int, int]:
    """Units that were taken out of a paid order while its money was only authorised, so that
    they were never paid for; by line id. One statement."""
    return units_in(session.scalars(unpaid_cancellations(EventRecord.order_id == order_id)))


def unpaid_cancellations(which: ColumnElement[bool]) -> Select[tuple[dict[str, Any]]]:
    """Returns what was written down whenever units were taken out of ``which`` orders while their
    money was only authorised; ``units_in`` reads it."""
    paid = aliased(EventRecord)
    first_paid = (
        select(func.min(paid.id))
        .where(paid.order_id == EventRecord.order_id, paid.type == OrderPaid.__name__)
        .scalar_subquery()
    )
    return _cancellations(which, EventRecord.id < first_paid)


def _cancellations(*which: ColumnElement[bool]) -> Select[tuple[dict[str, Any]]]:
    return select(EventRecord.payload).where(EventRecord.type == LinesCancelled.__name__, *which)


def units_in(payloads: Iterable[dict[str, Any]]) -> dict[int, int]:
    """Returns the units by line id of these events of cancelled units."""
    units: dict[int, int] = {}
    for payload in payloads:
        for line in payload["lines"]:
            units[line["line_id"]] = units.get(line["line_id"], 0) + line["quantity"]
    return units


def redeemed(order: Order) -> tuple[discounts.Redeemed, ...]:
    """The discounts that an order got, as they were then. One statement, or none if it got none."""
    if not (order.discount_minor or order.shipping_discount_minor):
        return ()
    return discounts.of_order(order.id)


def live_of(order: Order) -> Order | None:
    """The live order of its chain: this one, another one, or none."""
    return session.scalar(
        select(Order).where(Order.chain_id == order.chain_id, Order.status.in_(LIVE))
    )


def due_to_expire(limit: int = 100) -> list[int]:
    """Ids of unpaid orders whose time is up; money that is on its way is waited for."""
    return list(
        session.scalars(
            select(Order.id)
            .where(
                Order.status == OrderStatus.PENDING,
                Order.payment_status != PaymentStatus.PROCESSING,
                Order.expires_at <= func.now(),
            )
            .order_by(Order.expires_at)
            .limit(limit)
        )
    )


_ROW = (
    Order.id,
    Order.number,
    Order.placed_at,
    Order.customer_name,
    Order.email,
    Order.status,
    Order.payment_status,
    Order.fulfilment_status,
    Order.processing_at,
    Order.item_count,
    Order.total_minor,
    Order.currency,
)


def _row(row: Any) -> OrderRow:
    return OrderRow(
        id=row.id,
        number=row.number,
        placed_at=row.placed_at,
        customer_name=row.customer_name,
        email=row.email,
        words=words(row),
        status=row.status,
        payment_status=row.payment_status,
        fulfilment_status=row.fulfilment_status,
        item_count=row.item_count,
        total_minor=row.total_minor,
        currency=row.currency,
    )


def _conditions(filters: OrderFilters) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if filters.tab in TABS:
        conditions.append(TABS[filters.tab][1])
    if filters.payment_status:
        conditions.append(Order.payment_status == filters.payment_status)
    if filters.q:
        conditions.append(matches(filters.q))
    zone = ZoneInfo(filters.zone)
    if filters.placed_from:
        start = datetime.combine(filters.placed_from, time.min, zone)
        conditions.append(Order.placed_at >= start)
    if filters.placed_to:
        end = datetime.combine(filters.placed_to + timedelta(days=1), time.min, zone)
        conditions.append(Order.placed_at < end)
    return conditions


def _one(condition: ColumnElement[bool], *, whole: bool = True, with_lines: bool = False) -> Order:
    parts: tuple[ORMOption, ...] = (
        selectinload(Order.lines),
        selectinload(Order.fulfilments)
        .selectinload(Fulfilment.lines)
        .selectinload(FulfilmentLine.order_line),
    )
    if not whole:
        parts = (joinedload(Order.lines),) if with_lines else ()
    order = session.scalars(select(Order).where(condition).options(*parts)).unique().one_or_none()
    if order is None:
        raise NotFound(_("Order not found."))
    return order


def waiting(order: Order) -> dict[int, int]:
    """Open units that are not on hand for this order yet, by order line; the others are left out.

    Only backorders wait: what is on hand belongs to paid orders in the order of their payment. One
    statement, one more while somebody waits for the same things.
    """
    open_variants = {line.variant_id for line in order.lines if line.open_quantity}
    if order.status != OrderStatus.CONFIRMED or not open_variants:
        return {}
    levels = inventory.levels(open_variants)
    here = {n: level.on_hand for n, level in levels.items() if level.on_hand < level.committed}
    if not here:
        return {}
    paid_before: ColumnElement[bool] = Order.paid_at.is_not(None)
    if order.paid_at is not None:
        paid_before = tuple_(Order.paid_at, Order.id) < (order.paid_at, order.id)
    before = session.execute(
        select(
            OrderLine.variant_id,
            func.sum(OrderLine.quantity - OrderLine.shipped - OrderLine.cancelled),
        )
        .join(Order)
        .where(
            OrderLine.variant_id.in_(here),
            Order.id != order.id,
            Order.status == OrderStatus.CONFIRMED,
            paid_before,
        )
        .group_by(OrderLine.variant_id)
    )
    for variant_id, units in before:
        here[variant_id] = max(0, here[variant_id] - units)
    missing = {}
    for line in order.lines:
        if line.variant_id in here and line.open_quantity:
            taken = min(line.open_quantity, here[line.variant_id])
            here[line.variant_id] -= taken
            if taken < line.open_quantity:
                missing[line.id] = line.open_quantity - taken
    return missing
