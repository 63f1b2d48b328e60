"""Money in and out: attempts, what happened to them, refunds, and Stripe's messages.

Promise: ``settle`` is the only way to paid and may be called by anybody at any time; money that
comes too late buys its goods if they are still there and goes back otherwise; nothing is forgotten.
Leaves the order's states to orders. The only feature that knows Stripe.
"""

from shop.payments.models import Payment, Refund, Task
from shop.payments.operations import balance, cancel_order, close_task, open_task
from shop.payments.procedures import (
    Started,
    apply_delivery,
    close_intents,
    expire_unpaid,
    reconcile,
    reconcile_refunds,
    record_webhook,
    send_refund,
    settle,
    settle_order,
    start,
)
from shop.payments.queries import deliveries, latest, of_order, open_tasks
from shop.payments.stripe_gateway import BadSignature, Refused

__all__ = [
    "BadSignature", "Payment", "Refund", "Refused", "Started", "Task", "apply_delivery",
    "balance", "cancel_order", "close_intents", "close_task", "deliveries", "expire_unpaid",
    "latest", "of_order", "open_task", "open_tasks", "reconcile",
    "reconcile_refunds", "record_webhook", "send_refund", "settle", "settle_order", "start",
]  # fmt: skip
