"""Money in and out: attempts, what happened to them, refunds, and Stripe's messages.

Promise: ``sync_payment`` is the only way to paid and may be called by anybody at any time;
late money buys its goods if they are still there and is refunded otherwise; nothing is lost.
Leaves the order's states to orders. The only feature that knows Stripe.
"""

from shop.payments.amounts import check_amount
from shop.payments.attempts import has_ended_voucher, ways_to_pay
from shop.payments.cancelling import cancel_lines, cancel_order
from shop.payments.captures import capture, release, void
from shop.payments.closing import close_intents, expire_unpaid
from shop.payments.methods import (
    WALLET_METHODS,
    PaymentMethod,
    enabled_methods,
    facts_of,
    failure_for_customer,
    offered_methods,
    takes_days,
    takes_wallets,
)
from shop.payments.models import OrderReturn, Payment, Refund, Task, WebhookDelivery
from shop.payments.queries import (
    authorised_payment,
    has_voucher,
    latest,
    of_order,
    open_disputes,
    open_refunds,
    open_tasks,
    refunds_of,
    runs,
)
from shop.payments.reconciled_money import BALANCE
from shop.payments.reconciliation import (
    is_reconciling,
    reconcile_all,
    reconcile_nightly,
    reconcile_recent,
    request_reconciliation,
    run_reconciliation,
)
from shop.payments.reconciling import reconcile, reconcile_refunds
from shop.payments.records import balance_of, recount
from shop.payments.refundable import cancelled_unpaid, owed, preview
from shop.payments.refunds import REASONS, Wanted, everything, request_refund, retry_refund
from shop.payments.returns import refund_or_return, returns_of
from shop.payments.sending import send_refund
from shop.payments.starting import Started, start
from shop.payments.states import (
    AttemptStatus,
    MoneyEventKind,
    RefundSource,
    RefundStatus,
    SyncOutcome,
)
from shop.payments.stripe_client import capture_method, script_origin, script_url
from shop.payments.stripe_errors import Refused
from shop.payments.stripe_signatures import BadSignature
from shop.payments.syncing import sync_order, sync_payment
from shop.payments.tasks import close_task
from shop.payments.vouchers import cancel_voucher, give_up_voucher
from shop.payments.webhooks import apply_webhook, prune_messages, record_webhook

__all__ = [
    "BALANCE", "REASONS", "WALLET_METHODS", "AttemptStatus", "BadSignature",
    "MoneyEventKind", "OrderReturn", "Payment", "PaymentMethod", "Refund", "RefundSource",
    "RefundStatus", "Refused", "Started", "SyncOutcome", "Task", "Wanted",
    "WebhookDelivery", "apply_webhook", "authorised_payment", "balance_of", "cancel_lines",
    "cancel_order", "cancel_voucher", "cancelled_unpaid", "capture", "capture_method",
    "check_amount", "close_intents", "close_task", "enabled_methods", "everything",
    "expire_unpaid", "facts_of", "failure_for_customer", "give_up_voucher",
    "has_ended_voucher", "has_voucher", "is_reconciling", "latest", "of_order",
    "offered_methods", "open_disputes", "open_refunds", "open_tasks", "owed", "preview",
    "prune_messages", "reconcile", "reconcile_all", "reconcile_nightly", "reconcile_recent",
    "reconcile_refunds", "record_webhook", "recount", "refund_or_return", "refunds_of",
    "release", "request_reconciliation", "request_refund", "retry_refund", "returns_of",
    "run_reconciliation", "runs", "script_origin", "script_url", "send_refund", "start",
    "sync_order", "sync_payment", "takes_days", "takes_wallets", "void", "ways_to_pay",
]  # fmt: skip
