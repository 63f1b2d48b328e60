"""Single pages: requests a second, waiting times, CPU and SQL, each beside a bare page.

    python -m bench.pages --seconds 3
    python -m bench.pages --orders 1000000

Ours and the bare one take turns in short slices, so that a busy machine slows both alike. SQL is
counted in this process, by SQLAlchemy's own hook, on the third request for a page; BEGIN, COMMIT
and ROLLBACK are not counted. With ``--orders`` it is lists of the admin that are measured, for one
member of staff alone, in a shop with so many orders.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil

from bench.support import load
from bench.support.browser import Browser, InProcess, Visitor
from bench.support.stack import Shop, cpu_seconds, free_port, gunicorn, seeded_shop, table
from shop.core.statements import Statements

CLIENTS = 16
SLICES = 2
WARM_UP_S = 0.7
PRODUCTS = 1_000


@dataclass(frozen=True)
class Page:
    """What is measured: our addresses and the bare page's, and who asks."""

    name: str
    paths: tuple[str, ...]
    bare: tuple[str, ...]
    like: str
    who: str = "guest"
    aim: float = 0.0


_SOME = range(7, PRODUCTS, 31)
_SLUGS = tuple(f"product-{n}" for n in _SOME)
_WORDS = ("mug", "lamp", "vase", "oak bowl", "linen", "birch candle")
PAGES = (
    Page("home", ("/",), ("/list?like=home",), "home"),
    Page(
        "all products",
        tuple(f"/products?page={n}" for n in range(1, 21)),
        tuple(f"/list?like=list&page={n}" for n in range(1, 21)),
        "list",
        aim=0.6,
    ),
    Page(
        "category",
        ("/c/table", "/c/rooms", "/c/table/mugs?page=2", "/c/table?sort=price_asc"),
        ("/list?like=category",),
        "category",
        aim=0.6,
    ),
    Page(
        "product",
        tuple(f"/products/{slug}" for slug in _SLUGS),
        tuple(f"/products/{slug}" for slug in _SLUGS),
        "product",
        aim=0.6,
    ),
    Page(
        "search",
        tuple(f"/search?q={word.replace(' ', '+')}" for word in _WORDS),
        tuple(f"/search?q={word.replace(' ', '+')}" for word in _WORDS),
        "search",
    ),
    Page("cart, three lines", ("/cart",), ("/cart",), "cart", who="buyer"),
    Page(
        "admin orders, 10,000",
        (
            "/admin/orders/list/",
            "/admin/orders/list/?after=5000&start=26",
            "/admin/orders/list/?tab=to_pack",
        ),
        ("/orders",),
        "orders",
        who="staff",
    ),
    Page(
        "API product",
        tuple(f"/api/v1/products/{slug}" for slug in _SLUGS),
        tuple(f"/api/products/{slug}" for slug in _SLUGS),
        "api",
    ),
)

LISTS = (
    ("orders, newest first", "/admin/orders/list/"),
    ("orders, a page in the middle", "/admin/orders/list/?after={middle}&start={middle}"),
    ("orders, oldest first", "/admin/orders/list/?sort=placed_at"),
    ("orders to pack", "/admin/orders/list/?tab=to_pack"),
    ("orders shipped", "/admin/orders/list/?tab=shipped"),
    ("orders cancelled", "/admin/orders/list/?tab=closed"),
    ("orders refunded", "/admin/orders/list/?payment_status=refunded"),
    ("orders to a country without any", "/admin/orders/list/?country=IS"),
    ("orders of a large total", "/admin/orders/list/?total_minor.from=99999"),
    ("orders by total", "/admin/orders/list/?sort=-total_minor"),
    ("orders of a product", "/admin/orders/list/?product=17"),
    ("orders, search by number", "/admin/orders/list/?q=EO-777777"),
    ("orders, search by name", "/admin/orders/list/?q=buyer+1234"),
    ("orders, search without a hit", "/admin/orders/list/?q=nobody+at+all"),
    ("tax rates, a small table", "/admin/tax-rates/list/"),
)


@dataclass(frozen=True)
class Figures:
    """One page as it was measured; ``cpu_ms`` and ``statements`` are for one request."""

    name: str
    rate: float
    p50: float
    p95: float
    cpu_ms: float
    statements: int | None
    kib: float


@dataclass(frozen=True)
class Pair:
    """Our page beside the bare one."""

    ours: Figures
    bare: Figures
    aim: float = 0.0

    @property
    def ratio(self) -> float:
        """How much of the bare page's CPU economy is left: 1.0 is as cheap as bare."""
        return self.bare.cpu_ms / self.ours.cpu_ms

    @property
    def rate_ratio(self) -> float:
        """The same by requests a second."""
        return self.ours.rate / self.bare.rate


def measure(shop: Shop, *, seconds: float = 3.0, only: str = "") -> list[Pair]:
    """Every page, in turns with its bare counterpart."""
    chosen = [page for page in PAGES if only in page.name]
    statements = {page.name: count(shop, page) for page in chosen}
    with shop.web() as ours:
        cookies = {
            "guest": {},
            "staff": signed_in(Browser(shop.port), shop.owner),
            "buyer": with_cart(Browser(shop.port)),
        }
        sizes = {page.like: _size(shop.port, page, cookies[page.who]) for page in chosen}
        port = free_port()
        environment = shop.environment | {
            "BARE_DATABASE_URL": shop.environment["DATABASE_URL"].replace("://", "+psycopg://", 1),
            "BARE_SIZES": json.dumps(sizes),
        }
        options = ("--preload", "-k", "gthread", "--threads", "8")
        with gunicorn("bench.bare:app", *options, port=port, environment=environment) as bare:
            pairs = []
            for page in chosen:
                mine = [[load.request(path, cookies=cookies[page.who]) for path in page.paths]]
                plain = [[load.request(path, cookies={"cart": "c"}) for path in page.bare]]
                pair = _in_turns(
                    page.name, (ours, shop.port, mine * CLIENTS), (bare, port, plain * CLIENTS),
                    seconds, statements[page.name],
                )  # fmt: skip
                pairs.append(Pair(*pair, aim=page.aim))
            if only in "cart add":
                pairs.append(_cart_add(shop, ours, bare, port, seconds))
        return pairs


def compressed(shop: Shop, worker: psutil.Process, *, seconds: float) -> Figures:
    """The product page for clients that accept Brotli, as browsers do."""
    page = next(page for page in PAGES if page.name == "product")
    asked = [[load.request(path, accept="br") for path in page.paths]] * CLIENTS
    load.run(shop.port, asked, seconds=WARM_UP_S)
    return _slice("product, Brotli", worker, shop.port, asked, seconds, None)


def signed_in(visitor: Visitor, owner: dict[str, str]) -> dict[str, str]:
    """Sign the owner in to the admin. Returns the browser's cookies."""
    secret = visitor.get("/admin/login/").field("csrf_token")
    form = {"csrf_token": secret, "username": owner["email"], "password": owner["password"]}
    answer = visitor.post("/admin/login/", form)
    if answer.status not in {302, 303}:
        raise SystemExit(f"signing in gave {answer.status}")
    return getattr(visitor, "cookies", {})


def with_cart(visitor: Visitor, lines: int = 3) -> dict[str, str]:
    """Put some things into a cart. Returns the browser's cookies."""
    for number in range(lines):
        page = visitor.get(f"/products/product-{number + 11}")
        form = {name: page.field(name) for name in ("csrf_token", "variant_id")}
        answer = visitor.post("/cart/add", form | {"quantity": "1"})
        if answer.status != 303:
            raise SystemExit(f"adding to the cart gave {answer.status}")
    return getattr(visitor, "cookies", {})


def count(shop: Shop, page: Page) -> int:
    """SQL statements of the page once the process is warm."""
    visitor = InProcess(shop.app)
    if page.who == "staff":
        signed_in(visitor, shop.owner)
    if page.who == "buyer":
        with_cart(visitor)
    return _third(lambda: visitor.get(page.paths[0]))


def report(pairs: list[Pair]) -> str:
    """A table: ours, bare, ratio."""
    head = (
        "page", "KiB", "requests/s", "p50 · p95 ms", "CPU ms", "SQL", "bare: requests/s",
        "CPU ms", "ours in % of bare: requests/s · CPU",
    )  # fmt: skip
    rows = [
        (
            pair.ours.name,
            f"{pair.ours.kib:.0f}",
            f"{pair.ours.rate:.0f}",
            f"{pair.ours.p50:.0f} · {pair.ours.p95:.0f}",
            f"{pair.ours.cpu_ms:.1f}",
            pair.ours.statements,
            f"{pair.bare.rate:.0f}",
            f"{pair.bare.cpu_ms:.1f}",
            f"{pair.rate_ratio * 100:.0f} · {pair.ratio * 100:.0f}",
        )
        for pair in pairs
    ]
    return table(head, rows)


def lists(shop: Shop, orders: int, *, times: int = 5) -> str:
    """The lists of the admin for one member of staff, asked in this process: SQL statements, and
    milliseconds of the first request, of the median and the slowest of the others; CPU without that
    of Postgres; and how many were not answered, by the limit of a statement."""
    staff = InProcess(shop.app)
    signed_in(staff, shop.owner)
    rows = []
    for name, address in LISTS:
        path = address.format(middle=orders // 2)
        first = staff.get(path)
        with Statements() as seen:
            staff.get(path)
        began = time.process_time()
        asked = [staff.get(path) for _ in range(times)]
        cpu = (time.process_time() - began) / times * 1000
        failed = sum(one.status != 200 for one in (first, *asked))
        waited = sorted(one.ms for one in asked)
        figures = (first.ms, waited[times // 2], waited[-1], cpu)
        rows.append([name, len(seen), *(f"{ms:.0f}" for ms in figures), failed])
        print(*rows[-1], flush=True)
    head = (
        "list",
        "SQL statements",
        "first ms",
        "p50 ms",
        "slowest ms",
        "CPU ms of the web",
        "failed",
    )
    return table(head, rows)


def _cart_add(
    shop: Shop, ours: psutil.Process, bare: psutil.Process, port: int, seconds: float
) -> Pair:
    """Each client has a cart of its own, as buyers have."""
    mine, plain = [], []
    for number in range(CLIENTS):
        visitor = Browser(shop.port)
        with_cart(visitor, 1)
        page = visitor.get(f"/products/product-{number + 1}")
        form = {name: page.field(name) for name in ("csrf_token", "variant_id")}
        form["quantity"] = "1"
        mine.append([load.request("/cart/add", cookies=visitor.cookies, form=form)])
        visitor.close()
        cookies, item = {"cart": f"cart-{number}"}, {"variant_id": form["variant_id"]}
        plain.append([load.request("/cart/add", cookies=cookies, form=item)])
    counted = InProcess(shop.app)
    with_cart(counted, 1)
    page = counted.get("/products/product-1")
    form = {name: page.field(name) for name in ("csrf_token", "variant_id")}
    statements = _third(lambda: counted.post("/cart/add", form))
    pair = _in_turns("cart add", (ours, shop.port, mine), (bare, port, plain), seconds, statements)
    return Pair(*pair)


_Side = tuple[psutil.Process, int, list[list[str]]]


def _in_turns(
    name: str, ours: _Side, bare: _Side, seconds: float, statements: int
) -> tuple[Figures, Figures]:
    for _, port, requests in (ours, bare):
        load.run(port, requests, seconds=WARM_UP_S)
    slices: list[tuple[Figures, Figures]] = []
    for _ in range(SLICES):
        mine = _slice(name, *ours, seconds / SLICES, statements)
        plain = _slice(name, *bare, seconds / SLICES, None)
        slices.append((mine, plain))
    return _mean([one for one, _ in slices]), _mean([other for _, other in slices])


def _slice(
    name: str,
    worker: psutil.Process,
    port: int,
    requests: list[list[str]],
    seconds: float,
    statements: int | None,
) -> Figures:
    before = cpu_seconds(worker)
    ran = load.run(port, requests, seconds=seconds)
    used = cpu_seconds(worker) - before
    if set(ran.statuses) - {"200", "303"}:
        raise SystemExit(f"{name}: answers were {ran.statuses}")
    per_request = used / ran.requests * 1000
    return Figures(name, ran.rate, ran.p50, ran.p95, per_request, statements, ran.bytes / 1024)


def _mean(slices: list[Figures]) -> Figures:
    def mean(of: Callable[[Figures], float]) -> float:
        return sum(of(one) for one in slices) / len(slices)

    first = slices[0]
    return Figures(
        first.name,
        mean(lambda f: f.rate),
        mean(lambda f: f.p50),
        mean(lambda f: f.p95),
        mean(lambda f: f.cpu_ms),
        first.statements,
        first.kib,
    )


def _third(ask: Callable[[], Any]) -> int:
    ask()
    ask()
    with Statements() as seen:
        ask()
    return len(seen)


def _size(port: int, page: Page, cookies: dict[str, str]) -> int:
    visitor = Browser(port, dict(cookies))
    answer = visitor.get(page.paths[0])
    visitor.close()
    if answer.status != 200:
        raise SystemExit(f"{page.paths[0]} answered {answer.status}")
    return len(answer.text.encode())


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="for each page and side")
    parser.add_argument("--only", default="", help="pages whose name contains this")
    parser.add_argument("--orders", type=int, help="lists of the admin, with so many orders")
    chosen = parser.parse_args()
    if chosen.orders:
        began = time.perf_counter()
        with seeded_shop(orders=chosen.orders) as shop:
            print(f"{chosen.orders:,} orders written in {time.perf_counter() - began:.0f} s")
            print(lists(shop, chosen.orders))
        return
    with seeded_shop() as shop:
        print(report(measure(shop, seconds=chosen.seconds, only=chosen.only)))


if __name__ == "__main__":
    main()
