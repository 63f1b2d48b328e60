"""Orders: what was agreed, its states on three axes, its shipments and its timeline.

Promise: an order and the stock it reserves are written together or not at all; a state changes only
as the tables in ``states`` allow. Leaves money to payments and emails to notifications.
"""

from shop.orders.cancelling import CANCEL_REASONS, cancel, cancel_lines, is_all_of
from shop.orders.carriers import CARRIERS
from shop.orders.chains import (
    REPLACED,
    REPLACEMENTS,
    Chain,
    lock,
    lock_all,
    lock_chain,
    unite,
    was_cancelled,
)
from shop.orders.errors import TransitionRefused
from shop.orders.expiring import expire, extend_reservation, set_deadline
from shop.orders.models import Fulfilment, Order, OrderLine, SaleEntry
from shop.orders.numbers import pass_number
from shop.orders.operations import adopt, change_address, note
from shop.orders.paying import keep_waiting, mark_authorised, mark_paid, set_payment_status
from shop.orders.placing import Details, Item, place
from shop.orders.queries import (
    TABS,
    OrderFilters,
    OrderList,
    OrderRow,
    TimelineEntry,
    by_id,
    by_number,
    by_token,
    can_be_packed,
    cancelled_units,
    desk,
    due_to_expire,
    live_of,
    matches,
    of_customer,
    redeemed,
    tab_counts,
    timeline,
    unpaid_units,
    waiting,
    with_sku,
)
from shop.orders.sales import record_sales
from shop.orders.shipping import correct_tracking, mark_delivered, ship, start_processing
from shop.orders.states import (
    LIVE,
    STATUS_WORDS,
    FulfilmentStatus,
    OrderStatus,
    PaymentStatus,
    SaleKind,
    ShipmentStatus,
    Words,
    customer_may_cancel,
    words,
)

__all__ = [
    "CANCEL_REASONS",
    "CARRIERS",
    "LIVE",
    "REPLACED",
    "REPLACEMENTS",
    "STATUS_WORDS",
    "TABS",
    "Chain",
    "Details",
    "Fulfilment",
    "FulfilmentStatus",
    "Item",
    "Order",
    "OrderFilters",
    "OrderLine",
    "OrderList",
    "OrderRow",
    "OrderStatus",
    "PaymentStatus",
    "SaleEntry",
    "SaleKind",
    "ShipmentStatus",
    "TimelineEntry",
    "TransitionRefused",
    "Words",
    "adopt",
    "by_id",
    "by_number",
    "by_token",
    "can_be_packed",
    "cancel",
    "cancel_lines",
    "cancelled_units",
    "change_address",
    "correct_tracking",
    "customer_may_cancel",
    "desk",
    "due_to_expire",
    "expire",
    "extend_reservation",
    "is_all_of",
    "keep_waiting",
    "live_of",
    "lock",
    "lock_all",
    "lock_chain",
    "mark_authorised",
    "mark_delivered",
    "mark_paid",
    "matches",
    "note",
    "of_customer",
    "pass_number",
    "place",
    "record_sales",
    "redeemed",
    "set_deadline",
    "set_payment_status",
    "ship",
    "start_processing",
    "tab_counts",
    "timeline",
    "unite",
    "unpaid_units",
    "waiting",
    "was_cancelled",
    "with_sku",
    "words",
]  # fmt: skip
