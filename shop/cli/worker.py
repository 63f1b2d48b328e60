"""The worker process: a pool of RQ workers that run reactions, and nothing else.

Promise: whatever somebody writes into Redis, a worker imports and runs one function only. A job
that names another one, brings callbacks or webhooks, or holds anything but JSON is refused before
it is read any further, and the refusal is logged and listed in the admin under *Jobs*.
"""

import json
import logging
import zlib
from collections.abc import Mapping
from typing import Any

from rq import SimpleWorker
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import import_attribute
from rq.worker_pool import WorkerPool

from shop.core import queue, redis
from shop.core.db import session

log = logging.getLogger(__name__)

ALLOWED = frozenset({queue.JOB})
MAX_DATA = 64 * 1024
# All that a job of ours needs. Callbacks, webhooks, repeats and dependencies are left unread.
KEPT = (
    "created_at", "origin", "worker_name", "enqueued_at", "started_at", "ended_at",
    "last_heartbeat", "timeout", "result_ttl", "failure_ttl", "status",
)  # fmt: skip
UNWANTED = (
    "success_callback_name", "failure_callback_name", "stopped_callback_name", "webhooks",
    "repeats_left", "dependency_id", "dependency_ids",
)  # fmt: skip
REFUSED = json.dumps(["", None, [], {}]).encode()


class JobRefused(Exception):
    """The job asks for something that no worker of the shop does."""


class ShopJob(Job):
    """A job of ours. Anything else becomes one that can only fail, before RQ looks into it."""

    def __init__(
        self, id: str | None = None, connection: Any = None, serializer: Any = None
    ) -> None:
        super().__init__(id, connection=connection, serializer=JSONSerializer)
        self.refusal = ""
        self.refused_function = ""

    def restore(self, raw_data: Any) -> None:
        """Take from Redis what a job of ours has. Never raises for what it holds."""
        raw = {_name(key): value for key, value in raw_data.items()}
        data = _inflated(raw.get("data", b""))
        self.refused_function, self.refusal = check(data, raw)
        kept = {key: value for key, value in raw.items() if key in KEPT}
        safe = {"failure_ttl": b"60", "result_ttl": b"0"} if self.refusal else {}
        try:
            super().restore(kept | safe | {"data": REFUSED if self.refusal else data})
        except (ValueError, TypeError, AttributeError, UnicodeDecodeError):
            self.refusal = self.refusal or "its fields cannot be read"
            super().restore({"data": REFUSED, "failure_ttl": b"60", "result_ttl": b"0"})

    @property
    def func(self) -> Any:
        """The function to run, found by our own list and never by what Redis says."""
        if self.refusal or self.func_name not in ALLOWED:
            raise JobRefused(self.refusal or "no function of ours")
        return import_attribute(next(name for name in ALLOWED if name == self.func_name))

    @property
    def success_callback(self) -> None:
        """None: no job of ours has callbacks."""

    @property
    def failure_callback(self) -> None:
        """None: no job of ours has callbacks."""

    @property
    def stopped_callback(self) -> None:
        """None: no job of ours has callbacks."""


class ShopWorker(SimpleWorker):
    """A worker that reports each job it refuses."""

    def perform_job(self, job: Any, queue: Any, execution: Any) -> bool:
        """Run the job; one that is refused fails, and is written down."""
        if job.refusal:
            _report(job)
        return super().perform_job(job, queue, execution)


def check(data: bytes, raw: Mapping[str, Any]) -> tuple[str, str]:
    """Returns (function named, why it is refused); the reason is empty for a job of ours."""
    if len(data) > MAX_DATA:
        return "", "its data is too large"
    try:
        function, instance, args, given = json.loads(data)
    except (ValueError, TypeError, RecursionError):
        return "", "its data is not JSON of four parts"
    name = _printable(function)
    if not isinstance(function, str) or function not in ALLOWED:
        return name, "the function is not on the list"
    is_ids = (
        isinstance(args, list)
        and len(args) == 1
        and isinstance(args[0], list)
        and all(type(one) is int for one in args[0])
    )
    if instance is not None or given != {} or not is_ids:
        return name, "its arguments are not ids"
    unwanted = [key for key in UNWANTED if raw.get(key) not in (None, b"", b"[]")]
    if unwanted:
        return name, f"it brings {unwanted[0].replace('_', ' ')}"
    return name, ""


def run(processes: int) -> None:
    """Work until asked to stop, finishing the job at hand. Slow jobs wait for the others.

    Workers do not fork for each job: a fresh process would compile every statement again, which
    costs twenty times what the jobs do. A worker that dies is replaced by the pool, and what it
    held is enqueued again when its lease is over.
    """
    WorkerPool(
        [queue.NAME, queue.SLOW],
        connection=redis.raw_client(timeout_s=None),
        num_workers=processes,
        worker_class=ShopWorker,
        job_class=ShopJob,
        serializer=JSONSerializer,
    ).start(logging_level="WARNING")


def _report(job: ShopJob) -> None:
    log.error(
        "job refused",
        extra={"job": _printable(job.id), "function": job.refused_function, "reason": job.refusal},
    )
    try:
        queue.note_refusal(job.refused_function, job.refusal)
    except Exception:  # the refusal stands, whether or not it can be written down
        log.exception("refused job not written down")
    finally:
        session.remove()


def _name(key: Any) -> str:
    return key.decode(errors="replace") if isinstance(key, bytes) else str(key)


def _inflated(data: Any) -> bytes:
    """The job's data as RQ stored it; a bomb is cut off."""
    given = data if isinstance(data, bytes) else str(data).encode()
    try:
        return zlib.decompressobj().decompress(given, MAX_DATA + 1)
    except zlib.error:
        return given


def _printable(value: object) -> str:
    text = value if isinstance(value, str) else ""
    return "".join(c if c.isprintable() else "?" for c in text[:200])
