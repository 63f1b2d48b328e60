"""Sending one email by SMTP. Knows nothing of templates or of why the email is sent."""

import smtplib
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any
from urllib.parse import unquote, urlsplit

from shop.core import failpoints
from shop.core.errors import Unavailable
from shop.core.i18n import gettext as _

# For all answers before the message together, and again for the one after it: twice this is less
# than the lease of a run (``reaction_runs.LEASE_S``), or a second worker would send the email, too.
DEADLINE_S = 25.0


@dataclass(frozen=True, slots=True)
class Server:
    """Where email goes, from ``SMTP_URL``: ``smtp://user:password@host:587`` or ``smtps://…``."""

    url: str
    sender: str


_server = Server("", "")


def configure(url: str, sender: str) -> None:
    """Set the server; an empty ``url`` means that emails stay in the development mailbox."""
    global _server
    _server = Server(url, sender)


def is_configured() -> bool:
    """Whether emails really leave the house."""
    return bool(_server.url)


def sender() -> str:
    """The From address of every email."""
    return _server.sender


def send(message: EmailMessage, taken: Callable[[], object]) -> None:
    """Hand ``message`` to the SMTP server. Raises ``Unavailable`` when it does not take it.

    ``taken`` runs as soon as the server has said that it has it, before the goodbye: whoever dies
    later need not send it again. What goes wrong with the goodbye changes nothing.

    A server that gets a password must show a valid certificate. Without one, encryption is taken as
    offered, as between mail servers (RFC 7435).
    """
    parts = urlsplit(_server.url)
    tls = parts.scheme == "smtps"
    host, port = parts.hostname or "localhost", parts.port or (465 if tls else 25)
    trust = ssl.create_default_context()
    if not parts.username:
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    is_done = False
    try:
        with (
            _ImpatientTls(host, port, timeout=DEADLINE_S, context=trust)
            if tls
            else _Impatient(host, port, timeout=DEADLINE_S)
        ) as smtp:
            smtp.ehlo()
            if not tls and smtp.has_extn("starttls"):
                smtp.starttls(context=trust)
                smtp.ehlo()
            if parts.username:
                smtp.login(unquote(parts.username), unquote(parts.password or ""))
            with failpoints.around("send-mail"):
                smtp.send_message(message)
            taken()
            is_done = True
    except (OSError, smtplib.SMTPException) as error:
        if not is_done:
            raise Unavailable(
                _("The email server did not accept the message: %(reason)s", reason=error)
            ) from error


class _Impatient(smtplib.SMTP):
    """Leaves a server whose answers, each in time, add up to more than the time there is."""

    def __init__(self, *where: Any, **how: Any) -> None:
        self._until = time.monotonic() + DEADLINE_S
        super().__init__(*where, **how)

    def putcmd(self, cmd: str, args: str = "") -> None:
        left = self._until - time.monotonic()
        if left <= 0 or self.sock is None:
            self.close()
            raise smtplib.SMTPServerDisconnected("it answers too slowly")
        try:
            self.sock.settimeout(left)
        except OSError as error:  # a line that broke before; why, was said then
            self.close()
            raise smtplib.SMTPServerDisconnected("the line is closed") from error
        super().putcmd(cmd, args)


class _ImpatientTls(_Impatient, smtplib.SMTP_SSL):
    """The same for ``smtps://``."""
