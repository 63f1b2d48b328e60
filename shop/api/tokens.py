"""Tokens of programs: a sign-in with short-lived access tokens and refresh tokens that work once.

Promise: whoever steals a refresh token and uses it, or is robbed of it, is noticed at the next
use by the other, and the whole sign-in ends (RFC 9700, section 4.14.2).
"""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, select, update

from shop.api.models import ApiToken, TokenKind
from shop.core import clock, sessions, tokens
from shop.core.db import session
from shop.core.sessions import Audience, SignIn

ACCESS_S = 15 * 60


@dataclass(frozen=True, slots=True)
class Pair:
    """What a program is given."""

    access_token: str
    refresh_token: str
    expires_in: int = ACCESS_S
    token_type: str = "Bearer"


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whose live access token this is; ``digest`` names the sign-in behind it."""

    audience: Audience
    subject_id: int
    sign_in_id: int
    digest: str


def open_sign_in(
    audience: Audience, subject_id: int, *, user_agent: str = "", network_address: str = ""
) -> Pair:
    """Sign a program in. Old tokens of the same person that nobody can use are cleared away."""
    secret = sessions.start(
        audience, subject_id, user_agent=user_agent, network_address=network_address
    )
    session.flush()
    mine = select(SignIn.id).where(SignIn.audience == audience, SignIn.subject_id == subject_id)
    session.execute(
        delete(ApiToken)
        .where(ApiToken.sign_in_id.in_(mine), ApiToken.expires_at < clock.now())
        .execution_options(synchronize_session=False)
    )
    opened = session.scalars(select(SignIn).where(SignIn.digest == tokens.digest(secret))).one()
    return _issue(opened)


def rotate(refresh_token: str) -> Pair | None:
    """A new pair for a refresh token; None if it is wrong, expired or used.

    One that was used before ends its whole sign-in: somebody has a copy. Commit that, too.
    """
    now = clock.now()
    digest = tokens.digest(refresh_token)
    taken = session.scalar(
        update(ApiToken)
        .where(
            ApiToken.digest == digest,
            ApiToken.kind == TokenKind.REFRESH,
            ApiToken.used_at.is_(None),
            ApiToken.expires_at > now,
        )
        .values(used_at=now)
        .returning(ApiToken.sign_in_id)
    )
    if taken is None:
        reused = select(ApiToken.sign_in_id).where(
            ApiToken.digest == digest,
            ApiToken.kind == TokenKind.REFRESH,
            ApiToken.used_at.is_not(None),
        )
        session.execute(
            update(SignIn)
            .where(SignIn.id.in_(reused), SignIn.ended_at.is_(None))
            .values(ended_at=now)
            .execution_options(synchronize_session=False)
        )
        return None
    sign_in = session.get_one(SignIn, taken, with_for_update=True, populate_existing=True)
    if sign_in.ended_at is not None or sign_in.expires_at <= now:
        return None
    sign_in.expires_at = sessions.lasts_until(sign_in.audience, sign_in.started_at)
    sign_in.used_at = now
    return _issue(sign_in)


def bearer(access_token: str) -> Bearer | None:
    """Whose token this is, if it and its sign-in still count. One statement."""
    now = clock.now()
    row = session.execute(
        select(SignIn.audience, SignIn.subject_id, SignIn.id, SignIn.digest)
        .join(ApiToken, ApiToken.sign_in_id == SignIn.id)
        .where(
            ApiToken.digest == tokens.digest(access_token),
            ApiToken.kind == TokenKind.ACCESS,
            ApiToken.expires_at > now,
            SignIn.ended_at.is_(None),
            SignIn.expires_at > now,
        )
    ).first()
    return Bearer(*row) if row else None  # type: ignore[arg-type]  # a CHECKed column


def close_sign_in(sign_in_id: int) -> None:
    """End one program's sign-in with all its tokens."""
    session.execute(
        update(SignIn)
        .where(SignIn.id == sign_in_id, SignIn.ended_at.is_(None))
        .values(ended_at=clock.now())
    )


def _issue(sign_in: SignIn) -> Pair:
    now = clock.now()
    pair = Pair(tokens.new_token(), tokens.new_token())
    for kind, token, expires_at in (
        (TokenKind.ACCESS, pair.access_token, now + timedelta(seconds=ACCESS_S)),
        (TokenKind.REFRESH, pair.refresh_token, sign_in.expires_at),
    ):
        session.add(
            ApiToken(
                digest=tokens.digest(token),
                kind=kind,
                sign_in_id=sign_in.id,
                created_at=now,
                expires_at=min(expires_at, sign_in.expires_at),
            )
        )
    session.flush()
    return pair
