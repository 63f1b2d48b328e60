"""The worker process: a pool of RQ workers that answer the doorbell."""

from rq import SimpleWorker
from rq.serializers import JSONSerializer
from rq.worker_pool import WorkerPool

from shop.core import queue, redis


def run(processes: int) -> None:
    """Work until told to stop, finishing the job at hand. Slow jobs wait for the others.

    Workers do not fork for each job: a fresh process would compile every statement anew, which
    costs twenty times what the jobs do. A worker that dies is replaced by the pool, and what it
    held is rung again when its lease is over.
    """
    WorkerPool(
        [queue.NAME, queue.SLOW],
        connection=redis.raw_client(timeout_s=None),
        num_workers=processes,
        worker_class=SimpleWorker,
        serializer=JSONSerializer,
    ).start(logging_level="WARNING")
