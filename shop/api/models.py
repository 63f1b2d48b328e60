"""Table of the tokens by which programs sign in."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey, Identity
from sqlalchemy.orm import Mapped, mapped_column, relationship

from shop.core.choices import choice, one_of
from shop.core.db import Base
from shop.core.sessions import SignIn


class TokenKind(StrEnum):
    """What a token is for."""

    ACCESS = "access"
    REFRESH = "refresh"


class ApiToken(Base):
    """An access or refresh token, of which only the hash is kept.

    It counts only as long as its sign-in: what ends a browser's sign-ins ends programs' too.
    A refresh token works once; ``used_at`` stays, so that a second use is noticed.
    """

    __tablename__ = "api_token"
    __table_args__ = (one_of("kind", TokenKind),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    digest: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[TokenKind] = choice(TokenKind)
    sign_in_id: Mapped[int] = mapped_column(
        ForeignKey("sign_in.id", ondelete="CASCADE"), index=True
    )
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]

    sign_in: Mapped[SignIn] = relationship()
