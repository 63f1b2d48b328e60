"""RQ as a doorbell: a job carries one delivery id, Postgres knows the rest.

JSON instead of pickle, so that whoever can write to Redis still cannot run code of their choice
beyond ringing a bell.
"""

import logging
from collections.abc import Iterable

from redis.exceptions import RedisError
from rq import Queue
from rq.serializers import JSONSerializer

from shop.core import redis

log = logging.getLogger(__name__)

NAME = "shop"
JOB = "shop.__main__.run_delivery"


def queue() -> Queue:
    """The one queue of the shop, for who rings: never waits longer than two seconds."""
    return Queue(NAME, connection=redis.raw_client(timeout_s=2), serializer=JSONSerializer)


def ring(target: Queue, delivery_ids: Iterable[int]) -> None:
    """Wake a worker for each delivery. A Redis that is away costs one log line: we ring again."""
    try:
        target.enqueue_many(
            [
                Queue.prepare_data(JOB, (delivery_id,), result_ttl=0, failure_ttl=60, timeout=120)
                for delivery_id in delivery_ids
            ]
        )
    except RedisError as error:
        log.warning("doorbell not rung", extra={"reason": str(error)})


def is_quiet(target: Queue) -> bool:
    """Whether no job waits in Redis (also when Redis was just emptied); False if it is away."""
    try:
        return target.count == 0
    except RedisError:
        return False
