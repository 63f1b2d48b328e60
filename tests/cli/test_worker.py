"""Whoever can write to Redis cannot make a worker run anything but the shop's own job."""

import os
import pickle
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from redis import Redis
from rq import Callback, Queue
from rq.serializers import JSONSerializer
from rq.webhook import Webhook
from sqlalchemy import select
from sqlalchemy.orm import Session

from shop import __main__ as programs
from shop import reactions
from shop.cli.worker import ShopJob, ShopWorker
from shop.core import queue, redis, relay
from shop.core.queue import RefusedJob
from shop.core.reaction_runs import ReactionRun
from shop.realtime import broadcasts
from tests.admin.desk import sit
from tests.cast import Cast

Attack = Callable[[Queue, str], Any]


@pytest.fixture
def connection(app: Flask, session: Session) -> Iterator[Redis]:
    """An empty Valkey, as RQ talks to it."""
    redis.client().flushall()
    yield redis.raw_client(timeout_s=5)
    redis.client().flushall()


def run_all(connection: Redis) -> None:
    """Let a worker do everything that waits."""
    ShopWorker(
        [queue.NAME, queue.SLOW],
        connection=connection,
        job_class=ShopJob,
        serializer=JSONSerializer,
    ).work(burst=True, logging_level="CRITICAL")


def by_json(jobs: Queue, command: str) -> None:
    jobs.enqueue("os.system", command)


def by_pickle(jobs: Queue, command: str) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (command,)

    job = jobs.enqueue(queue.JOB, [])
    bomb = zlib.compress(pickle.dumps(("os.getcwd", None, (Bomb(),), {})))
    jobs.connection.hset(job.key, "data", bomb)
    jobs.connection.hset(job.key, "meta", pickle.dumps(Bomb()))


def by_callback(jobs: Queue, command: str) -> None:
    job = jobs.enqueue(queue.JOB, [], on_success=Callback("os.system"))
    jobs.connection.hset(job.key, "failure_callback_name", "os.system")


def by_arguments(jobs: Queue, command: str) -> None:
    jobs.enqueue(queue.JOB, command)


def by_method(jobs: Queue, command: str) -> None:
    job = jobs.enqueue(queue.JOB, [])
    jobs.connection.hset(job.key, "data", b'["run_deliveries", "shop.__main__", [[]], {}]')


def by_webhook(jobs: Queue, command: str) -> None:
    jobs.enqueue(queue.JOB, [], webhooks=[Webhook("http://127.0.0.1:9/", "finished")])


def by_size(jobs: Queue, command: str) -> None:
    job = jobs.enqueue(queue.JOB, [])
    jobs.connection.hset(job.key, "data", zlib.compress(b"[" * 50_000_000))


def by_depth(jobs: Queue, command: str) -> None:
    job = jobs.enqueue(queue.JOB, [])
    jobs.connection.hset(job.key, "data", b"[" * 20_000)


def by_odd_fields(jobs: Queue, command: str) -> None:
    job = jobs.enqueue(queue.JOB, [])
    jobs.connection.hset(job.key, mapping={"result_ttl": "soon", "created_at": "yesterday"})


ATTACKS: list[Attack] = [
    by_json, by_pickle, by_callback, by_arguments, by_method, by_webhook, by_size, by_depth,
    by_odd_fields,
]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_worker_refuses_every_foreign_job(
    connection: Redis,
    session: Session,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    attack: Attack,
) -> None:
    ran: list[list[int]] = []
    monkeypatch.setattr(programs, "run_deliveries", ran.append)
    proof = tmp_path / "somebody-was-here"
    attack(Queue(queue.NAME, connection=connection, serializer=JSONSerializer), f"touch {proof}")

    run_all(connection)

    assert not proof.exists() and ran == []
    assert Queue(queue.NAME, connection=connection).count == 0
    (refused,) = session.scalars(select(RefusedJob))
    assert refused.count == 1 and refused.reason


def test_pickled_job_of_plain_rq_runs_nothing(
    connection: Redis, session: Session, tmp_path: Path
) -> None:
    proof = tmp_path / "somebody-was-here"
    Queue(queue.NAME, connection=connection).enqueue("os.system", f"touch {proof}")

    run_all(connection)

    assert not proof.exists()
    assert session.scalars(select(RefusedJob)).one().reason


def test_worker_runs_our_own_job(
    connection: Redis, session: Session, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "_prepare", lambda: None)  # it would read the environment
    assert cast.paid_order
    due_runs, _, _ = relay.dispatch(reactions.REACTIONS, broadcasts.messages)
    receipt = next(due for due in due_runs if due.reaction == "send_receipt")

    queue.JobQueues().enqueue(queue.NAME, [receipt.run_id])
    run_all(connection)

    session.expire_all()
    assert session.get_one(ReactionRun, receipt.run_id).state == "done"
    assert list(session.scalars(select(RefusedJob))) == []


def test_staff_see_what_was_refused(connection: Redis, app: Flask, cast: Cast) -> None:
    for _ in range(3):
        by_json(
            Queue(queue.NAME, connection=connection, serializer=JSONSerializer), "touch nothing"
        )
    run_all(connection)

    page = sit(app, "Owner").text("/admin/jobs/list/")

    assert "Refused jobs" in page and "os.system" in page and "The function is not on" in page
    assert ">3</td>" in page


def test_refusals_do_not_fill_the_database(session: Session) -> None:
    for n in range(queue.MAX_REFUSED_KEPT + 5):
        queue.note_refusal(f"function {n}", "the function is not on the list")

    assert len(queue.refused_jobs(limit=1000)) == queue.MAX_REFUSED_KEPT
