"""Which socket messages an event leads to. What they say stands in ``messages``."""

from collections.abc import Iterable

from sqlalchemy import select

from shop.cart import Cart
from shop.cart.events import CartChanged
from shop.catalog.events import ProductChanged
from shop.core.broadcasts import SocketMessage
from shop.core.db import session
from shop.core.events import Event, EventRecord
from shop.doctor.events import DoctorAnswered
from shop.inventory.events import StockChanged, StockLow
from shop.orders import Order
from shop.orders.events import (
    AddressChanged,
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
    TrackingCorrected,
)
from shop.payments.events import (
    DisputeChanged,
    OrderRefunded,
    PaymentFailed,
    PaymentProcessing,
    PaymentVoided,
    RefundFailed,
    RefundRequested,
    TaskClosed,
    TaskOpened,
    UnitsReturned,
    VoucherCancelled,
    VoucherIssued,
)
from shop.realtime.messages import (
    cart_data,
    cart_topic,
    level_data,
    order_data,
    order_row_data,
    task_data,
)
from shop.realtime.topics import Refused, product_snapshot

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
    TrackingCorrected: "order.updated",
    AddressChanged: "order.updated",
    OrderDelivered: "order.updated",
    OrderCancelled: "order.cancelled",
    OrderExpired: "order.cancelled",
    OrderRefunded: "order.refunded",
}


def messages(record: EventRecord) -> Iterable[SocketMessage]:
    """What sockets hear of one event. Runs in the relay, inside its transaction."""
    event = record.event
    if type(event) in ORDER_MESSAGES:
        yield from _order_messages(ORDER_MESSAGES[type(event)], record.payload["order_id"])
    elif isinstance(event, StockChanged):
        yield from _stock_messages(event)
    elif isinstance(event, StockLow):
        for change in event.changes:
            yield SocketMessage("staff:stock", "stock.low", level_data(change))
    elif isinstance(event, ProductChanged):
        yield from _product_message(event.product_id, "price.changed")
    elif isinstance(event, CartChanged):
        owner = session.scalar(select(Cart.customer_id).where(Cart.id == event.cart_id))
        data = cart_data(version=event.version, count=event.count)
        yield SocketMessage(cart_topic(event.cart_id, owner), "cart.changed", data)
    elif isinstance(event, TaskOpened):
        task = task_data(task_id=event.task_id, sentence=event.sentence, order_id=event.order_id)
        yield SocketMessage("staff:tasks", "task.opened", task)
    elif isinstance(event, TaskClosed):
        yield SocketMessage("staff:tasks", "task.closed", {"task_id": event.task_id})
    elif isinstance(event, DoctorAnswered):
        yield SocketMessage("staff:tasks", "doctor.answered", {"run_id": event.run_id})


def _order_messages(kind: str, order_id: int) -> Iterable[SocketMessage]:
    order = session.scalar(select(Order).where(Order.id == order_id))
    if order is None:
        return
    public = order_data(order)
    yield SocketMessage(f"order:{order.number}", kind, public)
    if order.customer_id is not None:
        yield SocketMessage(f"customer:{order.customer_id}", kind, public)
    yield SocketMessage("staff:orders", kind, order_row_data(order))
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
        yield SocketMessage("staff:stock", "stock.changed", level_data(change))
