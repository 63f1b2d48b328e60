"""From committed events to what follows: broadcasts for sockets, runs of reactions.

Promise: every committed event is dispatched, also when relays die or several run.
Unsent rows are claimed with SKIP LOCKED and never found by "id above the last seen", which loses
the rows of transactions that commit late.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Select, delete, func, insert, select, text
from sqlalchemy.exc import DBAPIError

from shop.core.broadcasts import Broadcast, SocketMessage
from shop.core.db import session, transaction
from shop.core.events import Event, EventPending, EventRecord
from shop.core.reaction_runs import DueRun, Reaction, ReactionRun

log = logging.getLogger(__name__)
BATCH = 200


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


def _socket_messages(
    record: EventRecord, messages: Callable[[EventRecord], Iterable[SocketMessage]]
) -> list[SocketMessage]:
    """What sockets hear; an event that cannot be broadcast must not stop the emails behind it."""
    try:
        return list(messages(record))
    except DBAPIError:  # the transaction is lost: the whole batch comes round again
        raise
    except Exception:
        log.exception("event not broadcast", extra={"type": record.type, "event_id": record.id})
        return []


def lag_s() -> float:
    """Returns the age in seconds of the oldest event that no relay has dispatched, or 0."""
    first = select(func.min(EventPending.event_id)).scalar_subquery()
    oldest = session.scalar(
        select(func.extract("epoch", func.now() - EventRecord.occurred_at)).where(
            EventRecord.id == first
        )
    )
    return max(0.0, float(oldest or 0))
