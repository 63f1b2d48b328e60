"""A mail server that takes what it is sent, or refuses, dawdles, or hangs up after taking it."""

import asyncio
import random
import socket
import threading
from collections import Counter
from dataclasses import dataclass
from email import message_from_bytes
from weakref import WeakKeyDictionary

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass
class Manners:
    """How it behaves; each is the chance that it happens to an email."""

    refuse: float = 0.0
    refuse_later: float = 0.0
    slow: float = 0.0
    pause_s: float = 0.0
    hang_up: float = 0.0
    bad_goodbye: float = 0.0


class MailServer:
    """Listens on a free port from ``start`` to ``stop``.

    ``taken`` counts the emails that it took by Message-ID, ``parted`` those whose sender then said
    goodbye, and so has noted it: the others' line broke before that.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self.manners = Manners()
        self.taken = Counter[str]()
        self.parted = Counter[str]()
        self._chance = random.Random(seed)
        self._mutex = threading.Lock()
        self._last: WeakKeyDictionary[Session, str] = WeakKeyDictionary()
        self._controller: Controller | None = None
        self.port = 0

    def start(self) -> None:
        """Listen; on the same port as before, if it was stopped."""
        self.port = self.port or _free_port()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def stop(self) -> None:
        """Be gone: connections are refused."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def doubled(self) -> dict[str, int]:
        """Emails that came more often than a broken line can explain."""
        with self._mutex:
            return {key: n for key, n in self.parted.items() if n > 1}

    def broken(self) -> int:
        """How often the line broke after an email was taken."""
        with self._mutex:
            return self.taken.total() - self.parted.total()

    async def handle_MAIL(
        self, _server: SMTP, _session: Session, envelope: Envelope, sender: str, _options: list[str]
    ) -> str:
        if self._happens(self.manners.slow):
            await asyncio.sleep(self.manners.pause_s)
        if self._happens(self.manners.refuse):
            return "451 4.3.0 Not now"
        envelope.mail_from = sender
        return "250 OK"

    async def handle_RCPT(
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        if self._happens(self.manners.slow):
            await asyncio.sleep(self.manners.pause_s)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self._happens(self.manners.slow):
            await asyncio.sleep(self.manners.pause_s)
        if self._happens(self.manners.refuse_later):
            return "451 4.3.0 Not now, after all"
        assert isinstance(envelope.content, bytes)  # as it came: the controller decodes nothing
        key = str(message_from_bytes(envelope.content)["Message-ID"]).strip()
        with self._mutex:
            self.taken[key] += 1
        self._last[session] = key
        if self._happens(self.manners.hang_up):
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        return "250 OK"

    async def handle_QUIT(self, _server: SMTP, session: Session, _envelope: Envelope) -> str:
        with self._mutex:
            if key := self._last.pop(session, ""):
                self.parted[key] += 1
        return "421 4.3.0 Not so fast" if self._happens(self.manners.bad_goodbye) else "221 Bye"

    def _happens(self, chance: float) -> bool:
        with self._mutex:
            return chance > 0 and self._chance.random() < chance


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
