"""Comparing what we know with what Stripe knows, and mending it by the same ways as messages do."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, delete, func, select, text
from sqlalchemy.exc import DBAPIError

from shop import orders
from shop.core import clock, db
from shop.core.db import end_read, session, transaction
from shop.core.errors import DomainError, Invalid, Unavailable, WrongState
from shop.core.events import emit
from shop.core.money import Money
from shop.orders import OrderStatus
from shop.payments import (
    alerts,
    charge_balances,
    ownership,
    procedures,
    refunds,
    stripe_objects,
    unapplied,
)
from shop.payments import stripe_gateway as gateway
from shop.payments.events import ComparisonRequested
from shop.payments.models import Dispute, Payment, PaymentEvent, ReconcileRun, Refund, Task
from shop.payments.states import AttemptStatus, RefundStatus, SyncOutcome
from shop.payments.tasks import open_task

log = logging.getLogger(__name__)

STUCK_AFTER = text("interval '2 minutes'")
# Money that takes days is asked about now and then.
WAITS_AFTER = text("interval '1 hour'")
REFUND_STUCK_AFTER = text("interval '10 minutes'")
WARN_BEFORE = timedelta(hours=24)
# What Stripe calls an intent, in our words; the others mean that nobody has paid yet.
STATUS = {
    "succeeded": AttemptStatus.SUCCEEDED,
    "processing": AttemptStatus.PROCESSING,
    "requires_capture": AttemptStatus.AUTHORISED,
    "canceled": AttemptStatus.CANCELLED,
}
OFF = (OrderStatus.CANCELLED, OrderStatus.EXPIRED)
KEPT_RUNS = 100
TELL_EVERY = 50
# Whoever has not ended by then was cut off, or waits for Stripe: somebody may ask anew.
CUT_OFF_AFTER = timedelta(minutes=15)
# Less than a worker may take: stopped inside a call, the library would say that Stripe is away.
MAX_DURATION = timedelta(minutes=13)
MAX_DAYS = 366
BALANCE = "balance"
Difference = dict[str, Any]


def reconcile() -> int:
    """Settle every payment open for longer than a webhook should take; gives how many moved.

    Also finds intents that were made just before a crash: the kept key gives them back; closes
    attempts at orders that are closed, so that none is looked at for ever; and asks about money
    that should be held no longer.
    """
    takes_days = (Payment.status == AttemptStatus.PROCESSING) | (Payment.voucher_url != "")
    is_due = Payment.checked_at.is_(None) | (Payment.checked_at < func.now() - WAITS_AFTER)
    waits = Payment.status.in_(
        [AttemptStatus.CREATED, AttemptStatus.STARTED, AttemptStatus.PROCESSING]
    ) & (Payment.created_at < func.now() - STUCK_AFTER)
    waits = waits & (~takes_days | is_due)
    is_off = orders.Order.status.in_(OFF)
    is_over = (Payment.capture_before < func.now() - STUCK_AFTER) | (
        is_off & (orders.Order.closed_at < func.now() - STUCK_AFTER)
    )
    stuck = session.execute(
        select(Payment.id, Payment.order_id, Payment.intent_id, Payment.status.label("payment"),
               orders.Order.status)
        .join(orders.Order, orders.Order.id == Payment.order_id)
        .where(waits | ((Payment.status == AttemptStatus.AUTHORISED) & is_over))
        # All of them: those that nobody finishes must not hide a paid one behind them.
        .order_by(Payment.id)
    ).all()  # fmt: skip
    end_read()
    moved = failures = 0
    for payment_id, order_id, intent_id, payment_status, status in stuck:
        try:
            if status in OFF or (
                status != OrderStatus.PENDING and payment_status != AttemptStatus.AUTHORISED
            ):
                procedures.close_intents(order_id)
                moved += 1
            elif intent_id is None:
                procedures.start(order_id)
            elif _settled(payment_id, intent_id) not in {
                SyncOutcome.WAITING,
                SyncOutcome.KNOWN,
                SyncOutcome.PROCESSING,
            }:
                moved += 1
        except gateway.KeySpent as error:  # Stripe answers, if only about this one: go on
            log.warning("not settled", extra={"payment_id": payment_id, "reason": str(error)})
        except Unavailable as error:
            failures += 1
            log.warning("not settled", extra={"payment_id": payment_id, "reason": str(error)})
            if failures >= procedures.PATIENCE:
                break
        except DomainError as error:
            log.info("nothing to settle", extra={"payment_id": payment_id, "reason": str(error)})
        except Exception as error:  # one that cannot be settled must not hide those behind it
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                raise
            session.rollback()
            log.exception("not settled", extra={"payment_id": payment_id})
    _warn_of_endings()
    return moved


def _settled(payment_id: int, intent_id: str) -> str:
    """``settle``; what our books cannot take is written down, once, and asked about again later."""
    settle = partial(procedures.settle, payment_id)
    outcome = unapplied.attempt("payment", intent_id, settle)
    return SyncOutcome.WAITING if unapplied.is_refusal(outcome) else outcome


def reconcile_refunds() -> int:
    """Ask Stripe about every refund whose end we have not heard of; gives how many were asked.
    Those that stay without an answer for too long become tasks."""
    waiting = session.execute(
        select(Refund.id, Refund.stripe_id)
        .where(
            Refund.status.in_([RefundStatus.REQUESTED, RefundStatus.SENT]),
            Refund.requested_at < func.now() - REFUND_STUCK_AFTER,
        )
        .order_by(Refund.id)
        .limit(200)
    ).all()
    end_read()
    failures = 0
    for refund_id, stripe_id in waiting:
        try:
            if stripe_id is None:
                procedures.send_refund(refund_id)
            else:
                settle = partial(procedures.settle_refund, stripe_id)
                unapplied.attempt("refund", stripe_id, settle)
        except gateway.KeySpent as error:  # Stripe answers, if only about this one: go on
            log.warning("refund unknown", extra={"refund_id": refund_id, "reason": str(error)})
        except Unavailable as error:
            failures += 1
            log.warning("refund unknown", extra={"refund_id": refund_id, "reason": str(error)})
            if failures >= procedures.PATIENCE:
                break
        except DomainError as error:
            log.error("refund unknown", extra={"refund_id": refund_id, "reason": str(error)})
        except Exception as error:  # one that cannot be settled must not hide those behind it
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                raise
            session.rollback()
            log.exception("refund unknown", extra={"refund_id": refund_id})
    with transaction():
        refunds.report_stuck_refunds()
    return len(waiting)


def request_comparison(*, days: float) -> ReconcileRun:
    """Ask for a comparison with Stripe over the last ``days``; a worker makes it.

    Raises ``Invalid`` for less than an hour or more than a year.
    """
    if not 1 / 24 <= days <= MAX_DAYS:
        raise Invalid("Compare at least an hour and at most a year.", field="days")
    run = ReconcileRun(since=clock.now() - timedelta(days=days), started_at=clock.now())
    session.add(run)
    session.flush()
    emit(ComparisonRequested(run_id=run.id))
    return run


def compare(run_id: int) -> None:
    """Make a comparison that was asked for. One that is done, or that nobody waits for, is left.

    Raises ``WrongState`` while another worker compares: then this one is to be tried again.
    """
    with _alone():
        run = session.get(ReconcileRun, run_id)
        end_read()
        if run is not None and run.finished_at is None:
            _fill(run_id, run.since, within=MAX_DURATION)


@contextmanager
def _alone() -> Iterator[None]:
    """Keep other workers from comparing. The lock ends with its connection, so with the process."""
    with db.engine().connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").detach()
        if not connection.scalar(text("SELECT pg_try_advisory_lock(hashtext('shop.compare'))")):
            raise WrongState("Another comparison is running.")
        try:
            yield
        finally:  # closing alone is noticed by the database a moment later
            connection.execute(text("SELECT pg_advisory_unlock(hashtext('shop.compare'))"))


def compare_nightly() -> None:
    """Ask for a comparison of the last 30 days, unless one went through in the last 20 hours or is
    running."""
    now = clock.now()
    went_through = ReconcileRun.finished_at.is_not(None) & (ReconcileRun.failure == "")
    lately = select(ReconcileRun.id).where(
        (went_through & (ReconcileRun.started_at > now - timedelta(hours=20))) | _runs(now),
        ReconcileRun.started_at - ReconcileRun.since > timedelta(days=29),
    )
    with transaction():
        if session.scalar(lately.limit(1)) is None:
            request_comparison(days=30)


def is_comparing() -> bool:
    """Whether a comparison was asked for that has not ended, nor been given up."""
    return session.scalar(select(ReconcileRun.id).where(_runs(clock.now())).limit(1)) is not None


def _runs(now: datetime) -> ColumnElement[bool]:
    return ReconcileRun.finished_at.is_(None) & (ReconcileRun.started_at > now - CUT_OFF_AFTER)


def reconcile_all(
    *, days: float, mend: bool = True, within: timedelta | None = None
) -> ReconcileRun:
    """Compare all payments, refunds, disputes and warnings of the last ``days`` with Stripe's.

    Every difference is listed; with ``mend`` each is settled the way a message would have been, and
    the run is kept, also one that Stripe or the end of the time ``within`` cut short: its
    ``failure`` says so. Who only looks writes nothing.
    """
    run = ReconcileRun(since=clock.now() - timedelta(days=days), started_at=clock.now())
    if not mend:
        run.checked, run.differences, run.failure = _compared(run.since, mend=False, within=within)
        run.refused = _count_refused(run.differences)
        run.finished_at = clock.now()
        return run
    with transaction():
        session.add(run)
        session.flush()
    return _fill(run.id, run.since, within=within)


def compare_lately() -> None:
    """Compare the last three hours; kept only if there is something to tell."""
    run = reconcile_all(days=3 / 24)
    if not run.differences and not run.failure:
        with transaction():
            session.execute(delete(ReconcileRun).where(ReconcileRun.id == run.id))


def _fill(run_id: int, since: datetime, *, within: timedelta | None) -> ReconcileRun:
    def tell(checked: int) -> None:
        with transaction():
            session.get_one(ReconcileRun, run_id).checked = checked

    checked, found, failure = _compared(since, mend=True, within=within, tell=tell)
    with transaction():
        run = session.get_one(ReconcileRun, run_id, populate_existing=True)
        run.checked, run.differences, run.failure = checked, found, failure
        run.refused = _count_refused(found)
        run.finished_at = clock.now()
        # Counted, not reckoned from the id: quiet comparisons use up ids and leave no row.
        newest = select(ReconcileRun.id).order_by(ReconcileRun.id.desc()).limit(KEPT_RUNS)
        session.execute(delete(ReconcileRun).where(ReconcileRun.id.not_in(newest)))
    return run


def _count_refused(found: list[Difference]) -> int:
    return sum(unapplied.is_refusal(one["done"]) for one in found)


def _compared(
    since: datetime,
    *,
    mend: bool,
    within: timedelta | None,
    tell: Callable[[int], None] | None = None,
) -> tuple[int, list[Difference], str]:
    """How many things were compared, what differs, and why it was cut short, if it was.

    An object that cannot be compared or applied is a difference of its own, and the rest goes on.
    """
    checked, failure, began = 0, "", clock.now()
    found: list[Difference] = []
    look = _Look(since, mend)
    try:
        for difference in look.through():
            checked += 1
            if difference:
                found.append(difference)
            if tell is not None and checked % TELL_EVERY == 0:
                tell(checked)
            if within is not None and clock.now() - began > within:
                minutes = within // timedelta(minutes=1)
                raise Unavailable(f"Not done after {minutes} minutes: compare fewer days.")
    except DomainError as error:
        failure = str(error)
        log.warning("comparison cut short", extra={"reason": failure})
    return checked, found, failure


class _Look:
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
            if isinstance(intent, stripe_objects.Unreadable):
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
                here = f"succeeded, {_say(row.captured_minor, row.currency)}"
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
            here = f"{ours.status}, {_say(ours.captured_minor, intent.currency)}"
        return self._difference(
            "payment",
            intent.id,
            ours.number if ours else intent.metadata.get("order", ""),
            here,
            f"{status}, {_say(intent.received_minor, intent.currency)}",
            partial(procedures.settle_intent, intent.id),
        )

    def _refunds(self) -> Iterator[Difference | None]:
        seen: set[str] = set()
        for sent in gateway.refunds_since(self._since):
            if isinstance(sent, stripe_objects.Unreadable):
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
                here = f"{row.status}, {_say(row.amount_minor, row.currency)}"
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
            f"{ours.status}, {_say(ours.amount_minor, ours.currency)}" if ours else "unknown",
            f"{status}, {_say(sent.amount_minor, sent.currency)}",
            partial(procedures.apply_sent_refund, sent),
        )

    def _disputes(self) -> Iterator[Difference | None]:
        """Those opened since then, and ours that are not decided: a bank takes two months and
        more."""
        seen: set[str] = set()
        for sent in gateway.disputes_since(self._since):
            if isinstance(sent, stripe_objects.Unreadable):
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
        except gateway.NoSuchObject as error:
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
            partial(procedures.settle_dispute, sent.id),  # perhaps this was read a while ago
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
            except (gateway.AccessDenied, gateway.Refused) as error:
                if self._mend and what in told:
                    continue
                refusal = unapplied.CannotApply(unapplied.RefusalName.NOT_LISTED, str(error))
                raise_it = partial(_raise, refusal)
                yield self._difference(what, what, "", "not compared", "cannot be listed", raise_it)

    def _alerts_of(self, watched: alerts.Watched) -> Iterator[Difference | None]:
        seen: set[str] = set()
        for sent in watched.since(self._since):
            if isinstance(sent, stripe_objects.Unreadable):
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
        except gateway.NoSuchObject as error:
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
        self, what: str, error: stripe_objects.Unreadable, *, is_ours: bool = False
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
            except gateway.NoSuchObject as error:
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


def _warn_of_endings() -> None:
    """Authorised money that is lost within a day unless somebody captures it; told once."""
    told = select(Task.id).where(
        Task.kind == "capture_soon", Task.reference == cast(Payment.id, Text)
    )
    ending = session.execute(
        select(Payment.id, Payment.capturable_minor, Payment.currency, Payment.capture_before,
               Payment.order_id, orders.Order.number)
        .join(orders.Order, orders.Order.id == Payment.order_id)
        .where(Payment.status == AttemptStatus.AUTHORISED,
               Payment.capture_before < clock.now() + WARN_BEFORE,
               ~told.exists())
        .order_by(Payment.capture_before)
    ).all()  # fmt: skip
    end_read()
    for row in ending:
        with transaction():
            open_task(
                "capture_soon",
                str(row.id),
                f"{_say(row.capturable_minor, row.currency)} of order {row.number} can only be"
                f" captured until {row.capture_before:%-d %B, %H:%M} UTC.",
                order_id=row.order_id,
            )


def _say(amount_minor: int, currency: str) -> str:
    return Money(amount_minor, currency).format()
