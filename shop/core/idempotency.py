"""Answers to writes that a client may repeat: same key, same answer, the work done once.

Modelled on the IETF draft "The Idempotency-Key HTTP Header Field": the first call claims the key,
a repeat gets the stored answer, another body under the same key is refused, and a call that is
still running is distinguished from one that is done.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, func, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from shop.core import clock
from shop.core.db import Base, session, transaction
from shop.core.errors import DomainError
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext

LOCK_S = 60
RUNNING = lazy_gettext("The first request with this Idempotency-Key is still being processed.")


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


@dataclass(frozen=True, slots=True)
class Claim:
    """A key that one call may work under. ``until`` grows with each taking over, so it also tells
    whether the key is still this call's. ``is_repeat``: a call before died under it,
    or ended without knowing what it had changed."""

    scope: str
    key: str
    until: datetime
    is_repeat: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What an earlier call with the same key was answered."""

    status: int
    body: dict[str, Any]


class KeyReused(DomainError):
    """The key was used for another request."""

    code = "idempotency_key_reused"


class InProgress(DomainError):
    """The first call with this key is still running."""

    code = "in_progress"


def request_hash(body: object) -> str:
    """A fingerprint of a JSON body, independent of the order of keys."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def claim(scope: str, key: str, fingerprint: str) -> Claim | Answer:
    """Claim the key. Returns the claim, or the stored answer of an earlier call.

    Call inside a short transaction of its own. Raises ``KeyReused`` or ``InProgress``.
    A claim whose process died is taken over after 60 s.
    """
    now = clock.now()
    mine = Claim(scope, key, now + timedelta(seconds=LOCK_S))
    claimed = session.execute(
        insert(IdempotencyKey)
        .values(scope=scope, key=key, request_hash=fingerprint, locked_until=mine.until)
        .on_conflict_do_nothing()
        .returning(IdempotencyKey.key)
    ).first()
    if claimed:
        return mine
    row = session.get(IdempotencyKey, (scope, key), populate_existing=True)
    if row is not None and row.request_hash != fingerprint:
        raise KeyReused(_("This Idempotency-Key was already used for a different request."))
    if row is not None and row.status is not None:
        return Answer(row.status, row.body or {})
    taken_over = session.execute(
        update(IdempotencyKey)
        .where(*_is(scope, key), IdempotencyKey.locked_until < now)
        .values(locked_until=mine.until)
        .returning(IdempotencyKey.key)
    ).first()
    if taken_over is None:
        raise InProgress(RUNNING)
    return replace(mine, is_repeat=True)


def store(claimed: Claim, status: int, body: dict[str, Any]) -> None:
    """Keep the answer for repeats, in the transaction that does the work.

    Raises ``InProgress`` when this call was so slow that another took the key over: of the two,
    one does the work.
    """
    kept = session.execute(
        update(IdempotencyKey)
        .where(*_still_claimed(claimed))
        .values(status=status, body=body)
        .returning(IdempotencyKey.key)
    ).first()
    if kept is None:
        raise InProgress(RUNNING)


def release(claimed: Claim) -> None:
    """Release the key after a call that changed nothing. An answer that is stored stays."""
    session.execute(
        delete(IdempotencyKey).where(*_still_claimed(claimed), IdempotencyKey.status.is_(None))
    )


def unlock(claimed: Claim) -> None:
    """End a call that does not know what it changed: the same request may go on from there."""
    session.execute(
        update(IdempotencyKey)
        .where(*_still_claimed(claimed), IdempotencyKey.status.is_(None))
        .values(locked_until=clock.now() - timedelta(seconds=1))
    )


def _still_claimed(claimed: Claim) -> tuple[ColumnElement[bool], ...]:
    """The key, while it is still this call's."""
    return *_is(claimed.scope, claimed.key), IdempotencyKey.locked_until == claimed.until


def _is(scope: str, key: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return IdempotencyKey.scope == scope, IdempotencyKey.key == key


def prune() -> None:
    """Delete keys that are a week old: clients repeat a request within hours."""
    week_ago = clock.now() - timedelta(days=7)
    with transaction():
        session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < week_ago))
