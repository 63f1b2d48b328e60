"""Figures for Prometheus, in its text format.

Requests are counted in this process and labelled with it: a server has several, and each scrape
asks one of them. Sums over ``process`` are right after every one of them was asked.
"""

import os
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from threading import Lock

from flask import Flask, Response, g, request
from redis.exceptions import RedisError
from sqlalchemy import func, select

from shop import orders
from shop.core import queue, redis, relay
from shop.core.db import session
from shop.core.reaction_runs import ReactionRun

BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_lock = Lock()
_answers: Counter[tuple[str, str, int]] = Counter()
_buckets: dict[str, list[int]] = {}
_seconds: defaultdict[str, float] = defaultdict(float)

Sample = tuple[dict[str, str], float]


def init_app(app: Flask) -> None:
    """Count and time every request of the application."""

    @app.before_request
    def start() -> None:
        g.metrics_started = time.perf_counter()

    @app.after_request
    def note(response: Response) -> Response:
        started = g.get("metrics_started")
        if started is not None:
            _note(
                request.endpoint or "unknown", response.status_code, time.perf_counter() - started
            )
        return response


def text() -> str:
    """Everything, as Prometheus reads it. Four statements and two calls to Redis."""
    return "\n".join((*_requests(), *_shop(), ""))


def _note(endpoint: str, status: int, seconds: float) -> None:
    # A made-up method would be a label of its own, and labels are kept for ever.
    known = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
    method = request.method if request.method in known else "other"
    with _lock:
        _answers[endpoint, method, status] += 1
        _seconds[endpoint] += seconds
        buckets = _buckets.setdefault(endpoint, [0] * (len(BOUNDS_S) + 1))
        buckets[bisect_left(BOUNDS_S, seconds)] += 1


def _requests() -> Iterator[str]:
    process = str(os.getpid())
    with _lock:
        answers, seconds = dict(_answers), dict(_seconds)
        buckets = {endpoint: list(counts) for endpoint, counts in _buckets.items()}
    yield from _family(
        "shop_http_requests_total",
        "counter",
        "Requests answered by this process.",
        (
            (
                {"process": process, "endpoint": endpoint, "method": method, "status": str(status)},
                count,
            )
            for (endpoint, method, status), count in sorted(answers.items())
        ),
    )
    name = "shop_http_request_seconds"
    yield f"# HELP {name} Time to answer, by this process."
    yield f"# TYPE {name} histogram"
    for endpoint, counts in sorted(buckets.items()):
        labels = {"process": process, "endpoint": endpoint}
        below = 0
        for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), counts, strict=True):
            below += count
            yield _line(f"{name}_bucket", labels | {"le": bound}, below)
        yield _line(f"{name}_sum", labels, seconds[endpoint])
        yield _line(f"{name}_count", labels, below)


def _shop() -> Iterator[str]:
    yield from _family(
        "shop_relay_lag_seconds",
        "gauge",
        "Age of the oldest event that no relay has dispatched.",
        [({}, relay.lag_s())],
    )
    states = session.execute(
        select(ReactionRun.state, func.count())
        .where(ReactionRun.state != "done")
        .group_by(ReactionRun.state)
    )
    by_state = {"due": 0, "dead": 0} | {row[0]: row[1] for row in states}
    yield from _family(
        "shop_deliveries",
        "gauge",
        "Reactions to events that are due, or were given up.",
        [({"state": state}, count) for state, count in sorted(by_state.items())],
    )
    yield from _family(
        "shop_orders",
        "gauge",
        'Orders by their tab on the desk; "all" is their sum.',
        [({"tab": tab or "all"}, count) for tab, count in orders.tab_counts().items()],
    )
    yield from _family(
        "shop_queue_jobs",
        "gauge",
        "Doorbells that wait in Redis for a worker; none while Redis is away.",
        _queues(),
    )


def _queues() -> Iterable[Sample]:
    try:
        return [
            ({"queue": name}, float(redis.client().llen(f"rq:queue:{name}")))
            for name in (queue.NAME, queue.SLOW)
        ]
    except RedisError:
        return []


def _family(name: str, kind: str, words: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP {name} {words}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        yield _line(name, labels, value)


def _line(name: str, labels: dict[str, str], value: float) -> str:
    inside = ",".join(f'{key}="{_escaped(said)}"' for key, said in labels.items())
    return f"{name}{{{inside}}} {value:g}" if inside else f"{name} {value:g}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
