"""What a reconciliation with Stripe finds: differences, and objects that cannot be reconciled.

With ``mends``, each difference is synced the way a message would have been.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import select

from shop import orders
from shop.core.db import end_read, session
from shop.core.errors import DomainError
from shop.payments import (
    charge_balances,
    ownership,
    stripe_reading,
    unapplied,
)
from shop.payments.models import Dispute, Payment, Refund
from shop.payments.stripe_errors import NoSuchObject

Difference = dict[str, Any]


class Look:
    """One look through what Stripe has since a moment.

    ``sources`` remembers what was read of charges, refunds and disputes, for their balances;
    ``differing`` are the numbers of orders that are known to differ, and whose balance does, too.
    """

    def __init__(self, since: datetime, *, mends: bool) -> None:
        self.since, self.mends = since, mends
        self.sources: dict[str, charge_balances.Source] = {}
        self.differing: set[str] = set()

    def guarded(
        self, what: str, reference: str, reconcile_one: Callable[[], Difference | None]
    ) -> Difference | None:
        """Reconcile one object; one that cannot be is a difference, too."""
        try:
            return reconcile_one()
        except Exception as error:
            if unapplied.is_passing(error):
                raise
            session.rollback()
            return self.difference(
                what,
                reference,
                _number_of(reference) or "",
                "not reconciled",
                "cannot be reconciled",
                partial(as_it_was, error),
            )

    def unreadable(
        self, what: str, error: stripe_reading.Unreadable, *, is_ours: bool = False
    ) -> Difference | None:
        number = _number_of(error.reference) or number_of_intent(error.intent_id)
        is_ours = is_ours or number is not None or ownership.is_ours(error.metadata)
        end_read()
        if not is_ours:
            return None
        shown = number or error.metadata.get("order", "")
        return self.difference(
            what,
            error.reference,
            shown,
            "not reconciled",
            "cannot be read",
            partial(as_it_was, error),
        )

    def deleted(
        self, what: str, reference: str, number: str, here: str, fetch: Callable[[str], object]
    ) -> Difference | None:
        """What we have and Stripe's list has not: deleted, unless it was made while we read."""

        def look() -> Difference | None:
            try:
                fetch(reference)
            except NoSuchObject as error:
                raise_it = partial(as_it_was, error)
                return self.difference(what, reference, number, here, "unknown", raise_it)
            return None

        return self.guarded(what, reference, look)

    def difference(
        self,
        what: str,
        reference: str,
        number: str,
        ours: str,
        theirs: str,
        mend: Callable[[], str],
        intent_id: str = "",
    ) -> Difference:
        outcome = ""
        if self.mends:
            try:
                outcome = unapplied.attempt(what, reference, mend, intent_id=intent_id)
            except DomainError as error:
                outcome = f"not mended: {error}"
        if not outcome or outcome.startswith("not mended") or unapplied.is_refusal(outcome):
            self.differing.add(number)
        return {
            "what": what,
            "reference": reference,
            "order": number,
            "ours": ours,
            "stripe": theirs,
            "done": outcome,
        }


def as_it_was(error: Exception) -> str:
    """Raise what went wrong when an object was reconciled, as if applying it had failed."""
    raise error


def number_of_intent(intent_id: str) -> str | None:
    """The number of the order that a PaymentIntent of ours is for."""
    return session.scalar(
        select(orders.Order.number)
        .join(Payment, Payment.order_id == orders.Order.id)
        .where(Payment.intent_id == intent_id)
    )


def _number_of(reference: str) -> str | None:
    """The number of the order that a payment, refund or dispute of ours is about."""
    found = session.scalar(
        select(orders.Order.number)
        .join(Payment, Payment.order_id == orders.Order.id)
        .outerjoin(Refund, Refund.payment_id == Payment.id)
        .outerjoin(Dispute, Dispute.payment_id == Payment.id)
        .where(
            (Payment.intent_id == reference)
            | (Refund.stripe_id == reference)
            | (Dispute.stripe_id == reference)
        )
        .limit(1)
    )
    end_read()
    return found
