"""Who follows what in this process: rooms, the heartbeat, and one write per follower.

Promise: between two steps of the hub nobody else runs, because nothing in it waits. That is what
keeps rooms and frames in order without locks; a method that must wait belongs elsewhere.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import gevent

from shop.core.i18n import gettext as _
from shop.realtime import frames, limits
from shop.realtime.connection import Connection
from shop.realtime.limits import Limits

log = logging.getLogger(__name__)

DRAIN_S = 3.0
_PING = frames.frame(frames.PING, b"")


class Full(Exception):
    """No more sockets for this address or person (``is_ours`` false), or for anybody."""

    def __init__(self, reason: str, *, is_ours: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_ours = is_ours


class Place:
    """One socket's share of the limits; released once."""

    __slots__ = ("_counts", "_keys")

    def __init__(self, counts: Counter[object], keys: tuple[object, ...]) -> None:
        self._counts = counts
        self._keys = keys
        counts.update(keys)

    def release(self) -> None:
        """Give it back; the second time does nothing."""
        for key in self._keys:
            self._counts[key] -= 1
            if self._counts[key] <= 0:
                del self._counts[key]
        self._keys = ()


@dataclass(slots=True)
class Counters:
    """What this process did since it started."""

    opened: int = 0
    delivered: int = 0
    cut: int = 0
    lost_redis: int = 0


@dataclass(slots=True)
class Newcomer:
    """A follower whose snapshot is being read (``held``), or that may hear old news once more."""

    held: list[tuple[int, bytes]] | None = field(default_factory=list)
    after: int = 0


class Room:
    """The followers of one topic, and those who are about to become some."""

    __slots__ = ("followers", "newcomers")

    def __init__(self) -> None:
        self.followers: set[Connection] = set()
        self.newcomers: dict[Connection, Newcomer] = {}


class Hub:
    """All sockets of this process."""

    def __init__(self, given: Limits, *, heartbeat_s: int = 25) -> None:
        self.limits = given
        self.heartbeat_s = heartbeat_s
        self.counters = Counters()
        self.connections: set[Connection] = set()
        self.rooms: dict[str, Room] = {}
        self.is_draining = False
        self.hear: Callable[[Connection, str], None] = lambda _connection, _text: None
        self._closing: set[Connection] = set()
        self._places: Counter[object] = Counter()
        self._beats: list[set[Connection]] = [set() for _ in range(heartbeat_s)]

    # --- coming and going ---

    def reserve(self, address: str, person: tuple[str, int] | None) -> Place:
        """Count one more socket of this address and person. Raises ``Full``."""
        if self.is_draining or self._places.get("all", 0) >= self.limits.connections:
            raise Full(_("no room for another connection"), is_ours=True)
        if self._places.get(address, 0) >= self.limits.per_address:
            raise Full(_("too many connections from this address"), is_ours=False)
        if person is not None and self._places.get(person, 0) >= self.limits.per_person:
            raise Full(_("too many connections of this account"), is_ours=False)
        return Place(self._places, ("all", address, *([person] if person else ())))

    def enter(self, connection: Connection) -> None:
        """A socket is open: from now on it is kept alive."""
        self.counters.opened += 1
        self.connections.add(connection)
        connection.slot = self.counters.opened % self.heartbeat_s
        self._beats[connection.slot].add(connection)

    def leave(self, connection: Connection) -> None:
        """A socket is being closed: it hears no more news."""
        for topic in list(connection.topics):
            self.unfollow(connection, topic)
        self._closing.add(connection)

    def remove(self, connection: Connection) -> None:
        """A socket is gone."""
        self.leave(connection)
        self._closing.discard(connection)
        self.connections.discard(connection)
        self._beats[connection.slot].discard(connection)
        connection.place.release()

    # --- following ---

    @contextmanager
    def expecting(self, connection: Connection, name: str | None) -> Iterator[None]:
        """Hold back news of ``name`` for this socket until ``follow``, or the end of the block."""
        if name is None:
            yield
            return
        room = self.rooms.setdefault(name, Room())
        newcomer = room.newcomers[connection] = Newcomer()
        try:
            yield
        finally:
            if newcomer.held is not None and room.newcomers.get(connection) is newcomer:
                self.dismiss(connection, name)

    def follow(self, connection: Connection, topic: str, name: str | None, *, after: int) -> None:
        """Let an expected socket follow: it gets what was held back and is newer than ``after``.

        News may reach us after the snapshot that already shows it; until something newer than
        ``after`` came, each message is compared.
        """
        connection.topics[topic] = name
        if name is None:
            return
        room = self.rooms[name]
        newcomer = room.newcomers[connection]
        held, newcomer.held, newcomer.after = newcomer.held or [], None, after
        self._tell_newcomer(room, connection, newcomer, held)

    def dismiss(self, connection: Connection, name: str) -> None:
        """End a socket's interest in ``name``."""
        room = self.rooms.get(name)
        if room is None:
            return
        room.followers.discard(connection)
        room.newcomers.pop(connection, None)
        if not room.followers and not room.newcomers:
            del self.rooms[name]

    def unfollow(self, connection: Connection, topic: str) -> None:
        """Stop following; unknown topics are no error."""
        name = connection.topics.pop(topic, None)
        if name is not None:
            self.dismiss(connection, name)

    def is_following(self, connection: Connection, name: str) -> bool:
        """Whether a socket hears of ``name`` or is about to."""
        room = self.rooms.get(name)
        return room is not None and (connection in room.followers or connection in room.newcomers)

    # --- telling ---

    def broadcast(self, batch: Iterable[dict[str, Any]]) -> None:
        """Tell each follower. What came together for one topic goes out in one write."""
        by_name: dict[str, list[tuple[int, bytes]]] = {}
        for news in batch:
            if news["topic"] in self.rooms:
                by_name.setdefault(news["topic"], []).append((news["seq"], event_frame(news)))
        for name, sent in by_name.items():
            room = self.rooms.get(name)
            if room is None:
                continue
            data, count = b"".join(part for _, part in sent), len(sent)
            # A copy, because a write may find a dead peer and take it out of the room.
            followers = tuple(room.followers)
            for connection in followers:
                connection.write(data, count)
            self.counters.delivered += count * len(followers)
            for connection, newcomer in list(room.newcomers.items()):
                self._tell_newcomer(room, connection, newcomer, sent)

    def _tell_newcomer(
        self,
        room: Room,
        connection: Connection,
        newcomer: Newcomer,
        sent: list[tuple[int, bytes]],
    ) -> None:
        if newcomer.held is not None:
            newcomer.held.extend(sent)
            return
        newer = [data for seq, data in sent if seq > newcomer.after]
        if newer:
            del room.newcomers[connection]
            room.followers.add(connection)
            self.counters.delivered += len(newer)
            connection.write(b"".join(newer), len(newer))

    def resync(self) -> None:
        """News may have been lost: tell every follower of every topic to read again."""
        for connection in tuple(self.connections):
            if connection.topics:
                data = b"".join(
                    frames.message({"op": "resync", "topic": topic}) for topic in connection.topics
                )
                connection.write(data, len(connection.topics))

    # --- time ---

    def beat_for_ever(self) -> None:
        """Each socket is pinged once per heartbeat, dead and unwilling ones go."""
        tick = 0
        while True:
            gevent.sleep(1)
            tick = (tick + 1) % self.heartbeat_s
            now = time.monotonic()
            for connection in [c for c in self._closing if c.closing_until <= now]:
                connection.drop()
            for connection in tuple(self._beats[tick]):
                if connection.closing_until:
                    continue
                if connection.is_answering:
                    connection.is_answering = False
                    connection.write(_PING)
                else:
                    connection.drop()

    def close_all(self) -> None:
        """Refuse newcomers and tell everybody that this process ends; they come back elsewhere."""
        self.is_draining = True
        for connection in tuple(self.connections):
            connection.close(limits.RESTART, "the server restarts")

    def drain(self) -> None:
        """``close_all``, then wait (a few seconds at most) until the peers have closed too."""
        self.close_all()
        deadline = time.monotonic() + DRAIN_S
        while self.connections and time.monotonic() < deadline:
            gevent.sleep(0.05)


def event_frame(news: dict[str, Any]) -> bytes:
    """A broadcast as the bytes that every follower gets."""
    return frames.message(
        {
            "op": "event",
            "topic": public_name(news["topic"]),
            "seq": news["seq"],
            "type": news["type"],
            "data": news["data"],
            "at": news["at"],
        }
    )


def public_name(name: str) -> str:
    """What followers call topic ``name``: nobody needs the number of their own cart or account."""
    kind = name.partition(":")[0]
    return kind if kind in {"cart", "customer"} else name
