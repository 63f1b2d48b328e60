"""Orders: what was agreed, its states on three axes, its parcels and its timeline.

Promise: an order and the stock it holds are written together or not at all; a state changes only as
the tables in ``states`` allow. Leaves money to payments and mails to notifications.
"""

from shop.orders.errors import TransitionRefused
from shop.orders.models import Fulfilment, Order, OrderLine
from shop.orders.operations import (
    CANCEL_REASONS,
    REPLACED,
    Details,
    Item,
    cancel,
    expire,
    extend_hold,
    lock,
    mark_delivered,
    mark_paid,
    mark_refunded,
    note,
    place,
    ship,
    start_processing,
)
from shop.orders.queries import (
    TABS,
    OrderFilters,
    OrderList,
    OrderRow,
    TimelineEntry,
    by_id,
    by_number,
    by_token,
    desk,
    due_to_expire,
    neighbours,
    of_customer,
    tab_counts,
    timeline,
)
from shop.orders.states import Words, words

__all__ = [
    "CANCEL_REASONS", "REPLACED", "TABS", "Details", "Fulfilment", "Item", "Order",
    "OrderFilters", "OrderLine", "OrderList", "OrderRow", "TimelineEntry", "TransitionRefused",
    "Words", "by_id", "by_number", "by_token", "cancel", "desk", "due_to_expire", "expire",
    "extend_hold", "lock", "mark_delivered", "mark_paid", "mark_refunded", "neighbours", "note",
    "of_customer", "place", "ship", "start_processing", "tab_counts", "timeline", "words",
]  # fmt: skip
