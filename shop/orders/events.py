"""What happens to orders: together, their timeline."""

from dataclasses import dataclass
from typing import Any

from shop.core.events import Event


@dataclass(frozen=True, kw_only=True)
class OrderEvent(Event):
    """Parent of every event about one order."""

    order_id: int


@dataclass(frozen=True, kw_only=True)
class OrderPlaced(OrderEvent):
    """A customer ordered; stock is reserved until the order is paid or expires."""


@dataclass(frozen=True, kw_only=True)
class OrderPaid(OrderEvent):
    """The money is here; the stock is promised."""


@dataclass(frozen=True, kw_only=True)
class OrderAuthorised(OrderEvent):
    """The money is authorised and still to be captured; the stock is promised."""


@dataclass(frozen=True, kw_only=True)
class LinesCancelled(OrderEvent):
    """Some units were taken out before they were sent; ``lines`` have line_id, name, quantity.

    ``version`` is the order's by then: it tells two of the same apart. ``goes_back``: what was paid
    for them is refunded in the same step.
    """

    reason: str
    lines: list[dict[str, Any]]
    version: int = 0
    goes_back: bool = False


@dataclass(frozen=True, kw_only=True)
class OrderProcessing(OrderEvent):
    """Somebody began to pack."""


@dataclass(frozen=True, kw_only=True)
class OrderShipped(OrderEvent):
    """A shipment left the house; the customer is notified unless ``notify`` says not to."""

    fulfilment_id: int
    notify: bool = True


@dataclass(frozen=True, kw_only=True)
class TrackingCorrected(OrderEvent):
    """Carrier or tracking number of a shipment were corrected; ``before`` and ``after`` have
    carrier and tracking_number. The customer is emailed if ``notify`` says so. ``version`` is the
    order's by then: it tells two corrections apart."""

    fulfilment_id: int
    before: dict[str, str]
    after: dict[str, str]
    version: int
    notify: bool = False


@dataclass(frozen=True, kw_only=True)
class AddressChanged(OrderEvent):
    """The shipping address was changed by staff. Both addresses stand in the audit, where they can
    be erased; events stay for ever."""

    version: int


@dataclass(frozen=True, kw_only=True)
class OrderDelivered(OrderEvent):
    """A shipment arrived."""

    fulfilment_id: int


@dataclass(frozen=True, kw_only=True)
class OrderCancelled(OrderEvent):
    """The order will not be sent; what was reserved is released. ``goes_back``: money that came for
    it is refunded in the same step."""

    reason: str
    was_paid: bool
    goes_back: bool = False


@dataclass(frozen=True, kw_only=True)
class OrderReopened(OrderEvent):
    """A closed order waits for its payment again: the money is on its way after all."""


@dataclass(frozen=True, kw_only=True)
class OrderExpired(OrderEvent):
    """Nobody paid in time; what was reserved is released."""


@dataclass(frozen=True, kw_only=True)
class OrderNoted(OrderEvent):
    """A remark of a staff member, for staff only."""

    text: str
