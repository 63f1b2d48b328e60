"""The relay process: events to what follows them, and scheduled tasks.

Several relays may run: events are claimed row by row, and each scheduled task is run by the relay
that gets its advisory lock.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import scalar_row
from sqlalchemy.exc import DBAPIError

from shop import audit, checkout, media, payments
from shop.core import connections, db, idempotency, queue, reaction_runs, redis, sessions, tokens
from shop.core import relay as core
from shop.core.broadcasts import SocketMessage, prune_broadcasts
from shop.core.events import Event, EventRecord

log = logging.getLogger(__name__)

POLL_S = 1.0
# A run is enqueued again after this long; sooner when Redis has nothing waiting (it was emptied).
PATIENCE_S = {queue.NAME: 60, queue.SLOW: 900}
SHORT_PATIENCE_S = 5

Reactions = Mapping[type[Event], Sequence[reaction_runs.Reaction]]
Messages = Callable[[EventRecord], Iterable[SocketMessage]]


@dataclass(frozen=True, slots=True)
class ScheduledTask:
    """Something done again and again; ``every_s`` seconds apart over all relays together.

    ``name`` is the key of its lock: a relay of another release has the same.
    """

    name: str
    every_s: float
    run: Callable[[], object]


SCHEDULE = (
    ScheduledTask("seal the audit", 10, audit.seal),
    ScheduledTask("expire unpaid orders", 10, payments.expire_unpaid),
    ScheduledTask("reconcile payments", 30, payments.reconcile),
    ScheduledTask("reconcile refunds", 600, payments.reconcile_refunds),
    ScheduledTask("compare the last hours with Stripe", 600, payments.reconcile_recent),
    ScheduledTask("compare a month with Stripe", 3600, payments.reconcile_nightly),
    ScheduledTask("remove files without a row", 24 * 3600, media.sweep),
    ScheduledTask("forget old idempotency keys", 3600, idempotency.prune),
    ScheduledTask("forget old sign-ins", 3600, sessions.prune),
    ScheduledTask("forget old one-time links", 3600, tokens.prune),
    ScheduledTask("forget old broadcasts", 3600, prune_broadcasts),
    ScheduledTask("forget old jobs", 3600, reaction_runs.prune_runs),
    ScheduledTask("forget where orders were placed", 3600, checkout.delete_expired_networks),
    ScheduledTask("forget old messages of Stripe", 3600, payments.prune_messages),
)


class BroadcastPublisher:
    """Publishes broadcasts. What Redis did not take is lost to the sockets that are open, so they
    have to read everything again as soon as it takes something; so they are when a relay
    starts, because the one before may have died between its commit and its publishing."""

    def __init__(self) -> None:
        self._has_gap = True

    def publish(self, broadcasts: list[dict[str, Any]]) -> None:
        """Publish, if there is anything to publish or to make good."""
        if not redis.publish(broadcasts):
            self._has_gap = True
        elif self._has_gap and redis.publish_gap():
            self._has_gap = False


def run(
    reactions: Reactions,
    messages: Messages,
) -> None:
    """Relay until asked to stop (SIGTERM or SIGINT)."""
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    schedule = threading.Thread(target=_run_schedule, args=(stop,), name="schedule")
    schedule.start()
    queues, publisher = queue.JobQueues(), BroadcastPublisher()
    try:
        while not stop.is_set():
            try:
                with psycopg.connect(_plain_url(), **connections.LINE, autocommit=True) as listener:
                    listener.execute("LISTEN event")
                    log.info("relay listens")
                    _relay_until(stop, listener, queues, publisher, reactions, messages)
            except (psycopg.OperationalError, DBAPIError) as error:
                log.warning("relay lost the database", extra={"reason": str(error).split("\n")[0]})
                db.session.remove()
                stop.wait(1)
    finally:
        stop.set()  # an unforeseen error must end the whole process: then it is started again
        schedule.join(timeout=30)


def _relay_until(
    stop: threading.Event,
    listener: psycopg.Connection,
    queues: queue.JobQueues,
    publisher: BroadcastPublisher,
    reactions: Reactions,
    messages: Messages,
) -> None:
    enqueued_at = 0.0
    names = _names_by_queue(reactions)
    while not stop.is_set():
        while relay_once(queues, publisher, reactions, messages) and not stop.is_set():
            pass
        if time.monotonic() - enqueued_at >= POLL_S:
            is_empty = queues.is_empty()
            for name, reaction_names in names.items():
                patience = SHORT_PATIENCE_S if is_empty else PATIENCE_S[name]
                overdue = reaction_runs.overdue(patience_s=patience, reactions=reaction_names)
                queues.enqueue(name, [due.run_id for due in overdue])
            enqueued_at = time.monotonic()
        for _ in listener.notifies(timeout=POLL_S, stop_after=1):
            pass


def relay_once(
    queues: queue.JobQueues,
    publisher: BroadcastPublisher,
    reactions: Reactions,
    messages: Messages,
) -> int:
    """Dispatch one batch of events. Returns how many.

    Runs are enqueued and broadcasts published after the commit: what is lost then is enqueued
    again, and sockets have to read everything again.
    """
    due_runs, broadcasts, claimed = core.dispatch(reactions, messages)
    publisher.publish(broadcasts)
    for name, reaction_names in _names_by_queue(reactions).items():
        queues.enqueue(name, [due.run_id for due in due_runs if due.reaction in reaction_names])
    return claimed


def _names_by_queue(reactions: Reactions) -> dict[str, set[str]]:
    names: dict[str, set[str]] = {queue.NAME: set(), queue.SLOW: set()}
    for follows in reactions.values():
        for reaction in follows:
            names[queue.SLOW if reaction.slow else queue.NAME].add(reaction.name)
    return names


def _run_schedule(stop: threading.Event) -> None:
    due = {task.name: time.monotonic() for task in SCHEDULE}
    while not stop.wait(0.5):
        for task in SCHEDULE:
            if time.monotonic() >= due[task.name] and not stop.is_set():
                due[task.name] = time.monotonic() + task.every_s
                _run_task(task)


def _run_task(task: ScheduledTask) -> None:
    """Run a task unless another relay is running it."""
    try:
        with psycopg.connect(
            _plain_url(), **connections.LINE, autocommit=True, row_factory=scalar_row
        ) as lock:
            mine = lock.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [task.name])
            if mine.fetchone():
                task.run()
    except Exception:  # the schedule goes on; what failed is in the log and comes round again
        log.exception("turn failed", extra={"turn": task.name})
    finally:
        db.session.remove()


def _plain_url() -> str:
    url = db.engine().url.set(drivername="postgresql")
    return url.render_as_string(hide_password=False)
