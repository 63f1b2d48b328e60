"""Servers and programs for one measurement, gone when it ends; shared by the benchmarks."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
from alembic import command
from alembic.config import Config

from shop.core import db, redis
from shop.dev.scratch import Scratch

PROJECT = Path(__file__).resolve().parents[2]


@contextmanager
def scratch_shop() -> Iterator[dict[str, str]]:
    """An empty, migrated shop, for this process too; gives the environment for its programs."""
    with Scratch() as scratch:
        url = scratch.database_url.replace("postgresql://", "postgresql+psycopg://", 1)
        db.configure(url, name="bench")
        redis.configure(scratch.redis_url)
        config = Config()
        config.set_main_option("script_location", str(PROJECT / "migrations"))
        command.upgrade(config, "head")
        yield os.environ | {
            "SHOP_ENV": "test",
            "SECRET_KEY": "bench-" * 6,
            "RATE_LIMITS": "off",
            "DATABASE_URL": scratch.database_url,
            "REDIS_URL": scratch.redis_url,
        }


def free_port() -> int:
    """A port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def gunicorn(
    target: str, *options: str, port: int, environment: dict[str, str]
) -> Iterator[psutil.Process]:
    """A gunicorn with one worker, once ``/healthz`` answers; gives the worker's process."""
    base = [sys.executable, "-m", "gunicorn", "--no-control-socket", "-w", "1"]
    arguments = [*base, "--bind", f"127.0.0.1:{port}", *options, target]
    with subprocess.Popen(arguments, cwd=PROJECT, env=environment) as process:
        try:
            _wait(f"http://127.0.0.1:{port}/healthz", process)
            (worker,) = psutil.Process(process.pid).children()
            yield worker
        finally:
            process.terminate()


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Rows as Markdown."""
    lines = [list(head), ["---"] * len(head), *([str(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"{url} did not answer")
