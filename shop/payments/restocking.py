"""Units that come back with a refund or a return: cancelled if unsent, else put on the shelf."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from shop import inventory, orders
from shop.core.db import session
from shop.orders import OrderStatus
from shop.payments import refundable
from shop.payments.models import OrderReturn, OrderReturnLine, Payment, Refund, RefundLine
from shop.payments.refundable import Part


def move_stock(
    order: orders.Order, parts: Sequence[Part], *, sent_first: bool, goes_back: bool = True
) -> None:
    """Units that were not sent are cancelled; those that were are back on the shelf.

    Either happens once to a unit, also when the refund that did it has failed since and this is
    another one, or when the unit was cancelled before and its money kept. ``goes_back``: money
    does, too, and the customer is notified.
    """
    moved = _Moved.before(order)
    still_open: dict[int, int] = {}
    back: list[inventory.Line] = []
    for part in parts:
        unsent, sent = moved.share_out(part, sent_first=sent_first)
        if unsent:
            still_open[part.line.id] = unsent
        if sent:
            back.append(inventory.Line(part.line.variant_id, sent))
    if still_open and back:
        inventory.lock(part.line.variant_id for part in parts)
    if still_open and order.status == OrderStatus.CONFIRMED:
        orders.cancel_lines(order, still_open, reason=refundable.REFUNDED, goes_back=goes_back)
    if back:
        inventory.restock(order.id, back)


@dataclass(frozen=True, slots=True)
class _Moved:
    """Units of an order that were refunded, restocked, cancelled with a refund, or cancelled
    before the money was taken; by order line id, ``restocked`` by variant id."""

    given: Mapping[int, int]
    restocked: Mapping[int, int]
    cancelled: Mapping[int, int]
    unpaid: Mapping[int, int]

    @classmethod
    def before(cls, order: orders.Order) -> "_Moved":
        """What has moved so far."""
        return cls(
            _restocked(order.id),
            inventory.restocked(order.id),
            orders.cancelled_units(order.id, reason=refundable.REFUNDED),
            refundable.unpaid_of(order),
        )

    def share_out(self, part: Part, *, sent_first: bool) -> tuple[int, int]:
        """How many units of this part are still to be cancelled, and how many to be restocked."""
        line = part.line
        with_goods = self.given[line.id] - part.quantity
        without = line.refunded - self.given[line.id]
        returned = self.restocked.get(line.variant_id, 0)
        taken_out = self.cancelled.get(line.id, 0)
        # Units that moved before, and whose money is still with us, come first. Nobody's money is
        # with us for units that cost nothing or were cancelled before it was taken.
        moved = max(0, returned + taken_out - with_goods)
        if refundable.gross(line):
            moved += max(0, line.cancelled - taken_out - without - self.unpaid.get(line.id, 0))
        units = max(0, part.quantity - moved)
        out = max(0, line.shipped - returned)
        unsent = min(max(0, units - out) if sent_first else units, line.open_quantity)
        return unsent, min(units - unsent, out)


def _restocked(order_id: int) -> Mapping[int, int]:
    """Units by line that go back, or have gone, together with their goods; with or without money.
    Lines without any count 0. Two statements."""
    rows = session.execute(
        select(RefundLine.order_line_id, func.sum(RefundLine.quantity))
        .join(Refund, Refund.id == RefundLine.refund_id)
        .join(Payment, Payment.id == Refund.payment_id)
        .where(Payment.order_id == order_id, Refund.counts, RefundLine.restock)
        .group_by(RefundLine.order_line_id)
    ).all()
    free = session.execute(
        select(OrderReturnLine.order_line_id, func.sum(OrderReturnLine.quantity))
        .join(OrderReturn, OrderReturn.id == OrderReturnLine.return_id)
        .where(OrderReturn.order_id == order_id, OrderReturnLine.restock)
        .group_by(OrderReturnLine.order_line_id)
    ).all()
    units: Counter[int] = Counter()
    for line_id, quantity in [*rows, *free]:
        units[line_id] += int(quantity)
    return units
