"""Orders: what was agreed, its states on three axes, its parcels and its timeline.

Promise: an order and the stock it holds are written together or not at all; a state changes only as
the tables in ``states`` allow. Leaves money to payments and mails to notifications.
"""

from shop.orders.errors import TransitionRefused
from shop.orders.models import Fulfilment, Order, OrderLine, SaleEntry
from shop.orders.operations import (
    CANCEL_REASONS,
    REPLACED,
    Details,
    Item,
    adopt,
    cancel,
    cancel_lines,
    expire,
    extend_hold,
    is_all_of,
    lock,
    mark_authorised,
    mark_delivered,
    mark_paid,
    note,
    pass_number,
    place,
    set_payment_status,
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
    cancelled_units,
    desk,
    due_to_expire,
    neighbours,
    of_customer,
    redeemed,
    tab_counts,
    timeline,
    unpaid_units,
    waiting,
)
from shop.orders.sales import SaleKind, record_sales
from shop.orders.states import Words, customer_may_cancel, words

__all__ = [
    "CANCEL_REASONS", "REPLACED", "TABS", "Details", "Fulfilment", "Item", "Order", "OrderFilters",
    "OrderLine", "OrderList", "OrderRow", "SaleEntry", "SaleKind", "TimelineEntry",
    "TransitionRefused", "Words", "adopt", "by_id", "by_number", "by_token", "cancel",
    "cancel_lines", "cancelled_units", "customer_may_cancel", "desk", "due_to_expire", "expire",
    "extend_hold", "is_all_of", "lock", "mark_authorised", "mark_delivered", "mark_paid",
    "neighbours", "note", "of_customer", "pass_number", "place", "record_sales", "redeemed",
    "set_payment_status", "ship", "start_processing", "tab_counts", "timeline", "unpaid_units",
    "waiting", "words",
]  # fmt: skip
