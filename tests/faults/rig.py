"""A running shop whose Postgres, Valkey, mail server and lines the test holds in its own hands."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil
import psycopg
from sqlalchemy import event

from shop.core import db
from tests.faults.mailserver import MailServer
from tests.faults.proxy import Proxy
from tests.support.stack import PROJECT, RunningShop, running_shop
from tools.postgres import Postgres
from tools.valkey import Valkey

# The supervisor gives a program up that dies five times within half a minute of its start.
LONG_ENOUGH_S = 31.0
QUICK_DEATHS = 3


@dataclass
class Rig:
    """The shop, what it stands on, and the ways to break it."""

    shop: RunningShop
    postgres: Postgres
    valkey: Valkey
    mail: MailServer
    database_line: Proxy
    redis_line: Proxy
    database_url: str
    redis_url: str
    failpoints: Path
    _relay_deaths: int = 0
    _environment: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def database(self, *, pool_size: int = 10) -> Iterator[None]:
        """Let this process's own operations work on the database, past the bad line."""
        engine = db.configure(
            self.database_url.replace("://", "+psycopg://", 1), pool_size=pool_size
        )
        event.listen(engine, "connect", _be_patient)
        try:
            yield
        finally:
            db.session.remove()
            engine.dispose()

    def restart_postgres(self) -> None:
        """As ``pg_ctl restart -m immediate``: every connection breaks, and it recovers from its
        log."""
        pid = self.postgres.pid
        assert pid is not None
        os.kill(pid, signal.SIGQUIT)
        while self.postgres.is_alive():
            time.sleep(0.02)
        self.postgres.start()

    def stop_redis(self) -> None:
        """Gone: connections are refused."""
        self.valkey.stop()

    def start_redis(self) -> None:
        """Back, on the same port."""
        self.valkey.start()

    @contextmanager
    def hanging_redis(self) -> Iterator[None]:
        """It takes connections and never answers: worse than being gone."""
        assert self.valkey.pid is not None
        os.kill(self.valkey.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.valkey.pid, signal.SIGCONT)

    def kill(self, name: str, chance: random.Random) -> bool:
        """``kill -9`` one process that runs as web, worker or relay; False if it must live on."""
        if name == "relay":
            return self._kill_relay()
        words = {"web": r"gunicorn.* app:app", "worker": r"shop worker"}[name]
        # The first of them looks after the others.
        found = self.shop.processes(words)[1:]
        if not found:
            return False
        with suppress(psutil.NoSuchProcess):
            chance.choice(found).send_signal(signal.SIGKILL)
        return True

    def relay_may_die(self) -> bool:
        """Whether the supervisor would still start it again."""
        found = self.shop.processes(r"shop relay")
        if not found:
            return False
        with suppress(psutil.NoSuchProcess):
            if time.time() - found[0].create_time() > LONG_ENOUGH_S:
                self._relay_deaths = 0
                return True
        return self._relay_deaths < QUICK_DEATHS

    def note_relay_death(self) -> None:
        """It died by itself."""
        self._relay_deaths += 1

    def doctor(self) -> list[str]:
        """What ``flask shop doctor --stripe`` finds wrong."""
        looked = self.flask("doctor", "--stripe")
        return [] if looked.returncode == 0 else [*looked.stdout.splitlines(), looked.stderr]

    def flask(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run ``flask shop …``."""
        return subprocess.run(
            [sys.executable, "-m", "flask", "--app", "app", "shop", *words],
            cwd=PROJECT, env=self._environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def _kill_relay(self) -> bool:
        if not self.relay_may_die():
            return False
        self.note_relay_death()
        return self.shop.kill(r"shop relay") > 0


@contextmanager
def rig(var: Path, *, through_proxies: bool = True, seed: int = 0, **more: str) -> Iterator[Rig]:
    """Start everything on free ports in the folder ``var``, and stop it afterwards."""
    var.mkdir(parents=True, exist_ok=True)
    failpoints = var / "failpoints"
    failpoints.mkdir()
    logs = [var / f"{name}.log" for name in ("postgres", "valkey")]
    postgres = Postgres(var / "postgres", log=logs[0])
    valkey = Valkey(var / "valkey", log=logs[1], durable=False)
    mail = MailServer(seed=seed)
    lines: list[Proxy] = []
    try:
        database_url, redis_url = postgres.start(), valkey.start()
        sockets = parse_qs(urlsplit(database_url).query)["host"][0]
        redis_port = urlsplit(redis_url).port
        database_line = Proxy(lambda: _unix(f"{sockets}/.s.PGSQL.5432"), seed=seed)
        lines.append(database_line)
        redis_line = Proxy(lambda: socket.create_connection(("127.0.0.1", redis_port)), seed=seed)
        lines.append(redis_line)
        mail.start()
        extra = {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "SMTP_URL": f"smtp://127.0.0.1:{mail.port}",
            "SHOP_FAILPOINTS": str(failpoints),
            **more,
        }
        if through_proxies:
            extra["DATABASE_URL"] = (
                f"postgresql://shop@127.0.0.1:{database_line.port}/shop"
                "?sslmode=disable&gssencmode=disable"
            )
            extra["REDIS_URL"] = redis_url.replace(f":{redis_port}/", f":{redis_line.port}/")
        with running_shop(var / "shop", "--no-demo", **extra) as shop:
            environment = os.environ | shop.settings | extra | {"SHOP_VAR": str(var / "shop")}
            environment["SHOP_ENV"] = "development"
            yield Rig(
                shop, postgres, valkey, mail, database_line, redis_line,
                database_url, redis_url, failpoints,
                _environment=environment,
            )  # fmt: skip
    finally:
        for line in lines:
            line.close()
        mail.stop()
        valkey.stop()
        postgres.remove()


def _be_patient(connection: psycopg.Connection, _record: object) -> None:
    """A test may look at something, and wait for long."""
    connection.execute("SET idle_in_transaction_session_timeout = 0")
    connection.commit()


def _unix(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    try:
        made.connect(path)
    except OSError:
        made.close()
        raise
    return made
