"""How long an unpaid order is kept."""

from datetime import datetime

from shop import discounts, inventory
from shop.core import clock
from shop.core.events import emit
from shop.core.i18n import gettext as _
from shop.orders.cancelling import close
from shop.orders.errors import TransitionRefused
from shop.orders.events import OrderExpired
from shop.orders.lines import open_lines
from shop.orders.models import Order
from shop.orders.states import OrderStatus


def expire(order: Order) -> None:
    """Nobody paid in time; releases the stock."""
    if order.status == OrderStatus.PENDING and order.expires_at > clock.now():
        raise TransitionRefused(_("This order can still be paid."))
    close(order, OrderStatus.EXPIRED, "not paid in time")
    discounts.release_usage(order.id)
    inventory.release(order.id, open_lines(order))
    emit(OrderExpired(order_id=order.id))


def extend_reservation(order: Order, *, until: datetime) -> None:
    """Keep an unpaid order and its reserved stock until then, at least."""
    if order.status == OrderStatus.PENDING:
        order.expires_at = max(order.expires_at, until)


def set_deadline(order: Order, *, until: datetime) -> None:
    """Let an unpaid order be paid until exactly then."""
    if order.status == OrderStatus.PENDING:
        order.expires_at = until
        order.version += 1
