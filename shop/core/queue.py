"""RQ as a doorbell: a job carries the ids of some deliveries, Postgres knows the rest.

JSON instead of pickle, so that whoever can write to Redis still cannot run code of their choice
beyond ringing a bell.
"""

import logging
from collections.abc import Iterable

from redis.exceptions import RedisError

from shop.core import failpoints, redis

log = logging.getLogger(__name__)

NAME = "shop"
SLOW = "shop-slow"
JOB = "shop.__main__.run_deliveries"
# A job costs a fork and a connection: in a rush, one of them does several deliveries.
MOST_AT_ONCE = 20
# Of the slow queue a little less than the longest lease of its reactions: who is stopped must not
# find that another worker has begun.
TIMEOUT_S = {NAME: 300, SLOW: 840}


class Bell:
    """Who rings: never waits longer than two seconds for Redis, and survives its absence."""

    def __init__(self) -> None:
        # Not at the top: the web process needs only the names, and RQ takes 15 MiB.
        from rq import Queue
        from rq.serializers import JSONSerializer

        connection = redis.raw_client(timeout_s=2)
        self._prepared = Queue.prepare_data
        self.queues = {
            name: Queue(name, connection=connection, serializer=JSONSerializer)
            for name in (NAME, SLOW)
        }

    def ring(self, name: str, delivery_ids: Iterable[int]) -> None:
        """Wake a worker for each delivery. A Redis that is away costs one line: we ring again."""
        ids = list(delivery_ids)
        at_once = 1 if name == SLOW else MOST_AT_ONCE
        jobs = [
            self._prepared(
                JOB,
                (ids[start : start + at_once],),
                result_ttl=0,
                failure_ttl=60,
                timeout=TIMEOUT_S[name],
            )
            for start in range(0, len(ids), at_once)
        ]
        if not jobs:
            return
        try:
            with failpoints.around("ring"):
                self.queues[name].enqueue_many(jobs)
        except RedisError as error:
            log.warning("doorbell not rung", extra={"reason": str(error)})

    def is_quiet(self) -> bool:
        """Whether no job waits in Redis (also when it was just emptied); False if it is away."""
        try:
            return all(queue.count == 0 for queue in self.queues.values())
        except RedisError:
            return False
