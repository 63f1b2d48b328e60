"""Giving money back: deciding it, and what became of it.

Whoever calls these has locked the order. The database refuses what exceeds the captured money.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import selectinload

from shop import inventory, orders
from shop.core import actor, clock
from shop.core.db import session
from shop.core.errors import Invalid, NotFound, WrongState
from shop.core.events import emit
from shop.core.money import Money
from shop.orders import OrderStatus
from shop.payments import refundable
from shop.payments.events import OrderRefunded, RefundFailed, RefundRequested
from shop.payments.models import (
    OrderReturn,
    OrderReturnLine,
    Payment,
    Refund,
    RefundLine,
    Task,
)
from shop.payments.records import locked, note, order_of, recount
from shop.payments.states import MoneyEventKind, RefundSource, RefundStatus
from shop.payments.stripe_objects import SentRefund
from shop.payments.tasks import close_about, open_task
from shop.payments.unapplied import CannotApply, RefusalName

REASONS = {
    "returned": "The customer sent it back",
    "not delivered": "It did not arrive",
    "damaged": "It arrived damaged",
    "not as described": "It was not as described",
    "goodwill": "Goodwill",
    "cancelled": "Cancelled before shipping",
    "mistake": "Charged by mistake",
    "other": "Another reason",
}
# The customer had the pieces in hand: of a line that is half sent, these are of the sent half.
HAD = frozenset({"returned", "damaged", "not as described"})
MAX_MINOR = 2_000_000_000
STUCK = "refund_stuck"
# The doctor's rule "refund-stuck" has the same limits.
CONFIRMED_WITHIN = timedelta(hours=1)
ENDED_WITHIN = timedelta(days=14)


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


@dataclass(frozen=True, slots=True)
class Part:
    """Units of a line that go back, what they come to, and the tax in it."""

    line: orders.OrderLine
    quantity: int
    amount_minor: int
    tax_minor: int


def everything(order: orders.Order) -> Wanted:
    """All that is left: every unit, the shipping, and the whole balance."""
    now = refundable.preview(order)
    return Wanted(
        lines={one.line.id: one.left for one in now.lines if one.left},
        shipping_minor=now.shipping_left_minor,
        amount_minor=now.balance_minor,
    )


def the_rest(order: orders.Order) -> Wanted:
    """What the units cost that are not sent or called off yet, and the shipping."""
    open_units = {line.id: line.open_quantity for line in order.lines}
    return worth_of(order, open_units, with_shipping=True)


def worth_of(
    order: orders.Order, quantities: Mapping[int, int], *, with_shipping: bool = False
) -> Wanted:
    """What these units, by order line id, cost; never more than is left to give back."""
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

    Raises ``Invalid`` for units, shipping or an amount that are not there to be given back, and
    ``WrongState`` when nothing was captured, all is back already, or a dispute blocks it.
    """
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
    given, shipping_given = refundable.given_of(order)
    parts = parts_of(order, wanted.lines, given)
    shipping = _whole(wanted.shipping_minor, "shipping_minor")
    if shipping > max(0, refundable.shipping_of(order) - shipping_given):
        left = _say(max(0, refundable.shipping_of(order) - shipping_given), order.currency)
        raise Invalid(f"Only {left} of the shipping can still go back.", field="shipping_minor")
    computed = sum(part.amount_minor for part in parts) + shipping
    amount = (
        computed if wanted.amount_minor is None else _whole(wanted.amount_minor, "amount_minor")
    )
    if amount == 0:
        raise Invalid("Choose what to give back, or type an amount.", field="amount_minor")
    if amount > payment.balance_minor:
        left = _say(payment.balance_minor, refundable.currency_of(payment))
        raise Invalid(f"Only {left} of this payment can still go back.", field="amount_minor")
    unknown = wanted.restock - {part.line.id for part in parts}
    if unknown:
        raise Invalid("Only what goes back can be put on the shelf.", field="restock")
    refund = _decide(payment, amount, min(shipping, amount), reason=reason, source=source)
    for part in parts:
        refund.lines.append(
            RefundLine(
                order_line_id=part.line.id,
                quantity=part.quantity,
                amount_minor=part.amount_minor,
                tax_minor=part.tax_minor,
                restock=part.line.id in wanted.restock,
            )
        )
        part.line.refunded += part.quantity
    order.version += 1
    session.flush()
    if wanted.restock:
        back = [part for part in parts if part.line.id in wanted.restock]
        move_stock(order, back, sent_first=reason in HAD)
    orders.record_sales(order)
    emit(RefundRequested(order_id=order.id, refund_id=refund.id, amount_minor=amount))
    return refund


def give_back(
    order: orders.Order, payment: Payment, *, reason: str, amount_minor: int | None = None
) -> Refund | None:
    """Send back what nobody wanted of one payment: this much, or all that is left. None if nothing
    is left, or while a bank decides about it: then a person is asked."""
    session.flush()
    session.refresh(payment)
    blocked = refundable.refusal_while_disputed(Payment.id == payment.id)
    left = payment.room_minor if blocked else payment.balance_minor
    amount = left if amount_minor is None else min(left, amount_minor)
    if amount <= 0:
        return None
    if blocked:
        open_task(
            "refund_blocked",
            str(payment.id),
            f"{_say(amount, refundable.currency_of(payment))} of order {order.number} should be"
            f" refunded ({reason}). {blocked} Refund what is left when the bank has decided.",
            order_id=order.id,
        )
        return None
    refund = _decide(payment, amount, 0, reason=reason, source=RefundSource.SYSTEM)
    session.flush()
    emit(RefundRequested(order_id=order.id, refund_id=refund.id, amount_minor=refund.amount_minor))
    return refund


def retry_refund(refund_id: int) -> Refund:
    """Ask Stripe once more for a refund that failed. Raises ``WrongState``, ``Invalid``."""
    found = session.scalar(select(Refund.payment_id).where(Refund.id == refund_id))
    if found is None:
        raise NotFound("There is no such refund.")
    order = orders.lock(order_of(found))
    payment = locked(found)
    refund = _locked(refund_id)
    if refund.status != RefundStatus.FAILED or refund.source == RefundSource.EXTERNAL:
        raise WrongState("Only a refund of ours that failed can be tried again.")
    if refusal := refundable.refusal_while_disputed(Payment.id == payment.id):
        raise WrongState(refusal)
    amount = refund.amount_minor + _price_again(order, refund)
    if not 0 < amount <= payment.balance_minor:
        left = _say(payment.balance_minor, refund.currency)
        raise WrongState(f"Only {left} of this payment can still go back.")
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


def apply_refund(refund_id: int, sent: SentRefund) -> None:
    """Write down what Stripe says about a refund; safe to repeat, in any order."""
    payment_id = session.get_one(Refund, refund_id).payment_id
    order = orders.lock(order_of(payment_id))
    payment = locked(payment_id)
    refund = _locked(refund_id)
    is_now = sent.metadata.get("attempt", str(refund.attempt)) == str(refund.attempt)
    if refund.stripe_id != sent.id and (refund.stripe_id is not None or not is_now):
        return  # news of an earlier attempt
    if refund.status == RefundStatus.FAILED and refund.stripe_id is not None:
        return  # at Stripe that is for good: whatever else was said of it was said before
    if (sent.amount_minor, sent.currency) != (refund.amount_minor, refund.currency):
        raise CannotApply(
            RefusalName.OTHER_AMOUNT,
            f"Stripe refunds {_say(sent.amount_minor, sent.currency)}, our refund is of"
            f" {_say(refund.amount_minor, refund.currency)}.",
        )
    if sent.status in {"failed", "canceled"}:
        if refund.status == RefundStatus.DONE:
            note(
                payment,
                MoneyEventKind.REFUND_FAILED,
                refund.amount_minor,
                sent.id,
                currency=refund.currency,
            )
        refund.stripe_id = sent.id
        fail_refund(order, refund, sent.failure or "Stripe did not send it.")
        recount(order)
        return
    if refund.status == RefundStatus.FAILED:
        _check_room(payment, sent)
        _count_again(order, refund)
    refund.stripe_id = sent.id
    if sent.status != "succeeded":
        if refund.status == RefundStatus.REQUESTED:
            _close_stuck(refund)
        if refund.status != RefundStatus.DONE:
            refund.status = RefundStatus.SENT
        return
    if refund.status != RefundStatus.DONE:
        _close_stuck(refund)
        refund.status, refund.done_at, refund.failure = RefundStatus.DONE, clock.now(), ""
    known = note(
        payment,
        MoneyEventKind.REFUNDED,
        refund.amount_minor,
        sent.id,
        currency=refund.currency,
        occurred_at=sent.created,
    )
    if known:
        recount(order)
        emit(
            OrderRefunded(order_id=order.id, refund_id=refund.id, amount_minor=refund.amount_minor)
        )


def fail_refund(order: orders.Order, refund: Refund, reason: str) -> None:
    """Stripe did not give the money back: the units count as not given back, and a person is
    asked. Safe to repeat."""
    if refund.status == RefundStatus.FAILED:
        return
    _close_stuck(refund)
    refund.status, refund.failure = RefundStatus.FAILED, reason
    lines = {line.id: line for line in order.lines}
    for part in refund.lines:
        lines[part.order_line_id].refunded -= part.quantity
    order.version += 1
    session.flush()
    orders.record_sales(order)
    emit(RefundFailed(order_id=order.id, refund_id=refund.id, reason=reason))
    open_task(
        "refund_failed",
        f"{refund.id}:{refund.attempt}",
        f"The refund of {_say(refund.amount_minor, refund.currency)} for order {order.number}"
        f" failed: {reason}",
        order_id=order.id,
    )


def report_stuck_refunds() -> int:
    """Ask a person about every refund that Stripe has not confirmed for an hour, or not ended for
    two weeks; once for each. Returns how many were reported. One statement when there is none."""
    now = clock.now()
    told = select(Task.id).where(
        Task.kind == STUCK,
        Task.reference == func.concat(Refund.id, ":", Refund.attempt, ":", Refund.status),
    )
    stuck = session.execute(
        select(Refund.id, Refund.attempt, Refund.status, Refund.amount_minor, Refund.currency,
               Refund.requested_at, Payment.order_id, orders.Order.number)
        .join(Payment, Payment.id == Refund.payment_id)
        .join(orders.Order, orders.Order.id == Payment.order_id)
        .where(
            ((Refund.status == RefundStatus.REQUESTED)
             & (Refund.requested_at < now - CONFIRMED_WITHIN))
            | ((Refund.status == RefundStatus.SENT) & (Refund.requested_at < now - ENDED_WITHIN)),
            ~told.exists(),
        )
        .order_by(Refund.id)
    ).all()  # fmt: skip
    for row in stuck:
        since = f"{row.requested_at:%-d %B, %H:%M} UTC"
        what = (
            f"was requested on {since}, and Stripe has not confirmed it. The shop keeps trying"
            if row.status == RefundStatus.REQUESTED
            else f"has been pending at Stripe since {since}"
        )
        open_task(
            STUCK,
            f"{row.id}:{row.attempt}:{row.status}",
            f"The refund of {_say(row.amount_minor, row.currency)} for order {row.number} {what}.",
            order_id=row.order_id,
        )
    return len(stuck)


def adopt_refund(payment_id: int, sent: SentRefund) -> bool:
    """Take over a refund that somebody made at Stripe; False if it is known.

    Ours that were not sent yet and no longer fit are called off: the money went once already. One
    that failed there took no money, so it takes no room. Raises ``CannotApply`` for one in another
    currency, of money that was not captured, or of more than is left of it.
    """
    order = orders.lock(order_of(payment_id))
    payment = locked(payment_id)
    if session.scalar(select(Refund.id).where(Refund.stripe_id == sent.id)) is not None:
        return False
    has_failed = sent.status in {"failed", "canceled"}
    if not has_failed:
        _check_captured(payment, sent)
        _make_room(order, payment, sent.amount_minor)
        _check_room(payment, sent)
    refund = Refund(
        payment_id=payment.id,
        status=RefundStatus.FAILED if has_failed else RefundStatus.SENT,
        amount_minor=sent.amount_minor,
        currency=sent.currency,
        reason="made at Stripe",
        source=RefundSource.EXTERNAL,
        stripe_id=sent.id,
        failure=sent.failure,
        requested_by="Stripe",
        requested_at=sent.created,
    )
    session.add(refund)
    session.flush()
    if has_failed:
        return True
    open_task(
        "external_refund",
        sent.id,
        f"{_say(sent.amount_minor, sent.currency)} for order {order.number} went back, by a refund"
        " made at Stripe. Say in the order what it was for.",
        order_id=order.id,
    )
    apply_refund(refund.id, sent)
    return True


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
            raise Invalid("This line is not part of the order.", field="lines")
        units = _whole(quantity, "lines")
        left = given[line_id].units_left(line)
        if units > left:
            raise Invalid(f"{line.name}: {left} can still go back, not {units}.", field="lines")
        if units:
            parts.append(Part(line, units, *given[line_id].due(line, units)))
    return parts


def move_stock(
    order: orders.Order, parts: Sequence[Part], *, sent_first: bool, goes_back: bool = True
) -> None:
    """Units that were not sent are cancelled; those that were are back on the shelf.

    Either happens once to a unit, also when the refund that did it has failed since and this is
    another one, or when the unit was called off before and its money kept. ``goes_back``: money
    does, too, and the customer is told so.
    """
    given = _restocked(order.id)
    back_before = inventory.restocked(order.id)
    cancelled_before = orders.cancelled_units(order.id, reason=refundable.GIVEN_BACK)
    unpaid = refundable.unpaid_of(order)
    still_open: dict[int, int] = {}
    back: list[inventory.Line] = []
    for part in parts:
        line = part.line
        with_goods = given[line.id] - part.quantity
        without = line.refunded - given[line.id]
        returned = back_before.get(line.variant_id, 0)
        taken_out = cancelled_before.get(line.id, 0)
        # Units that moved before, and whose money is still with us, come first. Nobody's money is
        # with us for units that cost nothing or were called off before it was taken.
        moved = max(0, returned + taken_out - with_goods)
        if refundable.gross(line):
            moved += max(0, line.cancelled - taken_out - without - unpaid.get(line.id, 0))
        units = max(0, part.quantity - moved)
        out = max(0, line.shipped - returned)
        unsent = min(max(0, units - out) if sent_first else units, line.open_quantity)
        sent = min(units - unsent, out)
        if unsent:
            still_open[line.id] = unsent
        if sent:
            back.append(inventory.Line(line.variant_id, sent))
    if still_open and back:
        inventory.lock(part.line.variant_id for part in parts)
    if still_open and order.status == OrderStatus.CONFIRMED:
        orders.cancel_lines(order, still_open, reason=refundable.GIVEN_BACK, goes_back=goes_back)
    if back:
        inventory.restock(order.id, back)


def _close_stuck(refund: Refund) -> None:
    """It leaves its state: nobody need look why it stays there any more."""
    if refund.requested_at < clock.now() - CONFIRMED_WITHIN:
        close_about(STUCK, f"{refund.id}:{refund.attempt}:{refund.status}")


def _restocked(order_id: int) -> Mapping[int, int]:
    """Units by line that go back, or have gone, together with their goods; with or without money.
    Lines without any count 0. Two statements."""
    rows = session.execute(
        select(RefundLine.order_line_id, func.sum(RefundLine.quantity))
        .join(Refund, Refund.id == RefundLine.refund_id)
        .join(Payment, Payment.id == Refund.payment_id)
        .where(
            Payment.order_id == order_id, Refund.status != RefundStatus.FAILED, RefundLine.restock
        )
        .group_by(RefundLine.order_line_id)
    ).all()
    free = session.execute(
        select(OrderReturnLine.order_line_id, func.sum(OrderReturnLine.quantity))
        .join(OrderReturn, OrderReturn.id == OrderReturnLine.return_id)
        .where(OrderReturn.order_id == order_id, OrderReturnLine.restock)
        .group_by(OrderReturnLine.order_line_id)
    ).all()
    units: Counter[int] = Counter()
    for line_id, quantity in [*rows, *free]:
        units[line_id] += int(quantity)
    return units


def _make_room(order: orders.Order, payment: Payment, amount: int) -> None:
    waiting = session.scalars(
        select(Refund)
        .where(Refund.payment_id == payment.id, Refund.status == RefundStatus.REQUESTED)
        .order_by(Refund.id.desc())
        .with_for_update()
    )
    for refund in waiting:
        session.refresh(payment)
        if payment.room_minor >= amount:
            return
        fail_refund(order, refund, "The money went back at Stripe meanwhile.")
    session.flush()
    session.refresh(payment)


def _check_captured(payment: Payment, sent: SentRefund) -> None:
    """Older accounts of Stripe's have a refund for what an authorisation released: no money moved.

    https://docs.stripe.com/changelog/basil/2025-03-31
    """
    amount = _say(sent.amount_minor, sent.currency)
    if not payment.captured_minor:
        raise CannotApply(
            RefusalName.NOT_CAPTURED,
            f"It is of {amount}, and nothing was captured: no money of this order has moved.",
        )
    currency = refundable.currency_of(payment)
    if sent.currency != currency:
        raise CannotApply(
            RefusalName.OTHER_CURRENCY, f"It is of {amount}, the payment is in {currency}."
        )


def _check_room(payment: Payment, sent: SentRefund) -> None:
    if sent.amount_minor > payment.room_minor:
        raise CannotApply(
            RefusalName.BEYOND_CAPTURED,
            f"It is of {_say(sent.amount_minor, sent.currency)}, and only"
            f" {_say(payment.room_minor, sent.currency)} of the payment are left.",
        )


def _count_again(order: orders.Order, refund: Refund) -> None:
    """A refund that we had given up was sent after all."""
    lines = {line.id: line for line in order.lines}
    for part in refund.lines:
        line = lines[part.order_line_id]
        line.refunded = min(line.quantity, line.refunded + part.quantity)
    orders.record_sales(order)
    close_about("refund_failed", f"{refund.id}:{refund.attempt}")


def _price_again(order: orders.Order, refund: Refund) -> int:
    """Count a failed refund's units once more, at what they come to after what went back
    meanwhile; gives by how much that differs. An amount that somebody typed stays."""
    given, shipping_given = refundable.given_of(order)
    lines = {line.id: line for line in order.lines}
    before = refund.amount_minor
    is_typed = before != refund.shipping_minor + sum(part.amount_minor for part in refund.lines)
    left = max(0, refundable.shipping_of(order) - shipping_given)
    if refund.shipping_minor > left and not is_typed:
        raise WrongState(f"Only {_say(left, order.currency)} of the shipping can still go back.")
    refund.shipping_minor = min(refund.shipping_minor, left)
    for part in refund.lines:
        line = lines[part.order_line_id]
        if part.quantity > given[line.id].units_left(line):
            raise WrongState(f"{line.name} has been given back meanwhile.")
        part.amount_minor, part.tax_minor = given[line.id].due(line, part.quantity)
        line.refunded += part.quantity
    if is_typed:
        return 0
    return refund.shipping_minor + sum(part.amount_minor for part in refund.lines) - before


def _locked(refund_id: int) -> Refund:
    return session.get_one(Refund, refund_id, with_for_update=True, populate_existing=True)


def _whole(value: Any, name: str) -> int:
    if isinstance(value, int) and value > MAX_MINOR:
        raise Invalid("This is more than can ever go back.", field=name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Invalid("This must be a whole number, 0 or more.", field=name)
    return value


def _say(amount_minor: int, currency: str) -> str:
    return Money(amount_minor, currency).format()
