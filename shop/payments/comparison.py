""""""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Text, cast, func, select

from shop import orders
from shop.core.db import end_read, session
from shop.core.errors import DomainError
from shop.core.money import format_minor
from shop.payments import (
    alerts,
    charge_balances,
    ownership,
    stripe_objects,
    stripe_reading,
    syncing,
    unapplied,
)
from shop.payments import stripe_gateway as gateway
from shop.payments.models import Dispute, Payment, PaymentEvent, Refund
from shop.payments.states import AttemptStatus, RefundStatus
from shop.payments.stripe_errors import AccessDenied, NoSuchObject, Refused

# What Stripe calls an intent, in our words; the others mean that nobody has paid yet.
STATUS = {
    "succeeded": AttemptStatus.SUCCEEDED,
    "processing": AttemptStatus.PROCESSING,
    "requires_capture": AttemptStatus.AUTHORISED,
    "canceled": AttemptStatus.CANCELLED,
}
BALANCE = "balance"
Difference = dict[str, Any]


class Comparison:
    """One look through what Stripe has since a moment; with ``mend``, each difference is settled.

    ``_sources`` remembers what was read of charges, refunds and disputes, for their balances;
    ``_unsettled`` are the numbers of orders that are known to differ, and whose balance does, too.
    """

    def __init__(self, since: datetime, mend: bool) -> None:
        self._since, self._mend = since, mend
        self._sources: dict[str, charge_balances.Source] = {}
        self._unsettled: set[str] = set()

    def through(self) -> Iterator[Difference | None]:
        """Each thing that was compared, with its difference if it has one."""
        yield from self._payments()
        yield from self._refunds()
        yield from self._disputes()
        yield from self._balances()
        yield from self._alerts()

    def _payments(self) -> Iterator[Difference | None]:
        seen: set[str] = set()
        for intent in gateway.intents_since(self._since):
            if isinstance(intent, stripe_reading.Unreadable):
                seen.add(intent.reference)
                yield self._unreadable("payment", intent)
                continue
            seen.add(intent.id)
            self._sources[intent.charge_id] = charge_balances.Source(
                intent.id, intent.received_minor, intent.currency
            )
            yield self._guarded("payment", intent.id, partial(self._payment, intent))
        missing = session.execute(
            select(Payment.intent_id, Payment.captured_minor, Payment.currency, orders.Order.number)
            .join(orders.Order, orders.Order.id == Payment.order_id)
            .where(
                Payment.created_at >= self._since + timedelta(hours=1),
                Payment.captured_minor > 0,
            )
        ).all()
        end_read()
        for row in missing:
            if row.intent_id not in seen:
                here = f"succeeded, {format_minor(row.captured_minor, row.currency)}"
                yield self._deleted(
                    "payment", row.intent_id or "", row.number, here, gateway.fetch_intent
                )

    def _payment(self, intent: stripe_objects.Intent) -> Difference | None:
        ours = session.execute(
            select(Payment.status, Payment.captured_minor, orders.Order.number)
            .join(orders.Order, orders.Order.id == Payment.order_id)
            .where(Payment.intent_id == intent.id)
        ).first()
        is_ours = ours is not None or ownership.is_ours(intent.metadata)
        end_read()
        status = STATUS.get(intent.status, AttemptStatus.STARTED)
        if not is_ours:
            return None
        here = "unknown"
        if ours is None:
            if intent.status == "canceled":
                return None  # a second one of some attempt, which nobody could pay
        else:
            if (ours.status, ours.captured_minor) == (status, intent.received_minor):
                return None
            here = f"{ours.status}, {format_minor(ours.captured_minor, intent.currency)}"
        return self._difference(
            "payment",
            intent.id,
            ours.number if ours else intent.metadata.get("order", ""),
            here,
            f"{status}, {format_minor(intent.received_minor, intent.currency)}",
            partial(syncing.settle_intent, intent.id),
        )

    def _refunds(self) -> Iterator[Difference | None]:
        seen: set[str] = set()
        for sent in gateway.refunds_since(self._since):
            if isinstance(sent, stripe_reading.Unreadable):
                seen.add(sent.reference)
                yield self._unreadable("refund", sent)
                continue
            seen.add(sent.id)
            self._sources[sent.id] = charge_balances.Source(
                sent.intent_id, sent.amount_minor, sent.currency
            )
            yield self._guarded("refund", sent.id, partial(self._refund, sent))
        known = session.execute(
            select(Refund.stripe_id, Refund.status, Refund.amount_minor, Refund.currency,
                   orders.Order.number)
            .join(Payment, Payment.id == Refund.payment_id)
            .join(orders.Order, orders.Order.id == Payment.order_id)
            .where(
                Refund.requested_at >= self._since + timedelta(hours=1),
                Refund.stripe_id.is_not(None),
                Refund.status.in_([RefundStatus.SENT, RefundStatus.DONE]),
            )
        ).all()  # fmt: skip
        end_read()
        for row in known:
            if row.stripe_id not in seen:
                here = f"{row.status}, {format_minor(row.amount_minor, row.currency)}"
                yield self._deleted(
                    "refund", row.stripe_id or "", row.number, here, gateway.fetch_refund
                )

    def _refund(self, sent: stripe_objects.SentRefund) -> Difference | None:
        ours = session.execute(
            select(Refund.status, Refund.amount_minor, Refund.currency).where(
                Refund.stripe_id == sent.id
            )
        ).first()
        number = _number(sent.intent_id)
        status = {
            "succeeded": RefundStatus.DONE,
            "failed": RefundStatus.FAILED,
            "canceled": RefundStatus.FAILED,
        }.get(sent.status, RefundStatus.SENT)
        is_past = ours is None and status == RefundStatus.FAILED and _was_made_anew(sent)
        end_read()
        theirs = (status, sent.amount_minor, sent.currency)
        if number is None or is_past or (ours is not None and tuple(ours) == theirs):
            return None
        return self._difference(
            "refund",
            sent.id,
            number,
            f"{ours.status}, {format_minor(ours.amount_minor, ours.currency)}"
            if ours
            else "unknown",
            f"{status}, {format_minor(sent.amount_minor, sent.currency)}",
            partial(syncing.apply_sent_refund, sent),
        )

    def _disputes(self) -> Iterator[Difference | None]:
        """Those opened since then, and ours that are not decided: a bank takes two months and
        more."""
        seen: set[str] = set()
        for sent in gateway.disputes_since(self._since):
            if isinstance(sent, stripe_reading.Unreadable):
                seen.add(sent.reference)
                yield self._unreadable("dispute", sent)
                continue
            seen.add(sent.id)
            self._sources[sent.id] = charge_balances.Source(
                sent.intent_id, sent.amount_minor, sent.currency, dispute=sent
            )
            yield self._guarded("dispute", sent.id, partial(self._dispute, sent))
        older = session.execute(
            select(Dispute.stripe_id, orders.Order.number)
            .join(Payment, Payment.id == Dispute.payment_id)
            .join(orders.Order, orders.Order.id == Payment.order_id)
            .where(Dispute.closed_at.is_(None))
            .order_by(Dispute.id)
        ).all()
        end_read()
        for row in older:
            if row.stripe_id not in seen:
                yield self._guarded(
                    "dispute",
                    row.stripe_id,
                    partial(self._older_dispute, row.stripe_id, row.number),
                )

    def _older_dispute(self, stripe_id: str, number: str) -> Difference | None:
        try:
            return self._dispute(gateway.fetch_dispute(stripe_id))
        except NoSuchObject as error:
            raise_it = partial(_raise, error)
            return self._difference("dispute", stripe_id, number, "open", "unknown", raise_it)

    def _dispute(self, sent: stripe_objects.SentDispute) -> Difference | None:
        ours = session.execute(
            select(
                Dispute.status,
                select(func.count(PaymentEvent.reference.distinct()))
                .where(PaymentEvent.dispute_id == Dispute.id)
                .where(PaymentEvent.reference.in_([one.id for one in sent.movements]))
                .scalar_subquery()
                .label("counted"),
            ).where(Dispute.stripe_id == sent.id)
        ).first()
        number = _number(sent.intent_id)
        end_read()
        moved = sum(bool(one.amount_minor or one.fee_minor) for one in sent.movements)
        if number is None or (ours is not None and tuple(ours) == (sent.status, moved)):
            return None
        return self._difference(
            "dispute",
            sent.id,
            number,
            f"{ours.status}, {ours.counted} of {moved} movements" if ours else "unknown",
            f"{sent.status}, {moved} movements",
            partial(syncing.settle_dispute, sent.id),  # perhaps this was read a while ago
        )

    def _balances(self) -> Iterator[Difference | None]:
        """The books of each charge against Stripe's balance, once all else was compared."""
        told = unapplied.open_references()
        for books in charge_balances.books_since(self._since, self._sources):
            if books.number in self._unsettled:
                continue
            if books.differ:
                yield self._difference(
                    BALANCE,
                    books.charge_id,
                    books.number,
                    books.ours,
                    books.theirs,
                    partial(_raise, books.refusal()),
                    intent_id=books.intent_id,
                )
            elif self._mend and books.charge_id in told:
                unapplied.forget(books.charge_id)

    def _alerts(self) -> Iterator[Difference | None]:
        """What Stripe warns of, and what somebody is still asked about. Last, as nothing waits for
        it: a key that may not list these, or an account without them, is a difference."""
        told = unapplied.open_references()
        for watched in alerts.WATCHED:
            what = f"{watched.what} list"
            try:
                yield from self._alerts_of(watched)
                if self._mend and what in told:
                    unapplied.forget(what)
            except (AccessDenied, Refused) as error:
                if self._mend and what in told:
                    continue
                refusal = unapplied.CannotApply(unapplied.RefusalName.NOT_LISTED, str(error))
                raise_it = partial(_raise, refusal)
                yield self._difference(what, what, "", "not compared", "cannot be listed", raise_it)

    def _alerts_of(self, watched: alerts.Watched) -> Iterator[Difference | None]:
        seen: set[str] = set()
        for sent in watched.since(self._since):
            if isinstance(sent, stripe_reading.Unreadable):
                seen.add(sent.reference)
                yield self._unreadable(watched.what, sent, is_ours=watched.is_of_account)
                continue
            seen.add(sent.id)
            yield self._guarded(watched.what, sent.id, partial(self._alert, watched, sent))
        for reference in sorted(alerts.open_about(watched.task) - seen):
            look = partial(self._older_alert, watched, reference)
            yield self._guarded(watched.what, reference, look)

    def _alert(self, watched: alerts.Watched, sent: alerts.Sent) -> Difference | None:
        intent_id = "" if isinstance(sent, stripe_objects.Payout) else sent.intent_id
        number = "" if watched.is_of_account else _number(intent_id)
        is_asked = alerts.is_asked(watched.task, sent.id)
        # Whoever closed the task has looked, whatever Stripe says.
        if number is None or is_asked is False or bool(is_asked) is (asks := alerts.asks(sent)):
            return None
        return self._difference(
            watched.what,
            sent.id,
            number,
            "a person is asked" if is_asked else "nobody was asked",
            "open" if asks else "over",
            partial(watched.settle, sent.id),
            intent_id=intent_id,
        )

    def _older_alert(self, watched: alerts.Watched, reference: str) -> Difference | None:
        try:
            return self._alert(watched, watched.fetch(reference))
        except NoSuchObject as error:
            here, raise_it = "a person is asked", partial(_raise, error)
            return self._difference(watched.what, reference, "", here, "unknown", raise_it)

    def _guarded(
        self, what: str, reference: str, compare_one: Callable[[], Difference | None]
    ) -> Difference | None:
        """Compare one object; one that cannot be is a difference, too."""
        try:
            return compare_one()
        except Exception as error:
            if unapplied.is_passing(error):
                raise
            session.rollback()
            return self._difference(
                what,
                reference,
                _number_of(reference) or "",
                "not compared",
                "cannot be compared",
                partial(_raise, error),
            )

    def _unreadable(
        self, what: str, error: stripe_reading.Unreadable, *, is_ours: bool = False
    ) -> Difference | None:
        number = _number_of(error.reference) or _number(error.intent_id)
        is_ours = is_ours or number is not None or ownership.is_ours(error.metadata)
        end_read()
        if not is_ours:
            return None
        shown = number or error.metadata.get("order", "")
        return self._difference(
            what, error.reference, shown, "not compared", "cannot be read", partial(_raise, error)
        )

    def _deleted(
        self, what: str, reference: str, number: str, here: str, fetch: Callable[[str], object]
    ) -> Difference | None:
        """What we have and Stripe's list has not: deleted, unless it was made while we read."""

        def look() -> Difference | None:
            try:
                fetch(reference)
            except NoSuchObject as error:
                raise_it = partial(_raise, error)
                return self._difference(what, reference, number, here, "unknown", raise_it)
            return None

        return self._guarded(what, reference, look)

    def _difference(
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
        if self._mend:
            try:
                outcome = unapplied.attempt(what, reference, mend, intent_id=intent_id)
            except DomainError as error:
                outcome = f"not mended: {error}"
        if not outcome or outcome.startswith("not mended") or unapplied.is_refusal(outcome):
            self._unsettled.add(number)
        return {
            "what": what,
            "reference": reference,
            "order": number,
            "ours": ours,
            "stripe": theirs,
            "done": outcome,
        }


def _raise(error: Exception) -> str:
    raise error


def _was_made_anew(sent: stripe_objects.SentRefund) -> bool:
    """Whether this is a try of a refund of ours that failed, and another one was made since."""
    later = select(Refund.id).where(
        Refund.key == sent.metadata.get("refund", ""),
        cast(Refund.attempt, Text) != sent.metadata.get("attempt", ""),
    )
    return session.scalar(later.limit(1)) is not None


def _number(intent_id: str) -> str | None:
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
