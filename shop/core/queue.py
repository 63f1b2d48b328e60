"""RQ only wakes workers: a job carries the ids of some reaction runs, Postgres knows the rest.

JSON instead of pickle, and one function that a job may name, so that whoever can write to Redis
still cannot run code of their choice: they can only wake a worker. What workers refuse is written
down.
"""

import logging
from collections.abc import Iterable
from datetime import datetime

from redis.exceptions import RedisError
from sqlalchemy import BigInteger, Identity, UniqueConstraint, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from shop.core import failpoints, redis
from shop.core.db import Base, session, transaction

log = logging.getLogger(__name__)

NAME = "shop"
SLOW = "shop-slow"
JOB = "shop.__main__.run_deliveries"
# A job costs a fork and a connection: in a rush, one of them does several runs.
MAX_AT_ONCE = 20
# Of the slow queue a little less than the longest lease of its reactions: who is stopped must not
# find that another worker has begun.
TIMEOUT_S = {NAME: 300, SLOW: 840}
MAX_REFUSED_KEPT = 200


class RefusedJob(Base):
    """A function that a job in Redis named and no worker may run, and how often."""

    __tablename__ = "refused_job"
    __table_args__ = (UniqueConstraint("function", "reason"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    function: Mapped[str]
    reason: Mapped[str]
    count: Mapped[int] = mapped_column(server_default="1")
    first_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_at: Mapped[datetime] = mapped_column(server_default=func.now())


def note_refusal(function: str, reason: str) -> None:
    """Write down that a worker refused a job, for the staff's list. Opens its own transaction.

    Only the latest 200 are kept: whoever fills Redis with jobs does not fill the database.
    """
    seen = insert(RefusedJob).values(function=function, reason=reason)
    newest = select(RefusedJob.id).order_by(RefusedJob.last_at.desc()).limit(MAX_REFUSED_KEPT)
    with transaction():
        session.execute(
            seen.on_conflict_do_update(
                index_elements=["function", "reason"],
                set_={"count": RefusedJob.count + 1, "last_at": func.now()},
            )
        )
        session.execute(
            delete(RefusedJob)
            .where(RefusedJob.id.not_in(newest))
            .execution_options(synchronize_session=False)
        )


def refused_jobs(*, limit: int) -> list[RefusedJob]:
    """Returns what workers refused, the latest first."""
    newest = select(RefusedJob).order_by(RefusedJob.last_at.desc()).limit(limit)
    return list(session.scalars(newest))


class JobQueues:
    """Both queues: never waits longer than two seconds for Redis, and survives its absence."""

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

    def enqueue(self, name: str, run_ids: Iterable[int]) -> None:
        """Have a worker run each of these. Redis away costs one line: the relay enqueues again."""
        ids = list(run_ids)
        at_once = 1 if name == SLOW else MAX_AT_ONCE
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
            with failpoints.around("enqueue"):
                self.queues[name].enqueue_many(jobs)
        except RedisError as error:
            log.warning("doorbell not rung", extra={"reason": str(error)})

    def is_empty(self) -> bool:
        """Whether no job waits in Redis (also when it was just emptied); False if it is away."""
        try:
            return all(queue.count == 0 for queue in self.queues.values())
        except RedisError:
            return False
