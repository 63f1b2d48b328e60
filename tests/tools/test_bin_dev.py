"""`bin/dev` with the real shop: up, killed, up again with its data, down."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools import leftovers
from tools.leftovers import Footprint
from tools.postgres import Postgres
from tools.stack import PROJECT
from tools.var import RunRecord, VarFolder


@dataclass
class Shop:
    """A shop in a folder of its own, without the demo goods."""

    folder: Path
    port: int

    def call(self, *arguments: str) -> str:
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "BASE_URL", "REALTIME_URL"}
            and not name.startswith("STRIPE_")
        }
        done = subprocess.run(
            [sys.executable, "-m", "tools", *arguments],
            cwd=PROJECT,
            env=kept | {"SHOP_ENV": "development", "SHOP_VAR": str(self.folder)},
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self) -> str:
        return self.call("--port", str(self.port), "--no-demo", "--detach")

    def record(self) -> RunRecord:
        record = VarFolder(self.folder).read_record()
        assert record is not None
        return record

    def answers(self, path: str, *, on: int = 0) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port + on}{path}") as response:
            status: int = response.status
            return status


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path / "var", _three_free_ports())
    yield shop
    shop.call("--stop")
    # As root the data may lie outside the temporary folder.
    Postgres(shop.folder / "postgres", log=shop.folder / "log" / "postgres.log").remove()


def test_killed_shop_comes_up_again_with_its_data(shop: Shop) -> None:
    said = shop.start()
    owner = json.loads((shop.folder / "owner.json").read_text())
    assert owner["password"] in said
    assert shop.answers("/readyz") == 200
    killed = shop.record()

    _kill([killed.supervisor, *killed.children])
    said_again = shop.start()

    assert owner["password"] in said_again
    assert shop.answers("/readyz") == 200
    assert shop.answers("/healthz", on=1) == 200


def test_orphans_of_a_killed_runner_are_ended(shop: Shop) -> None:
    shop.start()
    killed = shop.record()

    _kill([killed.supervisor])
    assert any(child.is_alive() for child in killed.children)
    shop.start()

    assert not any(child.is_alive() for child in killed.children)
    assert shop.answers("/readyz") == 200


def _kill(footprints: list[Footprint]) -> None:
    leftovers.signal_groups(footprints, signal.SIGKILL)
    while any(footprint.is_alive() for footprint in footprints):
        time.sleep(0.02)


def _three_free_ports() -> int:
    for port in range(20_000 + os.getpid() % 9_000, 30_000, 3):
        try:
            for number in (port, port + 1, port + 2):
                socket.create_server(("127.0.0.1", number)).close()
        except OSError:
            continue
        return port
    raise AssertionError("no three free ports in a row")
