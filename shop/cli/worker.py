"""The worker process: a pool of RQ workers that answer the doorbell."""

from rq.serializers import JSONSerializer
from rq.worker_pool import WorkerPool

from shop.core import queue, redis


def run(processes: int) -> None:
    """Work until told to stop, finishing the job at hand. Slow jobs wait for the others."""
    WorkerPool(
        [queue.NAME, queue.SLOW],
        connection=redis.raw_client(timeout_s=None),
        num_workers=processes,
        serializer=JSONSerializer,
    ).start(logging_level="WARNING")
