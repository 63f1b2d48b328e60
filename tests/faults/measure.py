"""The figures of ``docs/operations/reliability.md``, each by one command that anybody can repeat.

    .venv/bin/python -m tests.faults.measure oversells --count 10000 --seed 1

Starts a shop of its own, breaks it as the seed says, and gives exit code 1 if anything is wrong.
"""

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shop import cart as carts
from shop import checkout, orders, payments
from shop.core.db import retrying, session, sqlstate, transaction
from shop.core.errors import DomainError
from shop.core.events import emit
from shop.customers.events import RegistrationRepeated
from tests import cast as people
from tests.faults import books, failpoints
from tests.faults.buyers import Errand, buy, confirm, fill, place, start
from tests.faults.rig import Rig, rig
from tests.faults.stories import id_of
from tests.faults.trouble import Trouble
from tests.support.stack import post

BUYERS = 64
STOCK = 10
EQUAL = 8
HANDS = 16
MAX_WAITING = 100
MAIL = "already_registered"
TIMED_OUT = "57014"
DECLINED = "4000000000000002"
PAID_WITHIN_S = 180.0

Figures = dict[str, Any]


def oversells(rig: Rig, count: int, seed: int) -> Figures:
    """Rounds of 64 buyers for ten units, while processes die: exactly ten get one."""
    rounds = max(1, count // BUYERS)
    prizes = [people.product(f"Prize {seed}-{n}", stock=STOCK) for n in range(rounds)]
    share = rounds * BUYERS / 10_000
    trouble = Trouble(
        rig, seed=seed, flush_every_s=2.0,
        kills=max(2, round(40 * share)), restarts=max(1, round(10 * share)),
    )  # fmt: skip
    answers: list[tuple[int, str]] = []
    crowd: list[threading.Thread] = []

    def one(number: int, buyer: int, barrier: threading.Barrier) -> None:
        errand = Errand(rig.shop.base_url, rig.shop.stripe_url, prizes[number].id)
        try:
            code, _ = buy(errand, f"round{number}-{buyer}", barrier)
        except (OSError, KeyError, ValueError, threading.BrokenBarrierError) as error:
            code = f"failed: {error!r}"
        answers.append((number, code))

    with trouble:
        for number in range(rounds):
            barrier = threading.Barrier(BUYERS, timeout=150)
            group = [
                threading.Thread(target=one, args=(number, buyer, barrier))
                for buyer in range(BUYERS)
            ]
            crowd += group
            for thread in group:
                thread.start()
            trouble.progress((number + 1) / rounds)
            # Who was cut off waits a minute for their key; the next round does not.
            deadline = time.monotonic() + 8
            for thread in group:
                thread.join(max(0.0, deadline - time.monotonic()))
        for thread in crowd:
            thread.join()
    wrong = failpoints.wait_until_idle(rig)
    won = _count_by(
        'SELECT l.variant_id, count(*) FROM order_line l JOIN "order" o ON o.id = l.order_id'
        " WHERE o.status = 'confirmed' GROUP BY 1"
    )
    winners = [won[prize.id] for prize in prizes]
    lost = Counter(number for number, code in answers if code == "out_of_stock")
    false = sum(min(lost[number], max(0, STOCK - winners[number])) for number in range(rounds))
    codes = Counter(code for _, code in answers)
    return {
        "checkouts": len(answers),
        "answers": dict(codes.most_common(6)),
        "oversold units": sum(max(0, n - STOCK) for n in winners),
        "rounds with exactly the stock sold": f"{winners.count(STOCK)} of {rounds}",
        "false sold-out": false,
        "trouble": dict(trouble.done),
        "wrong": wrong + [f"{false} sold out by mistake"] * (false > len(answers) / 1_000),
    }


def webhooks(rig: Rig, count: int, seed: int) -> Figures:
    """Payments whose messages are dropped, repeated five times and shuffled. They come as fast as
    the workers follow: how long a queue grows on a small machine is another question."""
    rig.shop.control(drop=0.2, duplicate=5, shuffle=True, delay_s=[0, 2], seed=seed)
    chance = random.Random(seed)
    goods = [people.product(f"Shuffled {n}", stock=count).id for n in range(20)]
    kinds = [chance.choices(["paid", "second card", "left"], [90, 5, 5])[0] for _ in range(count)]
    paid_at: dict[int, float] = {}
    left: list[int] = []

    def one(number: int) -> None:
        _wait_for_workers()
        errand = Errand(rig.shop.base_url, rig.shop.stripe_url, goods[number % len(goods)])
        order = _ordered(errand, f"shuffled{seed}-{number}")
        intent = start(errand, order)[1]
        if kinds[number] != "paid":
            with suppress(HTTPError):
                confirm(Errand(errand.base_url, errand.stripe_url, 0, card=DECLINED), intent)
        if kinds[number] == "left":
            left.append(id_of(order))
            return
        confirm(errand, intent)
        paid_at[id_of(order)] = time.time()

    _all(one, count)
    deadline = time.monotonic() + PAID_WITHIN_S + 20
    while time.monotonic() < deadline:
        paid = _count_by('SELECT id, extract(epoch FROM paid_at) FROM "order"')
        if all(paid[order] for order in paid_at):
            break
        time.sleep(1)
    waits = sorted(float(paid[order] or 1e9) - at for order, at in paid_at.items())
    status = _rows("SELECT id, status || ' ' || payment_status FROM \"order\"")
    wrong = [f"order {one} is {status[one]}" for one in paid_at if status[one] != "confirmed paid"]
    wrong += [f"order {one} is {status[one]}" for one in left if status[one] != "pending unpaid"]
    rig.shop.control(reset=True)
    states = Counter(row["state"] for row in books.stripe_state(rig.shop.stripe_url)["deliveries"])
    late = sum(wait > PAID_WITHIN_S for wait in waits)
    return {
        "payments": count,
        "of them paid, left unpaid": [len(paid_at), len(left)],
        "messages": dict(states),
        "paid after, median, 99 %, longest, in s": [
            round(waits[round(part * (len(waits) - 1))], 1) for part in (0.5, 0.99, 1)
        ],
        "paid later than 180 s": late,
        "wrong states": len(wrong),
        "wrong": wrong + failpoints.wait_until_idle(rig) + [f"{late} paid late"] * (late > 0),
    }


def double_charges(rig: Rig, count: int, seed: int) -> Figures:
    """Groups of eight equal requests at the same moment: to order, to begin to pay, and to pay."""
    goods = [people.product(f"Doubled {n}", stock=count).id for n in range(20)]
    with ThreadPoolExecutor(EQUAL * 16) as hands:

        def together(work: Callable[[], Any]) -> list[Any]:
            return [each.result() for each in [hands.submit(work) for _ in range(EQUAL)]]

        def one(number: int) -> None:
            errand = Errand(rig.shop.base_url, rig.shop.stripe_url, goods[number % len(goods)])
            cart = fill(errand)[1]
            name, with_key = f"doubled{seed}-{number}", number % 2 == 0
            placed = together(lambda: place(errand, cart, name, with_key=with_key))
            (order,) = {answer["number"]: answer for _, answer in placed}.values()
            begun = [answer for status, answer in together(lambda: start(errand, order))]
            (intent,) = {answer["client_secret"]: answer for answer in begun}.values()
            together(lambda: _confirm_quietly(errand, intent))

        failures = _all(one, count, at_once=16)
    wrong = failpoints.wait_until_idle(rig) + failures
    made = _rows(
        'SELECT number, email FROM "order" WHERE email LIKE :mine', mine=f"doubled{seed}-%"
    )
    charged = Counter(
        one["metadata"]["order"]
        for one in books.stripe_state(rig.shop.stripe_url)["payment_intents"]
        if one["status"] == "succeeded" and one["metadata"]["order"] in made
    )
    ordered = Counter(made.values())
    return {
        "groups of eight": count,
        "orders": ordered.total(),
        "groups with more than one order": sum(n > 1 for n in ordered.values()),
        "charges": charged.total(),
        "orders charged twice": sum(n > 1 for n in charged.values()),
        "wrong": wrong + [f"{len(charged)} of {count} charged"] * (len(charged) != count),
    }


def refunds(rig: Rig, count: int, seed: int) -> Figures:
    """Races of four refunds by staff and two made at Stripe for the money of one order."""
    variant = people.product("Returned", stock=count)
    chance = random.Random(seed)
    errand = Errand(rig.shop.base_url, rig.shop.stripe_url, variant.id)

    def buy_one(number: int) -> None:
        _wait_for_workers()
        buy(errand, f"returned{seed}-{number}")

    _all(buy_one, count)
    failures = failpoints.wait_until_idle(rig)
    paid = books.ask(
        "SELECT p.order_id, p.intent_id, p.captured_minor FROM payment p"
        ' JOIN "order" o ON o.id = p.order_id WHERE o.email LIKE :mine ORDER BY p.id',
        mine=f"returned{seed}-%",
    )
    counted = Counter[str]()
    with ThreadPoolExecutor(HANDS) as hands:
        for order_id, intent_id, captured in paid:
            _wait_for_workers()
            amounts = [chance.randint(1, captured) for _ in range(6)]
            wishes = [partial(_refund, order_id, amount) for amount in amounts[:4]]
            wishes += [partial(_refund_at_stripe, rig, intent_id, amount) for amount in amounts[4:]]
            chance.shuffle(wishes)
            counted.update(each.result() for each in [hands.submit(wish) for wish in wishes])
    wrong = failures + failpoints.wait_until_idle(rig)
    over = books.count("SELECT count(*) FROM payment WHERE refunding_minor > captured_minor")
    there = books.stripe_state(rig.shop.stripe_url)
    back = Counter[str]()
    for refund in there["refunds"]:
        back[refund["payment_intent"]] += refund["amount"] * (refund["status"] == "succeeded")
    return {
        "races": len(paid),
        "answers": dict(counted),
        "over captured, here": over,
        "over captured, at Stripe": sum(
            back[one["id"]] > one["amount_received"] for one in there["payment_intents"]
        ),
        "wrong": wrong,
    }


def emails(rig: Rig, count: int, seed: int) -> Figures:
    """Emails to a server that refuses, dawdles and hangs up, while workers and relays die."""
    # One mailbox gets a few emails an hour only: each has a customer of its own.
    customers = text(
        "INSERT INTO customer (email, name, password_hash, confirmed_at) SELECT"
        " 'ada' || :seed || '-' || n || '@example.com', 'Ada', 'none', now()"
        " FROM generate_series(1, :count) n RETURNING id"
    )
    with transaction():
        ids = list(session.scalars(customers, {"seed": str(seed), "count": count}))
    manners = rig.mail.manners
    manners.refuse, manners.refuse_later, manners.hang_up = 0.03, 0.02, 0.01
    manners.slow, manners.pause_s = 0.01, 1.0
    share = count / 20_000
    trouble = Trouble(
        rig, seed=seed, flush_every_s=15.0, kills=max(2, round(40 * share)), victims=("worker",)
    )
    with trouble:
        for begun in range(0, count, 100):
            with transaction():
                for customer_id in ids[begun : begun + 100]:
                    emit(RegistrationRepeated(customer_id=customer_id))
        while (sent := _sent()) < count and not trouble.took_longer_than(60 + count / 5):
            trouble.progress(sent / count)
            books.skip_waits()
            time.sleep(0.5)
    manners.refuse = manners.refuse_later = manners.hang_up = manners.slow = 0.0
    deadline = time.monotonic() + 120
    while books.unfinished() and time.monotonic() < deadline:
        books.skip_waits()
        time.sleep(0.5)
    taken = {key: n for key, n in rig.mail.taken.items() if key.startswith(f"<{MAIL}.")}
    lost = count - len(taken)
    doubled = [key for key in rig.mail.doubled() if key in taken]
    return {
        "mails": count,
        "lost": lost,
        "doubled": len(doubled),
        "doubled after the line broke": sum(n > 1 for n in taken.values()) - len(doubled),
        "lines broken after the mail was taken": rig.mail.broken(),
        "trouble": dict(trouble.done),
        "wrong": [f"{lost} lost"] * (lost > 0)
        + [f"{len(doubled)} doubled"] * (len(doubled) > 0)
        + failpoints.wait_until_idle(rig),
    }


def deadlocks(rig: Rig, count: int, seed: int) -> Figures:
    """Orders of three of twenty things, in any order of lines; half of them expire at once.

    They come as fast as the relay follows. Who waited five seconds for a lock asks again.
    """
    variants = [people.product(f"Crowded {n}", stock=10 * count) for n in range(20)]
    with transaction():
        cart = carts.open_cart(None)
        for variant in variants[:3]:
            carts.add(cart, variant.id, 1)
        checkout.set_contact(cart, email="ada@example.com", address=people.ADDRESS)
        checkout.set_method(cart, "standard")
    quoted = checkout.quote(carts.view(cart))[0]
    # Else the variants are read again, in a transaction that nobody ends and no vacuum gets past.
    session.expunge_all()
    session.rollback()
    before, seen, chance = _deadlocks(), Counter[str](), random.Random(seed)
    picks = [(chance.sample(variants, 3), chance.random() < 0.5) for _ in range(count)]

    def one(number: int) -> None:
        _wait_for_workers()
        picked, is_wanted = picks[number]
        items = [
            orders.Item(
                variant_id=v.id, product_id=v.product_id, name="Crowded", variant_title="",
                sku=v.sku, slug="crowded", image_key="", tax_class="standard", quantity=1,
                unit_price_minor=v.price_minor,
            )
            for v in picked
        ]  # fmt: skip

        def work() -> int:
            try:
                with transaction():
                    details = orders.Details(
                        email="ada@example.com", shipping_address=people.ADDRESS,
                        billing_address=None, shipping_method="standard",
                        shipping_method_name="Standard",
                    )  # fmt: skip
                    return orders.place(
                        items, quoted, details, hold_minutes=60 if is_wanted else 0
                    ).id
            except DBAPIError as error:
                seen[sqlstate(error)] += 1
                if sqlstate(error) == TIMED_OUT:
                    return work()
                raise

        order_id = retrying(work)
        if not is_wanted:
            with transaction():
                order = orders.lock(order_id)
                if order.status == "pending":  # the sweep may have been faster
                    orders.expire(order)

    failures = _all(one, count, at_once=32)
    found = _deadlocks() - before
    return {
        "orders of three lines": count,
        "deadlocks that Postgres counted": found,
        "refused statements, by SQLSTATE": dict(seen),
        "wrong": failures + [f"{found} deadlocks"] * (found > 0) + _stock_wrong(),
    }


def every_failpoint(rig: Rig, count: int, seed: int) -> Figures:
    """A process dies at each failpoint; ``count`` is ignored."""
    outcomes = failpoints.Run(rig, seed=seed).over()
    passed = [one for one in outcomes if not one.problem]
    return {
        "failpoints": f"{len(passed)} of {len(outcomes)} ended well",
        "longest until all was well, in s": round(max(one.well_after_s for one in passed), 1),
        "wrong": failpoints.wait_until_idle(rig) + [o.place for o in outcomes if o.problem],
    }


MEASURES: dict[str, Callable[[Rig, int, int], Figures]] = {
    "oversells": oversells,
    "webhooks": webhooks,
    "double-charges": double_charges,
    "refunds": refunds,
    "mails": emails,
    "failpoints": every_failpoint,
    "deadlocks": deadlocks,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=MEASURES)
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    if chosen.count < 1:
        parser.error("--count must be at least 1.")
    with _own_rig(chosen.seed) as running:
        began = time.monotonic()
        figures = MEASURES[chosen.name](running, chosen.count, chosen.seed)
        figures["wrong"] += running.doctor()
        figures["seconds"] = round(time.monotonic() - began)
    figures |= {"seed": chosen.seed, "day": datetime.now(UTC).date().isoformat()}
    print(json.dumps({chosen.name: figures}, indent=2, default=str))
    return bool(figures["wrong"])


@contextmanager
def _own_rig(seed: int) -> Iterator[Rig]:
    with (
        tempfile.TemporaryDirectory(prefix="shop-faults-") as folder,
        rig(Path(folder) / "rig", through_proxies=False, seed=seed) as running,
        running.database(pool_size=40),
    ):
        yield running


def _all(work: Callable[[int], object], count: int, *, at_once: int = HANDS) -> list[str]:
    """Do it ``count`` times by many hands. Returns what failed."""
    failures: list[str] = []

    def one(number: int) -> None:
        try:
            work(number)
        except Exception as error:
            failures.append(f"{number}: {error!r}")
        finally:
            session.remove()

    with ThreadPoolExecutor(at_once) as hands:
        list(hands.map(one, range(count)))
    return failures


def _wait_for_workers() -> None:
    """Until no more than a few seconds of work is waiting for relay and workers."""
    waiting = (
        "SELECT (SELECT count(*) FROM event_pending)"
        " + (SELECT count(*) FROM delivery WHERE state = 'due' AND due_at <= now())"
    )
    while books.count(waiting) > MAX_WAITING:
        time.sleep(0.3)


def _ordered(errand: Errand, name: str) -> dict[str, Any]:
    status, order = place(errand, fill(errand)[1], name)
    if status >= 400:
        raise ValueError(order)
    return order


def _confirm_quietly(errand: Errand, intent: dict[str, str]) -> None:
    with suppress(HTTPError):  # it is paid, or somebody else is just paying it
        confirm(errand, intent)


def _refund(order_id: int, amount: int) -> str:
    try:
        with transaction():
            order = orders.lock(order_id)
            wanted = payments.Wanted(amount_minor=amount)
            payments.request_refund(order, wanted, reason="goodwill")
    except DomainError as error:
        return f"here: {error.code}"
    finally:
        session.remove()
    return "here: decided"


def _refund_at_stripe(rig: Rig, intent_id: str, amount: int) -> str:
    status, _ = post(
        f"{rig.shop.stripe_url}/_control/refund", {"payment_intent": intent_id, "amount": amount}
    )
    return "there: done" if status == 200 else "there: refused"


def _sent() -> int:
    return books.count(
        f"SELECT count(*) FROM mail_message WHERE kind = '{MAIL}' AND state = 'sent'"
    )


def _deadlocks() -> int:
    time.sleep(1.5)  # Postgres tells its statistics about once a second
    return books.count("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")


def _stock_wrong() -> list[str]:
    names = [name for name in books.WRONG if name.startswith("units")]
    return [name for name in names if books.ask(books.WRONG[name])]


def _count_by(sql: str) -> Counter[Any]:
    return Counter(_rows(sql))


def _rows(sql: str, **values: object) -> dict[Any, Any]:
    return {row[0]: row[1] for row in books.ask(sql, **values)}


if __name__ == "__main__":
    sys.exit(main())
