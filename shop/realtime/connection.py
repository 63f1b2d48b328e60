"""One open socket: reads without a greenlet, writes without a queue while the kernel takes it all.

Promise: whatever is written goes out whole and in order, because everything goes through ``write``
and a part that the kernel did not take is kept and sent first. A greenlet per socket would cost
more memory than all the rest of a connection, so the event loop calls us when there is something.
"""

import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import gevent
from gevent.monkey import get_original
from wsproto.connection import Connection as WebSocket
from wsproto.connection import ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage

from shop.realtime import frames, limits

if TYPE_CHECKING:
    from shop.realtime.callers import Caller
    from shop.realtime.hub import Hub, Place

log = logging.getLogger(__name__)

# gevent's socket would switch greenlets in send(); ours must return at once.
PlainSocket = get_original("socket", "socket")
READ, WRITE = 1, 2
RECEIVE_BYTES = 64 * 1024


class Backlog:
    """What waits for a full kernel buffer. ``size`` leaves out the first part: it is under way."""

    __slots__ = ("count", "parts", "size", "watcher")

    def __init__(self, part: memoryview, watcher: Any) -> None:
        self.parts: deque[bytes | memoryview] = deque((part,))
        self.count = 1
        self.size = 0
        self.watcher = watcher


class Connection:
    """One client. ``topics`` maps what the client calls a topic to its name (None: no news yet)."""

    __slots__ = (
        "backlog",
        "caller",
        "closing_until",
        "hub",
        "inbox",
        "is_answering",
        "is_open",
        "needs",
        "parts",
        "place",
        "received",
        "send",
        "slot",
        "sock",
        "strikes",
        "text",
        "tokens",
        "tokens_at",
        "topics",
        "watcher",
        "websocket",
    )

    def __init__(self, fileno: int, *, caller: "Caller", place: "Place", hub: "Hub") -> None:
        """Take over the socket ``fileno``, on which the handshake is done."""
        self.sock = PlainSocket(fileno=fileno)
        self.sock.setblocking(False)
        self.send = self.sock.send
        self.caller = caller
        self.place = place
        self.hub = hub
        self.topics: dict[str, str | None] = {}
        self.needs: frozenset[str] = frozenset()
        self.inbox: deque[str] | None = None
        self.backlog: Backlog | None = None
        self.is_open = True
        self.is_answering = True
        self.closing_until = 0.0
        self.slot = 0
        self.text = ""
        self.received = 0
        self.parts = 0
        self.strikes = 0
        self.tokens = float(limits.MAX_MESSAGES_PER_SECOND)
        self.tokens_at = time.monotonic()
        self.websocket: WebSocket | None = WebSocket(ConnectionType.SERVER)
        self.watcher = gevent.get_hub().loop.io(fileno, READ)
        self.watcher.start(self._readable)

    # --- writing ---

    def write(self, data: bytes, count: int = 1) -> None:
        """Send ``count`` whole frames, now or as soon as the peer has read what came before.

        Never waits. A peer that leaves too much unread is cut with 1013; a dead one is dropped.
        """
        backlog = self.backlog
        if backlog is None:
            try:
                sent = self.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.drop()
                return
            if sent != len(data):
                self._hold_back(memoryview(data)[sent:])
            return
        if (
            backlog.count + count > limits.MAX_BACKLOG_MESSAGES
            or backlog.size + len(data) > limits.MAX_BACKLOG_BYTES
        ):
            self.hub.counters.cut += 1
            self.close(limits.TRY_LATER, "you read too slowly")
            return
        backlog.parts.append(data)
        backlog.count += count
        backlog.size += len(data)

    def say(self, content: dict[str, Any]) -> None:
        """Send one JSON object."""
        if not self.closing_until:
            self.write(frames.message(content))

    def refuse(self, code: str, topic: str | None = None) -> None:
        """Answer with an error of the protocol."""
        self.say({"op": "error", "code": code} | ({"topic": topic} if topic is not None else {}))

    def close(self, code: int, reason: str) -> None:
        """Say goodbye; the hub drops the socket if the peer does not answer within seconds."""
        if self.closing_until or not self.is_open:
            return
        self.closing_until = time.monotonic() + limits.MAX_CLOSING_S
        self.received = 0
        self.hub.leave(self)
        farewell = frames.close(code, reason)
        if self.backlog is None:
            self.write(farewell)
            return
        # What was begun must be finished, else the close frame would land inside of it.
        begun = self.backlog.parts[0]
        self.backlog.parts = deque((begun, farewell))

    def drop(self) -> None:
        """End the socket at once; the second time does nothing."""
        if not self.is_open:
            return
        self.is_open = False
        self._stop(self.watcher)
        if self.backlog is not None:
            self._stop(self.backlog.watcher)
            self.backlog = None
        self.sock.close()
        self.websocket = None
        self.hub.remove(self)

    def _hold_back(self, rest: memoryview) -> None:
        watcher = gevent.get_hub().loop.io(self.sock.fileno(), WRITE)
        self.backlog = Backlog(rest, watcher)
        watcher.start(self._writable)

    def _writable(self) -> None:
        backlog = self.backlog
        assert backlog is not None
        try:
            while backlog.parts:
                part = backlog.parts[0]
                sent = self.send(part)
                if sent != len(part):
                    backlog.parts[0] = memoryview(part)[sent:]
                    return
                backlog.parts.popleft()
                if backlog.parts:
                    backlog.size -= len(backlog.parts[0])
        except BlockingIOError:
            return
        except OSError:
            self.drop()
            return
        self._stop(backlog.watcher)
        self.backlog = None

    @staticmethod
    def _stop(watcher: Any) -> None:
        watcher.stop()
        watcher.close()

    # --- reading ---

    def _readable(self) -> None:
        try:
            data = self.sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.drop()
            return
        self.is_answering = True
        if self.closing_until:
            self.received += len(data)
            if self.received > limits.MAX_CLOSING_BYTES:
                self.drop()
                return
        try:
            self._read(data)
        except Exception:  # the event loop's own frame: a bug here may cost one socket, not all
            log.exception("socket dropped")
            self.drop()

    def _read(self, data: bytes) -> None:
        # A broken frame or a flood ended the parsing: the rest is thrown away unread.
        websocket = self.websocket
        if websocket is None:
            return
        websocket.receive_data(data)
        for event in websocket.events():
            if isinstance(event, CloseConnection):
                self._answer_close(event)
                return
            if not self.closing_until:
                self._take(event)
            if self.websocket is not websocket:
                return

    def _take(self, event: Event) -> None:
        if isinstance(event, TextMessage | BytesMessage):
            self._gather(event)
        elif self._may_send() and isinstance(event, Ping):
            self.write(frames.frame(frames.PONG, bytes(event.payload)))

    def _gather(self, event: TextMessage | BytesMessage) -> None:
        """Collect the parts of a message, and pass a whole one on."""
        data = event.data
        self.received += len(data.encode() if isinstance(data, str) else data)
        self.parts += 1
        if self.received > limits.MAX_MESSAGE_BYTES or self.parts > limits.MAX_MESSAGE_PARTS:
            self.text = ""
            self.close(limits.TOO_BIG, f"a message may have {limits.MAX_MESSAGE_BYTES} bytes")
            return
        if isinstance(data, str):
            self.text += data
        if not event.message_finished:
            return
        text, self.text, self.received, self.parts = self.text, "", 0, 0
        if not self._may_send():
            return
        if isinstance(data, str):
            self.hub.hear(self, text)
        else:
            self.refuse("bad_message")

    def _may_send(self) -> bool:
        """Take a token from this client's bucket; without one it is warned, then cut."""
        now = time.monotonic()
        rate = limits.MAX_MESSAGES_PER_SECOND
        self.tokens = min(rate, self.tokens + (now - self.tokens_at) * rate)
        self.tokens_at = now
        if self.tokens >= 1:
            self.tokens -= 1
            if self.tokens >= rate - 1:
                self.strikes = 0
            return True
        self.strikes += 1
        if self.strikes > limits.MAX_STRIKES:
            self.close(limits.POLICY, f"at most {rate} messages a second")
            self.websocket = None
        else:
            self.refuse("rate_limited")
        return False

    def _answer_close(self, event: CloseConnection) -> None:
        websocket = self.websocket
        assert websocket is not None
        if self.closing_until:
            self.drop()
            return
        is_peers_wish = websocket.state is ConnectionState.REMOTE_CLOSING
        self.closing_until = time.monotonic() + limits.MAX_CLOSING_S
        self.hub.leave(self)
        self.write(websocket.send(event.response()))
        self.websocket = None
        if is_peers_wish and self.backlog is None:
            self.drop()
