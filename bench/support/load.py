"""Many keep-alive clients that ask for pages, in a process of their own that costs little.

``run`` starts it and waits for its figures. Requests are bytes made beforehand, answers are only
measured: read to the end, their status counted.
"""

import json
import select
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

PROJECT = Path(__file__).resolve().parents[2]
FIRST_ANSWER_S = 30.0
HEADERS = {"Host": "127.0.0.1", "Accept": "text/html", "User-Agent": "bench"}


@dataclass(frozen=True)
class Load:
    """What came of one run; times in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p95: float
    statuses: dict[str, int]
    bytes: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def request(
    path: str,
    *,
    cookies: dict[str, str] | None = None,
    form: dict[str, str] | None = None,
    accept: str = "",
) -> str:
    """A request as it goes over the wire; with ``form`` a POST, ``accept`` a content coding."""
    body = urlencode(form) if form is not None else ""
    headers = dict(HEADERS)
    if accept:
        headers["Accept-Encoding"] = accept
    if cookies:
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
    if form is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        headers["Content-Length"] = str(len(body))
    head = f"{'GET' if form is None else 'POST'} {path} HTTP/1.1\r\n"
    return head + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n" + body


def run(
    port: int, per_client: Sequence[Sequence[str]], *, seconds: float = 60.0, most: int = 10**9
) -> Load:
    """Let each client repeat its requests for so long, or until ``most`` were answered."""
    options = {"port": port, "clients": per_client, "seconds": seconds, "most": most}
    done = subprocess.run(
        [sys.executable, "-m", "bench.support.load"],
        cwd=PROJECT,
        input=json.dumps(options),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Load(**json.loads(done.stdout))


class _Client:
    """One connection and where it is in its requests."""

    def __init__(self, port: int, requests: Sequence[str]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.requests = [text.encode() for text in requests]
        self.turn = 0

    def ask(self) -> None:
        self.socket.sendall(self.requests[self.turn % len(self.requests)])
        self.turn += 1
        self.asked = time.perf_counter()
        self.head = b""
        self.left = -1

    def is_answered(self) -> bool:
        """Read what there is; whether that completes the answer."""
        data = self.socket.recv(262144)
        if not data:
            raise SystemExit("the server closed a connection")
        if self.left < 0:
            self.head += data
            head, end, body = self.head.partition(b"\r\n\r\n")
            if not end:
                return False
            self.head = head.lower()
            length = self.head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            if not length:
                raise SystemExit(f"an answer without a length: {head!r}")
            self.left = int(length) - len(body)
        else:
            self.left -= len(data)
        return self.left == 0


def _main() -> None:
    options: dict[str, Any] = json.load(sys.stdin)
    clients = [_Client(options["port"], requests) for requests in options["clients"]]
    poll = select.epoll()
    by_number = {client.socket.fileno(): client for client in clients}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    began = time.perf_counter()
    for client in clients:
        client.ask()
    took: list[float] = []
    statuses: Counter[str] = Counter()
    size = 0
    until = began + options["seconds"]
    latest = until + FIRST_ANSWER_S
    while (now := time.perf_counter()) < (until if took else latest) and len(took) < options[
        "most"
    ]:
        for number, _ in poll.poll(1):
            client = by_number[number]
            if client.is_answered():
                took.append(time.perf_counter() - client.asked)
                statuses[client.head[9:12].decode()] += 1
                size = int(client.head.partition(b"content-length:")[2].partition(b"\r\n")[0])
                client.ask()
    took.sort()
    json.dump(
        {
            "requests": len(took),
            "seconds": now - began,
            "p50": took[len(took) // 2] * 1000,
            "p95": took[int(len(took) * 0.95)] * 1000,
            "statuses": statuses,
            "bytes": size,
        },
        sys.stdout,
    )


if __name__ == "__main__":
    _main()
