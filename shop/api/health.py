"""Whether this process lives, whether the shop can serve, and its figures for Prometheus."""

import logging
import re
import threading
from contextvars import copy_context
from functools import lru_cache
from pathlib import Path

from flask import Blueprint, Response, current_app, jsonify, request
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shop.api import errors, metrics
from shop.api.callers import unasked
from shop.api.door import seal
from shop.core import redis, relay, tokens
from shop.core.db import session

log = logging.getLogger(__name__)

bp = Blueprint("health", __name__)
errors.handle(bp)
bp.after_request(seal)

_REVISION = re.compile(r'^(revision|down_revision) = "(\w+)"', re.MULTILINE)
LOOPBACK = {"127.0.0.1", "::1"}
PATIENCE_S = 4.0
State = dict[str, object]
DOWN: State = {"database": "down", "migrations": "unknown", "relay_lag_s": None}


@bp.get("/healthz")
@unasked
def alive() -> Response:
    """This process answers; asks nothing else."""
    return jsonify({"status": "alive"})


@bp.get("/readyz")
@unasked
def ready() -> Response:
    """Whether the shop can serve: 503 without its database or with tables of another version.

    Without Redis it serves, with delays: sockets, emails and rate limits wait or fall back.
    """
    state = _look.answer() | {"redis": "up" if _redis_answers() else "down"}
    response = jsonify(state)
    if state["database"] != "up" or state["migrations"] != "current":
        response.status_code = 503
        response.headers["Retry-After"] = "5"
    return response


@bp.get("/metrics")
@unasked
def figures() -> Response:
    """Prometheus text, for who has ``METRICS_TOKEN`` and for this machine itself."""
    if not _may_read_metrics():
        raise errors.Refused(403, "The figures are for who has the token.")
    return Response(metrics.text(), mimetype="text/plain; version=0.0.4; charset=utf-8")


def _may_read_metrics() -> bool:
    """Loopback counts only if no proxy stands between: behind one, everybody comes from there."""
    wanted = current_app.config["SETTINGS"].metrics_token
    given = request.authorization
    if given is not None and given.type == "bearer" and tokens.matches(given.token, wanted):
        return True
    forwarded = {"X-Forwarded-For", "Forwarded", "X-Real-Ip"} & set(request.headers.keys())
    return request.remote_addr in LOOPBACK and not forwarded


def _database() -> State:
    """What the database says of itself."""
    state: State = {"database": "up", "migrations": "current", "relay_lag_s": None}
    try:
        heads = set(session.scalars(text("SELECT version_num FROM alembic_version")))
        if heads != _wanted_heads():
            state["migrations"] = "not current"
        else:
            state["relay_lag_s"] = round(relay.lag_s(), 3)
    except ProgrammingError:  # there is no table of versions: the database is empty
        state["migrations"] = "missing"
    except (DBAPIError, PoolTimeout) as error:
        log.warning("not ready: the database does not answer", extra={"kind": type(error).__name__})
        return DOWN
    finally:
        session.remove()
    return state


class _Look:
    """One look at the database at a time, on a thread of its own.

    No time-out of the database's own helps when its machine stands still, and who asks whether the
    shop is ready must be answered then too.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread = threading.Thread()
        self._seen: list[State] = []

    def answer(self) -> State:
        """What is seen now, within ``PATIENCE_S``."""
        with self._lock:
            if not self._thread.is_alive():
                seen = self._seen = []
                look = copy_context().run
                self._thread = threading.Thread(
                    target=lambda: seen.append(look(_database)), daemon=True
                )
                self._thread.start()
            thread, seen = self._thread, self._seen
        thread.join(PATIENCE_S)
        if seen:
            return seen[0]
        log.warning("not ready: the database does not answer", extra={"kind": "silence"})
        return DOWN


_look = _Look()


def _redis_answers() -> bool:
    try:
        return bool(redis.client().ping())
    except RedisError:
        return False


@lru_cache(maxsize=1)
def _wanted_heads() -> set[str]:
    """The newest revisions on disk. Read without Alembic, which would cost each worker 15 MiB."""
    folder = Path(__file__).parents[2] / "migrations" / "versions"
    found = [dict(_REVISION.findall(file.read_text())) for file in folder.glob("*.py")]
    return {one["revision"] for one in found} - {one.get("down_revision", "") for one in found}
