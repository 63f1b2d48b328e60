"""Throw-away servers for tests and checks: Postgres and Valkey in a temporary folder.

They end with the process that started them; what a killed one left is swept by the next.

As a program it runs a command beside them: `python -m tools.scratch flask --app app db check`.
"""

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from tools import leftovers
from tools.errors import CannotStart
from tools.leftovers import Footprint
from tools.postgres import Postgres
from tools.valkey import Valkey
from tools.var import RunRecord, VarFolder

PREFIX = "shop-scratch-"


class Scratch:
    """Both servers in one temporary folder; used in a `with`, or started and stopped by hand.

    durable: True where the speed of a real commit matters, as in measurements.
    """

    database_url: str
    redis_url: str

    def __init__(self, *, durable: bool = False) -> None:
        self._durable = durable

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start both at once; they end with this process. Raises `CannotStart`."""
        _sweep()
        self._var = VarFolder(Path(tempfile.mkdtemp(prefix=PREFIX)))
        self._owner = os.getpid()
        atexit.register(self.stop)
        log = self._var.open_log
        folder, durable = self._var.path / "postgres", self._durable
        self._postgres = Postgres(folder, log=log("postgres"), durable=durable)
        self._valkey = Valkey(self._var.path / "valkey", log=log("valkey"), durable=False)
        self._remember()
        with ThreadPoolExecutor() as pool:
            database, redis = pool.submit(self._postgres.start), pool.submit(self._valkey.start)
        self.database_url, self.redis_url = database.result(), redis.result()
        self._remember()

    def stop(self) -> None:
        """Stop both and delete what they stored."""
        # A forked child inherits the exit handler, but not the servers.
        if os.getpid() != self._owner or not self._var.path.exists():
            return
        self._valkey.stop()
        self._postgres.remove()
        shutil.rmtree(self._var.path, ignore_errors=True)
        atexit.unregister(self.stop)

    def _remember(self) -> None:
        mine = Footprint.of(os.getpid())
        assert mine is not None
        pids = [server.pid for server in (self._postgres, self._valkey) if server.pid]
        children = [footprint for pid in pids if (footprint := Footprint.of(pid))]
        self._var.write_record(RunRecord(mine, tuple(children), is_ready=True))


def _sweep() -> None:
    """End the servers of scratch runs that were killed, and delete their folders."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if folder.stat().st_uid != os.geteuid():
            continue
        var = VarFolder(folder)
        record = var.read_record()
        if record and not record.supervisor.is_alive():
            leftovers.end(record.children)
            Postgres(folder / "postgres", log=var.open_log("postgres")).remove()
            shutil.rmtree(folder, ignore_errors=True)


def main(command: list[str]) -> int:
    """Run a command with DATABASE_URL and REDIS_URL of fresh servers, and give its exit code."""
    # A polite request to end becomes an ordinary exit, so that the servers end too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with Scratch() as scratch:
            environment = os.environ | {
                "SHOP_ENV": "test",
                "SECRET_KEY": "scratch-" * 5,
                "DATABASE_URL": scratch.database_url,
                "REDIS_URL": scratch.redis_url,
            }
            return subprocess.run(command, env=environment).returncode
    except CannotStart as reason:
        print(reason, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
