"""Redis (or Valkey): job queues, fan-out, tickets and rate limits. It may be emptied at any moment.

Time-outs are short on purpose: nothing that a customer waits for may hang on Redis.
"""

import json
import logging
from collections.abc import Iterable
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from shop.core import failpoints

log = logging.getLogger(__name__)

CHANNEL = "shop:broadcast"
READ_AGAIN = "read anew"  # instead of a broadcast: some were lost
TIMEOUT_S = 0.25

_client: Redis | None = None
_url = ""


def configure(url: str) -> None:
    """Point this process at ``url`` (``redis://…`` or ``unix://…``); connects on first use."""
    global _client, _url
    _url = url
    _client = Redis.from_url(
        url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, decode_responses=True
    )


def client() -> Redis:
    """The client for short commands. Raises ``RuntimeError`` before ``configure``."""
    if _client is None:
        raise RuntimeError("core.redis.configure() has not been called")
    return _client


def raw_client(*, timeout_s: float | None) -> Redis:
    """A client of bytes, as RQ needs it. Without a time-out only for who waits by design."""
    return Redis.from_url(
        _url, socket_timeout=timeout_s, socket_connect_timeout=5, health_check_interval=30
    )


def publish(broadcasts: Iterable[dict[str, Any]]) -> bool:
    """Hand broadcasts to every socket process; False (and one log line) when Redis is away."""
    lines = [
        json.dumps(row | {"at": row["at"].isoformat()}, separators=(",", ":")) for row in broadcasts
    ]
    if not lines:
        return True
    try:
        pipe = client().pipeline(transaction=False)
        for line in lines:
            pipe.publish(CHANNEL, line)
        with failpoints.around("publish"):
            pipe.execute()
    except RedisError as error:
        log.warning("broadcast not published", extra={"reason": str(error), "count": len(lines)})
        return False
    return True


def publish_gap() -> bool:
    """Have every socket read everything again: broadcasts were lost. False if Redis is away."""
    try:
        client().publish(CHANNEL, READ_AGAIN)
    except RedisError:
        return False
    return True
