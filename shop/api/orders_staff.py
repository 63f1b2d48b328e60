"""Orders for staff: the shipments and the notes."""

from typing import Any

from flask import jsonify
from marshmallow import fields, validate
from sqlalchemy import select

from shop import orders
from shop.api import repeats
from shop.api.callers import staff
from shop.api.door import Door
from shop.api.fields import Schema, line
from shop.api.order_schemas import FulfilmentSchema, StaffOrderSchema, order_shown
from shop.api.orders import DESK, UnitsSchema, units_of
from shop.core import actor, clock
from shop.core.db import session, transaction
from shop.core.errors import NotFound, WrongState
from shop.orders import ShipmentStatus

bp = Door("Orders desk", "Packing, shipping and remarks, for staff.")


class ShipmentSchema(Schema):
    """A shipment; without ``lines`` all that is open. ``notify`` false: no email about it."""

    lines = fields.List(
        fields.Nested(UnitsSchema), allow_none=True, validate=validate.Length(1, 500)
    )
    carrier = line(60, load_default="", allow_none=True)
    tracking_number = line(80, load_default="", allow_none=True)
    notify = fields.Boolean(truthy={True}, falsy={False}, load_default=True)


class NoteSchema(Schema):
    """A note that only staff see."""

    text = line(2000, least=1, required=True)


class NotedSchema(Schema):
    """The note as it stands in the timeline."""

    text = fields.String(required=True)
    author = fields.String(required=True)
    at = fields.DateTime(required=True)


@bp.post("/orders/<string:number>/fulfilments")
@staff("can_ship", DESK)
@bp.arguments(ShipmentSchema)
@bp.response(201, FulfilmentSchema)
@bp.doc(parameters=[repeats.PARAMETER])
def ship(given: dict[str, Any], number: str) -> Any:
    """Ship some lines, or all that are open"""
    quantities = units_of(given.get("lines"))
    order_id = orders.by_number(number).id

    def work() -> dict[str, Any]:
        shipment = orders.ship(
            orders.lock(order_id),
            quantities,
            carrier=given["carrier"] or "",
            tracking_number=given["tracking_number"] or "",
            notify=given["notify"],
        )
        session.flush()
        shown: dict[str, Any] = FulfilmentSchema().dump(shipment)
        return shown

    return repeats.once(given, repeats.in_transaction(work), status=201)


@bp.post("/fulfilments/<id:fulfilment_id>/shipped")
@staff("can_ship", DESK)
@bp.response(200, FulfilmentSchema)
def shipped(fulfilment_id: int) -> Any:
    """Mark a shipment as shipped

    A shipment leaves when it is created, so for one on its way this changes nothing; for one
    that has arrived it is 409.
    """
    with transaction():
        shipment = _shipment(_locked(fulfilment_id), fulfilment_id)
        if shipment.status != ShipmentStatus.SHIPPED:
            raise WrongState(f"This shipment is {shipment.status} already.")
        return shipment


@bp.post("/fulfilments/<id:fulfilment_id>/delivered")
@staff("can_deliver", DESK)
@bp.response(200, FulfilmentSchema)
def delivered(fulfilment_id: int) -> Any:
    """Mark a shipment as delivered; with the last one the order is completed"""
    with transaction():
        order = _locked(fulfilment_id)
        orders.mark_delivered(order, fulfilment_id)
        session.flush()
        return _shipment(order, fulfilment_id)


@bp.post("/orders/<string:number>/processing")
@staff("can_process", DESK)
@bp.response(200, StaffOrderSchema)
def process(number: str) -> Any:
    """Mark an order as processing: somebody packs it now"""
    with transaction():
        order = orders.lock(orders.by_number(number).id)
        orders.start_processing(order)
    return jsonify(order_shown(orders.by_id(order.id), to_owner=False))


@bp.post("/orders/<string:number>/notes")
@staff("can_note", DESK)
@bp.arguments(NoteSchema)
@bp.response(201, NotedSchema)
def note(given: dict[str, str], number: str) -> Any:
    """Add a note for staff to the timeline"""
    with transaction():
        orders.note(orders.lock(orders.by_number(number).id), given["text"])
    return {"text": given["text"].strip(), "author": actor.current().name, "at": clock.now()}


def _locked(fulfilment_id: int) -> orders.Order:
    order_id = session.scalar(
        select(orders.Fulfilment.order_id).where(orders.Fulfilment.id == fulfilment_id)
    )
    if order_id is None:
        raise NotFound("Shipment not found.")
    return orders.lock(order_id)


def _shipment(order: orders.Order, fulfilment_id: int) -> orders.Fulfilment:
    return next(one for one in order.fulfilments if one.id == fulfilment_id)
