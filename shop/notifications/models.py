"""Tables of email: each message is a row before it is sent, and says what became of it."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from shop.core import search
from shop.core.choices import choice, one_of
from shop.core.db import Base


class EmailState(StrEnum):
    """Where an email is; ``kept`` in development, where nothing is sent."""

    QUEUED = "queued"
    SENT = "sent"
    KEPT = "kept"
    FAILED = "failed"


class EmailMessage(Base):
    """One email. ``key`` says what it is for (``receipt:17``) and forbids a second one.

    ``text`` and ``html`` hold no secret: where the link's secret belongs stands ``secret_mark``,
    random for each email, and ``procedures.with_secret`` puts the secret there for sending.
    ``customer_id`` is whom a one-time link is for, ``staff_link_id`` the invitation or the account
    that one of staff is about; ``link_token`` exists in the development mailbox only, where nothing
    is sent. ``mailbox`` is what the caps on account emails count by.
    """

    __tablename__ = "mail_message"
    __table_args__ = (
        one_of("state", EmailState),
        CheckConstraint("link_token IS NULL OR state = 'kept'", name="link_token"),
        Index(
            "ix_mail_message_mailbox",
            "mailbox",
            "created_at",
            postgresql_where=text("mailbox <> ''"),
        ),
        Index("ix_mail_message_created_at", "created_at"),
        search.folded_index("mail_message", "recipient"),
        search.folded_index("mail_message", "subject"),
        Index("ix_mail_message_open", "id", postgresql_where=text("state NOT IN ('sent', 'kept')")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    recipient: Mapped[str]
    subject: Mapped[str]
    text: Mapped[str]
    html: Mapped[str]
    state: Mapped[EmailState] = choice(EmailState, default=EmailState.QUEUED)
    attempts: Mapped[int] = mapped_column(server_default="0", default=0)
    error: Mapped[str] = mapped_column(server_default="", default="")
    order_id: Mapped[int | None] = mapped_column(BigInteger, index=True)
    secret_mark: Mapped[str] = mapped_column(server_default="", default="")
    customer_id: Mapped[int | None] = mapped_column(BigInteger)
    staff_link_id: Mapped[int | None] = mapped_column(BigInteger)
    link_token: Mapped[str | None]
    mailbox: Mapped[str] = mapped_column(server_default="", default="")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    sent_at: Mapped[datetime | None]

    @property
    def link_about(self) -> int | None:
        """Whom or what its one-time link is about; None without one."""
        return self.customer_id if self.staff_link_id is None else self.staff_link_id

    def __str__(self) -> str:
        return f"{self.subject} to {self.recipient}"
