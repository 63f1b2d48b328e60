"""Sending one e-mail by SMTP. Knows nothing of templates or of why the mail is sent."""

import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from shop.core.errors import Unavailable

TIMEOUT_S = 20


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
    """Hand ``message`` to the SMTP server. Raises ``Unavailable`` when it does not take it.

    A server that gets a password must show a valid certificate. Without one, encryption is taken as
    offered, as between mail servers (RFC 7435).
    """
    parts = urlsplit(_server.url)
    tls = parts.scheme == "smtps"
    host, port = parts.hostname or "localhost", parts.port or (465 if tls else 25)
    trust = ssl.create_default_context()
    if not parts.username:
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_S, context=trust)
            if tls
            else smtplib.SMTP(host, port, timeout=TIMEOUT_S)
        ) as smtp:
            smtp.ehlo()
            if not tls and smtp.has_extn("starttls"):
                smtp.starttls(context=trust)
                smtp.ehlo()
            if parts.username:
                smtp.login(unquote(parts.username), unquote(parts.password or ""))
            smtp.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        raise Unavailable(f"The mail server did not take the message: {error}") from error
