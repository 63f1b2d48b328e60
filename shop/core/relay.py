"""From committed events to what follows: broadcasts for sockets, runs of reactions.

Promise: every committed event is dispatched, also when relays die or several run; a run that is
due is enqueued again until its row says done or dead. Redis only wakes the workers.
Unsent rows are claimed with SKIP LOCKED and never found by "id above the last seen", which loses
the rows of transactions that commit late.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Identity,
    Index,
    Select,
    UniqueConstraint,
    case,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapped, mapped_column

from shop.core import actor, clock, redact, retention
from shop.core.db import Base, session, transaction
from shop.core.events import Event, EventPending, EventRecord

log = logging.getLogger(__name__)

# A day in all: a mail server or Stripe may be away for hours, and nobody should have to notice.
WAITS_S = (2, 60, 300, 1200, 3600, 4 * 3600, 18 * 3600)
MAX_ATTEMPTS = len(WAITS_S) + 1
LEASE_S = 60
BATCH = 200
# Sockets that were away for longer are told to read everything again.
BROADCASTS_KEPT = timedelta(days=2)
RUNS_KEPT = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Reaction:
    """What follows an event, in a worker.

    ``atomic`` reactions run inside the transaction that marks them done: exactly once.
    The others talk to the outside world and open their own; they may run twice, so they check.
    ``slow`` ones wait in a queue of their own, so that no mail stands behind two hundred pictures.
    ``lease_s`` is longer than the reaction can take: after it another worker runs it again,
    because the first must have died.
    """

    name: str
    run: Callable[[Any], None]
    atomic: bool = True
    slow: bool = False
    lease_s: int = LEASE_S


class _LeaseLost(Exception):
    """The lease ran out and another worker has taken the run."""


class DueRun(NamedTuple):
    """A run for the queue of its reaction."""

    run_id: int
    reaction: str


@dataclass(frozen=True, slots=True)
class SocketMessage:
    """What sockets that follow ``topic`` are told."""

    topic: str
    type: str
    data: dict[str, Any]


class Broadcast(Base):
    """One message to one topic, numbered in the order of sending: what ``since`` replays."""

    __tablename__ = "broadcast"
    __table_args__ = (Index("ix_broadcast_topic", "topic", "seq"),)

    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    topic: Mapped[str]
    type: Mapped[str]
    data: Mapped[dict[str, Any]]
    at: Mapped[datetime]


class ReactionRun(Base):
    """The run of one reaction to one event: due, done or dead."""

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("event_id", "reaction"),
        Index("ix_delivery_open", "due_at", postgresql_where=text("state <> 'done'")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    event_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("event.id"))
    reaction: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="due")
    attempts: Mapped[int] = mapped_column(server_default="0")
    due_at: Mapped[datetime] = mapped_column(server_default=func.now())
    lease_until: Mapped[datetime | None]
    enqueued_at: Mapped[datetime | None] = mapped_column("rung_at", server_default=func.now())
    done_at: Mapped[datetime | None]
    error: Mapped[str | None]


def dispatch(
    reactions: Mapping[type[Event], Sequence[Reaction]],
    messages: Callable[[EventRecord], Iterable[SocketMessage]],
) -> tuple[list[DueRun], list[dict[str, Any]], int]:
    """Claim up to 200 undispatched events and write their runs and broadcasts.

    Returns (runs to enqueue, broadcasts to publish, events claimed). One transaction; the
    advisory lock makes ``seq`` grow in the order in which broadcasts become visible. Events of a
    type that this release does not know wait for a relay that does, and stop nobody behind them.
    """
    with transaction("dispatch-events"):
        session.execute(text("SELECT pg_advisory_xact_lock(hashtext('shop.relay'))"))
        claimed = session.scalars(
            delete(EventPending)
            .where(EventPending.event_id.in_(pending_event_ids()))
            .returning(EventPending.event_id)
        ).all()
        if not claimed:
            return [], [], 0
        records = session.scalars(
            select(EventRecord).where(EventRecord.id.in_(claimed)).order_by(EventRecord.id)
        ).all()
        due = [
            {"event_id": record.id, "reaction": reaction.name}
            for record in records
            for reaction in reactions.get(Event.registry[record.type], ())
        ]
        rows = [
            {"topic": m.topic, "type": m.type, "data": m.data, "at": record.occurred_at}
            for record in records
            for m in _socket_messages(record, messages)
        ]
        due_runs: list[DueRun] = []
        if due:
            added = session.execute(
                insert(ReactionRun).returning(ReactionRun.id, ReactionRun.reaction), due
            )
            due_runs = [DueRun(*row) for row in added]
        seqs: list[int] = []
        if rows:
            seqs = list(
                session.scalars(
                    insert(Broadcast).returning(Broadcast.seq, sort_by_parameter_order=True), rows
                )
            )
    session.expunge_all()
    return due_runs, [{"seq": seq} | row for seq, row in zip(seqs, rows, strict=True)], len(claimed)


def pending_event_ids() -> Select[int]:
    """Returns the first 200 pending events of known types, locked.

    The type is looked up event by event. As a join, and with the table's statistics from a time of
    a long queue, Postgres walked the whole event log for each batch.
    """
    type_ = select(EventRecord.type).where(EventRecord.id == EventPending.event_id)
    return (
        select(EventPending.event_id)
        .where(type_.scalar_subquery().in_(list(Event.registry)))
        .order_by(EventPending.event_id)
        .limit(BATCH)
        .with_for_update(of=EventPending, skip_locked=True)
    )


def overdue(*, patience_s: int, reactions: Iterable[str]) -> list[DueRun]:
    """Runs of these reactions that are due, unleased and not enqueued for ``patience_s`` seconds.

    Marks them as enqueued.
    """
    waited = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, patience_s)
    with transaction("enqueue-overdue"):
        return [
            DueRun(*row)
            for row in session.execute(
                update(ReactionRun)
                .where(
                    ReactionRun.id.in_(
                        select(ReactionRun.id)
                        .where(
                            ReactionRun.state == "due",
                            ReactionRun.reaction.in_(list(reactions)),
                            ReactionRun.due_at <= func.now(),
                            func.coalesce(ReactionRun.lease_until, func.now()) <= func.now(),
                            func.coalesce(ReactionRun.enqueued_at, waited) <= waited,
                        )
                        .order_by(ReactionRun.due_at)
                        .limit(500)
                        .with_for_update(skip_locked=True)
                    )
                )
                .values(enqueued_at=func.now())
                .returning(ReactionRun.id, ReactionRun.reaction)
            )
        ]


def run_reaction(run_id: int, reactions: Mapping[str, Reaction]) -> str:
    """Run one reaction now if it is due and not leased. Returns its state, or "skipped"."""
    claim = _claim(run_id, reactions)
    if claim is None:
        return "skipped"
    record, name, attempts = claim
    if attempts > MAX_ATTEMPTS:
        killed = RuntimeError("its worker died every time")
        return _postpone(run_id, attempts, killed)
    reaction = reactions.get(name)
    actor.set_request_id(record.request_id)
    try:
        if reaction is None:
            raise LookupError(f"no reaction is called {name}")
        if reaction.atomic:
            with transaction("finish-run"):
                reaction.run(record.event)
                _finish(run_id, attempts)
        else:
            reaction.run(record.event)
            with transaction("finish-run"):
                _finish(run_id, attempts)
    except _LeaseLost:
        return "skipped"
    except Exception as error:  # a worker's loop: whatever went wrong is written down and retried
        log.exception("reaction failed", extra={"reaction": name, "event_id": record.id})
        return _postpone(run_id, attempts, error)
    finally:
        session.remove()
    return "done"


def retry(run_id: int) -> None:
    """Give a dead run another eight attempts; the relay enqueues it within seconds."""
    session.execute(
        update(ReactionRun)
        .where(ReactionRun.id == run_id, ReactionRun.state == "dead")
        .values(state="due", attempts=0, due_at=func.now(), enqueued_at=None, lease_until=None)
    )


def lag_s() -> float:
    """Returns the age in seconds of the oldest event that no relay has dispatched, or 0."""
    first = select(func.min(EventPending.event_id)).scalar_subquery()
    oldest = session.scalar(
        select(func.extract("epoch", func.now() - EventRecord.occurred_at)).where(
            EventRecord.id == first
        )
    )
    return max(0.0, float(oldest or 0))


def prune_broadcasts() -> int:
    """Delete broadcasts that are two days old. Returns how many.

    Never one after another that is kept: a socket that returns counts on having all from the
    first kept one on. The newest stays, so that numbers are known also in a shop where nothing
    happens.
    """
    kept = select(func.min(Broadcast.seq)).where(Broadcast.at >= clock.now() - BROADCASTS_KEPT)
    with transaction():
        first = session.scalar(kept) or session.scalar(select(func.max(Broadcast.seq))) or 0
    return retention.delete_expired(Broadcast.seq, is_expired=Broadcast.seq < first)


def prune_runs() -> int:
    """Delete runs that were done 90 days ago. Returns how many.

    None runs again: an event is dispatched because it is pending, not because a run is missing.
    """
    return retention.delete_expired(
        ReactionRun.id,
        is_expired=(ReactionRun.state == "done") & (ReactionRun.done_at < clock.now() - RUNS_KEPT),
    )


def _claim(run_id: int, reactions: Mapping[str, Reaction]) -> tuple[EventRecord, str, int] | None:
    own = {name: one.lease_s for name, one in reactions.items() if one.lease_s != LEASE_S}
    lease_s = case(own, value=ReactionRun.reaction, else_=LEASE_S) if own else literal(LEASE_S)
    with transaction("claim-run"):
        row = session.execute(
            update(ReactionRun)
            .where(
                ReactionRun.id == run_id,
                ReactionRun.state == "due",
                ReactionRun.due_at <= func.now(),
                func.coalesce(ReactionRun.lease_until, func.now()) <= func.now(),
            )
            .values(
                attempts=ReactionRun.attempts + 1,
                lease_until=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, lease_s),
            )
            .returning(ReactionRun.event_id, ReactionRun.reaction, ReactionRun.attempts)
        ).first()
        if row is None:
            return None
        record = session.get_one(EventRecord, row.event_id)
        return record, row.reaction, row.attempts


def _socket_messages(
    record: EventRecord, messages: Callable[[EventRecord], Iterable[SocketMessage]]
) -> list[SocketMessage]:
    """What sockets are told; an event that cannot be told must not stop the emails behind it."""
    try:
        return list(messages(record))
    except DBAPIError:  # the transaction is lost: the whole batch comes round again
        raise
    except Exception:
        log.exception("event not told", extra={"type": record.type, "event_id": record.id})
        return []


def _finish(run_id: int, attempts: int) -> None:
    """Mark done, if it is still ours; an atomic reaction's work is undone otherwise."""
    if not _end_lease(run_id, attempts, state="done", done_at=func.now(), error=None):
        raise _LeaseLost


def _postpone(run_id: int, attempts: int, error: Exception) -> str:
    state = "dead" if attempts >= MAX_ATTEMPTS else "due"
    wait_s = WAITS_S[min(attempts, len(WAITS_S)) - 1]
    with transaction():
        ours = _end_lease(
            run_id,
            attempts,
            state=state,
            error=redact.redact(f"{type(error).__name__}: {error}")[:500],
            due_at=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, wait_s),
        )
    return state if ours else "skipped"


def _end_lease(run_id: int, attempts: int, **values: Any) -> bool:
    """End the lease that began with this attempt; False if a later one has begun or ended."""
    return (
        session.scalar(
            update(ReactionRun)
            .where(
                ReactionRun.id == run_id,
                ReactionRun.state == "due",
                ReactionRun.attempts == attempts,
            )
            .values(lease_until=None, **values)
            .returning(ReactionRun.id)
        )
        is not None
    )
