"""Sending what was written, and showing it.

The secret of a link is put into an email while it is sent, and nowhere else: what is stored, and
what staff see, holds a mark in its place. A one-time link gets its token with each try to send.
"""

import re
from dataclasses import dataclass
from email.message import EmailMessage as MIMEMessage
from email.utils import format_datetime

from sqlalchemy import select

from shop import customers, staff
from shop.core import clock, mail, redact, tokens
from shop.core.db import end_read, session, transaction
from shop.core.errors import NotFound, Unavailable
from shop.core.events import emit
from shop.core.i18n import gettext as _
from shop.notifications.events import MailQueued
from shop.notifications.models import EmailMessage, EmailState
from shop.orders import Order

LINK_KIND = "_link"
HIDDEN = "(hidden)"


@dataclass(frozen=True, slots=True)
class Body:
    """An email's text and HTML."""

    text: str
    html: str


def deliver(message_id: int) -> None:
    """Send one email, or keep it in the development mailbox when no server is set.

    Raises ``Unavailable`` when the server does not take it: the reaction is tried again. The
    Message-ID is made of the email's key, so that a copy sent after a lost answer can be
    recognised.
    """
    message = session.get(EmailMessage, message_id)
    if message is None or message.state in {EmailState.SENT, EmailState.KEPT}:
        return
    end_read()
    secret = _secret(message)
    if not mail.is_configured():
        _mark(message_id, EmailState.KEPT, link_token=secret if message.link_about else None)
        return
    try:
        mail.send(_email(message, secret), taken=lambda: _mark(message_id, EmailState.SENT))
    except Unavailable as error:
        _mark(message_id, EmailState.FAILED, error=redact.redact(error.sentence))
        raise


def without_secret(message: EmailMessage) -> Body:
    """Returns the email as anybody on the staff may see it: its secret links lead nowhere."""
    mark = message.secret_mark
    if not mark:
        return Body(message.text, message.html)
    live_link = rf'\s+href="[^"]*{re.escape(mark)}[^"]*"'
    html = re.sub(live_link, "", message.html)
    return Body(message.text.replace(mark, HIDDEN), html.replace(mark, HIDDEN))


def with_secret(message: EmailMessage) -> Body:
    """Returns the email with links that work, if it is in the development mailbox, where nothing
    is sent and staff are its only readers.

    Of any other it is its reader's link: whoever followed it would act in their name.
    """
    if message.state != EmailState.KEPT:
        return without_secret(message)
    secret = message.link_token if message.link_about else _order_secret(message)
    return _filled(message, secret) if secret else without_secret(message)


def retry(message_id: int) -> None:
    """Send an email again that failed. Raises ``NotFound``."""
    message = session.get(EmailMessage, message_id)
    if message is None:
        raise NotFound(_("Email not found."))
    message.state = EmailState.QUEUED
    emit(MailQueued(message_id=message_id))


def messages(*, page: int = 1, per_page: int = 50) -> list[EmailMessage]:
    """What was or would have been sent, newest first."""
    return list(
        session.scalars(
            select(EmailMessage)
            .order_by(EmailMessage.id.desc())
            .limit(per_page)
            .offset((page - 1) * per_page)
        )
    )


def _secret(message: EmailMessage) -> str:
    """The secret that this email carries; a one-time link gets a new token. Empty without one."""
    if not message.secret_mark:
        return ""
    about = message.link_about
    if about is None:
        secret = _order_secret(message)
        end_read()
        return secret
    purpose = message.kind.removesuffix(LINK_KIND)
    minutes = staff.LINK_MINUTES.get(purpose, customers.LINK_MINUTES)
    with transaction():
        return tokens.issue(purpose, about, minutes=minutes)


def _order_secret(message: EmailMessage) -> str:
    found = session.scalar(select(Order.token).where(Order.id == message.order_id))
    return found or ""


def _filled(message: EmailMessage, secret: str) -> Body:
    mark = message.secret_mark
    if not mark:
        return Body(message.text, message.html)
    return Body(message.text.replace(mark, secret), message.html.replace(mark, secret))


def _email(message: EmailMessage, secret: str) -> MIMEMessage:
    body = _filled(message, secret)
    email = MIMEMessage()
    email["From"] = mail.sender()
    email["To"] = message.recipient
    email["Subject"] = message.subject
    email["Date"] = format_datetime(message.created_at)
    domain = mail.sender().rpartition("@")[2].strip("> ")
    email["Message-ID"] = f"<{message.key.replace(':', '.')}@{domain}>"
    email.set_content(body.text)
    email.add_alternative(body.html, subtype="html")
    return email


def _mark(
    message_id: int, state: EmailState, *, error: str = "", link_token: str | None = None
) -> None:
    with transaction("mark-mail"):
        row = session.get_one(EmailMessage, message_id)
        row.state, row.error, row.attempts = state, error, row.attempts + 1
        row.link_token = link_token
        if state in {EmailState.SENT, EmailState.KEPT}:
            row.sent_at = clock.now()
