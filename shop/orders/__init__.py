"""Orders: what was agreed, its states on three axes, its parcels and its timeline.

Promise: an order and the stock it holds are written together or not at all; a state changes only as
the tables in ``states`` allow. Leaves money to payments and mails to notifications.
"""

from shop.orders.errors import TransitionRefused
from shop.orders.models import Fulfilment, Order, OrderLine
from shop.orders.operations import (
    CANCEL_REASONS,
    REPLACED,
    REPLACEMENTS,
    Chain,
    Details,
    Item,
    adopt,
    cancel,
    cancel_lines,
    expire,
    extend_hold,
    is_all_of,
    keep_waiting,
    lock,
    lock_all,
    lock_chain,
    mark_authorised,
    mark_delivered,
    mark_paid,
    note,
    pass_number,
    place,
    set_deadline,
    set_payment_status,
    ship,
    start_processing,
    unite,
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
    live_of,
    neighbours,
    of_customer,
    redeemed,
    tab_counts,
    timeline,
    unpaid_units,
    waiting,
)
from shop.orders.states import LIVE, Words, customer_may_cancel, words

__all__ = [
    "CANCEL_REASONS", "LIVE", "REPLACED", "REPLACEMENTS", "TABS", "Chain", "Details",
    "Fulfilment", "Item", "Order", "OrderFilters", "OrderLine", "OrderList", "OrderRow",
    "TimelineEntry", "TransitionRefused", "Words", "adopt", "by_id", "by_number", "by_token",
    "cancel", "cancel_lines", "cancelled_units", "customer_may_cancel", "desk", "due_to_expire",
    "expire", "extend_hold", "is_all_of", "keep_waiting", "live_of", "lock", "lock_all",
    "lock_chain", "mark_authorised", "mark_delivered", "mark_paid", "neighbours", "note",
    "of_customer", "pass_number", "place", "redeemed", "set_deadline", "set_payment_status",
    "ship", "start_processing", "tab_counts", "timeline", "unite", "unpaid_units", "waiting",
    "words",
]  # fmt: skip
