"""The books of all orders at once, by the rules that each order follows: for whoever checks them.

Reads rows on a connection of the caller's, such as the snapshot of the integrity checks, and gives
them to the pure functions that ``records`` and ``refundable`` use for one order. Writes nothing.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    Select,
    SQLColumnExpression,
    Text,
    any_,
    func,
    literal,
    select,
    true,
    type_coerce,
)
from sqlalchemy.orm import InstrumentedAttribute

from shop.orders import PaymentStatus
from shop.orders.models import Order, OrderLine
from shop.orders.queries import units_in, unpaid_cancellations
from shop.payments import records
from shop.payments.balance import Balance, gross_of, status_to_keep, withdrawn_of, worth
from shop.payments.models import Payment, PaymentEvent
from shop.payments.states import MoneyEventKind

# Rows of large answers come from the server in parts.
_IN_PARTS = {"stream_results": True, "yield_per": 5_000}
_NO_SUMS: tuple[int, list[Any]] = (0, [])
_DISPUTE_KINDS = [kind for kind in MoneyEventKind if kind.startswith("dispute_")]


@dataclass(frozen=True, slots=True)
class OrderBooks:
    """An order as it is stored, what its money events add up to, and the payment status and the
    amount owed that follow from that; minor units."""

    order: Row[Any]
    balance: Balance
    owed_minor: int
    payment_status: PaymentStatus


def of_orders(connection: Connection, which: ColumnElement[bool]) -> Iterator[OrderBooks]:
    """Gives the books of ``which`` orders, in the order of their ids."""
    disputes = Counter(connection.scalars(records.open_disputes(true())))
    processing = set(connection.scalars(records.processing()))
    unpaid = never_owed(connection)
    sums = _sums_by_order(connection, which)
    sums_of, rows = next(sums, _NO_SUMS)
    for order in connection.execute(_orders(which), execution_options=_IN_PARTS):
        order_id, total = order.id, order.total_minor
        own = rows if sums_of == order_id else []
        balance = records.add_up(own, disputes=disputes[order_id] if own else 0)
        unpaid_minor = unpaid.get(order_id, 0)
        status = status_to_keep(
            total,
            balance,
            never_owed_minor=unpaid_minor,
            is_processing=order_id in processing,
        )
        yield OrderBooks(order, balance, total - unpaid_minor, status)
        if own:
            sums_of, rows = next(sums, _NO_SUMS)


def never_owed(connection: Connection) -> Mapping[int, int]:
    """Returns what the units come to that were cancelled before their order was paid for, by
    order; of orders without any there is nothing."""
    units = units_in(connection.scalars(unpaid_cancellations(true())))
    lines = select(
        OrderLine.id,
        OrderLine.order_id,
        OrderLine.quantity,
        OrderLine.total_minor,
        OrderLine.tax_minor,
        Order.prices_include_tax,
    ).join(Order, Order.id == OrderLine.order_id)
    amounts: dict[int, int] = {}
    for line in connection.execute(lines.where(is_one_of(OrderLine.id, units))):
        gross = gross_of(
            line.total_minor, line.tax_minor, prices_include_tax=line.prices_include_tax
        )
        part = worth(gross, units[line.id], of=line.quantity)
        amounts[line.order_id] = amounts.get(line.order_id, 0) + part
    return amounts


def is_one_of(column: SQLColumnExpression[int], ids: Iterable[int]) -> ColumnElement[bool]:
    """Returns whether the column is one of these ids, of which there may be very many."""
    return column == any_(literal(list(ids), ARRAY(BigInteger)))


def withdrawn(connection: Connection) -> Mapping[int, int]:
    """Returns what disputes took and did not bring back, by payment; of payments without an event
    of a dispute there is nothing."""
    rows = connection.execute(
        select(PaymentEvent.payment_id, PaymentEvent.kind, func.sum(PaymentEvent.amount_minor))
        .where(PaymentEvent.kind.in_(_DISPUTE_KINDS))
        .group_by(PaymentEvent.payment_id, PaymentEvent.kind)
    )
    sums: dict[int, dict[str, int]] = {}
    for payment_id, kind, amount in rows:
        sums.setdefault(payment_id, {})[kind] = int(amount)
    return {payment_id: withdrawn_of(by_kind) for payment_id, by_kind in sums.items()}


def _orders(which: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    return (
        select(
            Order.id,
            Order.number,
            _as_text(Order.status),
            _as_text(Order.payment_status),
            Order.currency,
            Order.total_minor,
            Order.paid_at,
            Order.closed_at,
        )
        .where(which)
        .order_by(Order.id)
    )


def _sums_by_order(
    connection: Connection, which: ColumnElement[bool]
) -> Iterator[tuple[int, list[Any]]]:
    """The sums of the money events of each order that has any, in the order's own currency."""
    statement = (
        records.sum_events()
        .join(Order, (Order.id == Payment.order_id) & (Order.currency == PaymentEvent.currency))
        .where(which)
        .order_by(Payment.order_id)
    )
    rows = connection.execute(statement, execution_options=_IN_PARTS)
    for order_id, own in groupby(rows, key=itemgetter(0)):
        yield order_id, [row[1:] for row in own]


def _as_text(column: InstrumentedAttribute[Any]) -> ColumnElement[str]:
    """A word as it is stored: to make a member of its set of each takes longer than the sums."""
    return type_coerce(column, Text).label(column.name)
