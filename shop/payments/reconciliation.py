"""Reconciliations of what Stripe has since a moment with what we have: asked for, run, kept."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, select, text

from shop.core import clock, db
from shop.core.db import end_read, session, transaction
from shop.core.errors import DomainError, Invalid, Unavailable, WrongState
from shop.core.events import emit
from shop.core.i18n import gettext as _
from shop.core.i18n import ngettext
from shop.payments import reconciled_alerts, reconciled_money, unapplied
from shop.payments.differences import Difference, Look
from shop.payments.events import ComparisonRequested
from shop.payments.models import ReconcileRun

log = logging.getLogger(__name__)
KEPT_RUNS = 100
TELL_EVERY = 50
# Whoever has not ended by then was cut off, or waits for Stripe: somebody may ask again.
CUT_OFF_AFTER = timedelta(minutes=15)
# Less than a worker may take: stopped inside a call, the library would say that Stripe is away.
MAX_DURATION = timedelta(minutes=13)
MAX_DAYS = 366


def request_reconciliation(*, days: float) -> ReconcileRun:
    """Ask for a reconciliation with Stripe over the last ``days``; a worker runs it.

    Raises ``Invalid`` for less than an hour or more than a year.
    """
    if not 1 / 24 <= days <= MAX_DAYS:
        raise Invalid(_("Reconcile at least an hour and at most a year."), field="days")
    run = ReconcileRun(since=clock.now() - timedelta(days=days), started_at=clock.now())
    session.add(run)
    session.flush()
    emit(ComparisonRequested(run_id=run.id))
    return run


def run_reconciliation(run_id: int) -> None:
    """Run a reconciliation that was asked for. One that is done or that nobody needs is left.

    Raises ``WrongState`` while another worker reconciles: then this one is to be tried again.
    """
    with _alone():
        run = session.get(ReconcileRun, run_id)
        end_read()
        if run is not None and run.finished_at is None:
            _fill(run_id, run.since, within=MAX_DURATION)


@contextmanager
def _alone() -> Iterator[None]:
    """Keep other workers from reconciling. The lock ends with its connection and process."""
    with db.engine().connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").detach()
        if not connection.scalar(text("SELECT pg_try_advisory_lock(hashtext('shop.compare'))")):
            raise WrongState(_("Another reconciliation is running."))
        try:
            yield
        finally:  # closing alone is noticed by the database a moment later
            connection.execute(text("SELECT pg_advisory_unlock(hashtext('shop.compare'))"))


def reconcile_nightly() -> None:
    """Ask for a reconciliation of the last 30 days, unless one runs or went through in the last
    20 hours."""
    now = clock.now()
    went_through = ReconcileRun.finished_at.is_not(None) & (ReconcileRun.failure == "")
    lately = select(ReconcileRun.id).where(
        (went_through & (ReconcileRun.started_at > now - timedelta(hours=20))) | _runs(now),
        ReconcileRun.started_at - ReconcileRun.since > timedelta(days=29),
    )
    with transaction():
        if session.scalar(lately.limit(1)) is None:
            request_reconciliation(days=30)


def is_reconciling() -> bool:
    """Whether a reconciliation was asked for that has not ended, nor been given up."""
    return session.scalar(select(ReconcileRun.id).where(_runs(clock.now())).limit(1)) is not None


def _runs(now: datetime) -> ColumnElement[bool]:
    return ReconcileRun.finished_at.is_(None) & (ReconcileRun.started_at > now - CUT_OFF_AFTER)


def reconcile_recent() -> None:
    """Reconcile the last three hours; kept only if there is something to tell."""
    run = reconcile_all(days=3 / 24)
    if not run.differences and not run.failure:
        with transaction():
            session.execute(delete(ReconcileRun).where(ReconcileRun.id == run.id))


def reconcile_all(
    *, days: float, mend: bool = True, within: timedelta | None = None
) -> ReconcileRun:
    """Reconcile all payments, refunds, disputes and warnings of the last ``days`` with Stripe's.

    Every difference is listed; with ``mend`` each is synced the way a message would have been, and
    the run is kept, also one that Stripe or the end of the time ``within`` cut short: its
    ``failure`` says so. Who only looks writes nothing.
    """
    run = ReconcileRun(since=clock.now() - timedelta(days=days), started_at=clock.now())
    if not mend:
        run.checked, run.differences, run.failure = _reconcile(run.since, mend=False, within=within)
        run.refused = _count_refused(run.differences)
        run.finished_at = clock.now()
        return run
    with transaction():
        session.add(run)
        session.flush()
    return _fill(run.id, run.since, within=within)


def _fill(run_id: int, since: datetime, *, within: timedelta | None) -> ReconcileRun:
    def tell(checked: int) -> None:
        with transaction():
            session.get_one(ReconcileRun, run_id).checked = checked

    checked, found, failure = _reconcile(since, mend=True, within=within, tell=tell)
    with transaction():
        run = session.get_one(ReconcileRun, run_id, populate_existing=True)
        run.checked, run.differences, run.failure = checked, found, failure
        run.refused = _count_refused(found)
        run.finished_at = clock.now()
        # Counted, not reckoned from the id: quiet reconciliations use up ids and leave no row.
        newest = select(ReconcileRun.id).order_by(ReconcileRun.id.desc()).limit(KEPT_RUNS)
        session.execute(delete(ReconcileRun).where(ReconcileRun.id.not_in(newest)))
    return run


def _count_refused(found: list[Difference]) -> int:
    return sum(unapplied.is_refusal(one["done"]) for one in found)


def _reconcile(
    since: datetime,
    *,
    mend: bool,
    within: timedelta | None,
    tell: Callable[[int], None] | None = None,
) -> tuple[int, list[Difference], str]:
    """How many things were reconciled, what differs, and why it was cut short, if it was.

    An object that cannot be reconciled or applied is a difference of its own, and the rest goes on.
    """
    checked, failure, began = 0, "", clock.now()
    found: list[Difference] = []
    look = Look(since, mends=mend)
    try:
        for difference in _through(look):
            checked += 1
            if difference:
                found.append(difference)
            if tell is not None and checked % TELL_EVERY == 0:
                tell(checked)
            if within is not None and clock.now() - began > within:
                minutes = within // timedelta(minutes=1)
                raise Unavailable(
                    ngettext(
                        "Not done after %(num)s minute: reconcile fewer days.",
                        "Not done after %(num)s minutes: reconcile fewer days.",
                        minutes,
                    )
                )
    except DomainError as error:
        failure = str(error)
        log.warning("reconciliation cut short", extra={"reason": failure})
    return checked, found, failure


def _through(look: Look) -> Iterator[Difference | None]:
    """Each thing that was reconciled, with its difference if it has one."""
    yield from reconciled_money.payment_differences(look)
    yield from reconciled_money.refund_differences(look)
    yield from reconciled_money.dispute_differences(look)
    yield from reconciled_money.balance_differences(look)
    yield from reconciled_alerts.alert_differences(look)
