"""Shipping an order: packed, handed over in shipments, delivered."""

from collections.abc import Mapping

from shop import inventory
from shop.core import clock
from shop.core.db import session
from shop.core.errors import Invalid, NotFound
from shop.core.events import emit
from shop.core.i18n import gettext as _
from shop.orders.errors import TransitionRefused
from shop.orders.events import OrderDelivered, OrderProcessing, OrderShipped, TrackingCorrected
from shop.orders.lines import named_units
from shop.orders.models import Fulfilment, FulfilmentLine, Order, OrderLine
from shop.orders.queries import waiting
from shop.orders.states import (
    FULFILMENT,
    ORDER,
    STATUS_WORDS,
    FulfilmentStatus,
    OrderStatus,
    PaymentStatus,
    ShipmentStatus,
    how_far,
    is_complete,
)


def start_processing(order: Order) -> None:
    """Somebody packs it now."""
    if (
        order.status != OrderStatus.CONFIRMED
        or order.fulfilment_status != FulfilmentStatus.UNFULFILLED
    ):
        raise TransitionRefused(_("Only a paid order that was not shipped yet can be processed."))
    if order.processing_at is not None:
        raise TransitionRefused(_("This order is already being processed."))
    order.processing_at = clock.now()
    order.version += 1
    emit(OrderProcessing(order_id=order.id))


def ship(
    order: Order,
    quantities: Mapping[int, int] | None = None,
    *,
    carrier: str = "",
    tracking_number: str = "",
    notify: bool = True,
) -> Fulfilment:
    """Hand over a shipment: all that is open, or ``quantities`` by order line id.

    The customer gets an email unless ``notify`` is false. Raises ``TransitionRefused`` for an order
    that is not paid, ``Invalid`` for quantities that are not open any more, or that wait for stock.
    """
    _check_can_ship(order)
    carrier, tracking_number = _short(carrier, 60), _short(tracking_number, 80)
    wanted = _units_to_ship(order, quantities)
    _check_is_here(order, wanted)
    fulfilment = Fulfilment(
        order=order,
        carrier=carrier,
        tracking_number=tracking_number,
        shipped_at=clock.now(),
        lines=[
            FulfilmentLine(order_line=line, quantity=quantity) for line, quantity in wanted.items()
        ],
    )
    session.add(fulfilment)
    for line, quantity in wanted.items():
        line.shipped += quantity
    order.processing_at = order.processing_at or clock.now()
    update_fulfilment_status(order)
    order.version += 1
    session.flush()
    inventory.ship(
        order.id, [inventory.Line(line.variant_id, quantity) for line, quantity in wanted.items()]
    )
    emit(OrderShipped(order_id=order.id, fulfilment_id=fulfilment.id, notify=notify))
    return fulfilment


def _check_can_ship(order: Order) -> None:
    if order.status != OrderStatus.CONFIRMED:
        raise TransitionRefused(
            _("Only a paid order can be shipped.")
            if order.status == OrderStatus.PENDING
            else _(
                "This order is %(status)s, so nothing can be shipped.",
                status=STATUS_WORDS[order.status],
            )
        )
    if order.payment_status == PaymentStatus.AUTHORISED:
        raise TransitionRefused(_("The money is only authorised. Capture it before you ship."))
    if order.payment_status == PaymentStatus.UNPAID:
        raise TransitionRefused(
            _("The authorised money was released, so nothing is paid. Do not ship.")
        )


def correct_tracking(
    order: Order,
    fulfilment_id: int,
    *,
    carrier: str,
    tracking_number: str,
    notify: bool = False,
) -> None:
    """Correct who carries a shipment, and under which number.

    The customer's page follows; an email only with ``notify``. Raises ``NotFound``, and ``Invalid``
    for words that are too long or what it says already.
    """
    fulfilment = _shipment(order, fulfilment_id)
    before = {"carrier": fulfilment.carrier, "tracking_number": fulfilment.tracking_number}
    after = {
        "carrier": _short(carrier, 60, field="carrier"),
        "tracking_number": _short(tracking_number, 80, field="tracking_number"),
    }
    if before == after:
        raise Invalid(
            _("The shipment has this carrier and tracking number already."),
            field="tracking_number",
        )
    fulfilment.carrier, fulfilment.tracking_number = after["carrier"], after["tracking_number"]
    order.version += 1
    emit(
        TrackingCorrected(
            order_id=order.id,
            fulfilment_id=fulfilment.id,
            before=before,
            after=after,
            version=order.version,
            notify=notify,
        )
    )


def mark_delivered(order: Order, fulfilment_id: int) -> None:
    """A shipment arrived; with the last one the order is complete."""
    fulfilment = _shipment(order, fulfilment_id)
    fulfilment.status = FULFILMENT.move(fulfilment.status, to=ShipmentStatus.DELIVERED)
    fulfilment.delivered_at = clock.now()
    update_fulfilment_status(order)
    order.version += 1
    emit(OrderDelivered(order_id=order.id, fulfilment_id=fulfilment.id))


def _shipment(order: Order, fulfilment_id: int) -> Fulfilment:
    found = next((f for f in order.fulfilments if f.id == fulfilment_id), None)
    if found is None:
        raise NotFound(_("Shipment not found."))
    return found


def update_fulfilment_status(order: Order) -> None:
    """Set how far the order is on its way, from its lines and shipments."""
    order.fulfilment_status = how_far(
        has_shipments=bool(order.fulfilments),
        has_open_units=any(line.open_quantity for line in order.lines),
        has_all_arrived=all(f.status == ShipmentStatus.DELIVERED for f in order.fulfilments),
    )
    if is_complete(order.fulfilment_status):
        order.status = ORDER.move(order.status, to=OrderStatus.COMPLETED)


def _units_to_ship(order: Order, quantities: Mapping[int, int] | None) -> dict[OrderLine, int]:
    if quantities is not None:
        return named_units(order, quantities, to="ship")
    wanted = {line: line.open_quantity for line in order.lines if line.open_quantity}
    if not wanted:
        raise TransitionRefused(_("All items of this order were already shipped."))
    return wanted


def _check_is_here(order: Order, wanted: Mapping[OrderLine, int]) -> None:
    missing = waiting(order)
    for line, quantity in wanted.items():
        here = line.open_quantity - missing.get(line.id, 0)
        if quantity > here:
            raise Invalid(
                _(
                    "%(item)s: %(here)s of %(open)s can be shipped now. The others wait for stock,"
                    " which goes to the orders that were paid first.",
                    item=line.name,
                    here=here,
                    open=line.open_quantity,
                ),
                field="lines",
            )


def _short(value: str, longest: int, *, field: str | None = None) -> str:
    cleaned = " ".join(value.split())
    if len(cleaned) > longest:
        raise Invalid(_("Use at most %(most)s characters.", most=longest), field=field)
    return cleaned
