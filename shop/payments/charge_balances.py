"""Whether the books of each charge are what Stripe's balance says of it, to the minor unit.

Captured − refunded − withdrawn by disputes is the sum of the balance transactions of the charge,
its refunds and its disputes; so are the fees of its disputes. What Stripe takes for processing a
payment stands in no order's books and is left out.
https://docs.stripe.com/reports/balance-transaction-types
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select

from shop import orders
from shop.core import clock
from shop.core.db import end_read, session
from shop.core.money import Money, exponent
from shop.payments import stripe_gateway as gateway
from shop.payments import stripe_objects
from shop.payments.balance import of_events
from shop.payments.models import Payment, PaymentEvent, Refund
from shop.payments.unapplied import CannotApply, RefusalName

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
        """What a person is told of it."""
        return CannotApply(
            RefusalName.BOOKS_DIFFER,
            f"Our books say {self.ours}; Stripe's balance says {self.theirs}.",
        )


@dataclass(slots=True)
class _Sums:
    """What moved of a charge. ``slack_minor``: by how much rounding may be off where the balance is
    in another currency; None if it cannot be told at all."""

    gross_minor: int = 0
    fees_minor: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    slack_minor: int | None = 0
    is_booked: bool = False


def books_since(moment: datetime, intent_of: Mapping[str, str]) -> Iterator[Books]:
    """The books of each charge of ours whose payment was begun since then, oldest first.

    ``intent_of``: the PaymentIntent by id of the refund or dispute, as just read from Stripe.
    """
    payments = session.execute(
        select(Payment.id, Payment.intent_id, orders.Order.number, PaymentEvent.reference,
               PaymentEvent.currency, PaymentEvent.at)
        .join(orders.Order, orders.Order.id == Payment.order_id)
        .join(PaymentEvent, PaymentEvent.payment_id == Payment.id)
        .where(PaymentEvent.kind == "captured", Payment.created_at >= moment + timedelta(hours=1))
        .order_by(Payment.id)
    ).all()  # fmt: skip
    pending = set(
        session.scalars(select(Refund.stripe_id).where(Refund.status.in_(["requested", "sent"])))
    )
    end_read()
    if not payments:
        return
    by_intent = {row.intent_id: row for row in payments}
    by_charge = {row.reference: row for row in payments}
    at_stripe: dict[int, _Sums] = defaultdict(_Sums)
    for movement in gateway.movements_since(moment):
        if isinstance(movement, stripe_objects.Unreadable) or movement.source in pending:
            continue
        row = by_charge.get(movement.source) or by_intent.get(intent_of.get(movement.source, ""))
        if row is not None:
            sums = at_stripe[row.id]
            sums.is_booked |= movement.source == row.reference
            _add(sums, movement, row.currency, is_charge=movement.source == row.reference)
    for row in payments:
        sums = at_stripe[row.id]
        is_late = not sums.is_booked and row.at > clock.now() - BOOKED_WITHIN
        if is_late or sums.slack_minor is None:
            continue
        ours = _ours(row.id, row.currency)
        off = abs(ours.gross_minor - sums.gross_minor)
        if off <= sums.slack_minor:
            sums.gross_minor = ours.gross_minor
        said = (_said(one, row.currency) for one in (ours, sums))
        yield Books(row.reference, row.intent_id or "", row.number, *said)


def _add(sums: _Sums, movement: stripe_objects.Movement, currency: str, *, is_charge: bool) -> None:
    is_dispute = movement.source.startswith(("du_", "dp_"))
    if is_dispute and movement.fee_minor:
        sums.fees_minor[movement.currency] += movement.fee_minor
    if movement.currency == currency:
        sums.gross_minor += movement.amount_minor
    elif movement.rate and not is_dispute and exponent(movement.currency) == exponent(currency):
        sums.gross_minor += int((movement.amount_minor / movement.rate).to_integral_value())
        if sums.slack_minor is not None:
            sums.slack_minor += int(1 / movement.rate) + 1
    else:
        # A dispute's rate is that of the dispute's currency, which its balance does not name.
        sums.slack_minor = None


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
        if kind in {"fee", "fee_returned"}:
            sums.fees_minor[of] += int(amount) if kind == "fee" else -int(amount)
        elif of == currency:
            by_kind[kind] += int(amount)
    balance = of_events([by_kind])
    sums.gross_minor = balance.captured_minor - balance.refunded_minor - balance.lost_minor
    return sums


def _said(sums: _Sums, currency: str) -> str:
    fees = (Money(minor, of).format() for of, minor in sorted(sums.fees_minor.items()) if minor)
    told = ", ".join(f"{fee} dispute fees" for fee in fees)
    return Money(sums.gross_minor, currency).format() + (f", {told}" if told else "")
