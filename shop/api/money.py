"""Money of orders for staff: refunding it, capturing it, and releasing it."""

from dataclasses import replace
from typing import Any

from marshmallow import ValidationError, fields, validate
from sqlalchemy import select

from shop import orders, payments
from shop.api import repeats
from shop.api.callers import staff
from shop.api.door import Door
from shop.api.errors import Refused
from shop.api.fields import MAX_ID, Schema, line, money
from shop.api.order_schemas import RefundSchema, ReturnedUnits, StaffOrderSchema, order_shown
from shop.api.orders import DESK, UnitsSchema, units_of
from shop.api.repeats import Remember
from shop.core.db import session, transaction
from shop.core.errors import WrongState

bp = Door("Money", "Refunds, capturing and releasing, for staff. Amounts are in minor units.")
_refund = RefundSchema()


class RestockField(fields.Field[Any]):
    """True for every refunded line, or the ids of those whose units are restocked."""

    def __init__(self, **details: Any) -> None:
        one_of = [
            {"type": "boolean"},
            {"type": "array", "items": {"type": "integer", "minimum": 1}, "maxItems": 500},
        ]
        super().__init__(metadata={"oneOf": one_of}, **details)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, bool):
            return value
        if not isinstance(value, list) or len(value) > 500:
            raise self._wrong()
        for one in value:
            if isinstance(one, bool) or not isinstance(one, int) or not 1 <= one <= MAX_ID:
                raise self._wrong()
        return value

    @staticmethod
    def _wrong() -> ValidationError:
        return ValidationError("Give true, or a list of line ids.")


class WantedSchema(Schema):
    """What to refund: an amount, or units of lines and shipping, or all that is left; and why."""

    all = fields.Boolean(
        load_default=False,
        metadata={
            "description": "All that is left: every unit, the shipping and the whole balance."
        },
    )
    amount_minor = money(allow_none=True)
    lines = fields.List(
        fields.Nested(UnitsSchema), allow_none=True, validate=validate.Length(1, 500)
    )
    shipping_minor = money(load_default=0)
    reason = line(60, least=1, required=True)
    restock = RestockField(load_default=False)


class CaptureSchema(Schema):
    """How much is taken; without it all that is authorised. The rest is released."""

    amount_minor = money(allow_none=True)


@bp.post("/orders/<string:number>/refunds")
@staff("can_refund", DESK)
@bp.arguments(WantedSchema)
@bp.response(201, RefundSchema)
@bp.doc(parameters=[repeats.PARAMETER])
def refund(given: dict[str, Any], number: str) -> Any:
    """Refund units of lines and shipping, an amount, or all that is left

    Units that cost nothing come back too: then no money moves, and the answer has a ``return_id``
    and no ``id``. With ``all``, ``restock`` true restocks every unit that is left. Otherwise the
    answer is a refund that is on its way; Stripe is asked by a worker. Units that were not sent are
    cancelled when they can be sold again. Of a line that is partly sent these are the units that go
    back first, unless the reason is returned, damaged or not as described.
    """
    if given["reason"] not in payments.REASONS:
        listed = ", ".join(payments.REASONS)
        raise Refused(422, faults=[("reason", f"Choose one of: {listed}.")])
    lines = units_of(given.get("lines")) or {}
    amount = given.get("amount_minor")
    if given["all"] and (lines or given["shipping_minor"] or amount is not None):
        said = "With all, leave out amount_minor, lines and shipping_minor."
        raise Refused(422, faults=[("all", said)])
    if amount is not None and (lines or given["shipping_minor"] or given["restock"]):
        said = "Say either an amount, or lines and shipping."
        raise Refused(422, faults=[("amount_minor", said)])
    asked = payments.Wanted(lines, given["shipping_minor"], amount)
    order_id = orders.by_number(number).id

    def work() -> dict[str, Any]:
        order = orders.lock(order_id)
        wanted = payments.everything(order) if given["all"] else asked
        restock = wanted.lines if given["restock"] is True else given["restock"] or ()
        wanted = replace(wanted, restock=frozenset(restock))
        made = payments.refund_or_return(order, wanted, reason=given["reason"])
        session.flush()
        session.refresh(made)
        return _shown(made, order)

    return repeats.once(given, repeats.in_transaction(work), status=201)


@bp.post("/refunds/<id:refund_id>/retry")
@staff("can_refund", DESK)
@bp.response(200, RefundSchema)
@bp.doc(parameters=[repeats.PARAMETER])
def retry(refund_id: int) -> Any:
    """Ask Stripe once more for a refund that failed"""

    def work() -> dict[str, Any]:
        shown: dict[str, Any] = _refund.dump(payments.retry_refund(refund_id))
        return shown

    return repeats.once(None, repeats.in_transaction(work), status=200)


@bp.post("/orders/<string:number>/capture")
@staff("can_capture", DESK)
@bp.arguments(CaptureSchema)
@bp.response(200, StaffOrderSchema)
@bp.doc(parameters=[repeats.PARAMETER])
def capture(given: dict[str, Any], number: str) -> Any:
    """Take authorised money, all of it or a part; the rest is released for good

    When Stripe refuses, the answer is 409 and its `code` says why: `authorisation_expired`,
    `card_declined`, `card_insufficient_funds`, `payment_refused` and others. 503 when Stripe has
    not confirmed it: the same request may be sent again.
    """
    order_id = orders.by_number(number).id

    def work(remember: Remember) -> dict[str, Any]:
        if not (remember.is_repeat and _has(order_id, payments.AttemptStatus.SUCCEEDED)):
            payments.capture(_authorised(order_id), given.get("amount_minor"))
        return _remembered(order_id, remember)

    return repeats.once(given, work, status=200)


@bp.post("/orders/<string:number>/void")
@staff("can_capture", DESK)
@bp.response(200, StaffOrderSchema)
@bp.doc(parameters=[repeats.PARAMETER])
def void(number: str) -> Any:
    """Release authorised money without taking it

    409 when it was captured at the same time, or when Stripe keeps it authorised.
    """
    order_id = orders.by_number(number).id

    def work(remember: Remember) -> dict[str, Any]:
        if not (remember.is_repeat and _has(order_id, payments.AttemptStatus.CANCELLED)):
            payments.release(_authorised(order_id))
        return _remembered(order_id, remember)

    return repeats.once(None, work, status=200)


def _shown(made: payments.Refund | payments.OrderReturn, order: orders.Order) -> dict[str, Any]:
    """A refund, or a return as a refund of nothing that is done."""
    refund = made if isinstance(made, payments.Refund) else ReturnedUnits(made, order)
    shown: dict[str, Any] = _refund.dump(refund)
    return shown


def _authorised(order_id: int) -> int:
    found = _has(order_id, payments.AttemptStatus.AUTHORISED)
    if found is None:
        raise WrongState("Nothing is authorised and waiting to be captured.")
    return found


def _has(order_id: int, status: payments.AttemptStatus) -> int | None:
    """The order's attempt to pay that is in this state, the latest of several."""
    return session.scalar(
        select(payments.Payment.id)
        .where(payments.Payment.order_id == order_id, payments.Payment.status == status)
        .order_by(payments.Payment.attempt.desc())
        .limit(1)
    )


def _remembered(order_id: int, remember: Remember) -> dict[str, Any]:
    """The order as it is after Stripe answered, kept as the answer to repeats."""
    with transaction():
        return remember(order_shown(orders.by_id(order_id), to_owner=False))
