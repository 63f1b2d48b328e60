"""A TCP proxy that makes a line bad: slow, cut, refused, or with the answer to a COMMIT swallowed.

In front of Postgres it follows the messages that the server sends, so that it can lose exactly the
reply to a COMMIT: the work is done, and whoever asked cannot know. Encryption must be off
(``sslmode=disable gssencmode=disable``): then every message is a type byte and a length
(https://www.postgresql.org/docs/18/protocol-message-formats.html).
"""

import random
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

COMMITTED = b"COMMIT\0"
COMMAND_COMPLETE = b"C"


class Proxy:
    """Listens on a free port and forwards each connection to what ``connect`` opens.

    The faults are plain attributes and may be changed at any time: ``latency_s`` before every
    piece, ``swallow`` the chance that a COMMIT's reply is lost, ``is_gone`` refuses newcomers.
    """

    def __init__(self, connect: Callable[[], socket.socket], *, seed: int = 0) -> None:
        self.latency_s = 0.0
        self.swallow = 0.0
        self.is_gone = False
        self.swallowed = 0
        self._connect = connect
        self._chance = random.Random(seed)
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._mutex = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True, name="proxy").start()

    def cut(self) -> int:
        """Break every line that is open now. Returns how many."""
        with self._mutex:
            pairs = list(self._pairs)
        for pair in pairs:
            _break(*pair)
        return len(pairs)

    def heal(self) -> None:
        """A good line again."""
        self.latency_s, self.swallow, self.is_gone = 0.0, 0.0, False

    def close(self) -> None:
        """Accept nobody any more and break what is open."""
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.is_gone:
                client.close()
                continue
            try:
                server = self._connect()
            except OSError:
                client.close()
                continue
            with self._mutex:
                self._pairs.add((client, server))
            for ends in ((client, server, None), (server, client, _Replies())):
                threading.Thread(target=self._carry, args=ends, daemon=True).start()

    def _carry(
        self, source: socket.socket, target: socket.socket, replies: "_Replies | None"
    ) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                if self.latency_s:
                    time.sleep(self.latency_s)
                committed = replies is not None and replies.tell_of_commit(piece)
                if committed and self._loses_it():
                    break
                target.sendall(piece)
        _break(source, target)
        with self._mutex:
            self._pairs.discard((source, target))
            self._pairs.discard((target, source))

    def _loses_it(self) -> bool:
        with self._mutex:
            lost = self.swallow > 0 and self._chance.random() < self.swallow
            self.swallowed += lost
            return lost


class _Replies:
    """Reads the server's messages as they come in pieces, only to recognise a COMMIT's end."""

    def __init__(self) -> None:
        self._rest = b""

    def tell_of_commit(self, piece: bytes) -> bool:
        """Whether the reply to a COMMIT ends in this piece."""
        found, words = False, self._rest + piece
        while len(words) >= 5:
            length = 1 + int.from_bytes(words[1:5], "big")
            if len(words) < length:
                break
            found = found or (words[:1] == COMMAND_COMPLETE and words[5:length] == COMMITTED)
            words = words[length:]
        self._rest = words
        return found


def _break(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
