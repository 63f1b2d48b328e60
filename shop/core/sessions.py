"""Sign-ins of browsers and programs, kept in the database so that they can be ended at once.

A signed cookie alone would outlive sign-out and password change; here each request looks it up.
"""

from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import BigInteger, Identity, Index, delete, func, or_, select, update
from sqlalchemy.orm import Mapped, mapped_column

from shop.core import clock, tokens
from shop.core.db import Base, session, transaction

Audience = Literal["staff", "customer"]
LIFETIME = {"staff": timedelta(hours=12), "customer": timedelta(days=30)}
# Without being used, a sign-in of staff ends sooner: ``expires_at`` moves on with use.
IDLE = {"staff": timedelta(minutes=30), "customer": LIFETIME["customer"]}
NOTED_EVERY = timedelta(minutes=1)
MAX_USER_AGENT = 300


class SignIn(Base):
    """One signed-in browser or program.

    ``user_agent`` and ``network_address`` say of staff what they see in their list of sign-ins; of
    customers they are empty. ``used_at`` is moved on with use, at most once a minute.
    """

    __tablename__ = "sign_in"
    __table_args__ = (Index("ix_sign_in_subject", "audience", "subject_id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    digest: Mapped[str] = mapped_column(unique=True)
    audience: Mapped[str]
    subject_id: Mapped[int] = mapped_column(BigInteger)
    started_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    user_agent: Mapped[str] = mapped_column(server_default="", default="")
    network_address: Mapped[str] = mapped_column(server_default="", default="")
    used_at: Mapped[datetime] = mapped_column(server_default=func.now())


def start(
    audience: Audience, subject_id: int, *, user_agent: str = "", network_address: str = ""
) -> str:
    """Open a sign-in. Returns the secret that the cookie (or token) carries."""
    token = tokens.new_token()
    now = clock.now()
    session.add(
        SignIn(
            digest=tokens.digest(token),
            audience=audience,
            subject_id=subject_id,
            started_at=now,
            expires_at=lasts_until(audience, now),
            user_agent=user_agent[:MAX_USER_AGENT],
            network_address=network_address,
            used_at=now,
        )
    )
    return token


def lasts_until(audience: str, started_at: datetime) -> datetime:
    """When a sign-in that is used now ends, if nobody uses it again."""
    return min(started_at + LIFETIME[audience], clock.now() + IDLE[audience])


def is_worth_noting(audience: Audience, started_at: datetime, expires_at: datetime) -> bool:
    """Whether a use now would move the end by a minute: sooner need not be written down."""
    return lasts_until(audience, started_at) - expires_at >= NOTED_EVERY


def note_use(audience: Audience, token: str, started_at: datetime) -> None:
    """Somebody uses this sign-in. One that has ended stays so. Inside a transaction."""
    session.execute(
        update(SignIn)
        .where(
            SignIn.digest == tokens.digest(token),
            SignIn.audience == audience,
            SignIn.ended_at.is_(None),
            SignIn.expires_at > clock.now(),
        )
        .values(expires_at=lasts_until(audience, started_at), used_at=clock.now())
    )


def subject(audience: Audience, token: str | None) -> int | None:
    """Whose sign-in this is, if it still counts. One statement."""
    if not token:
        return None
    return session.scalar(
        select(SignIn.subject_id).where(
            SignIn.digest == tokens.digest(token),
            SignIn.audience == audience,
            SignIn.ended_at.is_(None),
            SignIn.expires_at > clock.now(),
        )
    )


def living(audience: Audience, subject_id: int) -> list[SignIn]:
    """All sign-ins of this person that still count, the one used last first. One statement."""
    return list(
        session.scalars(
            select(SignIn)
            .where(
                SignIn.audience == audience,
                SignIn.subject_id == subject_id,
                SignIn.ended_at.is_(None),
                SignIn.expires_at > clock.now(),
            )
            .order_by(SignIn.used_at.desc(), SignIn.id.desc())
        )
    )


def end_one(audience: Audience, subject_id: int, sign_in_id: int) -> None:
    """End one sign-in of this person; one of somebody else stays, and so does none."""
    session.execute(
        update(SignIn)
        .where(
            SignIn.id == sign_in_id,
            SignIn.audience == audience,
            SignIn.subject_id == subject_id,
            SignIn.ended_at.is_(None),
        )
        .values(ended_at=clock.now())
    )


def end(token: str | None) -> None:
    """Sign one browser out."""
    if token:
        session.execute(
            update(SignIn)
            .where(SignIn.digest == tokens.digest(token), SignIn.ended_at.is_(None))
            .values(ended_at=clock.now())
        )


def end_all(audience: Audience, subject_id: int, *, but: str | None = None) -> None:
    """Sign this person out everywhere, except where the token ``but`` is used."""
    session.execute(
        update(SignIn)
        .where(
            SignIn.audience == audience,
            SignIn.subject_id == subject_id,
            SignIn.ended_at.is_(None),
            SignIn.digest != (tokens.digest(but) if but else ""),
        )
        .values(ended_at=clock.now())
    )


def prune() -> None:
    """Delete sign-ins that ended or expired a month ago, with the API tokens that hung on them."""
    long_ago = clock.now() - timedelta(days=30)
    with transaction():
        session.execute(
            delete(SignIn).where(or_(SignIn.expires_at < long_ago, SignIn.ended_at < long_ago))
        )
