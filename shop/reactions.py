"""The table: event → what follows. The only file that knows what follows what."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import select

from shop import doctor, media, notifications, orders, payments
from shop.cart import Cart
from shop.cart.events import CartChanged
from shop.catalog.events import ProductChanged
from shop.core import relay
from shop.core.db import session
from shop.core.events import Event, EventRecord
from shop.core.relay import Reaction, SocketMessage
from shop.customers.events import (
    CustomerRegistered,
    GuestOrdersRequested,
    PasswordResetRequested,
    RegistrationRepeated,
)
from shop.doctor.events import DoctorAnswered, DoctorAsked, FaultMended
from shop.inventory.events import Change, StockChanged, StockLow
from shop.media.events import MediaStored
from shop.notifications import alerts, mails
from shop.notifications.events import MailQueued
from shop.orders.events import (
    LinesCancelled,
    OrderAuthorised,
    OrderCancelled,
    OrderDelivered,
    OrderEvent,
    OrderExpired,
    OrderPaid,
    OrderPlaced,
    OrderProcessing,
    OrderReopened,
    OrderShipped,
)
from shop.orders.models import Order
from shop.payments.events import (
    ComparisonRequested,
    DisputeChanged,
    LatePaymentRefused,
    OrderRefunded,
    PaymentFailed,
    PaymentProcessing,
    PaymentVoided,
    RefundFailed,
    RefundRequested,
    TaskClosed,
    TaskOpened,
    UnitsReturned,
    VoidRequested,
    VoucherCancelled,
    VoucherIssued,
    WebhookReceived,
)
from shop.realtime.messages import cart_data, cart_topic
from shop.realtime.topics import Refused, product_snapshot
from shop.reviews.events import ReviewAdded


def _apply_webhook(event: WebhookReceived) -> None:
    payments.apply_delivery(event.delivery_id)


def _close_intents(event: OrderCancelled | OrderExpired) -> None:
    payments.close_intents(event.order_id)


def _give_up_voucher(event: PaymentFailed) -> None:
    payments.give_up_voucher(event.payment_id)


def _send_refund(event: RefundRequested) -> None:
    payments.send_refund(event.refund_id)


def _void(event: VoidRequested) -> None:
    payments.void(event.payment_id)


def _compare(event: ComparisonRequested) -> None:
    payments.compare(event.run_id)


def _deliver_mail(event: MailQueued) -> None:
    notifications.deliver(event.message_id)


def _make_renditions(event: MediaStored) -> None:
    media.make_renditions(event.media_id)


def _ask_doctor(event: DoctorAsked) -> None:
    doctor.execute_run(event.run_id)


# Reactions are stored under the names of these functions: they stay.
# Atomic ones run once, inside the transaction that marks them done; the others may repeat.
def _atomic(run: Callable[[Any], None]) -> Reaction:
    return Reaction(run.__name__, run)


def _outside(run: Callable[[Any], None]) -> Reaction:
    return Reaction(run.__name__.lstrip("_"), run, atomic=False)


def _slow(run: Callable[[Any], None], *, minutes: int) -> Reaction:
    """One that may take so many minutes, and is run again after them if its worker died."""
    return replace(_outside(run), slow=True, lease_s=60 * minutes)


REACTIONS: dict[type[Event], Sequence[Reaction]] = {
    OrderPaid: [_atomic(mails.send_receipt)],
    OrderShipped: [_atomic(mails.send_shipped)],
    OrderDelivered: [_atomic(mails.send_delivered)],
    OrderCancelled: [_atomic(mails.send_cancelled), _outside(_close_intents)],
    OrderExpired: [_atomic(mails.send_expired), _outside(_close_intents)],
    PaymentProcessing: [_atomic(mails.send_payment_processing)],
    VoucherIssued: [_atomic(mails.send_voucher)],
    PaymentFailed: [_atomic(mails.send_payment_failed), _outside(_give_up_voucher)],
    OrderRefunded: [_atomic(mails.send_refunded)],
    LatePaymentRefused: [_atomic(mails.send_late_payment)],
    RefundRequested: [_outside(_send_refund)],
    VoidRequested: [_outside(_void)],
    ComparisonRequested: [_slow(_compare, minutes=15)],
    OrderAuthorised: [_atomic(mails.send_confirmed)],
    LinesCancelled: [_atomic(mails.send_lines_cancelled)],
    StockLow: [_atomic(alerts.send_low_stock)],
    WebhookReceived: [_outside(_apply_webhook)],
    CustomerRegistered: [_atomic(mails.send_confirmation_link)],
    RegistrationRepeated: [_atomic(mails.send_already_registered)],
    PasswordResetRequested: [_atomic(mails.send_password_link)],
    GuestOrdersRequested: [_atomic(mails.send_orders_link)],
    MailQueued: [_outside(_deliver_mail)],
    MediaStored: [_slow(_make_renditions, minutes=2)],
    DoctorAsked: [_slow(_ask_doctor, minutes=15)],
    # Nobody listens to these, but the relay must know every event it may meet.
    DoctorAnswered: [],
    FaultMended: [],
    ReviewAdded: [],
    UnitsReturned: [],
    VoucherCancelled: [],
}
BY_NAME = {reaction.name: reaction for follows in REACTIONS.values() for reaction in follows}

# The type that sockets see for each event of an order.
ORDER_MESSAGES: dict[type[OrderEvent] | type[Event], str] = {
    OrderPlaced: "order.placed",
    OrderPaid: "order.paid",
    OrderAuthorised: "order.paid",
    PaymentVoided: "order.updated",
    DisputeChanged: "order.updated",
    LinesCancelled: "order.updated",
    UnitsReturned: "order.updated",
    RefundRequested: "order.updated",
    RefundFailed: "order.updated",
    PaymentFailed: "order.payment_failed",
    PaymentProcessing: "order.updated",
    VoucherIssued: "order.updated",
    VoucherCancelled: "order.updated",
    OrderReopened: "order.updated",
    OrderProcessing: "order.updated",
    OrderShipped: "order.updated",
    OrderDelivered: "order.updated",
    OrderCancelled: "order.cancelled",
    OrderExpired: "order.cancelled",
    OrderRefunded: "order.refunded",
}


def messages(record: EventRecord) -> Iterable[SocketMessage]:
    """What sockets are told of one event. Runs in the relay, inside its transaction."""
    event = record.event
    if type(event) in ORDER_MESSAGES:
        yield from _order_messages(ORDER_MESSAGES[type(event)], record.payload["order_id"])
    elif isinstance(event, StockChanged):
        yield from _stock_messages(event)
    elif isinstance(event, StockLow):
        for change in event.changes:
            yield SocketMessage("staff:stock", "stock.low", _level_facts(change))
    elif isinstance(event, ProductChanged):
        yield from _product_message(event.product_id, "price.changed")
    elif isinstance(event, CartChanged):
        owner = session.scalar(select(Cart.customer_id).where(Cart.id == event.cart_id))
        data = cart_data(version=event.version, count=event.count)
        yield SocketMessage(cart_topic(event.cart_id, owner), "cart.changed", data)
    elif isinstance(event, TaskOpened):
        task = {"task_id": event.task_id, "sentence": event.sentence, "order_id": event.order_id}
        yield SocketMessage("staff:tasks", "task.opened", task)
    elif isinstance(event, TaskClosed):
        yield SocketMessage("staff:tasks", "task.closed", {"task_id": event.task_id})
    elif isinstance(event, DoctorAnswered):
        yield SocketMessage("staff:tasks", "doctor.answered", {"run_id": event.run_id})


def run(run_id: int) -> None:
    """Run a reaction if it is still due."""
    relay.run_reaction(run_id, BY_NAME)


def _order_messages(kind: str, order_id: int) -> Iterable[SocketMessage]:
    order = session.scalar(select(Order).where(Order.id == order_id))
    if order is None:
        return
    label, tone = orders.words(order)
    public = {
        "number": order.number,
        "version": order.version,
        "status_label": label,
        "status": order.status,
        "payment_status": order.payment_status,
        "fulfilment_status": order.fulfilment_status,
    }
    yield SocketMessage(f"order:{order.number}", kind, public)
    if order.customer_id is not None:
        yield SocketMessage(f"customer:{order.customer_id}", kind, public)
    yield SocketMessage(
        "staff:orders",
        kind,
        public
        | {
            "id": order.id,
            "tone": tone,
            "customer": order.customer_name,
            "item_count": order.item_count,
            "total_minor": order.total_minor,
            "currency": order.currency,
            "placed_at": order.placed_at.isoformat(),
        },
    )
    if kind in {"order.placed", "order.paid", "order.cancelled", "order.refunded"}:
        yield SocketMessage("staff:metrics", "metrics.changed", {"because": kind})


def _product_message(product_id: int, kind: str) -> Iterable[SocketMessage]:
    """The product as its page shows it; nothing for one that is not on sale."""
    try:
        yield SocketMessage(f"product:{product_id}", kind, product_snapshot(product_id))
    except Refused:
        return


def _stock_messages(event: StockChanged) -> Iterable[SocketMessage]:
    for product_id in sorted({change["product_id"] for change in event.changes}):
        yield from _product_message(product_id, "stock.changed")
    for change in event.changes:
        yield SocketMessage("staff:stock", "stock.changed", _level_facts(change))


def _level_facts(change: Change) -> dict[str, Any]:
    return {
        "variant_id": change["variant_id"],
        "sku": change["sku"],
        "before": change["before"],
        "after": change["after"],
    }
