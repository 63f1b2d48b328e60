"""Deciding refunds: what goes back, of which payment, and trying a failed one again.

Whoever calls these has locked the order. The database refuses what exceeds the captured money.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from shop import orders
from shop.core import actor, clock
from shop.core.db import session
from shop.core.errors import Invalid, NotFound, WrongState
from shop.core.events import emit
from shop.core.i18n import SOURCE, lazy_gettext, speaking
from shop.core.i18n import gettext as _
from shop.core.money import format_minor
from shop.payments import refundable
from shop.payments.events import RefundRequested
from shop.payments.models import Payment, Refund, RefundLine
from shop.payments.records import locked, locked_refund, order_of
from shop.payments.refundable import Part
from shop.payments.restocking import move_stock
from shop.payments.states import RefundSource, RefundStatus
from shop.payments.tasks import close_about, open_task

REASONS: dict[str, str] = {
    "returned": lazy_gettext("The customer sent it back"),
    "not delivered": lazy_gettext("It did not arrive"),
    "damaged": lazy_gettext("It arrived damaged"),
    "not as described": lazy_gettext("It was not as described"),
    "goodwill": lazy_gettext("Goodwill"),
    "cancelled": lazy_gettext("Cancelled before shipping"),
    "mistake": lazy_gettext("Charged by mistake"),
    "other": lazy_gettext("Another reason"),
}
# The customer had the items in hand: of a line that is half sent, these are of the sent half.
HAD = frozenset({"returned", "damaged", "not as described"})
MAX_MINOR = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What should go back. ``lines``: units by order line id. ``amount_minor``: this much instead
    of what lines and shipping come to. ``restock``: the lines whose units can be sold again; units
    that were not sent yet are cancelled with that. They come first, unless the reason says that
    the customer had them."""

    lines: Mapping[int, int] = field(default_factory=dict)
    shipping_minor: int = 0
    amount_minor: int | None = None
    restock: frozenset[int] = frozenset()


def everything(order: orders.Order) -> Wanted:
    """All that is left: every unit, the shipping, and the whole balance."""
    now = refundable.preview(order)
    return Wanted(
        lines={one.line.id: one.left for one in now.lines if one.left},
        shipping_minor=now.shipping_left_minor,
        amount_minor=now.balance_minor,
    )


def the_rest(order: orders.Order) -> Wanted:
    """What the units cost that are not sent or cancelled yet, and the shipping."""
    open_units = {line.id: line.open_quantity for line in order.lines}
    return worth_of(order, open_units, with_shipping=True)


def worth_of(
    order: orders.Order, quantities: Mapping[int, int], *, with_shipping: bool = False
) -> Wanted:
    """What these units, by order line id, cost; never more than is left to refund."""
    now = refundable.preview(order)
    lines = {
        one.line.id: min(units, one.left)
        for one in now.lines
        if (units := quantities.get(one.line.id, 0)) > 0 and one.left
    }
    due = sum(one.steps[lines[one.line.id]] for one in now.lines if one.line.id in lines)
    shipping = now.shipping_left_minor if with_shipping else 0
    return Wanted(lines, shipping, min(now.balance_minor, due + shipping))


def request_refund(
    order: orders.Order, wanted: Wanted, *, reason: str, source: RefundSource = RefundSource.STAFF
) -> Refund:
    """Decide that money goes back, exact to the minor unit; a worker asks Stripe.

    Raises ``Invalid`` for units, shipping or an amount that cannot be refunded, and
    ``WrongState`` when nothing was captured, all is back already, or a dispute blocks it.
    """
    payment = _lock_refundable(order)
    given, shipping_given = refundable.given_of(order)
    parts = parts_of(order, wanted.lines, given)
    shipping = _check_shipping(order, wanted, shipping_given)
    computed = sum(part.amount_minor for part in parts) + shipping
    amount = _check_amount(payment, wanted, computed)
    if wanted.restock - {part.line.id for part in parts}:
        raise Invalid(_("Only refunded items can be restocked."), field="restock")
    refund = _decide(payment, amount, min(shipping, amount), reason=reason, source=source)
    _count_parts(refund, parts, wanted.restock)
    order.version += 1
    session.flush()
    if wanted.restock:
        back = [part for part in parts if part.line.id in wanted.restock]
        move_stock(order, back, sent_first=reason in HAD)
    orders.record_sales(order)
    emit(RefundRequested(order_id=order.id, refund_id=refund.id, amount_minor=amount))
    return refund


def _lock_refundable(order: orders.Order) -> Payment:
    """The payment that money goes back by; all of the order's are locked. Raises ``WrongState``."""
    payments = session.scalars(
        select(Payment)
        .where(Payment.order_id == order.id)
        .options(selectinload(Payment.disputes))
        .order_by(Payment.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    payment = refundable.fullest(payments)
    refusal = refundable.refusal_of(payment)
    if payment is None or refusal:
        raise WrongState(refusal)
    return payment


def _check_shipping(order: orders.Order, wanted: Wanted, given: int) -> int:
    shipping = _whole(wanted.shipping_minor, "shipping_minor")
    left = max(0, refundable.shipping_of(order) - given)
    if shipping > left:
        raise Invalid(
            _(
                "Only %(amount)s of the shipping can still be refunded.",
                amount=format_minor(left, order.currency),
            ),
            field="shipping_minor",
        )
    return shipping


def _check_amount(payment: Payment, wanted: Wanted, computed: int) -> int:
    """What goes back: the amount that somebody typed, else what the parts come to."""
    amount = (
        computed if wanted.amount_minor is None else _whole(wanted.amount_minor, "amount_minor")
    )
    if amount == 0:
        raise Invalid(_("Choose what to refund, or enter an amount."), field="amount_minor")
    if amount > payment.balance_minor:
        left = format_minor(payment.balance_minor, refundable.currency_of(payment))
        raise Invalid(
            _("Only %(amount)s of this payment can still be refunded.", amount=left),
            field="amount_minor",
        )
    return amount


def _count_parts(refund: Refund, parts: Sequence[Part], restock: frozenset[int]) -> None:
    for part in parts:
        refund.lines.append(
            RefundLine(
                order_line_id=part.line.id,
                quantity=part.quantity,
                amount_minor=part.amount_minor,
                tax_minor=part.tax_minor,
                restock=part.line.id in restock,
            )
        )
        part.line.refunded += part.quantity


def refund_payment(
    order: orders.Order, payment: Payment, *, reason: str, amount_minor: int | None = None
) -> Refund | None:
    """Send back what nobody wanted of one payment: this much, or all that is left. None if nothing
    is left, or while a bank decides about it: then a person is asked."""
    session.flush()
    session.refresh(payment)
    with speaking(SOURCE):  # a task keeps it
        blocked = refundable.refusal_while_disputed(Payment.id == payment.id)
    left = payment.room_minor if blocked else payment.balance_minor
    amount = left if amount_minor is None else min(left, amount_minor)
    if amount <= 0:
        return None
    if blocked:
        open_task(
            "refund_blocked",
            str(payment.id),
            f"{format_minor(amount, refundable.currency_of(payment))} of order {order.number}"
            f" should be refunded ({reason}). {blocked} Refund what is left when the bank has"
            " decided.",
            order_id=order.id,
        )
        return None
    refund = _decide(payment, amount, 0, reason=reason, source=RefundSource.SYSTEM)
    session.flush()
    emit(RefundRequested(order_id=order.id, refund_id=refund.id, amount_minor=refund.amount_minor))
    return refund


def _decide(
    payment: Payment, amount: int, shipping: int, *, reason: str, source: RefundSource
) -> Refund:
    refund = Refund(
        payment_id=payment.id,
        amount_minor=amount,
        shipping_minor=shipping,
        currency=refundable.currency_of(payment),
        reason=reason,
        source=source,
        requested_by=actor.current().name,
        requested_at=clock.now(),
    )
    session.add(refund)
    return refund


def parts_of(
    order: orders.Order, wanted: Mapping[int, int], given: Mapping[int, refundable.Given]
) -> list[Part]:
    """Returns what these units, by order line id, come to. Raises ``Invalid`` for units that are
    not there to go back."""
    lines = {line.id: line for line in order.lines}
    parts = []
    for line_id, quantity in wanted.items():
        line = lines.get(line_id)
        if line is None:
            raise Invalid(_("This item is not part of the order."), field="lines")
        units = _whole(quantity, "lines")
        left = given[line_id].units_left(line)
        if units > left:
            raise Invalid(
                _(
                    "%(item)s: %(left)s can still be refunded, not %(given)s.",
                    item=line.name,
                    left=left,
                    given=units,
                ),
                field="lines",
            )
        if units:
            parts.append(Part(line, units, *given[line_id].due(line, units)))
    return parts


def _whole(value: Any, name: str) -> int:
    if isinstance(value, int) and value > MAX_MINOR:
        raise Invalid(_("This is more than the amount left to refund."), field=name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Invalid(_("This must be a whole number, 0 or more."), field=name)
    return value


def retry_refund(refund_id: int) -> Refund:
    """Ask Stripe once more for a refund that failed. Raises ``WrongState``, ``Invalid``."""
    found = session.scalar(select(Refund.payment_id).where(Refund.id == refund_id))
    if found is None:
        raise NotFound(_("Refund not found."))
    order = orders.lock(order_of(found))
    payment = locked(found)
    refund = locked_refund(refund_id)
    if refund.status != RefundStatus.FAILED or refund.source == RefundSource.EXTERNAL:
        raise WrongState(_("Only a failed refund that was requested here can be retried."))
    if refusal := refundable.refusal_while_disputed(Payment.id == payment.id):
        raise WrongState(refusal)
    amount = refund.amount_minor + _price_again(order, refund)
    if not 0 < amount <= payment.balance_minor:
        left = format_minor(payment.balance_minor, refund.currency)
        raise WrongState(_("Only %(amount)s of this payment can still be refunded.", amount=left))
    refund.amount_minor = amount
    refund.status, refund.failure, refund.stripe_id = RefundStatus.REQUESTED, "", None
    refund.attempt += 1
    refund.requested_at = clock.now()
    order.version += 1
    session.flush()
    orders.record_sales(order)
    close_about("refund_failed", f"{refund.id}:{refund.attempt - 1}")
    emit(RefundRequested(order_id=order.id, refund_id=refund.id, amount_minor=refund.amount_minor))
    return refund


def _price_again(order: orders.Order, refund: Refund) -> int:
    """Count a failed refund's units once more, at what they come to after what went back
    meanwhile. Returns by how much that differs. An amount that somebody typed stays."""
    given, shipping_given = refundable.given_of(order)
    lines = {line.id: line for line in order.lines}
    before = refund.amount_minor
    is_typed = before != refund.shipping_minor + sum(part.amount_minor for part in refund.lines)
    left = max(0, refundable.shipping_of(order) - shipping_given)
    if refund.shipping_minor > left and not is_typed:
        raise WrongState(
            _(
                "Only %(amount)s of the shipping can still be refunded.",
                amount=format_minor(left, order.currency),
            )
        )
    refund.shipping_minor = min(refund.shipping_minor, left)
    for part in refund.lines:
        line = lines[part.order_line_id]
        if part.quantity > given[line.id].units_left(line):
            raise WrongState(_("%(item)s has already been refunded.", item=line.name))
        part.amount_minor, part.tax_minor = given[line.id].due(line, part.quantity)
        line.refunded += part.quantity
    if is_typed:
        return 0
    return refund.shipping_minor + sum(part.amount_minor for part in refund.lines) - before
