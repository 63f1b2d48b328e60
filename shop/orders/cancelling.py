"""Cancelling an order, or units of it; the stock that it kept is released."""

from collections.abc import Mapping

from shop import discounts, inventory
from shop.core import clock
from shop.core.db import session
from shop.core.events import emit
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
from shop.orders.errors import TransitionRefused
from shop.orders.events import LinesCancelled, OrderCancelled
from shop.orders.lines import named_units, open_lines
from shop.orders.models import Order, OrderLine
from shop.orders.sales import count_sales
from shop.orders.shipping import update_fulfilment_status
from shop.orders.states import ORDER, STATUS_WORDS, FulfilmentStatus, OrderStatus

CANCEL_REASONS: dict[str, str] = {
    "customer": lazy_gettext("The customer asked for it"),
    "out of stock": lazy_gettext("Out of stock"),
    "fraud": lazy_gettext("Suspected fraud"),
    "mistake": lazy_gettext("Ordered by mistake"),
    "other": lazy_gettext("Another reason"),
}


def cancel(order: Order, *, reason: str, goes_back: bool = False) -> None:
    """Cancel the order before anything was shipped; releases its stock.

    Refunding is for payments, in the same step; the customer is notified if the money
    ``goes_back``.
    """
    if order.fulfilment_status != FulfilmentStatus.UNFULFILLED:
        raise TransitionRefused(_("Part of this order was shipped, so it cannot be cancelled."))
    was_paid = order.status == OrderStatus.CONFIRMED
    close(order, OrderStatus.CANCELLED, reason)
    discounts.release_usage(order.id)
    inventory.release(order.id, open_lines(order), committed=was_paid)
    if was_paid:
        count_sales(order, {line: -line.open_quantity for line in order.lines})
    emit(OrderCancelled(order_id=order.id, reason=reason, was_paid=was_paid, goes_back=goes_back))


def is_all_of(order: Order, quantities: Mapping[int, int]) -> bool:
    """Whether without these units, by order line id, nothing is left of an order of which nothing
    was sent."""
    return order.fulfilment_status == FulfilmentStatus.UNFULFILLED and all(
        quantities.get(line.id, 0) == line.open_quantity for line in order.lines
    )


def cancel_lines(
    order: Order, quantities: Mapping[int, int], *, reason: str, goes_back: bool = False
) -> None:
    """Take units out of a paid order before they are sent; ``quantities`` by order line id.

    With the last ones, an order of which nothing was sent is cancelled as a whole. Refunding
    is for payments, as in ``cancel``. Raises ``TransitionRefused``, ``Invalid``.
    """
    if order.status != OrderStatus.CONFIRMED:
        raise TransitionRefused(
            _("Single items can only be cancelled when the order is paid; cancel all of it.")
            if order.status == OrderStatus.PENDING
            else _(
                "This order is %(status)s, so none of it can be cancelled.",
                status=STATUS_WORDS[order.status],
            )
        )
    wanted = named_units(order, quantities, to="cancel")
    if is_all_of(order, quantities):
        cancel(order, reason=reason, goes_back=goes_back)
        return
    for line, quantity in wanted.items():
        line.cancelled += quantity
    update_fulfilment_status(order)
    order.version += 1
    session.flush()
    inventory.release(
        order.id,
        [inventory.Line(line.variant_id, quantity) for line, quantity in wanted.items()],
        committed=True,
    )
    count_sales(order, {line: -quantity for line, quantity in wanted.items()})
    emit(_lines_cancelled(order, wanted, reason=reason, goes_back=goes_back))


def _lines_cancelled(
    order: Order, units: Mapping[OrderLine, int], *, reason: str, goes_back: bool
) -> LinesCancelled:
    return LinesCancelled(
        order_id=order.id,
        reason=reason,
        lines=[
            {"line_id": line.id, "name": line.name, "title": line.variant_title, "quantity": n}
            for line, n in units.items()
        ],
        version=order.version,
        goes_back=goes_back,
    )


def close(order: Order, status: OrderStatus, reason: str) -> None:
    """Write down that an order is over, and why."""
    order.status = ORDER.move(order.status, to=status)
    order.closed_at = clock.now()
    order.close_reason = reason
    order.version += 1
