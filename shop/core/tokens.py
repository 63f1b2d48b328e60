"""Secrets that travel in links: 128 random bits or more; only their hash is stored."""

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, ColumnElement, Identity, delete, select, update
from sqlalchemy.orm import Mapped, mapped_column

from shop.core import clock, retention
from shop.core.db import Base, session


class OneTimeToken(Base):
    """A link that works once, for one purpose and one subject, until it expires."""

    __tablename__ = "one_time_token"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    digest: Mapped[str] = mapped_column(unique=True)
    purpose: Mapped[str]
    subject_id: Mapped[int] = mapped_column(BigInteger, index=True)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


def new_token() -> str:
    """A fresh URL-safe secret of 192 bits."""
    return secrets.token_urlsafe(24)


def digest(token: str) -> str:
    """What is stored instead of the secret (SHA-256 suffices for random secrets)."""
    return hashlib.sha256(token.encode()).hexdigest()


def matches(given: str | None, kept: str | None) -> bool:
    """Compare two secrets in constant time; empty never matches."""
    if not given or not kept:
        return False
    return secrets.compare_digest(given.encode(), kept.encode())


def issue(purpose: str, subject_id: int, *, minutes: int) -> str:
    """Make a one-time token. Older ones stay good until one of them is used: who asks in somebody
    else's name does not break the link that is in their mailbox."""
    token = new_token()
    session.add(
        OneTimeToken(
            digest=digest(token),
            purpose=purpose,
            subject_id=subject_id,
            expires_at=clock.now() + timedelta(minutes=minutes),
        )
    )
    return token


def redeem(purpose: str, token: str) -> int | None:
    """Use up a token and all others of its purpose and subject.

    Returns the subject, or None if the token is wrong, expired or used.
    """
    subject_id = session.scalar(
        update(OneTimeToken)
        .where(*_is_good(purpose, token))
        .values(used_at=clock.now())
        .returning(OneTimeToken.subject_id)
    )
    if subject_id is not None:
        session.execute(
            delete(OneTimeToken).where(*_of(purpose, subject_id), OneTimeToken.used_at.is_(None))
        )
    return subject_id


def subject_of(purpose: str, token: str) -> int | None:
    """Returns whose token this is, if it could be redeemed now; looking does not use it up."""
    return session.scalar(select(OneTimeToken.subject_id).where(*_is_good(purpose, token)))


def is_good(purpose: str, token: str) -> bool:
    """Whether a token could be redeemed now; looking does not use it up."""
    return subject_of(purpose, token) is not None


def revoke(purpose: str, subject_id: int) -> None:
    """Delete every token of this purpose and subject."""
    session.execute(delete(OneTimeToken).where(*_of(purpose, subject_id)))


def prune() -> int:
    """Delete tokens that expired a day ago, used or not. Returns how many."""
    day_ago = clock.now() - timedelta(days=1)
    return retention.delete_expired(OneTimeToken.id, is_expired=OneTimeToken.expires_at < day_ago)


def _of(purpose: str, subject_id: int) -> tuple[ColumnElement[bool], ...]:
    return OneTimeToken.purpose == purpose, OneTimeToken.subject_id == subject_id


def _is_good(purpose: str, token: str) -> tuple[ColumnElement[bool], ...]:
    return (
        OneTimeToken.digest == digest(token),
        OneTimeToken.purpose == purpose,
        OneTimeToken.used_at.is_(None),
        OneTimeToken.expires_at > clock.now(),
    )
