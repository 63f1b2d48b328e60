"""Sending what was written."""

from email.message import EmailMessage
from email.utils import format_datetime

from sqlalchemy import select

from shop.core import clock, mail
from shop.core.db import end_read, session, transaction
from shop.core.errors import NotFound, Unavailable
from shop.core.events import emit
from shop.notifications.events import MailQueued
from shop.notifications.models import MailMessage


def deliver(message_id: int) -> None:
    """Send one mail, or keep it in the development mailbox when no server is set.

    Raises ``Unavailable`` when the server does not take it: the reaction is tried again. The
    Message-ID is made of the mail's key, so that a copy sent after a lost answer can be recognised.
    """
    message = session.get(MailMessage, message_id)
    if message is None or message.state in {"sent", "kept"}:
        return
    end_read()
    if not mail.is_configured():
        _mark(message_id, "kept")
        return
    try:
        mail.send(_email(message), taken=lambda: _mark(message_id, "sent"))
    except Unavailable as error:
        _mark(message_id, "failed", error=error.sentence)
        raise


def retry(message_id: int) -> None:
    """Send a mail again that failed. Raises ``NotFound``."""
    message = session.get(MailMessage, message_id)
    if message is None:
        raise NotFound("There is no such mail.")
    message.state = "queued"
    emit(MailQueued(message_id=message_id))


def messages(*, page: int = 1, per_page: int = 50) -> list[MailMessage]:
    """What was or would have been sent, newest first."""
    return list(
        session.scalars(
            select(MailMessage)
            .order_by(MailMessage.id.desc())
            .limit(per_page)
            .offset((page - 1) * per_page)
        )
    )


def _email(message: MailMessage) -> EmailMessage:
    email = EmailMessage()
    email["From"] = mail.sender()
    email["To"] = message.recipient
    email["Subject"] = message.subject
    email["Date"] = format_datetime(message.created_at)
    domain = mail.sender().rpartition("@")[2].strip("> ")
    email["Message-ID"] = f"<{message.key.replace(':', '.')}@{domain}>"
    email.set_content(message.text)
    email.add_alternative(message.html, subtype="html")
    return email


def _mark(message_id: int, state: str, *, error: str = "") -> None:
    with transaction("mark-mail"):
        row = session.get_one(MailMessage, message_id)
        row.state, row.error, row.attempts = state, error, row.attempts + 1
        if state in {"sent", "kept"}:
            row.sent_at = clock.now()
