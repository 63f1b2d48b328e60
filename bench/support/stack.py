"""Servers and programs for one measurement, gone when it ends; shared by the benchmarks."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from alembic import command
from alembic.config import Config
from flask import Flask

from bench.support.seed import seed
from shop import cli
from shop.config import Settings
from shop.core import db, redis
from tools.scratch import Scratch
from tools.stack import WEBHOOK_EVENTS

PROJECT = Path(__file__).resolve().parents[2]


@contextmanager
def scratch_shop() -> Iterator[dict[str, str]]:
    """An empty, migrated shop, for this process too. Returns the environment for its programs."""
    with Scratch(durable=True) as scratch:
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


@dataclass(frozen=True)
class Shop:
    """A shop with goods and orders: ``app`` is in this process, its programs are started by need.

    Its database writes every commit to the disk, as a real one does.
    """

    app: Flask
    environment: dict[str, str]
    port: int
    stripe_port: int
    owner: dict[str, str]

    @contextmanager
    def web(self, *, workers: int = 1) -> Iterator[psutil.Process]:
        """Web workers, started as the Procfile says. Returns the first one's process."""
        options = ("--preload", "-k", "gthread", "--threads", "8", "-w", str(workers))
        with gunicorn("app:app", *options, port=self.port, environment=self.environment) as worker:
            yield worker

    @contextmanager
    def stripe(self) -> Iterator[None]:
        """The Stripe stand-in, with its messages to the web worker."""
        arguments = ["--port", str(self.stripe_port), "--webhook-secret", "whsec_bench"]
        webhook = f"http://127.0.0.1:{self.port}/api/v1/webhooks/stripe"
        arguments += ["--webhook-url", webhook, "--webhook-events", ",".join(WEBHOOK_EVENTS)]
        with program("tools.stripe", *arguments) as process:
            _wait(f"http://127.0.0.1:{self.stripe_port}/healthz", process)
            yield

    @contextmanager
    def followers(self) -> Iterator[dict[str, psutil.Process]]:
        """The worker and the relay."""
        with (
            program("shop", "worker", environment=self.environment) as worker,
            program("shop", "relay", environment=self.environment) as relay,
        ):
            yield {"worker": psutil.Process(worker.pid), "relay": psutil.Process(relay.pid)}


@contextmanager
def seeded_shop(*, orders: int = 10_000) -> Iterator[Shop]:
    """A shop with 1,000 products and so many orders that nobody uses yet."""
    # Only here: the sockets' measurement needs nothing of the web application.
    from shop.factory import create_app

    port, stripe_port = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="shop-bench-") as var, scratch_shop() as environment:
        environment |= {
            "SHOP_VAR": var,
            "BASE_URL": f"http://127.0.0.1:{port}",
            "STRIPE_API_BASE": f"http://127.0.0.1:{stripe_port}",
            "STRIPE_SECRET_KEY": "sk_test_standin_bench",
            "STRIPE_PUBLISHABLE_KEY": "pk_test_standin_bench",
            "STRIPE_WEBHOOK_SECRET": "whsec_bench",
        }
        app = create_app(Settings.from_env(environment))
        cli.init_app(app)
        done = app.test_cli_runner().invoke(args=["shop", "init"])
        if done.exit_code:
            raise SystemExit(f"flask shop init: {done.output}")
        seed(orders=orders)
        owner = json.loads((Path(var) / "owner.json").read_text())
        yield Shop(app, environment, port, stripe_port, owner)


@contextmanager
def program(
    module: str, *arguments: str, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """``python -m module …`` as long as the block runs, silent unless it fails."""
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def cpu_seconds(process: psutil.Process) -> float:
    """The CPU time that a process has used so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def free_port() -> int:
    """A port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def gunicorn(
    target: str, *options: str, port: int, environment: dict[str, str]
) -> Iterator[psutil.Process]:
    """A gunicorn, with one worker if not said otherwise, once ``/healthz`` answers. Yields the
    first worker."""
    base = [sys.executable, "-m", "gunicorn", "--no-control-socket", "-w", "1"]
    base += ["--log-level", "warning"]
    arguments = [*base, "--bind", f"127.0.0.1:{port}", *options, target]
    with subprocess.Popen(arguments, cwd=PROJECT, env=environment) as process:
        try:
            _wait(f"http://127.0.0.1:{port}/healthz", process)
            yield psutil.Process(process.pid).children()[0]
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
