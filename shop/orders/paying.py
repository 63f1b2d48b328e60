"""What the money does to an order: it confirms it, brings a closed one back, or is on its way."""

from collections.abc import Sequence

from shop import discounts, inventory
from shop.core import clock
from shop.core.db import session
from shop.core.events import emit
from shop.orders.cancelling import cancel
from shop.orders.chains import SUPERSEDED
from shop.orders.events import OrderAuthorised, OrderPaid, OrderReopened
from shop.orders.lines import open_lines
from shop.orders.models import Order
from shop.orders.sales import count_sales, record_sales
from shop.orders.states import ORDER, OrderStatus, PaymentStatus


def mark_paid(order: Order, *, rival: Order | None = None) -> None:
    """The money is captured: commit the stock, unless it was committed when it was authorised.

    A closed order reserves its stock again first, and its unpaid ``rival`` of the same chain is
    closed for it; raises ``OutOfStock`` when the stock is gone: the caller rolls back then.
    """
    is_committed = order.status in {OrderStatus.CONFIRMED, OrderStatus.COMPLETED}
    order.version += 1
    order.paid_at = order.paid_at or clock.now()
    if is_committed:
        record_sales(order)
    else:
        _confirm(order, rival)
    emit(OrderPaid(order_id=order.id))


def mark_authorised(order: Order, *, rival: Order | None = None) -> None:
    """The money is authorised: commit the stock. Takes and raises what ``mark_paid`` does."""
    order.version += 1
    _confirm(order, rival)
    emit(OrderAuthorised(order_id=order.id))


def keep_waiting(order: Order, *, rival: Order | None = None) -> None:
    """The money is on its way: a closed order becomes pending again. As ``mark_paid`` otherwise."""
    if order.status == OrderStatus.PENDING:
        return
    _reopen(order, rival)
    order.version += 1
    order.status = ORDER.move(order.status, to=OrderStatus.PENDING)
    order.closed_at, order.close_reason = None, ""
    emit(OrderReopened(order_id=order.id))


def set_payment_status(order: Order, status: PaymentStatus) -> None:
    """What the money events add up to; only payments knows."""
    if order.payment_status != status:
        order.payment_status = status
        order.version += 1


def _confirm(order: Order, rival: Order | None) -> None:
    status = ORDER.move(order.status, to=OrderStatus.CONFIRMED)
    if order.status in {OrderStatus.EXPIRED, OrderStatus.CANCELLED}:
        _reopen(order, rival)
    order.status = status
    order.closed_at, order.close_reason = None, ""
    inventory.commit(order.id, open_lines(order))
    count_sales(order, {line: line.open_quantity for line in order.lines})


def _reopen(order: Order, rival: Order | None) -> None:
    """Reserve a closed order's stock and count its discounts again; its rival is closed for it."""
    replaced: Sequence[inventory.Line] = ()
    if rival is not None:
        replaced = open_lines(rival)
        discounts.lock_of((order.id, rival.id))
        inventory.lock({line.variant_id for line in (*order.lines, *rival.lines)})
        cancel(rival, reason=SUPERSEDED)
        session.flush()  # of a chain, two orders are never live at once, not even for a moment
    discounts.redeem_again(order.id)
    inventory.reserve(order.id, open_lines(order), replaced=replaced)
