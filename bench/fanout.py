"""One message to many sockets: latency, deliveries a second, memory of a connection.

    python -m bench.fanout --clients 1000

Starts its own Postgres, Valkey and realtime process. The clients live in a process of their own,
on bare sockets, so that they cost little beside what is measured; they share the machine with it.
"""

import argparse
import json
import os
import platform
import select
import socket
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text

from bench.support.stack import PROJECT, free_port, gunicorn, scratch_shop, table
from shop.core import redis
from shop.core.db import transaction

# So many digits that every frame has the same length, which lets clients count by bytes.
FIRST_SEQ = 1_000_000_000
PING, PONG = b"\x89\x00", b"\x8a\x80\0\0\0\0"


def main() -> None:
    """Measure and print a table, with the command that repeats it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=200, help="single messages, 50 ms apart")
    parser.add_argument("--burst", type=int, default=200, help="messages sent at once")
    parser.add_argument("--bursts", type=int, default=5)
    chosen = parser.parse_args()
    with scratch_shop() as environment:
        measured = measure(environment, chosen)
    print(report(measured, chosen))


def measure(environment: dict[str, str], chosen: argparse.Namespace) -> dict[str, Any]:
    """Start a realtime process in this shop and send to its clients. Returns the figures."""
    chosen.port = free_port()
    product_id = _product()
    # The clients say that they come from there.
    environment = environment | {"BASE_URL": "http://127.0.0.1:8000"}
    options = ("-k", "gevent", "--worker-connections", "12000")
    target = "shop.realtime.wsgi:app"
    with gunicorn(target, *options, port=chosen.port, environment=environment) as server:
        return _measure(server, chosen, product_id)


def p99_ms(measured: dict[str, Any]) -> float:
    """The time within which 99 of 100 single messages arrived, in milliseconds."""
    at = measured["latencies"]
    return float(at[int(len(at) * 0.99)] * 1000)


def _measure(server: Any, chosen: argparse.Namespace, product_id: int) -> dict[str, Any]:
    with Clients(50, chosen.port, product_id):
        pass
    time.sleep(1)
    before = server.memory_info().rss
    cpu = sum(server.cpu_times()[:2])
    began = time.monotonic()
    with Clients(chosen.clients, chosen.port, product_id) as clients:
        connected_s = time.monotonic() - began
        connecting_ms = (sum(server.cpu_times()[:2]) - cpu) / chosen.clients * 1000
        idle = server.memory_info().rss
        seq = FIRST_SEQ
        clients.expect(1)
        _publish(product_id, seq, 1)
        frame = clients.result()["bytes"]
        latencies: list[float] = []
        cpu = sum(server.cpu_times()[:2])
        for _ in range(chosen.rounds):
            seq += 1
            clients.expect(frame)
            began = time.monotonic()
            _publish(product_id, seq, 1)
            latencies += [moment - began for moment in clients.result()["at"]]
            time.sleep(0.05)
        single_us = (sum(server.cpu_times()[:2]) - cpu) / len(latencies) * 1e6
        rates, burst_us = [], []
        for _ in range(chosen.bursts):
            clients.expect(frame * chosen.burst)
            cpu = sum(server.cpu_times()[:2])
            began = time.monotonic()
            _publish(product_id, seq + 1, chosen.burst)
            last = max(clients.result()["at"])
            delivered = chosen.burst * chosen.clients
            rates.append(delivered / (last - began))
            burst_us.append((sum(server.cpu_times()[:2]) - cpu) / delivered * 1e6)
            seq += chosen.burst
            time.sleep(0.2)
        after = server.memory_info().rss
    return {
        "latencies": sorted(latencies),
        "rates": rates,
        "single_us": single_us,
        "burst_us": burst_us,
        "connecting_ms": connecting_ms,
        "idle_kib": (idle - before) / 1024 / chosen.clients,
        "after_kib": (after - before) / 1024 / chosen.clients,
        "rss_mib": after / 1024 / 1024,
        "connected_s": connected_s,
        "frame": frame,
    }


def report(measured: dict[str, Any], chosen: argparse.Namespace) -> str:
    """A table, and what it was measured with."""
    at = measured["latencies"]
    head = (
        "clients", "p50 ms", "p99 ms", "max ms", "deliveries/s in bursts",
        "CPU µs a delivery (single · burst)", "KiB a connection (idle · after)", "RSS MiB",
        "connecting s", "CPU ms a connection",
    )  # fmt: skip
    row = (
        chosen.clients,
        f"{at[len(at) // 2] * 1000:.1f}",
        f"{p99_ms(measured):.1f}",
        f"{at[-1] * 1000:.1f}",
        f"{statistics.median(measured['rates']):,.0f}",
        f"{measured['single_us']:.1f} · {statistics.median(measured['burst_us']):.2f}",
        f"{measured['idle_kib']:.1f} · {measured['after_kib']:.1f}",
        f"{measured['rss_mib']:.0f}",
        f"{measured['connected_s']:.1f}",
        f"{measured['connecting_ms']:.1f}",
    )
    return (
        f"\n{table(head, [row])}\n\n"
        f"{measured['frame']}-byte frames, {chosen.rounds} rounds, {chosen.bursts} bursts of "
        f"{chosen.burst}; Python {platform.python_version()}, {os.cpu_count()} cores, client on "
        f"the same machine; load {os.getloadavg()[0]:.1f}.\nRepeat: python -m bench.fanout "
        f"--clients {chosen.clients} --rounds {chosen.rounds} --burst {chosen.burst}"
    )


def _product() -> int:
    with transaction() as session:
        product_id = session.scalar(
            text(
                "INSERT INTO product (slug, name, status, published_at, created_at, updated_at)"
                " VALUES ('mug', 'Mug', 'active', now(), now(), now()) RETURNING id"
            )
        )
        session.execute(
            text("INSERT INTO variant (product_id, sku, price_minor) VALUES (:id, 'MUG', 1900)"),
            {"id": product_id},
        )
    return int(product_id)


def _publish(product_id: int, first: int, count: int) -> None:
    state = {"state": "low", "left": 3, "price_minor": 1900}
    broadcast = {
        "topic": f"product:{product_id}",
        "type": "stock.changed",
        "data": {"variants": {str(number): state for number in (11, 12, 13)}},
        "at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    redis.publish(broadcast | {"seq": first + number} for number in range(count))


class Clients:
    """Many sockets that follow one product, in a process of their own."""

    def __init__(self, count: int, port: int, product_id: int) -> None:
        self._arguments = [str(count), str(port), str(product_id)]

    def __enter__(self) -> "Clients":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.fanout", "--be-clients", *self._arguments],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.result()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate("0\n", timeout=30)

    def expect(self, size: int) -> None:
        """Let each client wait for ``size`` more bytes."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{size}\n")
        self._process.stdin.flush()
        self._process.stdout.readline()

    def result(self) -> dict[str, Any]:
        """When each client had all it waited for, and how many bytes the first one got."""
        assert self._process.stdout
        result: dict[str, Any] = json.loads(self._process.stdout.readline())
        return result


def be_clients(count: int, port: int, product_id: int) -> None:
    """The other process: connect and subscribe, then obey the numbers on standard input."""
    poll = select.epoll()
    by_number: dict[int, socket.socket] = {}
    for _ in range(count):
        one = _connect(port, product_id)
        poll.register(one.fileno(), select.EPOLLIN)
        by_number[one.fileno()] = one
        # Connecting thousands takes longer than a heartbeat: so far only pings can be waiting.
        for number, _ in poll.poll(0):
            by_number[number].recv(4096)
            by_number[number].sendall(PONG)
    print(json.dumps({"connected": count}), flush=True)
    while (size := int(sys.stdin.readline())) > 0:
        print("waiting", flush=True)
        print(json.dumps(_receive(poll, by_number, size)), flush=True)


def _receive(poll: select.epoll, sockets: dict[int, socket.socket], size: int) -> dict[str, Any]:
    missing = dict.fromkeys(sockets, size)
    at: list[float] = []
    received = 0
    while len(at) < len(sockets):
        for number, _ in poll.poll():
            data = sockets[number].recv(262144)
            moment = time.monotonic()
            if not data:
                raise SystemExit("the server closed a socket")
            for _ in range(data.count(PING)):
                sockets[number].sendall(PONG)
                missing[number] += len(PING)
            received = len(data)
            missing[number] -= received
            if missing[number] <= 0 and len(data) > len(PING):
                at.append(moment)
    return {"at": at, "bytes": received}


def _connect(port: int, product_id: int) -> socket.socket:
    one = socket.socket()
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    one.connect(("127.0.0.1", port))
    one.sendall(
        b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://127.0.0.1:8000\r\n"
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    said = json.dumps({"op": "subscribe", "topic": f"product:{product_id}"}).encode()
    answer = b""
    while b'"hello"' not in answer:
        answer += _some(one)
    # Masked with zeros, as the rules demand a mask and not a secret one.
    one.sendall(bytes((0x81, 0x80 | len(said))) + b"\0\0\0\0" + said)
    while b'"subscribed"' not in answer:
        answer += _some(one)
    return one


def _some(one: socket.socket) -> bytes:
    data = one.recv(4096)
    if not data or data.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5")):
        raise SystemExit(f"the server refused a client: {data.decode(errors='replace')}")
    return data


if __name__ == "__main__":
    if sys.argv[1:2] == ["--be-clients"]:
        be_clients(*map(int, sys.argv[2:]))
    else:
        main()
