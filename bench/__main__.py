"""All measurements in one run, written to ``bench/RESULTS.md``: ``python -m bench``.

Starts its own Postgres, Valkey and processes. Five minutes on two quiet cores.
"""

import argparse
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil
from sqlalchemy import text

from bench import checkout, fanout, hot_item, memory, pages
from bench.support.stack import PROJECT, seeded_shop, table
from shop.core.db import session

RESULTS = Path(__file__).with_name("RESULTS.md")
NOTES = Path(__file__).with_name("NOTES.md")
SHOWN = ("flask", "sqlalchemy", "psycopg", "gunicorn", "gevent", "jinja2", "flask-appbuilder")
WEB = "web worker (store, admin, API)"


def main() -> None:
    """Measure everything and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short runs, to try it out")
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    quick = chosen.quick
    loads = [os.getloadavg()[0]]
    with seeded_shop() as shop:
        print("pages …", flush=True)
        pairs = pages.measure(shop, seconds=1.0 if quick else 4.0)
        with shop.web() as worker:
            packed = pages.compressed(shop, worker, seconds=0.5 if quick else 3.0)
        loads.append(os.getloadavg()[0])
        print("checkout …", flush=True)
        sale = checkout.measure(shop, seconds=2.0 if quick else 10.0)
        print("memory …", flush=True)
        requests = 500 if quick else 10_000
        sizes = memory.measure(shop, requests=requests)
        print("one item that everybody wants …", flush=True)
        hot_statements, hot = hot_item.measure(shop, seconds=2.0 if quick else 8.0)
        print("sockets …", flush=True)
        options = argparse.Namespace(
            clients=1_000, rounds=20 if quick else 200, burst=200, bursts=3
        )
        sockets = fanout.measure(shop.environment, options)
        loads.append(os.getloadavg()[0])
        postgres = session.scalar(text("SHOW server_version"))
        session.remove()
    parts = [
        "# What was measured",
        ("A short run (`--quick`), to be repeated in full. " if quick else "")
        + _head(loads, str(postgres)),
        "## Aims",
        _aims(pairs, sale, sizes, fanout.p99_ms(sockets), hot),
        NOTES.read_text().strip(),
        "## Pages",
        f"{pages.CLIENTS} keep-alive clients, one gthread worker with 8 threads, uncompressed. "
        f"With Brotli a product page takes {packed.cpu_ms:.1f} ms of CPU and "
        f"{packed.kib:.0f} KiB. `python -m bench.pages`",
        pages.report(pairs),
        "## A guest's checkout",
        "`python -m bench.checkout`",
        checkout.report(sale),
        "## One item that everybody wants",
        "`python -m bench.hot_item`",
        hot_item.report(hot_statements, hot),
        "## Memory",
        "`python -m bench.memory`",
        memory.report(sizes, requests),
        "## One message to a thousand sockets",
        fanout.report(sockets, options).strip(),
    ]
    chosen.out.write_text("\n\n".join(parts) + "\n")
    print(f"written to {chosen.out}")


def _head(loads: list[float], postgres: str) -> str:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    libraries = ", ".join(f"{name} {version(name)}" for name in SHOWN)
    memory_gib = psutil.virtual_memory().total / 2**30
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit}: {os.cpu_count()} cores, "
        f"{memory_gib:.0f} GiB, {platform.system()} {platform.machine()}; server, Postgres and "
        f"clients share them. Load average at the start, after the pages and at the end: "
        f"{' · '.join(f'{load:.1f}' for load in loads)}; above 2 before the start, the figures are "
        f"worse than the shop is. 1,000 products, 3,000 variants, 10,000 orders; every commit "
        f"waits for the disk.\n\nPython {platform.python_version()}, Postgres {postgres}, "
        f"{libraries}.\n\nRepeat all of it: `python -m bench` in the project's environment "
        f"(`.venv/bin/python`, which `bin/dev` makes). It rewrites this file."
    )


def _aims(
    pairs: list[pages.Pair],
    sale: checkout.Checkout,
    sizes: list[memory.Memory],
    p99: float,
    hot: list[hot_item.Rate],
) -> str:
    by_name = {pair.ours.name: pair for pair in pairs}
    product, listing = by_name["product"], by_name["all products"]
    orders = by_name["admin orders, 10,000"]
    web = next(one for one in sizes if one.name == WEB)
    add = checkout.median(sale.alone["add to cart"])
    place = checkout.median(sale.alone["place the order"])
    rows = [
        _at_least("product page, requests/s in % of bare", product.rate_ratio * 100, 60),
        _at_most("product page, SQL statements", product.ours.statements or 0, 4),
        _at_least("list page, requests/s in % of bare", listing.rate_ratio * 100, 60),
        _at_most("list page, SQL statements", listing.ours.statements or 0, 4),
        _at_least("guest checkouts/s, one worker", sale.rate, 12),
        _at_most("guest checkout, SQL statements", sale.statements_in_all, 50),
        _at_most("guest checkout, CPU ms", sale.cpu_ms, 60),
        _at_most("add to cart, p50 ms, one buyer", add, 15),
        _at_most("place the order, p50 ms, one buyer", place, 30),
        _at_most("admin order list, SQL statements", orders.ours.statements or 0, 8),
        _at_most("admin order list, CPU ms", orders.ours.cpu_ms, 15),
        _at_most("a message to 1,000 sockets, p99 ms", p99, 40),
        _at_least("reservations of one item, SQL, in % of pgbench", hot_item.ratio(hot), 70),
        _at_least(
            "orders of one item by HTTP, 2 workers, in % of pgbench", hot_item.whole(hot), 25
        ),
        _at_most("web worker after its requests, RSS MiB", web.after, 120),
        _at_most("web worker's growth, %", web.growth * 100, 5),
    ]
    return table(("what", "aim", "measured", ""), rows)


def _at_least(what: str, measured: float, aim: float) -> tuple[str, ...]:
    return what, f"≥ {aim:g}", f"{measured:.3g}", "reached" if measured >= aim else "**missed**"


def _at_most(what: str, measured: float, aim: float) -> tuple[str, ...]:
    return what, f"≤ {aim:g}", f"{measured:.3g}", "reached" if measured <= aim else "**missed**"


if __name__ == "__main__":
    main()
