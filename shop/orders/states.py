"""The states of an order and of a parcel, and the words that people read.

The third axis, the payment status, has no table: it is what the money events add up to.
"""

from typing import NamedTuple, Protocol

from shop.core.states import StateTable

ORDER = StateTable(
    "order",
    {
        "pending": {"confirmed", "cancelled", "expired"},
        "confirmed": {"completed", "cancelled"},
        # Late money: a payment that succeeds, or is on its way, after the stock was released, with
        # stock still available.
        "cancelled": {"confirmed", "pending"},
        "expired": {"confirmed", "pending"},
    },
)
# Of the orders of one chain, at most one is in one of these.
LIVE = frozenset({"pending", "confirmed", "completed"})
FULFILMENT = StateTable("parcel", {"shipped": {"delivered"}})


class Words(NamedTuple):
    """A status as people read it; ``tone`` is good, warn, info, bad or mute."""

    label: str
    tone: str


class HasStates(Protocol):
    """What the words are derived from."""

    @property
    def status(self) -> str: ...

    @property
    def payment_status(self) -> str: ...

    @property
    def fulfilment_status(self) -> str: ...

    @property
    def processing_at(self) -> object: ...


def words(order: HasStates) -> Words:
    """The one status that customers and lists show."""
    if order.payment_status == "refunded":
        return Words("Refunded", "mute")
    if order.status == "cancelled":
        return Words("Cancelled", "mute")
    if order.status == "expired":
        return Words("Expired", "mute")
    if order.status == "pending" and order.payment_status == "processing":
        return Words("Payment processing", "info")
    if order.status == "pending":
        return Words("Pending", "warn")
    by_fulfilment = {
        "delivered": Words("Delivered", "good"),
        "shipped": Words("Shipped", "good"),
        "partly_shipped": Words("Partly shipped", "info"),
    }
    if order.fulfilment_status in by_fulfilment:
        return by_fulfilment[order.fulfilment_status]
    if order.processing_at:
        return Words("Processing", "info")
    by_payment = {
        "authorised": Words("Confirmed", "good"),
        "unpaid": Words("Unpaid", "bad"),  # its authorisation is over and nothing was captured
    }
    return by_payment.get(order.payment_status, Words("Paid", "good"))


def customer_may_cancel(order: HasStates) -> bool:
    """Whether its customer may still call it off, or units of it: nobody has begun to pack."""
    if order.status == "pending":
        return True
    untouched = order.fulfilment_status == "unfulfilled" and order.processing_at is None
    untouched = untouched and order.payment_status in {"paid", "authorised", "partly_refunded"}
    return order.status == "confirmed" and untouched
