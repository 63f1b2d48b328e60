"""The table of invitations: an account that somebody made and its owner has yet to accept."""

from datetime import datetime

from sqlalchemy import BigInteger, Identity
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.db import Base


class Invitation(Base):
    """Whoever has one has not joined yet: accepting it deletes the row.

    ``user_id`` is the account (``ab_user``), ``invited_by_id`` the member of staff who sent it,
    empty for a command. An invitation that is sent again is a new row with a new number, so that
    links of the old one are good for nothing, even those in emails that have yet to be sent.
    """

    __tablename__ = "staff_invitation"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    user_id: Mapped[int] = mapped_column(BigInteger, unique=True)
    invited_by_id: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
