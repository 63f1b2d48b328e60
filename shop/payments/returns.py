"""Units that come back though no money moves: free items, and parts that round to nothing.

Such a return is a row of its own beside the refunds, which all ask Stripe for money. Both count the
same units of an order line (``OrderLine.refunded``), so that a unit comes back once.
"""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from shop import orders
from shop.core import actor, clock
from shop.core.db import session
from shop.core.errors import Invalid, WrongState
from shop.core.events import emit
from shop.core.i18n import gettext as _
from shop.payments import refundable, refunds
from shop.payments.events import UnitsReturned
from shop.payments.models import OrderReturn, OrderReturnLine, Refund
from shop.payments.refundable import Part
from shop.payments.refunds import HAD, Wanted
from shop.payments.restocking import move_stock
from shop.payments.states import RefundSource


def refund_or_return(
    order: orders.Order, wanted: Wanted, *, reason: str, source: RefundSource = RefundSource.STAFF
) -> Refund | OrderReturn:
    """Refund what was asked for; when it comes to nothing, record that the units came back.

    Whoever calls this has locked the order. ``wanted.amount_minor`` of 0 with lines means that the
    units come back without money. Raises ``Invalid`` and ``WrongState`` as ``request_refund`` does.
    """
    if _moves_money(order, wanted):
        return refunds.request_refund(order, wanted, reason=reason, source=source)
    return record_return(order, wanted.lines, wanted.restock, reason=reason, source=source)


def record_return(
    order: orders.Order,
    quantities: Mapping[int, int],
    restock: Iterable[int] = (),
    *,
    reason: str,
    source: RefundSource = RefundSource.STAFF,
) -> OrderReturn:
    """Record that units, by order line id, came back without money; ``restock`` names the lines
    whose units can be sold again, as in ``Wanted``.

    Raises ``Invalid`` for units that are not there to come back, ``WrongState`` for an order that
    was not paid.
    """
    parts = _returned_parts(order, quantities)
    wanted = frozenset(restock)
    if wanted - {part.line.id for part in parts}:
        raise Invalid(_("Only returned items can be restocked."), field="restock")
    made = _write_return(order, parts, wanted, reason=reason, source=source)
    order.version += 1
    session.flush()
    back = [part for part in parts if part.line.id in wanted]
    if back:
        move_stock(order, back, sent_first=reason in HAD, goes_back=False)
    orders.record_sales(order)
    emit(_returned(made, parts, wanted))
    return made


def _returned_parts(order: orders.Order, quantities: Mapping[int, int]) -> list[Part]:
    """The units that are there to come back. Raises ``Invalid`` and ``WrongState``."""
    if not refundable.was_sold(order):
        raise WrongState(_("Only items of a paid order can be returned."))
    given = refundable.given_of(order)[0]
    parts = refunds.parts_of(order, quantities, given)
    if not parts:
        raise Invalid(_("Choose at least one item to return."), field="lines")
    gone = refundable.cancelled_free_units(order)
    for part in parts:
        left = given[part.line.id].units_left(part.line) - gone.get(part.line.id, 0)
        if part.quantity > left:
            raise Invalid(
                _(
                    "%(item)s: %(left)s left to return, not %(given)s.",
                    item=part.line.name,
                    left=max(0, left),
                    given=part.quantity,
                ),
                field="lines",
            )
    return parts


def _write_return(
    order: orders.Order,
    parts: Sequence[Part],
    restock: frozenset[int],
    *,
    reason: str,
    source: RefundSource,
) -> OrderReturn:
    made = OrderReturn(
        order_id=order.id,
        reason=reason,
        source=source,
        requested_by=actor.current().name,
        returned_at=clock.now(),
        lines=[
            OrderReturnLine(
                order_line_id=part.line.id,
                quantity=part.quantity,
                restock=part.line.id in restock,
            )
            for part in parts
        ],
    )
    session.add(made)
    for part in parts:
        part.line.refunded += part.quantity
    return made


def _returned(made: OrderReturn, parts: Sequence[Part], restock: frozenset[int]) -> UnitsReturned:
    return UnitsReturned(
        order_id=made.order_id,
        return_id=made.id,
        reason=made.reason,
        lines=[
            {
                "line_id": part.line.id,
                "name": part.line.name,
                "title": part.line.variant_title,
                "quantity": part.quantity,
                "restock": part.line.id in restock,
            }
            for part in parts
        ],
    )


def returns_of(order_id: int) -> list[OrderReturn]:
    """The returns of an order without money, oldest first, with their lines. Three statements."""
    return list(
        session.scalars(
            select(OrderReturn)
            .where(OrderReturn.order_id == order_id)
            .options(selectinload(OrderReturn.lines).selectinload(OrderReturnLine.order_line))
            .order_by(OrderReturn.id)
        )
    )


def _moves_money(order: orders.Order, wanted: Wanted) -> bool:
    """Whether this is a refund. What is asked for wrongly is for ``request_refund`` to refuse."""
    if wanted.amount_minor is not None:
        return wanted.amount_minor != 0 or not wanted.lines
    if wanted.shipping_minor or not any(wanted.lines.values()) or not refundable.was_sold(order):
        return True
    given = refundable.given_of(order)[0]
    return any(part.amount_minor for part in refunds.parts_of(order, wanted.lines, given))
