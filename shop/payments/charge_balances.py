"""Whether the books of each charge are what Stripe's balance says of it, to the minor unit.

Captured − refunded − withdrawn by disputes is the sum of the balance transactions of the charge,
its refunds and its disputes; so are the fees of its disputes. Refunds that are pending count as far
as Stripe has taken them from its balance. Where that is in another currency, each amount counts as
what it was before it was converted.

Left out: what Stripe takes for processing a payment, which stands in no order's books; a charge of
the last hour that Stripe has not booked; and a charge for which Stripe names no rate.
https://docs.stripe.com/reports/balance-transaction-types
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, func, select

from shop import orders
from shop.core import clock
from shop.core.db import end_read, session
from shop.core.money import Money
from shop.payments import disputes, stripe_objects
from shop.payments import stripe_gateway as gateway
from shop.payments.balance import of_events
from shop.payments.models import Payment, PaymentEvent, Refund
from shop.payments.states import MoneyEventKind, RefundStatus
from shop.payments.stripe_reading import Unreadable
from shop.payments.unapplied import CannotApply, RefusalName

AnyRow = Row[*tuple[Any, ...]]
# Stripe books a charge a moment after it succeeded.
BOOKED_WITHIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Books:
    """One charge: what we have and what Stripe's balance has, in words."""

    charge_id: str
    intent_id: str
    number: str
    ours: str
    theirs: str

    @property
    def differ(self) -> bool:
        """Whether the two are not the same."""
        return self.ours != self.theirs

    def refusal(self) -> CannotApply:
        """What a person reads of it."""
        return CannotApply(
            RefusalName.BOOKS_DIFFER,
            f"Our books say {self.ours}; Stripe's balance says {self.theirs}.",
        )


@dataclass(frozen=True, slots=True)
class Source:
    """What stands behind balance transactions, as just read from Stripe: a charge, refund or
    dispute, with its amount in minor units of its own currency."""

    intent_id: str
    amount_minor: int
    currency: str
    dispute: stripe_objects.SentDispute | None = None


@dataclass(slots=True)
class _Sums:
    """What moved of a charge. ``pending``: refunds that are not done and have left the balance."""

    gross_minor: int = 0
    fees_minor: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    pending: set[str] = field(default_factory=set)
    is_booked: bool = False
    is_comparable: bool = True


def books_since(moment: datetime, sources: Mapping[str, Source]) -> Iterator[Books]:
    """The books of each charge of ours whose payment was begun since then, oldest first.

    ``sources``: what Stripe has made since then, by its id.
    """
    payments, pending = _captured_since(moment), _pending_refunds()
    end_read()
    if not payments:
        return
    moved = _movements_by_payment(moment, payments, sources)
    for row in payments:
        sums = _at_stripe(_charge_of(row, moved[row.id]), moved[row.id], sources, pending)
        is_late = not sums.is_booked and row.at > clock.now() - BOOKED_WITHIN
        if is_late or not sums.is_comparable:
            continue
        ours = _ours(row.id, row.currency)
        ours.gross_minor -= sum(pending[one] for one in sums.pending)
        said = (_said(one, row.currency) for one in (ours, sums))
        yield Books(row.reference, row.intent_id or "", row.number, *said)


def _captured_since(moment: datetime) -> Sequence[AnyRow]:
    """What was captured by payments that were begun since then, with their orders' numbers."""
    return session.execute(
        select(Payment.id, Payment.intent_id, orders.Order.number, PaymentEvent.reference,
               PaymentEvent.currency, PaymentEvent.amount_minor, PaymentEvent.at)
        .join(orders.Order, orders.Order.id == Payment.order_id)
        .join(PaymentEvent, PaymentEvent.payment_id == Payment.id)
        .where(PaymentEvent.kind == MoneyEventKind.CAPTURED,
               Payment.created_at >= moment + timedelta(hours=1))
        .order_by(Payment.id)
    ).all()  # fmt: skip


def _pending_refunds() -> Mapping[str, int]:
    sent = select(Refund.stripe_id, Refund.amount_minor).where(Refund.status == RefundStatus.SENT)
    return {row.stripe_id or "": row.amount_minor for row in session.execute(sent)}


def _movements_by_payment(
    moment: datetime, payments: Sequence[AnyRow], sources: Mapping[str, Source]
) -> Mapping[int, list[stripe_objects.Movement]]:
    """Stripe's balance transactions since then, by the id of our payment that they are about."""
    by_intent = {row.intent_id: row for row in payments}
    by_charge = {row.reference: row for row in payments}
    moved: dict[int, list[stripe_objects.Movement]] = defaultdict(list)
    for movement in gateway.movements_since(moment):
        if isinstance(movement, Unreadable):
            continue
        source = sources.get(movement.source)
        row = by_charge.get(movement.source) or by_intent.get(source.intent_id if source else "")
        if row is not None:
            moved[row.id].append(movement)
    return moved


def _charge_of(row: AnyRow, moved: Sequence[stripe_objects.Movement]) -> stripe_objects.Charge:
    return stripe_objects.Charge(
        id=row.reference,
        intent_id=row.intent_id or "",
        amount_minor=row.amount_minor,
        currency=row.currency,
        movement=next((one for one in moved if one.source == row.reference), None),
    )


def _at_stripe(
    charge: stripe_objects.Charge,
    moved: list[stripe_objects.Movement],
    sources: Mapping[str, Source],
    pending: Mapping[str, int],
) -> _Sums:
    sums = _Sums(is_booked=charge.movement is not None)
    for movement in moved:
        source = sources.get(movement.source)
        if movement.source in pending:
            sums.pending.add(movement.source)
        if source is not None and source.dispute is not None and movement.fee_minor:
            sums.fees_minor[movement.currency] += movement.fee_minor
        amount = _before_conversion(movement, source, charge)
        if amount is None:
            sums.is_comparable = False
        else:
            sums.gross_minor += amount
    return sums


def _before_conversion(
    movement: stripe_objects.Movement, source: Source | None, charge: stripe_objects.Charge
) -> int | None:
    """What was moved, in the currency of the charge; None if Stripe does not tell."""
    if movement.currency == charge.currency:
        return movement.amount_minor
    if source is None:
        return None
    if source.dispute is not None:
        try:
            return disputes.converted(movement, charge.currency, source.dispute, charge)
        except CannotApply:
            return None
    if movement.rate is None or source.currency != charge.currency:
        return None
    return disputes.at_rate(
        movement, movement.rate, charge.currency, claimed_minor=source.amount_minor
    )


def _ours(payment_id: int, currency: str) -> _Sums:
    rows = session.execute(
        select(PaymentEvent.kind, PaymentEvent.currency, func.sum(PaymentEvent.amount_minor))
        .where(PaymentEvent.payment_id == payment_id)
        .group_by(PaymentEvent.kind, PaymentEvent.currency)
    ).all()
    end_read()
    sums = _Sums()
    by_kind: dict[str, int] = defaultdict(int)
    for kind, of, amount in rows:
        if kind in {MoneyEventKind.FEE, MoneyEventKind.FEE_RETURNED}:
            sums.fees_minor[of] += int(amount) if kind == MoneyEventKind.FEE else -int(amount)
        elif of == currency:
            by_kind[kind] += int(amount)
    balance = of_events([by_kind])
    sums.gross_minor = balance.captured_minor - balance.refunded_minor - balance.lost_minor
    return sums


def _said(sums: _Sums, currency: str) -> str:
    fees = (Money(minor, of).format() for of, minor in sorted(sums.fees_minor.items()) if minor)
    fee_words = ", ".join(f"{fee} dispute fees" for fee in fees)
    return Money(sums.gross_minor, currency).format() + (f", {fee_words}" if fee_words else "")
