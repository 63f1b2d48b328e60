"""Answers to writes that a client may repeat: same key, same answer, the work done once.

Modelled on the IETF draft "The Idempotency-Key HTTP Header Field": the first call claims the key,
a repeat gets the stored answer, another body under the same key is refused, and a call that is
still running is told apart from one that is done.
"""

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from shop.core import clock
from shop.core.db import Base, session, transaction
from shop.core.errors import DomainError

LOCK_S = 60


class IdempotencyKey(Base):
    """One key of one caller (``scope``) and what it was answered."""

    __tablename__ = "idempotency_key"

    scope: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[str]
    locked_until: Mapped[datetime]
    status: Mapped[int | None]
    body: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class KeyReused(DomainError):
    """The key was used for another request."""

    code = "idempotency_key_reused"


class InProgress(DomainError):
    """The first call with this key is still running."""

    code = "in_progress"


def request_hash(body: object) -> str:
    """A fingerprint of a JSON body, independent of the order of keys."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def claim(scope: str, key: str, fingerprint: str) -> tuple[int, dict[str, Any]] | None:
    """Take the key, or give the stored (status, body) of an earlier call.

    Call inside a short transaction of its own. Raises ``KeyReused`` or ``InProgress``.
    A claim whose process died is taken over after 60 s.
    """
    now = clock.now()
    fresh = {"locked_until": now + timedelta(seconds=LOCK_S)}
    claimed = session.execute(
        insert(IdempotencyKey)
        .values(scope=scope, key=key, request_hash=fingerprint, **fresh)
        .on_conflict_do_nothing()
        .returning(IdempotencyKey.key)
    ).first()
    if claimed:
        return None
    row = session.get_one(IdempotencyKey, (scope, key), populate_existing=True)
    if row.request_hash != fingerprint:
        raise KeyReused("This Idempotency-Key was already used for a different request.")
    if row.status is not None:
        return row.status, row.body or {}
    taken_over = session.execute(
        update(IdempotencyKey)
        .where(
            IdempotencyKey.scope == scope,
            IdempotencyKey.key == key,
            IdempotencyKey.locked_until < now,
        )
        .values(**fresh)
        .returning(IdempotencyKey.key)
    ).first()
    if taken_over is None:
        raise InProgress("The first request with this Idempotency-Key is still being worked on.")
    return None


def store(scope: str, key: str, status: int, body: dict[str, Any]) -> None:
    """Keep the answer for repeats."""
    session.execute(
        update(IdempotencyKey)
        .where(IdempotencyKey.scope == scope, IdempotencyKey.key == key)
        .values(status=status, body=body)
    )


def forget(scope: str, key: str) -> None:
    """Give the key back after a refusal that changed nothing, for a corrected try."""
    row = session.get(IdempotencyKey, (scope, key))
    if row is not None:
        session.delete(row)


def prune() -> None:
    """Forget keys that are a week old: who repeats a request does so within hours."""
    week_ago = clock.now() - timedelta(days=7)
    with transaction():
        session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < week_ago))
