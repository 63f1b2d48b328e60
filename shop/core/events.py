"""What happened, in the shop's words: one insert-only table.

It is the order timeline, the outbox that the relay empties, and what audit reads as "why".
Promise: ``emit`` writes in the caller's transaction: an event exists exactly when its change does.
A trigger adds each new row to ``event_pending`` and wakes the relay (see the first migration).
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

from sqlalchemy import BigInteger, ForeignKey, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from shop.core import actor, clock
from shop.core.db import Base, session


@dataclass(frozen=True, kw_only=True)
class Event:
    """Parent of all events: past tense, ids instead of objects, nothing secret."""

    registry: ClassVar[dict[str, type["Event"]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Event.registry[cls.__name__] = cls

    @classmethod
    def from_payload(cls, payload: dict[str, Any]) -> Self:
        """Rebuild an event from its stored payload."""
        return cls(**payload)


class EventRecord(Base):
    """One event as stored; never updated, never deleted."""

    __tablename__ = "event"
    __table_args__ = (Index("ix_event_order_id", "order_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    type: Mapped[str]
    payload: Mapped[dict[str, Any]]
    order_id: Mapped[int | None] = mapped_column(BigInteger)
    occurred_at: Mapped[datetime]
    actor_kind: Mapped[str]
    actor_id: Mapped[int | None] = mapped_column(BigInteger)
    actor_name: Mapped[str]
    request_id: Mapped[str]

    @property
    def event(self) -> Event:
        """The event itself, as it was emitted."""
        return Event.registry[self.type].from_payload(self.payload)


class EventPending(Base):
    """Events that no relay has dispatched yet; rows are put here by a trigger."""

    __tablename__ = "event_pending"

    event_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("event.id"), primary_key=True, autoincrement=False
    )


def emit(event: Event) -> None:
    """Record ``event`` in the open transaction, with the current actor and request."""
    who = actor.current()
    payload = asdict(event)
    session.add(
        EventRecord(
            type=type(event).__name__,
            payload=payload,
            order_id=payload.get("order_id"),
            occurred_at=clock.now(),
            actor_kind=who.kind,
            actor_id=who.id,
            actor_name=who.name,
            request_id=actor.request_id(),
        )
    )
