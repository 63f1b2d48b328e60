"""Running the checks on the whole shop at one moment: a snapshot that cannot be written to."""

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from shop import payments
from shop.core import clock, db
from shop.core.errors import DomainError, Unavailable
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
from shop.doctor import audit, catalog, guards, messages, money, orders, stock
from shop.doctor.checks import (
    EVER,
    MAX_SHOWN,
    Check,
    CheckResult,
    Fault,
    RunResult,
    Scope,
    find_faults,
)

log = logging.getLogger(__name__)

CHECKS: tuple[Check, ...] = (
    *stock.CHECKS,
    *money.CHECKS,
    *orders.CHECKS,
    *messages.CHECKS,
    *catalog.CHECKS,
    *audit.CHECKS,
    *guards.CHECKS,
)
STRIPE_DAYS = 30.0
# All of a run must fit into what a worker may take.
MAX_DURATION = timedelta(minutes=12)
STRIPE = Check(
    id="stripe",
    invariant="I24",
    title=lazy_gettext(
        "Our payments, refunds and disputes are Stripe's, and somebody saw each warning"
    ),
    why=lazy_gettext(
        "A lost message means money that nobody knows of, or a warning that nobody reads."
    ),
    todo=lazy_gettext("`flask shop reconcile --days 30` syncs what differs."),
)
BALANCE = Check(
    id="stripe-balance",
    invariant="I24",
    title=lazy_gettext("The books of each charge are what Stripe's balance says of it"),
    why=lazy_gettext(
        "Captured less refunded less disputed is the money that there is, dispute fees "
        "included. Left out: what Stripe takes for processing a payment, charges of the "
        "last hour that it has not booked, and charges for whose currency it names no "
        "rate."
    ),
    todo=lazy_gettext(
        "Look the charge up at Stripe: what is missing in the order, or counted there twice?"
    ),
)
# A run may take longer than a page, and sorts more.
_SETTINGS = (
    "SET LOCAL statement_timeout = '60s'",
    "SET LOCAL idle_in_transaction_session_timeout = '120s'",
    "SET LOCAL work_mem = '64MB'",
    "SET LOCAL jit = off",
)


@contextmanager
def snapshot() -> Iterator[Connection]:
    """The database as it is at one moment; the database itself refuses to be written to."""
    with db.engine().connect() as connection:
        connection = connection.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        with connection.begin():
            for setting in _SETTINGS:
                connection.execute(text(setting))
            yield connection


def run_checks(
    connection: Connection, scope: Scope, checks: Iterable[Check] = CHECKS
) -> list[CheckResult]:
    """Run the checks on this connection, inside its transaction. Returns a result for each.

    One that cannot run does not keep the others from it. Raises ``Unavailable`` when the database
    goes away.
    """
    results = []
    for check in checks:
        began = time.perf_counter()
        count, faults, failure = 0, list[Fault](), ""
        try:
            with connection.begin_nested():
                count, faults = find_faults(connection, check, scope)
        except (DBAPIError, OSError) as error:
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                raise Unavailable(_("The database went away during the checks.")) from error
            failure = str(getattr(error, "orig", error)).strip().split("\n")[0]
            log.warning("check failed", extra={"check": check.id, "reason": failure})
        results.append(CheckResult(check, count, faults, time.perf_counter() - began, failure))
    return results


def run_all(
    *,
    since_days: float | None = None,
    with_stripe: bool = False,
    limit: int = MAX_SHOWN,
    checks: Iterable[Check] = CHECKS,
) -> RunResult:
    """Run the checks in one snapshot; writes nothing. Returns their results.

    ``since_days`` leaves out older orders where that is sensible; ``limit`` is how many faults of
    each check are named. Raises ``Unavailable`` when the database cannot be asked.
    """
    now = clock.now()
    since = now - timedelta(days=since_days) if since_days is not None else None
    scope = Scope(now, since or EVER, limit)
    began = time.perf_counter()
    db.end_read()
    try:
        with snapshot() as connection:
            results = run_checks(connection, scope, checks)
    except DBAPIError as error:
        reason = str(error.orig).strip().split("\n")[0]
        raise Unavailable(_("The database cannot be asked: %(reason)s", reason=reason)) from error
    if with_stripe:
        results += _compare_with_stripe(since_days or STRIPE_DAYS, scope)
    return RunResult(now, time.perf_counter() - began, since, tuple(results))


def _compare_with_stripe(days: float, scope: Scope) -> list[CheckResult]:
    began = time.perf_counter()
    try:
        run = payments.reconcile_all(days=days, mend=False, within=MAX_DURATION)
    except DomainError as error:
        seconds = time.perf_counter() - began
        return [
            CheckResult(check, seconds=seconds, failure=error.sentence)
            for check in (BALANCE, STRIPE)
        ]
    seconds = time.perf_counter() - began
    found: dict[bool, list[Fault]] = {True: [], False: []}
    for one in run.differences:
        fault = Fault(
            None,
            f"{one['what']} {one['reference']}".strip(),
            f"order {one['order'] or '?'}: we have {one['ours']}, Stripe has {one['stripe']}",
        )
        found[one["what"] == payments.BALANCE].append(fault)
    return [
        CheckResult(check, len(faults), faults[: scope.limit], seconds, run.failure)
        for check, faults in ((BALANCE, found[True]), (STRIPE, found[False]))
    ]
