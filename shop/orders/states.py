"""Three axes of an order, one table each, and the words that people read."""

from typing import NamedTuple, Protocol

from shop.core.states import StateTable

ORDER = StateTable(
    "order",
    {
        "pending": {"confirmed", "cancelled", "expired"},
        "confirmed": {"completed", "cancelled"},
        # Late money: a payment that succeeds after the hold is gone, with stock still to be had.
        "cancelled": {"confirmed"},
        "expired": {"confirmed"},
    },
)
PAYMENT = StateTable(
    "payment",
    {
        "unpaid": {"paid"},
        "paid": {"partly_refunded", "refunded", "disputed"},
        "partly_refunded": {"refunded", "disputed"},
        "disputed": {"paid", "partly_refunded", "refunded"},
    },
)
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
    if order.status == "pending":
        return Words("Pending", "warn")
    by_fulfilment = {
        "delivered": Words("Delivered", "good"),
        "shipped": Words("Shipped", "good"),
        "partly_shipped": Words("Partly shipped", "info"),
    }
    if order.fulfilment_status in by_fulfilment:
        return by_fulfilment[order.fulfilment_status]
    return Words("Processing", "info") if order.processing_at else Words("Paid", "good")
