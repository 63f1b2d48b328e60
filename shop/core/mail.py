"""Sending one e-mail by SMTP. Knows nothing of templates or of why the mail is sent."""

import smtplib
from dataclasses import dataclass
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from shop.core.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Server:
    """Where mail goes, from ``SMTP_URL``: ``smtp://user:password@host:587`` or ``smtps://…``."""

    url: str
    sender: str


_server = Server("", "")


def configure(url: str, sender: str) -> None:
    """Set the server; an empty ``url`` means that mails stay in the development mailbox."""
    global _server
    _server = Server(url, sender)


def is_configured() -> bool:
    """Whether mails really leave the house."""
    return bool(_server.url)


def sender() -> str:
    """The From address of every mail."""
    return _server.sender


def send(message: EmailMessage) -> None:
    """Hand ``message`` to the SMTP server. Raises ``Unavailable`` when it does not take it."""
    parts = urlsplit(_server.url)
    tls = parts.scheme == "smtps"
    port = parts.port or (465 if tls else 25)
    connect = smtplib.SMTP_SSL if tls else smtplib.SMTP
    try:
        with connect(parts.hostname or "localhost", port, timeout=20) as smtp:
            smtp.ehlo()
            if not tls and smtp.has_extn("starttls"):
                smtp.starttls()
            if parts.username:
                smtp.login(unquote(parts.username), unquote(parts.password or ""))
            smtp.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        raise Unavailable(f"The mail server did not take the message: {error}") from error
