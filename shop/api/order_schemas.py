"""Orders as answered: to their owners, and to staff without the owner's secret."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from marshmallow import fields, validate

from shop import orders, payments
from shop.api.fields import Schema
from shop.payments import AttemptStatus, RefundStatus


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
    cancelled = fields.Integer(required=True)
    refunded = fields.Integer(required=True)
    unit_price_minor = fields.Integer(required=True)
    discount_minor = fields.Integer(required=True)
    total_minor = fields.Integer(required=True)
    tax_rate = fields.Decimal(required=True, as_string=True)
    tax_minor = fields.Integer(required=True)


class ShipmentLineSchema(Schema):
    """How many of a line are in a shipment."""

    line_id = fields.Integer(required=True, attribute="order_line_id")
    quantity = fields.Integer(required=True)


class FulfilmentSchema(Schema):
    """A shipment. It leaves when it is created, so it starts as ``shipped``."""

    id = fields.Integer(required=True)
    status = fields.String(required=True)
    carrier = fields.String(required=True)
    tracking_number = fields.String(required=True)
    shipped_at = fields.DateTime(required=True)
    delivered_at = fields.DateTime(required=True, allow_none=True)
    lines = fields.List(fields.Nested(ShipmentLineSchema), required=True)


class RedeemedSchema(Schema):
    """A discount as it was when the order was placed: what it took off goods and shipping."""

    name = fields.String(required=True)
    code = fields.String(required=True)
    amount_minor = fields.Integer(required=True)
    shipping_minor = fields.Integer(required=True)


class RefundedLineSchema(Schema):
    """Units of a line that a refund is for, and what they came to. ``restock``: sold again."""

    line_id = fields.Integer(required=True, attribute="order_line_id")
    quantity = fields.Integer(required=True)
    amount_minor = fields.Integer(required=True)
    tax_minor = fields.Integer(required=True)
    restock = fields.Boolean(required=True)


class RefundSchema(Schema):
    """Money on its way back: requested, sent, done or failed. ``source`` external: at Stripe.

    Units that came back for nothing have ``return_id`` instead of ``id``, and an amount of 0.
    """

    id = fields.Integer(required=True, allow_none=True)
    return_id = fields.Integer(
        dump_default=None,
        allow_none=True,
        metadata={"description": "Set when units came back and no money moved."},
    )
    status = fields.String(required=True)
    amount_minor = fields.Integer(required=True)
    shipping_minor = fields.Integer(required=True)
    currency = fields.String(required=True)
    reason = fields.String(required=True)
    source = fields.String(required=True)
    failure = fields.String(required=True)
    requested_by = fields.String(required=True)
    requested_at = fields.DateTime(required=True)
    done_at = fields.DateTime(required=True, allow_none=True)
    lines = fields.List(fields.Nested(RefundedLineSchema), required=True)


class ReturnedUnits:
    """A return without money in the shape of a refund of 0 that is done."""

    id = None
    status = "done"
    amount_minor = 0
    shipping_minor = 0
    failure = ""

    def __init__(self, made: payments.OrderReturn, order: orders.Order) -> None:
        self.return_id = made.id
        self.currency = order.currency
        self.reason, self.source = made.reason, made.source
        self.requested_by = made.requested_by
        self.requested_at = self.done_at = made.returned_at
        self.lines = [
            {
                "order_line_id": line.order_line_id,
                "quantity": line.quantity,
                "amount_minor": 0,
                "tax_minor": 0,
                "restock": line.restock,
            }
            for line in made.lines
        ]


class DisputeSchema(Schema):
    """A cardholder's bank asks for money back; ``status`` is Stripe's word for it."""

    id = fields.Integer(required=True)
    stripe_id = fields.String(required=True)
    status = fields.String(required=True)
    amount_minor = fields.Integer(required=True)
    currency = fields.String(required=True)
    reason = fields.String(required=True)
    due_by = fields.DateTime(required=True, allow_none=True)
    opened_at = fields.DateTime(required=True)
    closed_at = fields.DateTime(required=True, allow_none=True)


class MoneySchema(Schema):
    """What the money events of an order add up to. ``balance_minor`` can still be refunded."""

    authorised_minor = fields.Integer(required=True)
    capture_before = fields.DateTime(required=True, allow_none=True)
    captured_minor = fields.Integer(required=True)
    refunded_minor = fields.Integer(required=True)
    on_its_way_minor = fields.Integer(required=True)
    disputed_minor = fields.Integer(required=True)
    lost_minor = fields.Integer(required=True)
    fees_minor = fields.Integer(required=True)
    balance_minor = fields.Integer(required=True)


class PaymentSchema(Schema):
    """The newest attempt to pay an order.

    `status` `processing`: the customer has paid, and the money takes days to arrive. A voucher can
    be paid until `voucher_expires_at`; its page is at `voucher_url`. After a `failure` the order
    can be paid again until its `expires_at`.
    """

    status = fields.String(
        required=True,
        validate=validate.OneOf(list(AttemptStatus)),
    )
    method = fields.String(
        required=True, metadata={"description": "Stripe's type, such as `card` or `sepa_debit`."}
    )
    amount_minor = fields.Integer(required=True)
    voucher_url = fields.String(required=True)
    voucher_reference = fields.String(required=True)
    voucher_expires_at = fields.DateTime(required=True, allow_none=True)
    failure = fields.String(required=True)


class ShortOrderSchema(Schema):
    """An order in a list. ``status_label`` is the one word that people read."""

    number = fields.String(required=True)
    status = fields.String(required=True)
    payment_status = fields.String(
        required=True,
        metadata={
            "description": "`processing`: the customer has paid by a method whose money takes days"
            " to arrive; `status` stays `pending` until then."
        },
    )
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
    discounts = fields.List(fields.Nested(RedeemedSchema), required=True)
    fulfilments = fields.List(fields.Nested(FulfilmentSchema), required=True)
    payment = fields.Nested(PaymentSchema, required=True, allow_none=True)
    money = fields.Nested(MoneySchema, metadata={"description": "For staff."})
    refunds = fields.List(
        fields.Nested(RefundSchema),
        metadata={"description": "For staff. Returns without money come last."},
    )
    disputes = fields.List(fields.Nested(DisputeSchema), metadata={"description": "For staff."})


class OrderSchema(StaffOrderSchema):
    """An order. ``token`` is the secret of its owner; staff do not see it."""

    token = fields.String()


_full = OrderSchema()
_for_staff = StaffOrderSchema()
_redeemed = RedeemedSchema(many=True)
_payment = PaymentSchema()
_money = MoneySchema()
_refunds = RefundSchema(many=True)
_disputes = DisputeSchema(many=True)


def _label(order: orders.Order | orders.OrderRow) -> str:
    words = orders.words(order) if isinstance(order, orders.Order) else order.words
    return words.label


def order_shown(order: orders.Order, *, to_owner: bool) -> dict[str, Any]:
    """The order as plain data."""
    shown: dict[str, Any] = (_full if to_owner else _for_staff).dump(order)
    shown["discounts"] = _redeemed.dump(orders.redeemed(order))
    if to_owner:
        latest = payments.latest(order.id)
        return shown | {"payment": _payment.dump(latest) if latest else None}
    attempts = payments.of_order(order.id)
    shown["payment"] = _payment.dump(attempts[-1]) if attempts else None
    return shown | _money_shown(order, attempts)


def _money_shown(order: orders.Order, attempts: Sequence[payments.Payment]) -> dict[str, Any]:
    """What only staff see of an order's money."""
    refunds = [refund for one in attempts for refund in one.refunds]
    returned = [ReturnedUnits(one, order) for one in payments.returns_of(order.id)]
    balance = payments.balance_of(order.id, order.currency)
    waiting = (
        refund for refund in refunds if refund.status in {RefundStatus.REQUESTED, RefundStatus.SENT}
    )
    sums = {field.name: getattr(balance, field.name) for field in dataclasses.fields(balance)}
    ends = (one.capture_before for one in attempts if one.status == AttemptStatus.AUTHORISED)
    sums |= {
        "capture_before": next(ends, None),
        "on_its_way_minor": sum(refund.amount_minor for refund in waiting),
        "balance_minor": sum(one.balance_minor for one in attempts),
    }
    return {
        "money": _money.dump(sums),
        "refunds": _refunds.dump([*refunds, *returned]),
        "disputes": _disputes.dump([dispute for one in attempts for dispute in one.disputes]),
    }
