"""The relay process: events to their followers, and the shop's timetable.

Several relays may run: events are claimed row by row, and each turn of the timetable is taken by
who gets its advisory lock.
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

from shop import checkout, media, payments
from shop.core import db, idempotency, queue, redis, sessions, tokens
from shop.core import relay as core
from shop.core.events import Event, EventRecord

log = logging.getLogger(__name__)

POLL_S = 1.0
# A doorbell is rung again after this long; sooner when Redis has nothing waiting (it was emptied).
PATIENCE_S = {queue.NAME: 60, queue.SLOW: 900}
SHORT_PATIENCE_S = 5

Reactions = Mapping[type[Event], Sequence[core.Reaction]]
Messages = Callable[[EventRecord], Iterable[core.Message]]


@dataclass(frozen=True, slots=True)
class Turn:
    """Something done again and again; ``every_s`` seconds apart over all relays together."""

    name: str
    every_s: float
    run: Callable[[], object]


TIMETABLE = (
    Turn("expire unpaid orders", 10, payments.expire_unpaid),
    Turn("reconcile payments", 30, payments.reconcile),
    Turn("reconcile refunds", 600, payments.reconcile_refunds),
    Turn("compare the last hours with Stripe", 600, payments.compare_lately),
    Turn("compare a month with Stripe", 3600, payments.compare_nightly),
    Turn("remove files without a row", 24 * 3600, media.sweep),
    Turn("forget old idempotency keys", 3600, idempotency.prune),
    Turn("forget old sign-ins", 3600, sessions.prune),
    Turn("forget old one-time links", 3600, tokens.prune),
    Turn("forget old broadcasts", 3600, core.prune_broadcasts),
    Turn("forget old jobs", 3600, core.prune_deliveries),
    Turn("forget where orders were placed", 3600, checkout.delete_expired_networks),
    Turn("forget old messages of Stripe", 3600, payments.prune_messages),
)


class Crier:
    """Publishes broadcasts. What Redis did not take is lost to the sockets that are open, so they
    are told to read anew as soon as it takes something again; so they are when a relay starts,
    because the one before may have died between its commit and its publishing."""

    def __init__(self) -> None:
        self._has_gap = True

    def cry(self, broadcasts: list[dict[str, Any]]) -> None:
        """Publish, if there is anything to publish or to make good."""
        if not redis.publish(broadcasts):
            self._has_gap = True
        elif self._has_gap and redis.publish_gap():
            self._has_gap = False


def run(
    reactions: Reactions,
    messages: Messages,
) -> None:
    """Relay until told to stop (SIGTERM or SIGINT)."""
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    timetable = threading.Thread(target=_keep_timetable, args=(stop,), name="timetable")
    timetable.start()
    bell, crier = queue.Bell(), Crier()
    try:
        while not stop.is_set():
            try:
                with psycopg.connect(_plain_url(), **db.LINE, autocommit=True) as listener:
                    listener.execute("LISTEN event")
                    log.info("relay listens")
                    _relay_until(stop, listener, bell, crier, reactions, messages)
            except (psycopg.OperationalError, DBAPIError) as error:
                log.warning("relay lost the database", extra={"reason": str(error).split("\n")[0]})
                db.session.remove()
                stop.wait(1)
    finally:
        stop.set()  # an unforeseen error must end the whole process: then it is started anew
        timetable.join(timeout=30)


def _relay_until(
    stop: threading.Event,
    listener: psycopg.Connection,
    bell: queue.Bell,
    crier: Crier,
    reactions: Reactions,
    messages: Messages,
) -> None:
    rung_again = 0.0
    names = _names_by_queue(reactions)
    while not stop.is_set():
        while relay_once(bell, crier, reactions, messages) and not stop.is_set():
            pass
        if time.monotonic() - rung_again >= POLL_S:
            is_quiet = bell.is_quiet()
            for name, reaction_names in names.items():
                patience = SHORT_PATIENCE_S if is_quiet else PATIENCE_S[name]
                again = core.overdue(patience_s=patience, reactions=reaction_names)
                bell.ring(name, [ring.delivery_id for ring in again])
            rung_again = time.monotonic()
        for _ in listener.notifies(timeout=POLL_S, stop_after=1):
            pass


def relay_once(
    bell: queue.Bell,
    crier: Crier,
    reactions: Reactions,
    messages: Messages,
) -> int:
    """Dispatch one batch of events; gives how many. Deliveries are rung and broadcasts published
    after the commit: what is lost then is rung again, and sockets are told to read anew."""
    rings, broadcasts, claimed = core.dispatch(reactions, messages)
    crier.cry(broadcasts)
    for name, reaction_names in _names_by_queue(reactions).items():
        bell.ring(name, [ring.delivery_id for ring in rings if ring.reaction in reaction_names])
    return claimed


def _names_by_queue(reactions: Reactions) -> dict[str, set[str]]:
    names: dict[str, set[str]] = {queue.NAME: set(), queue.SLOW: set()}
    for follows in reactions.values():
        for reaction in follows:
            names[queue.SLOW if reaction.slow else queue.NAME].add(reaction.name)
    return names


def _keep_timetable(stop: threading.Event) -> None:
    due = {turn.name: time.monotonic() for turn in TIMETABLE}
    while not stop.wait(0.5):
        for turn in TIMETABLE:
            if time.monotonic() >= due[turn.name] and not stop.is_set():
                due[turn.name] = time.monotonic() + turn.every_s
                _take(turn)


def _take(turn: Turn) -> None:
    """Do a turn unless another relay is doing it."""
    try:
        with psycopg.connect(
            _plain_url(), **db.LINE, autocommit=True, row_factory=scalar_row
        ) as lock:
            mine = lock.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [turn.name])
            if mine.fetchone():
                turn.run()
    except Exception:  # a timetable goes on; what failed is in the log and comes round again
        log.exception("turn failed", extra={"turn": turn.name})
    finally:
        db.session.remove()


def _plain_url() -> str:
    url = db.engine().url.set(drivername="postgresql")
    return url.render_as_string(hide_password=False)
