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
from shop.payments import procedures, refunds
from shop.payments import stripe_gateway as gateway
from shop.payments.events import ComparisonRequested
from shop.payments.models import Dispute, Payment, ReconcileRun, Refund, Task
from shop.payments.tasks import open_task

log = logging.getLogger(__name__)

STUCK_AFTER = text("interval '2 minutes'")
# Money that takes days is asked about now and then.
WAITS_AFTER = text("interval '1 hour'")
REFUND_STUCK_AFTER = text("interval '10 minutes'")
WARN_BEFORE = timedelta(hours=24)
# What Stripe calls an intent, in our words; the others mean that nobody has paid yet.
STATUS = {
    "succeeded": "succeeded",
    "processing": "processing",
    "requires_capture": "authorised",
    "canceled": "cancelled",
}
OFF = ("cancelled", "expired")
KEPT_RUNS = 100
TELL_EVERY = 50
# Whoever has not ended by then was cut off, or waits for Stripe: somebody may ask anew.
CUT_OFF_AFTER = timedelta(minutes=15)
# Less than a worker may take: stopped inside a call, the library would say that Stripe is away.
LONGEST = timedelta(minutes=13)
MOST_DAYS = 366
Difference = dict[str, Any]


def reconcile() -> int:
    """Settle every payment open for longer than a webhook should take; gives how many moved.

    Also finds intents that were made just before a crash: the kept key gives them back; closes
    attempts at orders that are closed, so that none is looked at for ever; and asks about money
    that should be held no longer.
    """
    takes_days = (Payment.status == "processing") | (Payment.voucher_url != "")
    is_due = Payment.checked_at.is_(None) | (Payment.checked_at < func.now() - WAITS_AFTER)
    waits = Payment.status.in_(["created", "started", "processing"]) & (
        Payment.created_at < func.now() - STUCK_AFTER
    )
    waits = waits & (~takes_days | is_due)
    is_off = orders.Order.status.in_(OFF)
    is_over = (Payment.capture_before < func.now() - STUCK_AFTER) | (
        is_off & (orders.Order.closed_at < func.now() - STUCK_AFTER)
    )
    stuck = session.execute(
        select(Payment.id, Payment.order_id, Payment.intent_id, Payment.status.label("payment"),
               orders.Order.status)
        .join(orders.Order, orders.Order.id == Payment.order_id)
        .where(waits | ((Payment.status == "authorised") & is_over))
        # All of them: those that nobody finishes must not hide a paid one behind them.
        .order_by(Payment.id)
    ).all()  # fmt: skip
    end_read()
    moved = failures = 0
    for payment_id, order_id, intent_id, payment_status, status in stuck:
        try:
            if status in OFF or (status != "pending" and payment_status != "authorised"):
                procedures.close_intents(order_id)
                moved += 1
            elif intent_id is None:
                procedures.start(order_id)
            elif procedures.settle(payment_id) not in {"waiting", "known", "processing"}:
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
        except DBAPIError as error:  # one that cannot be settled must not hide those behind it
            if error.connection_invalidated:
                raise
            log.exception("not settled", extra={"payment_id": payment_id})
    _warn_of_endings()
    return moved


def reconcile_refunds() -> int:
    """Ask Stripe about every refund whose end we have not heard of; gives how many were asked.
    Those that stay without an answer for too long become tasks."""
    waiting = session.execute(
        select(Refund.id, Refund.stripe_id)
        .where(
            Refund.status.in_(["requested", "sent"]),
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
                procedures.settle_refund(stripe_id)
        except gateway.KeySpent as error:  # Stripe answers, if only about this one: go on
            log.warning("refund unknown", extra={"refund_id": refund_id, "reason": str(error)})
        except Unavailable as error:
            failures += 1
            log.warning("refund unknown", extra={"refund_id": refund_id, "reason": str(error)})
            if failures >= procedures.PATIENCE:
                break
        except DomainError as error:
            log.error("refund unknown", extra={"refund_id": refund_id, "reason": str(error)})
    with transaction():
        refunds.report_stuck_refunds()
    return len(waiting)


def request_comparison(*, days: float) -> ReconcileRun:
    """Ask for a comparison with Stripe over the last ``days``; a worker makes it.

    Raises ``Invalid`` for less than an hour or more than a year.
    """
    if not 1 / 24 <= days <= MOST_DAYS:
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
            _fill(run_id, run.since, within=LONGEST)


@contextmanager
def _alone() -> Iterator[None]:
    """Keep other workers from comparing. The lock ends with its connection, so with the process."""
    with db.engine().connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").detach()
        if not connection.scalar(text("SELECT pg_try_advisory_lock(hashtext('shop.compare'))")):
            raise WrongState("Another comparison is running.")
        yield


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
    """Compare all payments, refunds and disputes of the last ``days`` with Stripe's, now.

    Every difference is listed; with ``mend`` each is settled the way a message would have been, and
    the run is kept, also one that Stripe or the end of the time ``within`` cut short: its
    ``failure`` says so. Who only looks writes nothing.
    """
    run = ReconcileRun(since=clock.now() - timedelta(days=days), started_at=clock.now())
    if not mend:
        run.checked, run.differences, run.failure = _compared(run.since, mend=False, within=within)
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
        run.finished_at = clock.now()
        # Counted, not reckoned from the id: quiet comparisons use up ids and leave no row.
        newest = select(ReconcileRun.id).order_by(ReconcileRun.id.desc()).limit(KEPT_RUNS)
        session.execute(delete(ReconcileRun).where(ReconcileRun.id.not_in(newest)))
    return run


def _compared(
    since: datetime,
    *,
    mend: bool,
    within: timedelta | None,
    tell: Callable[[int], None] | None = None,
) -> tuple[int, list[Difference], str]:
    """How many things were compared, what differs, and why it was cut short, if it was."""
    checked, failure, began = 0, "", clock.now()
    found: list[Difference] = []
    try:
        for differences in (_intents(since, mend), _refunds(since, mend), _disputes(since, mend)):
            for difference in differences:
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


def _intents(since: datetime, mend: bool) -> Iterator[Difference | None]:
    seen: set[str] = set()
    for intent in gateway.intents_since(since):
        seen.add(intent.id)
        ours = session.execute(
            select(Payment.status, Payment.captured_minor, orders.Order.number)
            .join(orders.Order, orders.Order.id == Payment.order_id)
            .where(Payment.intent_id == intent.id)
        ).first()
        end_read()
        status = STATUS.get(intent.status, "started")
        if ours is None:
            if "payment" not in intent.metadata:
                yield None  # not of this shop
                continue
            if intent.status == "canceled":
                yield None  # a second one of some attempt, which nobody could pay
                continue
            here = "unknown"
        elif (ours.status, ours.captured_minor) == (status, intent.received_minor):
            yield None
            continue
        else:
            here = f"{ours.status}, {_say(ours.captured_minor, intent.currency)}"
        yield _difference(
            "payment",
            intent.id,
            ours.number if ours else intent.metadata.get("order", ""),
            here,
            f"{status}, {_say(intent.received_minor, intent.currency)}",
            partial(procedures.settle_intent, intent.id) if mend else None,
        )
    missing = session.execute(
        select(Payment.intent_id, Payment.captured_minor, Payment.currency, orders.Order.number)
        .join(orders.Order, orders.Order.id == Payment.order_id)
        .where(
            Payment.created_at >= since + timedelta(hours=1),
            Payment.captured_minor > 0,
        )
    ).all()
    end_read()
    for row in missing:
        if row.intent_id not in seen and _is_unknown(gateway.fetch_intent, row.intent_id):
            yield _difference(
                "payment",
                row.intent_id or "",
                row.number,
                f"succeeded, {_say(row.captured_minor, row.currency)}",
                "unknown",
                None,
            )


def _refunds(since: datetime, mend: bool) -> Iterator[Difference | None]:
    seen: set[str] = set()
    for sent in gateway.refunds_since(since):
        seen.add(sent.id)
        ours = session.execute(
            select(Refund.status, Refund.amount_minor).where(Refund.stripe_id == sent.id)
        ).first()
        number = _number(sent.intent_id)
        status = {"succeeded": "done", "failed": "failed", "canceled": "failed"}.get(
            sent.status, "sent"
        )
        is_past = ours is None and status == "failed" and _was_made_anew(sent)
        end_read()
        if (
            number is None
            or is_past
            or (ours and (ours.status, ours.amount_minor) == (status, sent.amount_minor))
        ):
            yield None
            continue
        yield _difference(
            "refund",
            sent.id,
            number,
            f"{ours.status}, {_say(ours.amount_minor, sent.currency)}" if ours else "unknown",
            f"{status}, {_say(sent.amount_minor, sent.currency)}",
            partial(procedures.apply_sent_refund, sent) if mend else None,
        )
    known = session.execute(
        select(Refund.stripe_id, Refund.status, Refund.amount_minor, Refund.currency,
               orders.Order.number)
        .join(Payment, Payment.id == Refund.payment_id)
        .join(orders.Order, orders.Order.id == Payment.order_id)
        .where(
            Refund.requested_at >= since + timedelta(hours=1),
            Refund.stripe_id.is_not(None),
            Refund.status.in_(["sent", "done"]),
        )
    ).all()  # fmt: skip
    end_read()
    for row in known:
        if row.stripe_id not in seen and _is_unknown(gateway.fetch_refund, row.stripe_id):
            here = f"{row.status}, {_say(row.amount_minor, row.currency)}"
            yield _difference("refund", row.stripe_id or "", row.number, here, "unknown", None)


def _is_unknown(fetch: Callable[[str], object], stripe_id: str | None) -> bool:
    """Whether Stripe does not know it; what was made while we read its list, it does."""
    try:
        fetch(stripe_id or "")
    except gateway.Refused:
        return True
    return False


def _was_made_anew(sent: gateway.SentRefund) -> bool:
    """Whether this is a try of a refund of ours that failed, and another one was made since."""
    later = select(Refund.id).where(
        Refund.key == sent.metadata.get("refund", ""),
        cast(Refund.attempt, Text) != sent.metadata.get("attempt", ""),
    )
    return session.scalar(later.limit(1)) is not None


def _disputes(since: datetime, mend: bool) -> Iterator[Difference | None]:
    """Those opened since then, and ours that are not decided: a bank takes two months and more."""
    seen: set[str] = set()
    for sent in gateway.disputes_since(since):
        seen.add(sent.id)
        yield _dispute(sent, mend)
    older = session.scalars(
        select(Dispute.stripe_id).where(Dispute.closed_at.is_(None)).order_by(Dispute.id)
    ).all()
    end_read()
    for stripe_id in older:
        if stripe_id in seen:
            continue
        try:
            yield _dispute(gateway.fetch_dispute(stripe_id), mend)
        except gateway.Refused:
            yield _difference("dispute", stripe_id, "", "open", "unknown", None)


def _dispute(sent: gateway.SentDispute, mend: bool) -> Difference | None:
    ours = session.scalar(select(Dispute.status).where(Dispute.stripe_id == sent.id))
    number = _number(sent.intent_id)
    end_read()
    if number is None or ours == sent.status:
        return None
    return _difference(
        "dispute",
        sent.id,
        number,
        ours or "unknown",
        sent.status,
        partial(procedures.apply_sent_dispute, sent) if mend else None,
    )


def _difference(
    what: str, reference: str, number: str, ours: str, theirs: str, mend: Callable[[], str] | None
) -> Difference:
    outcome = ""
    if mend is not None:
        try:
            outcome = mend()
        except DomainError as error:
            outcome = f"not mended: {error}"
    return {
        "what": what,
        "reference": reference,
        "order": number,
        "ours": ours,
        "stripe": theirs,
        "done": outcome,
    }


def _number(intent_id: str) -> str | None:
    return session.scalar(
        select(orders.Order.number)
        .join(Payment, Payment.order_id == orders.Order.id)
        .where(Payment.intent_id == intent_id)
    )


def _warn_of_endings() -> None:
    """Authorised money that is lost within a day unless somebody captures it; told once."""
    told = select(Task.id).where(
        Task.kind == "capture_soon", Task.reference == cast(Payment.id, Text)
    )
    ending = session.execute(
        select(Payment.id, Payment.capturable_minor, Payment.currency, Payment.capture_before,
               Payment.order_id, orders.Order.number)
        .join(orders.Order, orders.Order.id == Payment.order_id)
        .where(Payment.status == "authorised", Payment.capture_before < clock.now() + WARN_BEFORE,
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
