"""The development shop: its programs, the settings they get, and the order they start in."""

import errno
import hashlib
import http.client
import json
import os
import shutil
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import psycopg
from dotenv import dotenv_values

from tools import leftovers
from tools.errors import CannotStart
from tools.leftovers import Footprint
from tools.postgres import Postgres
from tools.runner import Command, Runner, Say
from tools.servers import Server
from tools.valkey import Valkey
from tools.var import RunRecord, VarFolder

PROJECT = Path(__file__).resolve().parents[1]
MIN_FREE_BYTES = 300_000_000
READY_SECONDS = 120
GRACE_SECONDS = 8
STANDIN_KEY = "sk_test_standin"
# As docs/operations/payments.md says to choose them at Stripe.
WEBHOOK_EVENTS = (
    "payment_intent.succeeded", "payment_intent.payment_failed", "payment_intent.processing",
    "payment_intent.canceled", "payment_intent.requires_action",
    "payment_intent.amount_capturable_updated",
    "refund.created", "refund.updated", "refund.failed",
    "charge.dispute.created", "charge.dispute.updated", "charge.dispute.closed",
    "charge.dispute.funds_withdrawn", "charge.dispute.funds_reinstated",
    "radar.early_fraud_warning.created", "radar.early_fraud_warning.updated",
    "review.opened", "review.closed", "payout.failed", "payout.paid",
)  # fmt: skip
OK = "200"


@dataclass(frozen=True)
class Options:
    """What the user of `bin/dev` asked for."""

    host: str = "127.0.0.1"
    port: int = 8000
    is_fresh: bool = False
    with_demo: bool = True
    is_detached: bool = False

    @property
    def reach(self) -> str:
        """The host by which this machine reaches what listens on `host`."""
        return "127.0.0.1" if self.host in {"", "0.0.0.0", "::"} else self.host

    @property
    def web(self) -> int:
        return self.port

    @property
    def realtime(self) -> int:
        return self.port + 1

    @property
    def stripe(self) -> int:
        return self.port + 2


class StopAsked(Exception):
    """Somebody asked the stack to stop, by Ctrl-C or a signal."""


class Stack:
    """One run of the development shop in one folder."""

    def __init__(self, var: VarFolder, options: Options, *, say: Say, echo: Say) -> None:
        """Describe a run; nothing is started yet.

        var: the folder, locked by the caller. say, echo: take our sentences, the programs' lines.
        """
        self.is_stop_asked = False
        self._var = var
        self._options = options
        self._say = say
        self._echo = echo
        self._given = _given_settings()
        self._servers: list[Server] = []
        self._runner: Runner | None = None
        self._has_standin = self._given.get("STRIPE_SECRET_KEY", STANDIN_KEY).startswith(
            STANDIN_KEY
        )

    def run(self) -> NoReturn:
        """Start everything, say where it is, and look after it until an exception ends it.

        Raises `StopAsked` soon after `is_stop_asked` was set, and `CannotStart` with a sentence for
        people; `stop` must be called in any case.
        """
        began = time.monotonic()
        self._refuse_what_cannot_work()
        self._tidy_up()
        self._check_room()
        settings = self._start_servers()
        self._var.write_settings(settings)
        runner = self._runner = Runner(
            environment=self._environment(settings),
            folder=PROJECT,
            log=self._var.open_log,
            say=self._say,
            echo=self._echo,
            pause=self._pause,
        )
        for server in self._servers:
            runner.watch(server)
        if self._has_standin:
            runner.start(self._stripe_command(settings))
            self._remember(is_ready=False)
        prepared = Prepared.read(self._var.path)
        now = Prepared.of(settings["DATABASE_URL"], is_embedded=bool(self._postgres()))
        if prepared.is_outdated_by(now) or self._var.read_owner() is None:
            self._say("Migrations, roles and the owner: flask shop init")
            runner.run(self._flask("init"))
        for command in self._commands():
            runner.start(command)
        self._remember(is_ready=False)
        if self._options.with_demo and not prepared.has_demo_in(now):
            self._say("The demo shop, once: flask shop demo")
            runner.run(self._flask("demo"))
        now = Prepared.of(
            settings["DATABASE_URL"],
            is_embedded=bool(self._postgres()),
            has_demo=self._options.with_demo or prepared.has_demo_in(now),
        )
        now.write(self._var)
        self._wait_until_ready(runner)
        self._say(f"Ready after {time.monotonic() - began:.1f} s.")
        self._announce()
        self._remember(is_ready=True)
        while True:
            if runner.tick():
                self._remember(is_ready=True)
            self._pause(0.2)

    def stop(self) -> None:
        """Stop everything that was started, the programs before their servers."""
        if self._servers or self._runner:
            self._say("Stopping")
        if self._runner:
            self._runner.stop()
        for server in reversed(self._servers):
            server.stop()
        self._var.delete_record()
        if self._servers or self._runner:
            self._say("Stopped")

    # --- before the start ---

    def _refuse_what_cannot_work(self) -> None:
        if self._given.get("SHOP_ENV", "development") == "production":
            raise CannotStart(
                "bin/dev is for development: it makes its own servers and secrets. SHOP_ENV is "
                "production here; docs/operations/production.md tells how to run the shop there."
            )

    def _tidy_up(self) -> None:
        """End what a killed run left, and delete the data when that was asked for."""
        record = self._var.read_record()
        if record and leftovers.end(record.children):
            self._say("An earlier run was killed; what it left running is ended now.")
        self._var.delete_record()
        if self._options.is_fresh:
            self._say(f"Starting again: the data in {self._var.path} is deleted.")
            if "DATABASE_URL" in self._given:
                self._say("The database that DATABASE_URL names is left as it is.")
            self._new_postgres().remove()
            self._var.clear()

    def _check_room(self) -> None:
        free = shutil.disk_usage(self._var.path).free
        if free < MIN_FREE_BYTES:
            raise CannotStart(
                f"The disk of {self._var.path} is nearly full ({free // 1_000_000} MB free, "
                f"{MIN_FREE_BYTES // 1_000_000} MB needed). Free some space, then run this again."
            )
        ports = [self._options.web, self._options.realtime]
        ports += [self._options.stripe] if self._has_standin else []
        for port in ports:
            self._check_port(port)

    def _check_port(self, port: int) -> None:
        family = socket.AF_INET6 if ":" in self._options.host else socket.AF_INET
        try:
            socket.create_server((self._options.host, port), family=family).close()
        except PermissionError:
            raise CannotStart(
                f"This user may not open port {port}. Choose one above 1023: bin/dev --port 8000"
            ) from None
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise CannotStart(
                    f"Nothing can listen on {self._options.host}: "
                    f"{os.strerror(error.errno or 0)}. Choose an address of this machine: --host"
                ) from None
            other = self._options.port + 100
            raise CannotStart(
                f"Port {port} is taken by another program. Stop that one, or choose another port: "
                f"bin/dev --port {other}"
            ) from None

    # --- servers and settings ---

    def _start_servers(self) -> dict[str, str]:
        """Start the embedded servers that are needed, both at once, and give all settings."""
        wanted: dict[str, Server] = {}
        if "DATABASE_URL" not in self._given:
            wanted["DATABASE_URL"] = self._new_postgres()
        if "REDIS_URL" not in self._given:
            log = self._var.open_log("valkey")
            wanted["REDIS_URL"] = Valkey(self._var.path / "valkey", log=log)
        self._servers = list(wanted.values())
        if wanted:
            self._say("Starting " + " and ".join(server.name for server in self._servers))
        with ThreadPoolExecutor() as pool:
            starts = {name: pool.submit(server.start) for name, server in wanted.items()}
        urls = {name: start.result() for name, start in starts.items()}
        self._remember(is_ready=False)
        return self._settings(urls)

    def _new_postgres(self) -> Postgres:
        return Postgres(self._var.path / "postgres", log=self._var.open_log("postgres"))

    def _postgres(self) -> Server | None:
        return next((server for server in self._servers if isinstance(server, Postgres)), None)

    def _settings(self, urls: dict[str, str]) -> dict[str, str]:
        """What `dev.env` gets: all that was not given, and where the two servers are."""
        reach = f"[{self._options.reach}]" if ":" in self._options.reach else self._options.reach
        made = {
            "SHOP_ENV": "development",
            "SECRET_KEY": self._var.secret("secret_key"),
            "BASE_URL": f"http://{reach}:{self._options.web}",
            "REALTIME_URL": f"ws://{reach}:{self._options.realtime}/ws",
        }
        if self._has_standin:
            made |= {
                "STRIPE_SECRET_KEY": self._var.secret(
                    "stripe_secret_key", prefix=f"{STANDIN_KEY}_"
                ),
                "STRIPE_PUBLISHABLE_KEY": self._var.secret(
                    "stripe_publishable_key", prefix="pk_test_standin_"
                ),
                "STRIPE_WEBHOOK_SECRET": self._var.secret("stripe_webhook_secret", prefix="whsec_"),
                "STRIPE_API_BASE": f"http://{reach}:{self._options.stripe}",
            }
        where = {
            name: self._given[name] for name in ("DATABASE_URL", "REDIS_URL") if name in self._given
        }
        return (
            {name: value for name, value in made.items() if name not in self._given} | where | urls
        )

    def _environment(self, settings: dict[str, str]) -> dict[str, str]:
        """What every program gets; what `.env` sets they read themselves."""
        environment = os.environ | settings
        environment["SHOP_VAR"] = str(self._var.path)
        environment["PYTHONUNBUFFERED"] = "1"
        if sys.platform == "darwin":
            # The worker forks for each job; macOS would end a child that uses a system library.
            environment["OBJC_DISABLE_INITIALIZE_FORK_SAFETY"] = "YES"
        return environment

    # --- the programs ---

    def _commands(self) -> list[Command]:
        gunicorn = [sys.executable, "-m", "gunicorn", "--no-control-socket"]
        gunicorn += ["--graceful-timeout", str(GRACE_SECONDS)]
        host = f"[{self._options.host}]" if ":" in self._options.host else self._options.host
        web = ["--bind", f"{host}:{self._options.web}", "-k", "gthread", "--threads", "8"]
        # The application is imported once for both workers, which halves the wait for it.
        web += ["-w", "2", "--preload"]
        realtime = ["--bind", f"{host}:{self._options.realtime}", "-k", "gevent", "-w", "1"]
        realtime += ["--worker-connections", "10000"]
        return [
            Command("web", [*gunicorn, *web, "app:app"]),
            Command("realtime", [*gunicorn, *realtime, "shop.realtime.wsgi:app"]),
            Command("worker", [sys.executable, "-m", "shop", "worker"]),
            Command("relay", [sys.executable, "-m", "shop", "relay"]),
        ]

    def _stripe_command(self, settings: dict[str, str]) -> Command:
        webhook = f"http://{self._options.reach}:{self._options.web}/api/v1/webhooks/stripe"
        secret = (settings | self._given)["STRIPE_WEBHOOK_SECRET"].split(",")[0]
        arguments = ["--host", self._options.host, "--port", str(self._options.stripe)]
        arguments += ["--webhook-url", webhook, "--webhook-secret", secret]
        arguments += ["--webhook-events", ",".join(WEBHOOK_EVENTS)]
        arguments += ["--state", str(self._var.path / "stripe.db")]
        argv = [sys.executable, "-m", "tools.stripe", *arguments]
        return Command("stripe", argv, stops_last=True)

    def _flask(self, verb: str) -> Command:
        return Command(verb, [sys.executable, "-m", "flask", "--app", "app", "shop", verb])

    # --- readiness ---

    def _wait_until_ready(self, runner: Runner) -> None:
        waiting = {
            "web": (self._options.web, "/readyz"),
            "realtime": (self._options.realtime, "/healthz"),
        }
        if self._has_standin:
            waiting["stripe"] = (self._options.stripe, "/healthz")
        deadline = time.monotonic() + READY_SECONDS
        while waiting:
            if runner.tick():
                self._remember(is_ready=False)
            for name, (port, path) in list(waiting.items()):
                answer = _ask(self._options.reach, port, path)
                if answer == OK:
                    self._say(f"{name} answers")
                    del waiting[name]
                elif time.monotonic() > deadline:
                    raise CannotStart(
                        f"{name} is not ready after {READY_SECONDS} s: {path} gives {answer}. "
                        f"{self._var.logs / name}.log should say why."
                    )
            self._pause(0.1)

    def _pause(self, seconds: float) -> None:
        """Sleep, or end the run. A signal only sets a mark, so that no start is cut in half."""
        if self.is_stop_asked:
            raise StopAsked
        time.sleep(seconds)

    def _announce(self) -> None:
        """Say where the shop is and how the owner signs in."""
        for name, address in self._addresses().items():
            self._say(f"  {name:<8}{address}")
        owner = self._var.read_owner()
        if owner:
            self._say(f"  {'Sign in':<8}{owner['email']}   password {owner['password']}")

    def _addresses(self) -> dict[str, str]:
        base = self._settings({}).get("BASE_URL") or self._given["BASE_URL"]
        return {"Store": f"{base}/", "Admin": f"{base}/admin/"}

    def _remember(self, *, is_ready: bool) -> None:
        servers = [Footprint.of(server.pid) for server in self._servers if server.pid]
        programs = self._runner.footprints if self._runner else ()
        mine = Footprint.of(os.getpid())
        assert mine is not None
        self._var.write_record(
            RunRecord(
                supervisor=mine,
                children=tuple(server for server in servers if server) + programs,
                is_ready=is_ready,
            )
        )


@dataclass(frozen=True)
class Prepared:
    """What `init` and `demo` were last run for: this code, on this database.

    While it is unchanged, they need not run again.
    """

    code: str = ""
    database: str = ""
    revision: str = ""
    has_demo: bool = False

    @classmethod
    def of(cls, database_url: str, *, is_embedded: bool, has_demo: bool = False) -> "Prepared":
        """How things are now."""
        code = hashlib.sha256()
        for folder in ("shop", "migrations"):
            for path in sorted((PROJECT / folder).rglob("*.py")):
                code.update(f"{path.relative_to(PROJECT)}\0".encode() + path.read_bytes())
        database = "embedded" if is_embedded else hashlib.sha256(database_url.encode()).hexdigest()
        return cls(code.hexdigest(), database, _revision(database_url), has_demo)

    @classmethod
    def read(cls, folder: Path) -> "Prepared":
        """What was noted last; nothing when there is no note."""
        try:
            return cls(**json.loads((folder / "prepared.json").read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return cls()

    def write(self, var: VarFolder) -> None:
        """Note it for the next start."""
        var.write_private("prepared.json", json.dumps(vars(self), indent=2) + "\n")

    def is_outdated_by(self, now: "Prepared") -> bool:
        """Whether `init` has to run: other code, another database, or one migrated back."""
        noted = (self.code, self.database, self.revision)
        return not now.revision or noted != (now.code, now.database, now.revision)

    def has_demo_in(self, now: "Prepared") -> bool:
        """Whether the demo shop was loaded into this database."""
        return self.has_demo and self.database == now.database and bool(now.revision)


def _given_settings() -> dict[str, str]:
    """What the user set, in the environment or in `.env`; an empty value counts as not set."""
    given = {**dotenv_values(PROJECT / ".env"), **os.environ}
    return {name: value for name, value in given.items() if value}


def _revision(database_url: str) -> str:
    """The migration that the database stands at; empty before the first."""
    plain = database_url.replace("postgresql+psycopg://", "postgresql://", 1)
    try:
        with psycopg.connect(plain, connect_timeout=10) as connection:
            rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    except psycopg.errors.UndefinedTable:
        return ""
    except psycopg.OperationalError as error:
        raise CannotStart(
            f"The database that DATABASE_URL names does not answer: {str(error).strip()}"
        ) from None
    return ",".join(sorted(str(row[0]) for row in rows))


def _ask(host: str, port: int, path: str) -> str:
    """Ask for a page. Returns `OK`, or the status and the first words of the answer."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        said = response.read(300).decode(errors="replace").strip()
        return OK if response.status == 200 else f"{response.status} {said}"
    except (OSError, http.client.HTTPException) as error:
        return f"no answer ({error})"
    finally:
        connection.close()
