"""Memory of every process: once it has answered, and after 10,000 requests and some checkouts.

    python -m bench.memory --requests 10000

RSS counts what is shared with the parent in each process; PSS shares it out fairly.
"""

import argparse
from contextlib import ExitStack
from dataclasses import dataclass

import psutil

from bench import checkout
from bench.pages import signed_in, with_cart
from bench.support import load
from bench.support.browser import Browser
from bench.support.stack import Shop, free_port, gunicorn, seeded_shop, table

CLIENTS = 16
FLOWS = 60


@dataclass(frozen=True)
class Memory:
    """MiB of one process."""

    name: str
    idle: float
    idle_shared: float
    after: float
    after_shared: float

    @property
    def growth(self) -> float:
        """By how much it grew, 0.05 is 5 %."""
        return self.after / self.idle - 1


def measure(shop: Shop, *, requests: int = 10_000) -> list[Memory]:
    """All processes of a shop, before and after work."""
    with ExitStack() as running:
        running.enter_context(shop.stripe())
        web = running.enter_context(shop.web())
        realtime = running.enter_context(
            gunicorn(
                "shop.realtime.wsgi:app", "-k", "gevent", port=free_port(),
                environment=shop.environment,
            )
        )  # fmt: skip
        followers = running.enter_context(shop.followers())
        processes = {"web worker (store, admin, API)": web, "realtime": realtime, **followers}
        mixed = _mixed(shop)
        # Every page and a few flows once, so that what is loaded late is there.
        load.run(shop.port, mixed, most=len(mixed) * len(mixed[0]))
        checkout.crowd(shop, 2, most=4)
        idle = {name: _mib(process) for name, process in processes.items()}
        load.run(shop.port, mixed, seconds=300, most=requests)
        checkout.crowd(shop, 4, most=FLOWS)
        return [Memory(name, *idle[name], *_mib(process)) for name, process in processes.items()]


def report(found: list[Memory], requests: int) -> str:
    """A table by process."""
    head = (
        "process", "RSS MiB at first", "PSS MiB", f"RSS MiB after {requests:,} requests",
        "PSS MiB", "growth",
    )  # fmt: skip
    rows = [
        (
            one.name,
            f"{one.idle:.0f}",
            f"{one.idle_shared:.0f}",
            f"{one.after:.0f}",
            f"{one.after_shared:.0f}",
            f"{one.growth * 100:+.1f} %",
        )
        for one in found
    ]
    return table(head, rows)


def _mixed(shop: Shop) -> list[list[str]]:
    """What visitors and staff ask for; each client is somewhere else in it."""
    staff = signed_in(Browser(shop.port), shop.owner)
    buyer = with_cart(Browser(shop.port))
    paths = [f"/products/product-{n}" for n in range(1, 1_000, 40)]
    paths += [f"/products?page={n}" for n in range(1, 9)]
    paths += ["/", "/c/table", "/c/rooms?sort=newest", "/search?q=oak", "/search?q=lamp"]
    paths += [f"/api/v1/products/product-{n}" for n in range(2, 1_000, 200)]
    asked = [load.request(path) for path in paths]
    asked += [load.request("/cart", cookies=buyer)] * 3
    asked += [load.request("/admin/orders/list/", cookies=staff)] * 3
    return [asked[turn:] + asked[:turn] for turn in range(CLIENTS)]


def _mib(process: psutil.Process) -> tuple[float, float]:
    found = process.memory_full_info()
    shared = getattr(found, "pss", found.rss)  # only Linux tells it
    return found.rss / 2**20, shared / 2**20


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=10_000)
    chosen = parser.parse_args()
    with seeded_shop() as shop:
        print(report(measure(shop, requests=chosen.requests), chosen.requests))


if __name__ == "__main__":
    main()
