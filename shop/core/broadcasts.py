"""What sockets hear, numbered in the order of sending and kept for those who were away."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Identity, Index, func, select
from sqlalchemy.orm import Mapped, mapped_column

from shop.core import clock, retention
from shop.core.db import Base, session, transaction

# Sockets that were away for longer have to read everything again.
BROADCASTS_KEPT = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class SocketMessage:
    """What sockets that follow ``topic`` hear."""

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
