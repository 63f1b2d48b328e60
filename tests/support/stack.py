"""A whole shop in processes of its own, as ``bin/dev`` starts it: for journeys and faults."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from dotenv import dotenv_values

from shop.core import db

PROJECT = Path(__file__).parents[2]
START_S = 300


@dataclass(frozen=True)
class RunningShop:
    """Where a running shop is. ``settings`` is what its processes were started with."""

    base_url: str
    var: Path
    settings: dict[str, str]

    @property
    def stripe_url(self) -> str:
        return self.settings["STRIPE_API_BASE"]

    @property
    def owner(self) -> dict[str, str]:
        """The owner's ``email`` and ``password``."""
        found: dict[str, str] = json.loads((self.var / "owner.json").read_text())
        return found

    @contextmanager
    def database(self) -> Iterator[None]:
        """Let this process's own operations work on the shop's database."""
        engine = db.configure(self.settings["DATABASE_URL"].replace("://", "+psycopg://", 1))
        try:
            yield
        finally:
            db.session.remove()
            engine.dispose()

    def control(self, **settings: object) -> None:
        """Tell the Stripe stand-in how to misbehave."""
        post(f"{self.stripe_url}/_control", settings)

    def processes(self, words: str) -> list[psutil.Process]:
        """This shop's own processes whose command line matches the regular expression."""
        record = json.loads((self.var / "run.json").read_text())
        mine = psutil.Process(record["supervisor"]["pid"]).children(recursive=True)
        return [p for p in mine if re.search(words, _command_line(p))]

    def kill(self, words: str, *, but_first: bool = False) -> int:
        """``kill -9`` these processes of this shop, or only their children. Returns how many."""
        found = self.processes(words)[1 if but_first else 0 :]
        for process in found:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        return len(found)


@contextmanager
def running_shop(var: Path, *options: str, **more: str) -> Iterator[RunningShop]:
    """Start a shop on free ports in the folder ``var``, and stop it afterwards. ``more``: settings
    that its programs get."""
    port = _three_free_ports()
    environment = os.environ | {
        "SHOP_VAR": str(var),
        "RATE_LIMITS": "off",
        "SHOP_ENV": "development",
        **more,
    }
    command = [sys.executable, "-m", "tools", "--port", str(port)]
    try:
        subprocess.run(
            [*command, "--detach", *options],
            cwd=PROJECT, env=environment, check=True, timeout=START_S,
        )  # fmt: skip
        settings = {key: value or "" for key, value in dotenv_values(var / "dev.env").items()}
        yield RunningShop(f"http://127.0.0.1:{port}", var, settings)
    finally:
        subprocess.run([*command, "--stop"], cwd=PROJECT, env=environment, check=False, timeout=120)


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.ZombieProcess, psutil.NoSuchProcess):
        return ""


def post(
    url: str, body: object, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    """POST JSON. Returns status and JSON body, also of refusals."""
    request = urllib.request.Request(
        url,
        json.dumps(body).encode(),
        {"Content-Type": "application/json", **(headers or {})},
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"{}")


def eventually(check: Callable[[], object], *, within_s: float, what: str) -> None:
    """Wait until ``check`` gives something true; fails with ``what`` otherwise."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if check():
            return
        time.sleep(0.1)
    raise AssertionError(f"not within {within_s} s: {what}")


def _three_free_ports() -> int:
    for start in range(21000 + os.getpid() % 400 * 10, 60000, 10):
        try:
            for port in range(start, start + 3):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return start
    raise AssertionError("no three free ports in a row")
