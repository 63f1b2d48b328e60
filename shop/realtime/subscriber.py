"""The one listener of this process: from Redis to the hub, and back again after every loss."""

import json
import logging
import random
from typing import Any

import gevent
from redis.exceptions import RedisError

from shop.core import redis
from shop.realtime.hub import Hub

log = logging.getLogger(__name__)

# News that come together are sent together; see Hub.broadcast.
BATCH = 32
QUIET_S = 10.0
CONNECTION_S = 5.0
FIRST_WAIT_S, MAX_WAIT_S = 0.1, 2.0
_READ_AGAIN = redis.READ_AGAIN.encode()
_FIELDS = {"topic": str, "seq": int, "type": str, "data": dict, "at": str}


class Subscriber:
    """Listens for ever; ``is_connected`` is for the health page."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.is_connected = False

    def run(self) -> None:
        """Listen, and come back with growing pauses. One log line per loss, one per return."""
        wait_s = FIRST_WAIT_S
        while True:
            try:
                self._listen()
            except (RedisError, OSError) as error:
                if self.is_connected or wait_s == FIRST_WAIT_S:
                    log.warning("redis is away", extra={"reason": str(error)})
                if self.is_connected:
                    self.hub.counters.lost_redis += 1
                    wait_s = FIRST_WAIT_S
            except (
                Exception
            ):  # for ever means for ever: without this greenlet nobody hears anything
                log.exception("listening failed")
            self.is_connected = False
            gevent.sleep(wait_s * random.uniform(0.5, 1.0))
            wait_s = min(wait_s * 2, MAX_WAIT_S)

    def _listen(self) -> None:
        client = redis.raw_client(timeout_s=CONNECTION_S)
        pubsub = client.pubsub()  # type: ignore[no-untyped-call]
        try:
            pubsub.subscribe(redis.CHANNEL)
            is_ping_open = False
            while True:
                message = pubsub.get_message(timeout=QUIET_S)
                if message is None:
                    # A connection that died without a word looks just like a quiet one.
                    if is_ping_open:
                        raise RedisError("no answer to a ping")
                    pubsub.ping()
                    is_ping_open = True
                    continue
                is_ping_open = False
                self._tell(pubsub, message)
        finally:
            pubsub.close()
            client.close()

    def _tell(self, pubsub: Any, message: dict[str, Any] | None) -> None:
        batch, has_gap = [], False
        while message is not None:
            if message["type"] == "subscribe":
                # Also after a reconnect that the client library made by itself.
                self._is_back()
            elif message["type"] == "message":
                if message["data"] == _READ_AGAIN:
                    has_gap = True
                elif news := _news(message["data"]):
                    batch.append(news)
            message = pubsub.get_message(timeout=0) if len(batch) < BATCH else None
        self.hub.broadcast(batch)
        if has_gap:
            self.hub.resync()
        gevent.sleep(0)

    def _is_back(self) -> None:
        if self.hub.connections:
            log.info("redis is back")
        self.is_connected = True
        self.hub.resync()


def _news(data: bytes) -> dict[str, Any] | None:
    """A broadcast, if it is one; anything else costs one log line."""
    try:
        news = json.loads(data)
        if all(isinstance(news[name], kind) for name, kind in _FIELDS.items()):
            return dict(news)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    log.warning("not a broadcast", extra={"bytes": len(data)})
    return None
