"""The states of an order and of a shipment, and the words that people read.

The third axis, the payment status, has no table: it is what the money events add up to.
"""

from enum import StrEnum
from typing import NamedTuple, Protocol

from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
from shop.core.states import StateTable


class OrderStatus(StrEnum):
    """Where an order is."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class PaymentStatus(StrEnum):
    """What the money of an order adds up to."""

    UNPAID = "unpaid"
    PROCESSING = "processing"
    AUTHORISED = "authorised"
    PARTLY_PAID = "partly_paid"
    PAID = "paid"
    OVERPAID = "overpaid"
    PARTLY_REFUNDED = "partly_refunded"
    REFUNDED = "refunded"
    DISPUTED = "disputed"


class FulfilmentStatus(StrEnum):
    """How much of an order was sent."""

    UNFULFILLED = "unfulfilled"
    PARTLY_SHIPPED = "partly_shipped"
    SHIPPED = "shipped"
    DELIVERED = "delivered"


class ShipmentStatus(StrEnum):
    """Where a shipment is."""

    SHIPPED = "shipped"
    DELIVERED = "delivered"


class SaleKind(StrEnum):
    """Why units were written down: the order was paid; some of it was cancelled, refunded or
    returned; or such a refund failed."""

    SOLD = "sold"
    REVERSED = "reversed"
    RESTORED = "restored"


# As they stand inside of a sentence.
STATUS_WORDS: dict[OrderStatus, str] = {
    OrderStatus.PENDING: lazy_gettext("pending"),
    OrderStatus.CONFIRMED: lazy_gettext("confirmed"),
    OrderStatus.COMPLETED: lazy_gettext("completed"),
    OrderStatus.CANCELLED: lazy_gettext("cancelled"),
    OrderStatus.EXPIRED: lazy_gettext("expired"),
}
ORDER = StateTable(
    lazy_gettext("order"),
    {
        OrderStatus.PENDING: {OrderStatus.CONFIRMED, OrderStatus.CANCELLED, OrderStatus.EXPIRED},
        OrderStatus.CONFIRMED: {OrderStatus.COMPLETED, OrderStatus.CANCELLED},
        # Late money: a payment that succeeds, or is on its way, after the stock was released, with
        # stock still available.
        OrderStatus.CANCELLED: {OrderStatus.CONFIRMED, OrderStatus.PENDING},
        OrderStatus.EXPIRED: {OrderStatus.CONFIRMED, OrderStatus.PENDING},
    },
    STATUS_WORDS,
)
# Of the orders of one chain, at most one is in one of these.
LIVE = frozenset({OrderStatus.PENDING, OrderStatus.CONFIRMED, OrderStatus.COMPLETED})
FULFILMENT = StateTable(
    lazy_gettext("shipment"),
    {ShipmentStatus.SHIPPED: {ShipmentStatus.DELIVERED}},
    {
        ShipmentStatus.SHIPPED: lazy_gettext("shipped"),
        ShipmentStatus.DELIVERED: lazy_gettext("delivered"),
    },
)


def how_far(
    *, has_shipments: bool, has_open_units: bool, has_all_arrived: bool
) -> FulfilmentStatus:
    """Returns the fulfilment status of an order by its shipments and the units still to be sent."""
    if not has_shipments:
        return FulfilmentStatus.UNFULFILLED
    if has_open_units:
        return FulfilmentStatus.PARTLY_SHIPPED
    return FulfilmentStatus.DELIVERED if has_all_arrived else FulfilmentStatus.SHIPPED


def is_complete(far: FulfilmentStatus) -> bool:
    """Returns whether an order that came so far is completed by that; no other order is."""
    return far == FulfilmentStatus.DELIVERED


class Words(NamedTuple):
    """A status as people read it; ``tone`` is good, warn, info, bad or mute."""

    label: str
    tone: str


class HasStates(Protocol):
    """What the words are derived from."""

    @property
    def status(self) -> OrderStatus: ...

    @property
    def payment_status(self) -> PaymentStatus: ...

    @property
    def fulfilment_status(self) -> FulfilmentStatus: ...

    @property
    def processing_at(self) -> object: ...


def words(order: HasStates) -> Words:
    """The one status that customers and lists show."""
    if order.payment_status == PaymentStatus.REFUNDED:
        return Words(_("Refunded"), "mute")
    if order.status == OrderStatus.CANCELLED:
        return Words(_("Cancelled"), "mute")
    if order.status == OrderStatus.EXPIRED:
        return Words(_("Expired"), "mute")
    if order.status == OrderStatus.PENDING and order.payment_status == PaymentStatus.PROCESSING:
        return Words(_("Payment processing"), "info")
    if order.status == OrderStatus.PENDING:
        return Words(_("Pending"), "warn")
    by_fulfilment = {
        FulfilmentStatus.DELIVERED: Words(_("Delivered"), "good"),
        FulfilmentStatus.SHIPPED: Words(_("Shipped"), "good"),
        FulfilmentStatus.PARTLY_SHIPPED: Words(_("Partly shipped"), "info"),
    }
    if order.fulfilment_status in by_fulfilment:
        return by_fulfilment[order.fulfilment_status]
    if order.processing_at:
        return Words(_("Processing"), "info")
    by_payment = {
        PaymentStatus.AUTHORISED: Words(_("Confirmed"), "good"),
        # Its authorisation has expired and nothing was captured.
        PaymentStatus.UNPAID: Words(_("Unpaid"), "bad"),
    }
    return by_payment.get(order.payment_status, Words(_("Paid"), "good"))


def customer_may_cancel(order: HasStates) -> bool:
    """Whether its customer may still cancel it, or units of it: nobody has begun to pack."""
    if order.status == OrderStatus.PENDING:
        return True
    untouched = (
        order.fulfilment_status == FulfilmentStatus.UNFULFILLED and order.processing_at is None
    )
    untouched = untouched and order.payment_status in {
        PaymentStatus.PAID,
        PaymentStatus.AUTHORISED,
        PaymentStatus.PARTLY_REFUNDED,
    }
    return order.status == OrderStatus.CONFIRMED and untouched
