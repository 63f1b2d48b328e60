"""Orders as answered: to their owners, and to staff without the owner's secret."""

from typing import Any

from marshmallow import fields

from shop import orders
from shop.api.fields import Schema


class LineSchema(Schema):
    """A line as it was agreed."""

    id = fields.Integer(required=True)
    variant_id = fields.Integer(required=True)
    product_id = fields.Integer(required=True)
    sku = fields.String(required=True)
    name = fields.String(required=True)
    variant_title = fields.String(required=True)
    quantity = fields.Integer(required=True)
    shipped = fields.Integer(required=True)
    unit_price_minor = fields.Integer(required=True)
    discount_minor = fields.Integer(required=True)
    total_minor = fields.Integer(required=True)
    tax_rate = fields.Decimal(required=True, as_string=True)
    tax_minor = fields.Integer(required=True)


class ParcelLineSchema(Schema):
    """How many of a line are in a parcel."""

    line_id = fields.Integer(required=True, attribute="order_line_id")
    quantity = fields.Integer(required=True)


class FulfilmentSchema(Schema):
    """A parcel. It leaves the house when it is made, so it starts as ``shipped``."""

    id = fields.Integer(required=True)
    status = fields.String(required=True)
    carrier = fields.String(required=True)
    tracking_number = fields.String(required=True)
    shipped_at = fields.DateTime(required=True)
    delivered_at = fields.DateTime(required=True, allow_none=True)
    lines = fields.List(fields.Nested(ParcelLineSchema), required=True)


class ShortOrderSchema(Schema):
    """An order in a list. ``status_label`` is the one word that people read."""

    number = fields.String(required=True)
    status = fields.String(required=True)
    payment_status = fields.String(required=True)
    fulfilment_status = fields.String(required=True)
    status_label = fields.Function(
        lambda order: _label(order),
        metadata={"type": "string"},
    )
    currency = fields.String(required=True)
    total_minor = fields.Integer(required=True)
    item_count = fields.Integer(required=True)
    email = fields.String(required=True)
    customer_name = fields.String(required=True)
    placed_at = fields.DateTime(required=True)


class StaffOrderSchema(ShortOrderSchema):
    """An order, without its owner's secret."""

    version = fields.Integer(required=True)
    prices_include_tax = fields.Boolean(required=True)
    subtotal_minor = fields.Integer(required=True)
    discount_minor = fields.Integer(required=True)
    shipping_minor = fields.Integer(required=True)
    shipping_tax_minor = fields.Integer(required=True)
    tax_minor = fields.Integer(required=True)
    shipping_method = fields.String(required=True)
    shipping_method_name = fields.String(required=True)
    shipping_address = fields.Dict(required=True)
    billing_address = fields.Dict(required=True, allow_none=True)
    expires_at = fields.DateTime(required=True)
    paid_at = fields.DateTime(required=True, allow_none=True)
    closed_at = fields.DateTime(required=True, allow_none=True)
    lines = fields.List(fields.Nested(LineSchema), required=True)
    fulfilments = fields.List(fields.Nested(FulfilmentSchema), required=True)


class OrderSchema(StaffOrderSchema):
    """An order. ``token`` is the secret of its owner; staff are not told."""

    token = fields.String()


_full = OrderSchema()
_for_staff = StaffOrderSchema()


def _label(order: orders.Order | orders.OrderRow) -> str:
    words = orders.words(order) if isinstance(order, orders.Order) else order.words
    return words.label


def order_shown(order: orders.Order, *, to_owner: bool) -> dict[str, Any]:
    """The order as plain data."""
    shown: dict[str, Any] = (_full if to_owner else _for_staff).dump(order)
    return shown
