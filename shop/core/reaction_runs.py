"""Runs of reactions: due, leased by a worker, done, or dead after eight attempts.

Promise: a run that is due is enqueued again until its row says done or dead. Redis only wakes the
workers.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Identity,
    Index,
    UniqueConstraint,
    case,
    func,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from shop.core import actor, clock, redact, retention
from shop.core.choices import choice, one_of
from shop.core.db import Base, session, transaction
from shop.core.events import EventRecord

log = logging.getLogger(__name__)
# A day in all: a mail server or Stripe may be away for hours, and nobody should have to notice.
WAITS_S = (2, 60, 300, 1200, 3600, 4 * 3600, 18 * 3600)
MAX_ATTEMPTS = len(WAITS_S) + 1
LEASE_S = 60
RUNS_KEPT = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Reaction:
    """What follows an event, in a worker.

    ``atomic`` reactions run inside the transaction that marks them done: exactly once.
    The others talk to the outside world and open their own; they may run twice, so they check.
    ``slow`` ones wait in a queue of their own, so that no email stands behind two hundred images.
    ``lease_s`` is longer than the reaction can take: after it another worker runs it again,
    because the first must have died.
    """

    name: str
    run: Callable[[Any], None]
    atomic: bool = True
    slow: bool = False
    lease_s: int = LEASE_S


class ReactionState(StrEnum):
    """Where a run is; ``dead`` after its last attempt."""

    DUE = "due"
    DONE = "done"
    DEAD = "dead"


class RunOutcome(StrEnum):
    """What came of an attempt at a run; ``skipped``: it was not due, or another worker has it."""

    DUE = "due"
    DONE = "done"
    DEAD = "dead"
    SKIPPED = "skipped"


class _LeaseLost(Exception):
    """The lease ran out and another worker has taken the run."""


class DueRun(NamedTuple):
    """A run for the queue of its reaction."""

    run_id: int
    reaction: str


class ReactionRun(Base):
    """The run of one reaction to one event: due, done or dead."""

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("event_id", "reaction"),
        Index("ix_delivery_open", "due_at", postgresql_where=text("state <> 'done'")),
        one_of("state", ReactionState),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    event_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("event.id"))
    reaction: Mapped[str]
    state: Mapped[ReactionState] = choice(ReactionState, default=ReactionState.DUE)
    attempts: Mapped[int] = mapped_column(server_default="0")
    due_at: Mapped[datetime] = mapped_column(server_default=func.now())
    lease_until: Mapped[datetime | None]
    enqueued_at: Mapped[datetime | None] = mapped_column("rung_at", server_default=func.now())
    done_at: Mapped[datetime | None]
    error: Mapped[str | None]


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
                            ReactionRun.state == ReactionState.DUE,
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


def run_reaction(run_id: int, reactions: Mapping[str, Reaction]) -> RunOutcome:
    """Run one reaction now if it is due and not leased. Returns what came of it."""
    claim = _claim(run_id, reactions)
    if claim is None:
        return RunOutcome.SKIPPED
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
        return RunOutcome.SKIPPED
    except Exception as error:  # a worker's loop: whatever went wrong is written down and retried
        log.exception("reaction failed", extra={"reaction": name, "event_id": record.id})
        return _postpone(run_id, attempts, error)
    finally:
        session.remove()
    return RunOutcome.DONE


def _claim(run_id: int, reactions: Mapping[str, Reaction]) -> tuple[EventRecord, str, int] | None:
    own = {name: one.lease_s for name, one in reactions.items() if one.lease_s != LEASE_S}
    lease_s = case(own, value=ReactionRun.reaction, else_=LEASE_S) if own else literal(LEASE_S)
    with transaction("claim-run"):
        row = session.execute(
            update(ReactionRun)
            .where(
                ReactionRun.id == run_id,
                ReactionRun.state == ReactionState.DUE,
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


def _finish(run_id: int, attempts: int) -> None:
    """Mark done, if it is still ours; an atomic reaction's work is undone otherwise."""
    if not _end_lease(run_id, attempts, state=ReactionState.DONE, done_at=func.now(), error=None):
        raise _LeaseLost


def _postpone(run_id: int, attempts: int, error: Exception) -> RunOutcome:
    state = ReactionState.DEAD if attempts >= MAX_ATTEMPTS else ReactionState.DUE
    wait_s = WAITS_S[min(attempts, len(WAITS_S)) - 1]
    with transaction():
        ours = _end_lease(
            run_id,
            attempts,
            state=state,
            error=redact.redact(f"{type(error).__name__}: {error}")[:500],
            due_at=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, wait_s),
        )
    return RunOutcome(state) if ours else RunOutcome.SKIPPED


def _end_lease(run_id: int, attempts: int, **values: Any) -> bool:
    """End the lease that began with this attempt; False if a later one has begun or ended."""
    return (
        session.scalar(
            update(ReactionRun)
            .where(
                ReactionRun.id == run_id,
                ReactionRun.state == ReactionState.DUE,
                ReactionRun.attempts == attempts,
            )
            .values(lease_until=None, **values)
            .returning(ReactionRun.id)
        )
        is not None
    )


def retry(run_id: int) -> None:
    """Give a dead run another eight attempts; the relay enqueues it within seconds."""
    session.execute(
        update(ReactionRun)
        .where(ReactionRun.id == run_id, ReactionRun.state == ReactionState.DEAD)
        .values(
            state=ReactionState.DUE,
            attempts=0,
            due_at=func.now(),
            enqueued_at=None,
            lease_until=None,
        )
    )


def prune_runs() -> int:
    """Delete runs that were done 90 days ago. Returns how many.

    None runs again: an event is dispatched because it is pending, not because a run is missing.
    """
    return retention.delete_expired(
        ReactionRun.id,
        is_expired=(ReactionRun.state == ReactionState.DONE)
        & (ReactionRun.done_at < clock.now() - RUNS_KEPT),
    )
