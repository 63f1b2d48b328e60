"""The words that clients may use, and the answers: subscribe, unsubscribe, ping.

What needs the database is answered by a few greenlets, one message of a socket at a time and in
order; the rest is answered at once. A bad message gets an error and changes nothing.
"""

import logging
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

import gevent
from gevent.queue import SimpleQueue
from sqlalchemy.exc import SQLAlchemyError

from shop.core import strict_json
from shop.core.db import session
from shop.realtime import callers, limits, replay, topics
from shop.realtime.connection import Connection
from shop.realtime.hub import Hub
from shop.realtime.presence import Presence
from shop.realtime.replay import Kept
from shop.realtime.topics import Refused, Topic

log = logging.getLogger(__name__)

WORKERS = 8
RECHECK_S = 4  # who signs out, or loses a role, hears nothing more five seconds later
MAX_TOPIC_LENGTH = 100
MAX_SECRET_LENGTH = 200
MAX_SEQ = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks for; ``since`` is None unless it comes back."""

    op: str
    topic: str = ""
    since: int | None = None
    secret: str = ""


class BadMessage(ValueError):
    """Not one of our messages."""


def parse(text: str) -> Request:
    """Read one message. Raises ``BadMessage`` for whatever is not exactly what we expect."""
    try:
        content = strict_json.parse(text)
    except ValueError:
        raise BadMessage from None
    if not isinstance(content, dict):
        raise BadMessage
    op = content.get("op")
    if op == "ping":
        return Request("ping")
    topic, since, secret = content.get("topic"), content.get("since"), content.get("token")
    if not isinstance(op, str) or op not in {"subscribe", "unsubscribe"}:
        raise BadMessage
    if not isinstance(topic, str) or not 0 < len(topic) <= MAX_TOPIC_LENGTH:
        raise BadMessage
    # bool is an int to Python, but not to JSON.
    if since is not None and (type(since) is not int or not 0 <= since <= MAX_SEQ):
        raise BadMessage
    if secret is not None and (not isinstance(secret, str) or len(secret) > MAX_SECRET_LENGTH):
        raise BadMessage
    return Request(op, topic, since, secret or "")


class Protocol:
    """Answers what the sockets of one hub ask."""

    def __init__(self, hub: Hub, presence: Presence, *, recheck_s: float = RECHECK_S) -> None:
        self.hub = hub
        self.presence = presence
        self._recheck_s = recheck_s
        self._waiting: SimpleQueue[Connection] = SimpleQueue()
        hub.hear = self.hear

    def start(self) -> None:
        """Start the greenlets that answer, and the one that looks sign-ins up again."""
        for _ in range(WORKERS):
            gevent.spawn(self._work)
        gevent.spawn(self._recheck_for_ever)

    def hear(self, connection: Connection, text: str) -> None:
        """Take one message; never waits."""
        if connection.inbox is None:
            request = self._understand(connection, text)
            if request is None or self._answer_at_once(connection, request):
                return
            connection.inbox = deque((text,))
            self._waiting.put(connection)
        elif len(connection.inbox) < limits.MAX_INBOX:
            connection.inbox.append(text)
        else:
            connection.close(limits.POLICY, "too many messages wait for an answer")

    def _work(self) -> None:
        while True:
            connection = self._waiting.get()
            try:
                while connection.inbox and not connection.closing_until and connection.is_open:
                    request = self._understand(connection, connection.inbox.popleft())
                    if request and not self._answer_at_once(connection, request):
                        self._subscribe(connection, request)
            except SQLAlchemyError as error:
                log.warning("database is away", extra={"reason": type(error).__name__})
                connection.close(limits.TRY_LATER, "try again later")
            except Exception:  # a worker's loop: a bug costs this socket, the greenlet lives on
                log.exception("message not answered")
                connection.close(limits.TRY_LATER, "try again later")
            finally:
                connection.inbox = None
                session.remove()

    @staticmethod
    def _understand(connection: Connection, text: str) -> Request | None:
        try:
            return parse(text)
        except BadMessage:
            connection.refuse("bad_message")
            return None

    def _answer_at_once(self, connection: Connection, request: Request) -> bool:
        """Answer what needs no database; False for the rest."""
        if request.op == "ping":
            connection.say({"op": "pong"})
        elif request.op == "unsubscribe":
            self.hub.unfollow(connection, request.topic)
        elif request.topic not in connection.topics and len(connection.topics) >= limits.MAX_TOPICS:
            connection.refuse("too_many", request.topic)
        else:
            return False
        return True

    def _subscribe(self, connection: Connection, request: Request) -> None:
        """Authorise, then listen, then read how things stand: so nothing falls between the two."""
        self.hub.unfollow(connection, request.topic)
        try:
            topic = topics.authorise(request.topic, connection.caller, request.secret)
            # Else the snapshot would show the rows as they were before we listened.
            session.expunge_all()
            with self.hub.expecting(connection, topic.name):
                missed: list[bytes] | None = []
                if topic.is_presence:
                    seq, snapshot = self.presence.join(connection, request.topic)
                    # Nothing of it is kept, and the snapshot leaves nothing to repeat.
                    request, kept = replace(request, since=None), Kept(seq, seq)
                else:
                    kept = replay.kept()
                    snapshot = topics.snapshot(request.topic, connection.caller)
                    missed = _missed(topic, request.since, kept)
                # From here on nothing waits, so no news can slip in between.
                if connection.is_open and not connection.closing_until:
                    self._tell(connection, request, topic, kept, snapshot, missed)
        except Refused as refusal:
            connection.refuse(refusal.code, request.topic)

    def _tell(
        self,
        connection: Connection,
        request: Request,
        topic: Topic,
        kept: Kept,
        snapshot: dict[str, Any],
        missed: list[bytes] | None,
    ) -> None:
        is_replay = request.since is not None and missed is not None
        connection.say(
            {
                "op": "subscribed",
                "topic": request.topic,
                "seq": request.since if is_replay else kept.last,
                "snapshot": snapshot,
            }
        )
        if missed:
            connection.write(b"".join(missed))
        elif missed is None:
            connection.say({"op": "resync", "topic": request.topic})
        if topic.grant:
            connection.needs |= {topic.grant}
        if not connection.is_open:  # its peer went while we wrote to it
            return
        self.hub.follow(connection, request.topic, topic.name, after=kept.last)

    # --- sign-ins that end ---

    def _recheck_for_ever(self) -> None:
        while True:
            gevent.sleep(self._recheck_s)
            try:
                self.recheck()
            except SQLAlchemyError as error:
                log.warning("sign-ins not rechecked", extra={"reason": type(error).__name__})
            finally:
                session.remove()

    def recheck(self) -> None:
        """Close the sockets whose sign-in ended or whose permission is gone. Two statements."""
        asked = [(connection, connection.needs) for connection in self.hub.connections]
        alive = callers.living({digest for c, _ in asked for digest in c.caller.sign_ins})
        held = callers.grants({c.caller.staff_id for c, needs in asked if needs})
        for connection, needs in asked:
            is_signed_in = alive.issuperset(connection.caller.sign_ins)
            if not is_signed_in or needs - held.get(connection.caller.staff_id, set()):
                connection.close(limits.POLICY, "signed out")


def _missed(topic: Topic, since: int | None, kept: Kept) -> list[bytes] | None:
    """Returns the frames to repeat; None when some are gone: the client must read all again."""
    if since is None or topic.name is None:
        return []
    if not kept.covers(since):
        return None
    return replay.missed(topic.name, since=since, until=kept.last)
