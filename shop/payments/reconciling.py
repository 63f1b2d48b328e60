"""Asking Stripe, on the relay's timetable, about everything that we have not heard of."""

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import Row, Text, cast, func, select, text
from sqlalchemy.exc import DBAPIError

from shop import orders
from shop.core import clock
from shop.core.db import end_read, session, transaction
from shop.core.errors import DomainError, Unavailable
from shop.core.money import format_minor
from shop.orders import OrderStatus
from shop.payments import closing, refund_news, sending, starting, syncing, unapplied
from shop.payments.models import Payment, Refund, Task
from shop.payments.states import AttemptStatus, RefundStatus, SyncOutcome
from shop.payments.stripe_errors import KeySpent
from shop.payments.tasks import open_task

log = logging.getLogger(__name__)

AnyRow = Row[*tuple[Any, ...]]
STUCK_AFTER = text("interval '2 minutes'")
# Money that takes days is asked about now and then.
WAITS_AFTER = text("interval '1 hour'")
REFUND_STUCK_AFTER = text("interval '10 minutes'")
WARN_BEFORE = timedelta(hours=24)
OFF = (OrderStatus.CANCELLED, OrderStatus.EXPIRED)


def reconcile() -> int:
    """Sync every payment open for longer than a webhook should take. Returns how many moved.

    Also finds intents that were made just before a crash: the kept key gives them back; closes
    attempts at orders that are closed, so that none is looked at for ever; and asks about money
    that should be authorised no longer.
    """
    moved = _each_alone(
        _stuck(), _move_on, what="payment_id", failed="not synced",
        refused=partial(log.info, "nothing to sync"),
    )  # fmt: skip
    _warn_of_endings()
    return moved


def _stuck() -> Sequence[AnyRow]:
    """The payments that should have moved by now; with the status of their orders."""
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
        select(Payment.id, Payment.order_id, Payment.intent_id, Payment.status,
               orders.Order.status.label("order_status"))
        .join(orders.Order, orders.Order.id == Payment.order_id)
        .where(waits | ((Payment.status == AttemptStatus.AUTHORISED) & is_over))
        # All of them: those that nobody finishes must not hide a paid one behind them.
        .order_by(Payment.id)
    ).all()  # fmt: skip
    end_read()
    return stuck


def _move_on(stuck: AnyRow) -> bool:
    """Close, begin or sync one payment; whether it moved."""
    is_unpaid = stuck.order_status == OrderStatus.PENDING
    is_authorised = stuck.status == AttemptStatus.AUTHORISED
    if stuck.order_status in OFF or not (is_unpaid or is_authorised):
        closing.close_intents(stuck.order_id)
        return True
    if stuck.intent_id is None:
        starting.start(stuck.order_id)
        return False
    return _sync(stuck.id, stuck.intent_id) not in {
        SyncOutcome.WAITING,
        SyncOutcome.KNOWN,
        SyncOutcome.PROCESSING,
    }


def _each_alone(
    rows: Sequence[AnyRow],
    work: Callable[[AnyRow], bool],
    *,
    what: str,
    failed: str,
    refused: Callable[..., None],
) -> int:
    """Work through rows, each by itself: one that cannot be done must not hide those behind it.
    When Stripe does not answer, the rest waits for the next round. Returns how many moved.

    ``what`` names their ids in the log, ``failed`` is what it says of a failure, and ``refused``
    writes down what a rule of ours forbade.
    """
    moved = failures = 0
    for row in rows:
        about: dict[str, Any] = {what: row.id}
        try:
            moved += work(row)
        except KeySpent as error:  # Stripe answers, if only about this one: go on
            log.warning(failed, extra=about | {"reason": str(error)})
        except Unavailable as error:
            failures += 1
            log.warning(failed, extra=about | {"reason": str(error)})
            if failures >= closing.MAX_FAILURES:
                break
        except DomainError as error:
            refused(extra=about | {"reason": str(error)})
        except Exception as error:
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                raise
            session.rollback()
            log.exception(failed, extra=about)
    return moved


def _sync(payment_id: int, intent_id: str) -> str:
    """``sync_payment``; what our books cannot take is noted once and asked about later."""
    sync = partial(syncing.sync_payment, payment_id)
    outcome = unapplied.attempt("payment", intent_id, sync)
    return SyncOutcome.WAITING if unapplied.is_refusal(outcome) else outcome


def _warn_of_endings() -> None:
    """Authorised money that is lost within a day unless somebody captures it; reported once."""
    warned = select(Task.id).where(
        Task.kind == "capture_soon", Task.reference == cast(Payment.id, Text)
    )
    ending = session.execute(
        select(Payment.id, Payment.capturable_minor, Payment.currency, Payment.capture_before,
               Payment.order_id, orders.Order.number)
        .join(orders.Order, orders.Order.id == Payment.order_id)
        .where(Payment.status == AttemptStatus.AUTHORISED,
               Payment.capture_before < clock.now() + WARN_BEFORE,
               ~warned.exists())
        .order_by(Payment.capture_before)
    ).all()  # fmt: skip
    end_read()
    for row in ending:
        with transaction():
            open_task(
                "capture_soon",
                str(row.id),
                f"{format_minor(row.capturable_minor, row.currency)} of order {row.number} can only"
                f" be captured until {row.capture_before:%-d %B, %H:%M} UTC.",
                order_id=row.order_id,
            )


def reconcile_refunds() -> int:
    """Ask Stripe about every refund whose end we have not heard of. Returns how many were asked.
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
    _each_alone(
        waiting, _ask_about_refund, what="refund_id", failed="refund unknown",
        refused=partial(log.error, "refund unknown"),
    )  # fmt: skip
    with transaction():
        refund_news.report_stuck_refunds()
    return len(waiting)


def _ask_about_refund(waiting: AnyRow) -> bool:
    if waiting.stripe_id is None:
        sending.send_refund(waiting.id)
    else:
        sync = partial(syncing.sync_refund, waiting.stripe_id)
        unapplied.attempt("refund", waiting.stripe_id, sync)
    return True
