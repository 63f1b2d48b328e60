"""Disputes as we keep them: a row, what each balance transaction did to the money, and a task.

The money follows Stripe's balance transactions in both directions and whatever the status says, so
that captured − refunded − disputed − lost is always what Stripe's balance says of the charge. Any
status may follow any other: a bank opens again what it had decided, and funds come back later.
"""

from decimal import ROUND_HALF_EVEN, Decimal

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from shop import orders
from shop.core import clock
from shop.core.db import session
from shop.core.events import emit
from shop.core.money import Money, exponent
from shop.payments import refundable
from shop.payments.events import DisputeChanged
from shop.payments.models import Dispute, DisputeStatus, Payment, PaymentEvent
from shop.payments.records import locked, note, order_of, recount
from shop.payments.states import MoneyEventKind
from shop.payments.stripe_objects import Charge, Movement, SentDispute
from shop.payments.tasks import close_about, open_task
from shop.payments.unapplied import CannotApply, RefusalName

# Somebody has to answer at Stripe.
ASKS = {
    DisputeStatus.NEEDS_RESPONSE,
    DisputeStatus.APPEAL_NEEDS_RESPONSE,
    DisputeStatus.WARNING_NEEDS_RESPONSE,
}


def apply_dispute(payment_id: int, sent: SentDispute, charge: Charge | None = None) -> str:
    """Bring our copy of a dispute in step with what Stripe says *now*. Returns its status.

    Safe to repeat, in any order: a balance transaction counts once, and of two answers the one that
    was asked for later says the status. ``charge`` tells the rate when neither the dispute nor its
    balance transactions are in the payment's currency; without one, that raises ``CannotApply``.
    """
    order = orders.lock(order_of(payment_id))
    payment = locked(payment_id)
    dispute = _row(payment, sent)
    moved = _count(payment, dispute, sent, charge)
    was, was_open = dispute.status, dispute.is_open
    is_new = was == ""
    if dispute.checked_at is None or sent.asked_at >= dispute.checked_at:
        dispute.status, dispute.due_by, dispute.reason = sent.status, sent.due_by, sent.reason
        dispute.amount_minor, dispute.currency = sent.amount_minor, sent.currency
        dispute.is_charge_refundable = sent.is_charge_refundable
        dispute.checked_at = sent.asked_at
        _ask(order, dispute, again=not is_new and dispute.status != was, was_open=was_open)
    if moved or dispute.status != was:
        recount(order)
        order.version += 1
        emit(
            DisputeChanged(
                order_id=order.id,
                dispute_id=dispute.id,
                status=dispute.status,
                amount_minor=dispute.amount_minor,
                currency=dispute.currency,
            )
        )
    return dispute.status


def _row(payment: Payment, sent: SentDispute) -> Dispute:
    session.execute(
        insert(Dispute)
        .values(
            payment_id=payment.id,
            stripe_id=sent.id,
            status="",
            amount_minor=sent.amount_minor,
            currency=sent.currency,
            reason=sent.reason,
            opened_at=sent.created,
        )
        .on_conflict_do_nothing(index_elements=["stripe_id"])
    )
    return session.scalars(
        select(Dispute)
        .where(Dispute.stripe_id == sent.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()


def _ask(order: orders.Order, dispute: Dispute, *, again: bool, was_open: bool) -> None:
    """The task of a dispute: open while the bank has not decided. Whoever has answered is asked
    once more only when the bank wants another answer, or has opened it again."""
    if not dispute.is_open:
        dispute.closed_at = dispute.closed_at or clock.now()
        close_about("dispute", dispute.stripe_id)
        return
    dispute.closed_at = None
    due = f" Answer at Stripe by {dispute.due_by:%-d %B %Y}." if dispute.due_by else ""
    what = "asks about" if dispute.is_inquiry else "disputes"
    if dispute.status.startswith("appeal"):
        what = "has a decision appealed about"
    amount = Money(dispute.amount_minor, dispute.currency).format()
    open_task(
        "dispute",
        dispute.stripe_id,
        f"The cardholder's bank {what} {amount} of order {order.number}"
        f" ({dispute.reason.replace('_', ' ') or 'no reason given'}).{due}",
        order_id=order.id,
        again=again and (dispute.status in ASKS or not was_open),
    )


def _count(payment: Payment, dispute: Dispute, sent: SentDispute, charge: Charge | None) -> bool:
    """Write down what each balance transaction moved, once; whether anything was new."""
    currency = refundable.currency_of(payment)
    earlier = _Earlier(dispute)
    is_new = False
    for movement in sent.movements:
        facts = []
        if movement.amount_minor:
            left = earlier.less(converted(movement, currency, sent, charge))
            facts.append(
                (
                    MoneyEventKind.DISPUTE_WITHDRAWN
                    if left <= 0
                    else MoneyEventKind.DISPUTE_REINSTATED,
                    left,
                    currency,
                )
            )
        if movement.fee_minor:
            left = earlier.less_fee(-movement.fee_minor)
            facts.append(
                (
                    MoneyEventKind.FEE if left <= 0 else MoneyEventKind.FEE_RETURNED,
                    left,
                    movement.currency,
                )
            )
        for kind, minor, of in facts:
            is_new |= note(
                payment, kind, abs(minor), movement.id,
                currency=of, occurred_at=movement.created, dispute_id=dispute.id,
            )  # fmt: skip
    return is_new


class _Earlier:
    """What was counted of a dispute before its balance transactions were: its rows name the dispute
    itself. They stand for the first withdrawal, reinstatement and fee, of which only what differs
    is counted now."""

    def __init__(self, dispute: Dispute) -> None:
        rows = session.execute(
            select(PaymentEvent.kind, PaymentEvent.amount_minor).where(
                PaymentEvent.dispute_id == dispute.id, PaymentEvent.reference == dispute.stripe_id
            )
        )
        counted = {row.kind: row.amount_minor for row in rows}
        out = counted.get(MoneyEventKind.DISPUTE_LOST) or counted.get(MoneyEventKind.DISPUTE_OPENED)
        self._out = out or counted.get(MoneyEventKind.DISPUTE_WITHDRAWN)
        self._back = counted.get(MoneyEventKind.DISPUTE_WON)
        self._fee = counted.get(MoneyEventKind.FEE)

    def less(self, amount_minor: int) -> int:
        """What is left to count of a withdrawal (below zero) or a reinstatement."""
        if amount_minor < 0:
            counted, self._out = self._out, None
            return amount_minor + (counted or 0)
        counted, self._back = self._back, None
        return amount_minor - (counted or 0)

    def less_fee(self, amount_minor: int) -> int:
        """What is left to count of a fee (below zero) or of one that is returned."""
        if amount_minor > 0:
            return amount_minor
        counted, self._fee = self._fee, None
        return amount_minor + (counted or 0)


def needs_charge(sent: SentDispute, currency: str) -> bool:
    """Whether only the charge's own balance transaction can tell what was moved in ``currency``."""
    return any(
        movement.amount_minor
        and movement.currency != currency
        and (sent.currency != currency or movement.rate is None)
        for movement in sent.movements
    )


def converted(movement: Movement, currency: str, sent: SentDispute, charge: Charge | None) -> int:
    """What a balance transaction of a dispute moved, in the payment's currency.

    Stripe's balance may be in another currency than the payment, and so may the dispute. In this
    order: the amount as it stands, if it is in the payment's currency; the amount at the rate of
    the balance transaction, if the dispute is; the share of what the charge brought. Raises
    ``CannotApply`` if there is no rate.
    """
    if movement.currency == currency:
        return movement.amount_minor
    if sent.currency == currency and movement.rate:
        return at_rate(movement, movement.rate, currency, claimed_minor=sent.amount_minor)
    came = charge.movement if charge and charge.currency == currency else None
    if (
        charge is None
        or came is None
        or came.currency != movement.currency
        or not came.amount_minor
    ):
        raise CannotApply(
            RefusalName.OTHER_CURRENCY,
            f"Its balance transaction {movement.id} is in {movement.currency}, the payment in"
            f" {currency}, and Stripe tells no rate between them.",
        )
    share = Decimal(charge.amount_minor) * movement.amount_minor / came.amount_minor
    return int(share.to_integral_value(ROUND_HALF_EVEN))


def at_rate(movement: Movement, rate: Decimal, currency: str, *, claimed_minor: int) -> int:
    """What was converted into this movement, in minor units of ``currency``: all that is claimed,
    but for the rounding of the balance, or a part of it.

    Stripe's rate is between amounts as the API gives them; where the currencies have different
    decimals it can also be read as one between major units. What is nearer to the claim is meant.
    https://docs.stripe.com/api/balance_transactions/object#balance_transaction_object-exchange_rate
    """
    literal = abs(movement.amount_minor) / rate
    by_major = literal.scaleb(exponent(currency) - exponent(movement.currency))
    amount = min(literal, by_major, key=lambda one: abs(one - claimed_minor))
    smallest = amount / abs(movement.amount_minor)
    if abs(amount - claimed_minor) <= smallest + 1:
        amount = Decimal(claimed_minor)
    whole = int(amount.to_integral_value(ROUND_HALF_EVEN))
    return whole if movement.amount_minor > 0 else -whole
