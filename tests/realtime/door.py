"""A realtime process to knock at, and a client that says what it hears."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any, Self

import websocket
from flask import Flask
from flask.sessions import SecureCookieSessionInterface

PROJECT = Path(__file__).resolve().parents[2]
SECRET_KEY = "test-" * 8
BASE_URL = "http://127.0.0.1:8000"


class Door:
    """One gunicorn with one worker."""

    def __init__(self, target: str, log: Path, *, database_url: str, redis_url: str) -> None:
        self.log = log
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        environment = os.environ | {
            "SHOP_ENV": "test",
            "SECRET_KEY": SECRET_KEY,
            "BASE_URL": BASE_URL,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
        }
        command = [sys.executable, "-m", "gunicorn", "--no-control-socket", "-k", "gevent"]
        command += ["--bind", f"127.0.0.1:{self.port}", target]
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                command, cwd=PROJECT, env=environment, stdout=file, stderr=subprocess.STDOUT
            )
        self._wait_until_ready()

    def metrics(self) -> dict[str, Any]:
        """What the process counts."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metricsz", timeout=5) as answer:
            counted: dict[str, Any] = json.load(answer)
        return counted

    def complaints(self) -> list[str]:
        """The lines in its log that are a warning or worse."""
        lines = self.log.read_text().splitlines()
        return [each for each in lines if '"level": "info"' not in each and "[INFO]" not in each]

    def stop(self) -> None:
        """End it politely, and wait."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)

    def _wait_until_ready(self) -> None:
        def is_ready() -> bool:
            try:
                return bool(self.metrics()["is_redis_connected"])
            except OSError:
                return False

        assert eventually(is_ready, within_s=30), self.log.read_text()


class Client:
    """One socket."""

    def __init__(
        self,
        door: Door,
        *,
        signed: dict[str, str] | None = None,
        cart: str = "",
        origin: str | None = BASE_URL,
        ticket: str = "",
        receive_buffer: int = 0,
        offers: str = "",
    ) -> None:
        """``signed`` is what the shop's session cookie holds. Raises on a refused handshake."""
        cookies = [f"shop={session_cookie(signed)}"] if signed else []
        cookies += [f"cart={cart}"] if cart else []
        self.socket = websocket.create_connection(
            f"ws://127.0.0.1:{door.port}/ws" + (f"?ticket={ticket}" if ticket else ""),
            timeout=10,
            origin=origin,
            suppress_origin=origin is None,
            cookie="; ".join(cookies) or None,
            header=[offers] if offers else [],
            sockopt=(
                [(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)] if receive_buffer else []
            ),
        )
        self.hello = self.hear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def say(self, **message: Any) -> None:
        """Send one message."""
        self.socket.send(json.dumps(message))

    def hear(self, within_s: float = 10) -> dict[str, Any]:
        """The next message. Raises ``WebSocketTimeoutException`` when there is none."""
        self.socket.settimeout(within_s)
        message: dict[str, Any] = json.loads(self.socket.recv())
        return message

    def hears_nothing(self, for_s: float = 0.3) -> bool:
        """Whether it stays quiet."""
        try:
            self.hear(for_s)
        except websocket.WebSocketTimeoutException:
            return True
        return False

    def ask(self, topic: str, **more: Any) -> dict[str, Any]:
        """Subscribe, and give the answer."""
        self.say(op="subscribe", topic=topic, **more)
        return self.hear()

    def close_code(self, within_s: float = 10) -> int:
        """Read until the server closes, and give its code; 0 when it just hung up."""
        self.socket.settimeout(within_s)
        while True:
            try:
                opcode, data = self.socket.recv_data(control_frame=True)
            except (websocket.WebSocketConnectionClosedException, OSError) as error:
                if isinstance(error, TimeoutError):
                    raise
                return 0
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return int.from_bytes(data[:2])


def refusal(door: Door, **options: Any) -> int:
    """The HTTP status by which a handshake is refused; 101 if it is not."""
    try:
        Client(door, **options).socket.close()
    except websocket.WebSocketBadStatusException as refused:
        return int(refused.status_code)
    return 101


def session_cookie(content: dict[str, str]) -> str:
    """The cookie that the web process would have set."""
    app = Flask("shop")
    app.secret_key = SECRET_KEY
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer
    cookie: str = serializer.dumps(content)
    return cookie


def eventually(is_so: Any, *, within_s: float = 5) -> bool:
    """Whether something becomes true in time."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if is_so():
            return True
        time.sleep(0.02)
    return False
