"""The whole guest checkout, product page to confirmation: flows a second, step by step.

    python -m bench.checkout --seconds 8

One buyer alone gives the waiting times, several at once the flows a second of one web worker. The
card is entered at the Stripe stand-in, whose signed messages arrive at the same worker. SQL is
counted in this process; BEGIN, COMMIT and ROLLBACK are not counted.
"""

import argparse
import json
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from bench.support.browser import Answer, Browser, InProcess, Visitor
from bench.support.stack import PROJECT, Shop, cpu_seconds, seeded_shop, table
from shop.core.statements import Statements
from tests.cast import ADDRESS

BUYERS = 6
ALONE = 15
WARM_UP = 3
PRODUCTS = 1_000
CONTACT = ADDRESS | {"email": "ada@example.com", "address_id": "new"}
CARD = {
    "payment_method_data[type]": "card",
    "payment_method_data[card][number]": "4242424242424242",
    "payment_method_data[card][exp_month]": "12",
    "payment_method_data[card][exp_year]": "2034",
    "payment_method_data[card][cvc]": "123",
}
AT_STRIPE = "card at Stripe (stand-in)"


@dataclass(frozen=True)
class Checkout:
    """What came of it: milliseconds by step, alone and together; SQL by step."""

    alone: dict[str, list[float]]
    together: dict[str, list[float]]
    statements: dict[str, int]
    flows: int
    seconds: float
    cpu_ms: float
    cpu_ms_alone: float

    @property
    def rate(self) -> float:
        """Flows a second."""
        return self.flows / self.seconds

    @property
    def statements_in_all(self) -> int:
        """SQL statements from the product page to the confirmation."""
        return sum(self.statements.values())


def buy(
    visitor: Visitor,
    stripe_port: int,
    number: int,
    step: Callable[[str, Callable[[], Answer]], Answer],
) -> None:
    """One guest buys one thing; ``step`` runs and measures each call."""
    page = step("product page", lambda: visitor.get(f"/products/product-{number}"))
    secret = {"csrf_token": page.field("csrf_token")}
    item = secret | {"variant_id": page.field("variant_id"), "quantity": "1"}
    step("add to cart", lambda: visitor.post("/cart/add", item, by_script=True))
    step("cart", lambda: visitor.get("/cart"))
    step("contact", lambda: visitor.get("/checkout"))
    step("contact, sent", lambda: visitor.post("/checkout", secret | CONTACT))
    page = step("delivery", lambda: visitor.get("/checkout/delivery"))
    chosen = secret | {
        "version": page.field("version"),
        "shipping_method": "standard",
        "total.standard": page.field("total.standard"),
        "billing-same": "y",
    }
    placed = step("place the order", lambda: visitor.post("/checkout/delivery", chosen))
    page = step("payment page", lambda: visitor.get(placed.location))
    client_secret = _client_secret(page.text)
    step(AT_STRIPE, lambda: _pay(stripe_port, client_secret))
    back = placed.location.replace("/checkout/payment", "/checkout/return")
    done = step("back from Stripe", lambda: visitor.get(back))
    page = step("confirmation", lambda: visitor.get(done.location))
    if "thanks=1" not in done.location:
        raise AssertionError(f"not paid: {done.location}")


def measure(shop: Shop, *, seconds: float = 8.0) -> Checkout:
    """Alone, then several at once; the web worker's CPU over both."""
    with shop.stripe(), shop.web() as worker:
        statements = _count(shop)
        crowd(shop, 1, most=WARM_UP)
        before = cpu_seconds(worker)
        alone = crowd(shop, 1, most=ALONE)
        cpu_alone = (cpu_seconds(worker) - before) / alone["flows"] * 1000
        crowd(shop, BUYERS, most=BUYERS * 2)
        before = cpu_seconds(worker)
        together = crowd(shop, BUYERS, seconds=seconds)
        cpu = (cpu_seconds(worker) - before) / together["flows"] * 1000
    return Checkout(
        alone["steps"],
        together["steps"],
        statements,
        together["flows"],
        together["seconds"],
        cpu,
        cpu_alone,
    )


def crowd(shop: Shop, buyers: int, **limit: float) -> dict[str, Any]:
    """Buyers in a process of their own. Returns their times by step."""
    options = {"port": shop.port, "stripe_port": shop.stripe_port, "buyers": buyers, **limit}
    done = subprocess.run(
        [sys.executable, "-m", "bench.checkout", "--be-buyers", json.dumps(options)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def report(done: Checkout) -> str:
    """A table of steps and a line of sums."""
    head = ("step", "SQL", "one buyer: p50 · p95 ms", f"{BUYERS} buyers: p50 · p95 ms")
    rows: list[tuple[object, ...]] = []
    for name, alone in done.alone.items():
        rows.append(
            (name, done.statements.get(name, "–"), _spread(alone), _spread(done.together[name]))
        )
    whole = (
        f"Whole flow: {done.rate:.1f} flows/s with one worker, {done.cpu_ms:.0f} ms of its CPU, "
        f"{done.statements_in_all} statements "
        f"({done.flows} flows in {done.seconds:.1f} s by {BUYERS} buyers at once)."
    )
    return f"{table(head, rows)}\n\n{whole}"


def median(times: list[float]) -> float:
    """The time that half of them stay below."""
    return statistics.median(times)


def _spread(times: list[float]) -> str:
    ordered = sorted(times)
    return f"{median(ordered):.0f} · {ordered[int(len(ordered) * 0.95)]:.0f}"


def _count(shop: Shop) -> dict[str, int]:
    """Statements of each step, the third time through."""
    counts: dict[str, int] = {}

    def step(name: str, call: Callable[[], Answer]) -> Answer:
        with Statements() as seen:
            answer = _good(name, call())
        counts[name] = len(seen)
        return answer

    for number in (5, 6, 7):
        buy(InProcess(shop.app), shop.stripe_port, number, step)
    del counts[AT_STRIPE]
    return counts


def be_buyers(
    port: int, stripe_port: int, buyers: int, most: float = 10**9, seconds: float = 10**9
) -> dict[str, Any]:
    """The other process: buyers in threads, each a new guest for every flow."""
    steps: dict[str, list[float]] = {}
    lock = threading.Lock()
    began = time.perf_counter()
    count = 0
    failures: list[BaseException] = []

    def step(name: str, call: Callable[[], Answer]) -> Answer:
        answer = _good(name, call())
        with lock:
            steps.setdefault(name, []).append(answer.ms)
        return answer

    def shop_on() -> None:
        nonlocal count
        try:
            while time.perf_counter() - began < seconds:
                with lock:
                    if count >= most:
                        return
                    count += 1
                    number = count * 37 % PRODUCTS + 1
                visitor = Browser(port)
                buy(visitor, stripe_port, number, step)
                visitor.close()
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=shop_on) for _ in range(buyers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise SystemExit(f"a buyer failed: {failures[0]!r}")
    return {"steps": steps, "flows": count, "seconds": time.perf_counter() - began}


def _good(name: str, answer: Answer) -> Answer:
    if answer.status not in {200, 302, 303}:
        raise AssertionError(f"{name}: {answer.status} {answer.text[:300]}")
    return answer


def _pay(stripe_port: int, client_secret: str) -> Answer:
    """Enter the card, as the browser does at Stripe's."""
    intent = client_secret.partition("_secret")[0]
    form = CARD | {"key": "pk_test_standin_bench", "client_secret": client_secret}
    url = f"http://127.0.0.1:{stripe_port}/v1/payment_intents/{intent}/confirm"
    began = time.perf_counter()
    with urllib.request.urlopen(url, urlencode(form).encode(), timeout=60) as answer:
        text = answer.read().decode()
    return Answer(answer.status, "", text, (time.perf_counter() - began) * 1000)


def _client_secret(page: str) -> str:
    start = page.index("pi_")
    end = min(page.index(mark, start) for mark in ('"', "&", "'") if mark in page[start:])
    return page[start:end]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=8.0, help="with several buyers at once")
    chosen = parser.parse_args()
    with seeded_shop() as shop:
        print(report(measure(shop, seconds=chosen.seconds)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--be-buyers"]:
        json.dump(be_buyers(**json.loads(sys.argv[2])), sys.stdout)
    else:
        main()
