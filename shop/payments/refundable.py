"""What of an order's money can still go back, exact to the minor unit, and why nothing can."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import selectinload

from shop import orders
from shop.core.db import session
from shop.core.i18n import gettext as _
from shop.orders import OrderStatus, PaymentStatus
from shop.payments.balance import gross_of, part_due, worth
from shop.payments.models import (
    CLOSED_DISPUTES,
    Dispute,
    DisputeStatus,
    Payment,
    PaymentEvent,
    Refund,
    RefundLine,
)
from shop.payments.states import MoneyEventKind

# Why units of an order were cancelled that a refund or a return restocked.
REFUNDED = "given back"


@dataclass(frozen=True, slots=True)
class LinePreview:
    """How much of a line can still go back. ``steps``: what 0, 1, 2 … units come to."""

    line: orders.OrderLine
    left: int
    steps: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """What can still be refunded of an order; minor units of ``currency``.

    ``refusal`` says why no money can, or is empty. ``can_return``: units can come back without any.
    """

    payment: Payment | None
    currency: str
    balance_minor: int
    shipping_left_minor: int
    lines: tuple[LinePreview, ...]
    refusal: str
    can_return: bool = False


@dataclass(frozen=True, slots=True)
class Given:
    """What of a line is back or on its way; ``unpaid`` units were cancelled before the money was
    taken, so they cost nothing and can never go back."""

    amount_minor: int
    tax_minor: int
    unpaid: int

    def units_left(self, line: orders.OrderLine) -> int:
        """How many can still go back."""
        return max(0, line.quantity - self.unpaid - line.refunded)

    def due(self, line: orders.OrderLine, units: int) -> tuple[int, int]:
        """What ``units`` more of the line come to, and the tax in it."""
        return (
            self._due(gross(line), line, units, self.amount_minor),
            self._due(line.tax_minor, line, units, self.tax_minor),
        )

    def _due(self, whole: int, line: orders.OrderLine, units: int, before: int) -> int:
        not_taken = part_due(whole, self.unpaid, of=line.quantity, before_minor=0)
        up_to = self.unpaid + line.refunded + units
        return part_due(whole, up_to, of=line.quantity, before_minor=not_taken + before)


@dataclass(frozen=True, slots=True)
class Part:
    """Units of a line that go back, what they come to, and the tax in it."""

    line: orders.OrderLine
    quantity: int
    amount_minor: int
    tax_minor: int


def preview(order: orders.Order) -> Preview:
    """What can still be refunded of this order. Six statements at most."""
    payments = session.scalars(
        select(Payment)
        .where(Payment.order_id == order.id)
        .options(selectinload(Payment.disputes))
        .order_by(Payment.attempt)
        .execution_options(populate_existing=True)  # triggers write it, too
    ).all()
    payment = fullest(payments)
    given, shipping = given_of(order)
    lines = []
    for line in order.lines:
        left = given[line.id].units_left(line)
        steps = tuple(given[line.id].due(line, units)[0] for units in range(left + 1))
        lines.append(LinePreview(line, left, steps))
    balance = payment.balance_minor if payment and not _is_lost(payment) else 0
    gone = cancelled_free_units(order)
    free = (
        one.left > gone.get(one.line.id, 0) and (one.steps[1] == 0 or balance == 0) for one in lines
    )
    return Preview(
        payment=payment,
        currency=currency_of(payment) if payment else order.currency,
        balance_minor=balance,
        shipping_left_minor=max(0, shipping_of(order) - shipping),
        lines=tuple(lines),
        refusal=refusal_of(payment),
        can_return=was_sold(order) and any(free),
    )


def was_sold(order: orders.Order) -> bool:
    """Whether the order is paid for, so that its units can come back."""
    is_ours = order.status in {OrderStatus.CONFIRMED, OrderStatus.COMPLETED}
    return is_ours and order.payment_status not in {PaymentStatus.UNPAID, PaymentStatus.AUTHORISED}


def cancelled_free_units(order: orders.Order) -> Mapping[int, int]:
    """Units by line id that cost nothing and were cancelled, not returned: nothing can come back of
    them. One statement, or none."""
    free = [line for line in order.lines if line.cancelled and not gross(line)]
    if not free:
        return {}
    returned = orders.cancelled_units(order.id, reason=REFUNDED)
    unpaid = unpaid_of(order)
    return {
        line.id: max(0, line.cancelled - returned.get(line.id, 0) - unpaid.get(line.id, 0))
        for line in free
    }


def worth_of_cancelled(order: orders.Order) -> int:
    """What the units come to that were taken out of the order before they were sent."""
    return _worth(order, {line.id: line.cancelled for line in order.lines})


def cancelled_unpaid(order: orders.Order) -> tuple[int, int]:
    """What the units come to that were cancelled before the money was taken, while it is only
    authorised: so far; and the tax in it."""
    is_authorised = order.payment_status == PaymentStatus.AUTHORISED
    units = {line.id: line.cancelled for line in order.lines} if is_authorised else unpaid_of(order)
    tax = sum(
        worth(line.tax_minor, units.get(line.id, 0), of=line.quantity) for line in order.lines
    )
    return _worth(order, units), tax


def never_owed(order: orders.Order) -> int:
    """What the units come to that were cancelled before the order was paid for."""
    return _worth(order, unpaid_of(order))


def _worth(order: orders.Order, units: Mapping[int, int]) -> int:
    return sum(worth(gross(line), units.get(line.id, 0), of=line.quantity) for line in order.lines)


def owed(order: orders.Order, payment: Payment) -> int:
    """What of the money authorised on a card the order still costs; minor units."""
    return min(payment.capturable_minor, order.total_minor - worth_of_cancelled(order))


def gross(line: orders.OrderLine) -> int:
    """What a line costs the customer, its tax included."""
    included = line.order.prices_include_tax
    return gross_of(line.total_minor, line.tax_minor, prices_include_tax=included)


def given_of(order: orders.Order) -> tuple[Mapping[int, Given], int]:
    """By line, what is back or on its way; and so much of the shipping."""
    rows = session.execute(
        select(
            RefundLine.order_line_id,
            func.sum(RefundLine.amount_minor),
            func.sum(RefundLine.tax_minor),
        )
        .join(Refund, Refund.id == RefundLine.refund_id)
        .join(Payment, Payment.id == Refund.payment_id)
        .where(Payment.order_id == order.id, Refund.counts)
        .group_by(RefundLine.order_line_id)
    )
    sums = {line_id: (int(amount), int(tax)) for line_id, amount, tax in rows}
    unpaid = unpaid_of(order)
    given = {
        line.id: Given(*sums.get(line.id, (0, 0)), unpaid.get(line.id, 0)) for line in order.lines
    }
    shipping = session.scalar(
        select(func.coalesce(func.sum(Refund.shipping_minor), 0))
        .join(Payment, Payment.id == Refund.payment_id)
        .where(Payment.order_id == order.id, Refund.counts)
    )
    return given, int(shipping or 0)


def unpaid_of(order: orders.Order) -> Mapping[int, int]:
    """Units by line id that were cancelled before the money was taken."""
    if not any(line.cancelled for line in order.lines):
        return {}
    return orders.unpaid_units(order.id)


def shipping_of(order: orders.Order) -> int:
    """What the shipping cost the customer, its tax included."""
    included = order.prices_include_tax
    return gross_of(order.shipping_minor, order.shipping_tax_minor, prices_include_tax=included)


def fullest(payments: Iterable[Payment]) -> Payment | None:
    """The payment that money goes back by: the one with most of it left."""
    captured = [payment for payment in payments if payment.captured_minor]
    return max(captured, key=lambda payment: payment.balance_minor, default=None)


def _is_lost(payment: Payment) -> bool:
    return any(dispute.status == DisputeStatus.LOST for dispute in payment.disputes)


def refusal_of(payment: Payment | None) -> str:
    """Why nothing of this payment can be refunded, or nothing."""
    if payment is None:
        return _("Nothing was captured for this order, so nothing can be refunded.")
    if _is_lost(payment):
        return _("The bank returned this money to the cardholder; nothing more can be refunded.")
    if refusal := _refusal_by(payment.disputes):
        return refusal
    if payment.balance_minor <= 0:
        return _("All of this payment is refunded, or its refund is pending.")
    return ""


def refusal_while_disputed(which: ColumnElement[bool]) -> str:
    """Why nothing of these payments can be refunded until a bank has decided, or nothing. One
    statement."""
    disputes = session.scalars(
        select(Dispute)
        .join(Payment, Payment.id == Dispute.payment_id)
        .where(which, Dispute.status.not_in(CLOSED_DISPUTES))
    ).all()
    return _refusal_by(disputes)


def _refusal_by(disputes: Iterable[Dispute]) -> str:
    blocking = [dispute for dispute in disputes if dispute.blocks_refunds]
    if not blocking:
        return ""
    if all(dispute.is_inquiry for dispute in blocking):
        return _(
            "The cardholder's bank asks about this payment. Stripe refuses refunds until the"
            " inquiry is closed; answer it there."
        )
    return _(
        "The cardholder's bank disputes this payment. Stripe refuses refunds until it has decided;"
        " answer the dispute there."
    )


def currency_of(payment: Payment) -> str:
    """The currency in which the money came; nearly always the order's."""
    came = session.scalar(
        select(PaymentEvent.currency).where(
            PaymentEvent.payment_id == payment.id, PaymentEvent.kind == MoneyEventKind.CAPTURED
        )
    )
    return came or payment.currency
