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

import psycopg
from psycopg.rows import scalar_row
from sqlalchemy.exc import DBAPIError

from shop import payments
from shop.core import db, queue, redis
from shop.core import relay as core
from shop.core.events import Event, EventRecord

log = logging.getLogger(__name__)

POLL_S = 1.0
# A doorbell is rung again after this long; sooner when Redis has nothing waiting (it was emptied).
PATIENCE_S = 60
SHORT_PATIENCE_S = 5


@dataclass(frozen=True, slots=True)
class Turn:
    """Something done again and again; ``every_s`` seconds apart over all relays together."""

    name: str
    every_s: float
    run: Callable[[], object]


TIMETABLE = (
    Turn("expire unpaid orders", 10, payments.expire_unpaid),
    Turn("reconcile payments", 60, payments.reconcile),
)


def run(
    reactions: Mapping[type[Event], Sequence[core.Reaction]],
    messages: Callable[[EventRecord], Iterable[core.Message]],
) -> None:
    """Relay until told to stop (SIGTERM or SIGINT)."""
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    timetable = threading.Thread(target=_keep_timetable, args=(stop,), name="timetable")
    timetable.start()
    bell = queue.queue()
    while not stop.is_set():
        try:
            with psycopg.connect(_plain_url(), autocommit=True) as listener:
                listener.execute("LISTEN event")
                log.info("relay listens")
                _relay_until(stop, listener, bell, reactions, messages)
        except (psycopg.OperationalError, DBAPIError) as error:
            log.warning("relay lost the database", extra={"reason": str(error).split("\n")[0]})
            db.session.remove()
            stop.wait(1)
    timetable.join(timeout=30)


def _relay_until(
    stop: threading.Event,
    listener: psycopg.Connection,
    bell: queue.Queue,
    reactions: Mapping[type[Event], Sequence[core.Reaction]],
    messages: Callable[[EventRecord], Iterable[core.Message]],
) -> None:
    rung_again = 0.0
    while not stop.is_set():
        while relay_once(bell, reactions, messages) and not stop.is_set():
            pass
        if time.monotonic() - rung_again >= POLL_S:
            patience = SHORT_PATIENCE_S if queue.is_quiet(bell) else PATIENCE_S
            queue.ring(bell, core.overdue(patience_s=patience))
            rung_again = time.monotonic()
        for _ in listener.notifies(timeout=POLL_S, stop_after=1):
            pass


def relay_once(
    bell: queue.Queue,
    reactions: Mapping[type[Event], Sequence[core.Reaction]],
    messages: Callable[[EventRecord], Iterable[core.Message]],
) -> int:
    """Dispatch one batch of events; gives how many. Deliveries are rung and broadcasts published
    after the commit: what is lost then is rung again, and sockets ask again."""
    ids, broadcasts, claimed = core.dispatch(reactions, messages)
    redis.publish(broadcasts)
    if ids:
        queue.ring(bell, ids)
    return claimed


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
        with psycopg.connect(_plain_url(), autocommit=True, row_factory=scalar_row) as lock:
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
