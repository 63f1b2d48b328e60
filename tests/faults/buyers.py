"""Buyers that use the shop's API and pay at the Stripe stand-in, many at once."""

import json
import multiprocessing
import threading
import time
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from multiprocessing.synchronize import Barrier
from typing import Any, Protocol
from urllib.parse import urlencode

from tests.cast import ADDRESS
from tests.support.stack import post


@dataclass(frozen=True)
class Errand:
    """What one buyer wants; ``card`` is the number to pay with."""

    base_url: str
    stripe_url: str
    variant_id: int
    quantity: int = 1
    card: str = "4242424242424242"


class Gate(Protocol):
    """Where buyers wait for each other: a barrier of threads or of processes."""

    def wait(self) -> int: ...


def buy(errand: Errand, key: str, wait: Gate | None = None) -> tuple[str, str]:
    """Fill a cart, order, pay. Returns ("paid", order number) or (code of the refusal, "")."""
    status, cart = fill(errand)
    if wait is not None:
        wait.wait()
    if status >= 400:
        return cart["code"], ""
    status, order = place(errand, cart, key)
    if status >= 400:
        return order["code"], ""
    status, intent = start(errand, order)
    if status >= 400:
        return intent["code"], order["number"]
    confirm(errand, intent)
    return "paid", order["number"]


def fill(errand: Errand) -> tuple[int, dict[str, Any]]:
    """Put it into a new cart."""
    return insist(
        f"{errand.base_url}/api/v1/cart/items",
        {"variant_id": errand.variant_id, "quantity": errand.quantity},
    )


def place(
    errand: Errand, cart: dict[str, Any], key: str, *, with_key: bool = True
) -> tuple[int, dict[str, Any]]:
    """Order what is in the cart; ``key`` is also the buyer's name."""
    return insist(
        f"{errand.base_url}/api/v1/orders",
        {
            "cart_token": cart["token"],
            "cart_version": cart["version"],
            "seen_total_minor": cart["total_minor"],
            "email": f"{key}@example.com",
            "shipping_address": ADDRESS,
            "shipping_method": "standard",
        },
        {"Idempotency-Key": key} if with_key else None,
    )


def start(errand: Errand, order: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Begin to pay."""
    number, token = order["number"], order["token"]
    return insist(f"{errand.base_url}/api/v1/orders/{number}/payment-intent?token={token}", {})


def insist(
    url: str, body: object, headers: dict[str, str] | None = None, *, patience_s: float = 120
) -> tuple[int, dict[str, Any]]:
    """POST, and again after a 503, an "in progress" or no answer, as the contract asks of
    programs. A key whose process died is free again after a minute."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            status, answer = post(url, body, headers)
        except (OSError, HTTPException, ValueError):  # cut in the middle
            status, answer = 503, {"code": "no answer"}
        waits = status == 503 or answer.get("code") == "in_progress"
        if not waits or time.monotonic() > deadline:
            return status, answer
        time.sleep(0.5)


def confirm(errand: Errand, intent: dict[str, str]) -> None:
    """Enter the card, as a browser does at Stripe's."""
    form = {
        "key": intent["publishable_key"],
        "client_secret": intent["client_secret"],
        "payment_method_data[type]": "card",
        "payment_method_data[card][number]": errand.card,
        "payment_method_data[card][exp_month]": "12",
        "payment_method_data[card][exp_year]": "2034",
        "payment_method_data[card][cvc]": "123",
        "return_url": f"{errand.base_url}/",
    }
    intent_id = intent["client_secret"].partition("_secret")[0]
    url = f"{errand.stripe_url}/v1/payment_intents/{intent_id}/confirm"
    with urllib.request.urlopen(urllib.request.Request(url, urlencode(form).encode())) as answer:
        json.load(answer)


def crowd(errand: Errand, *, processes: int, threads: int, name: str) -> list[tuple[str, str]]:
    """All buyers press at the same moment. Returns what each got."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes * threads)
    answers = context.Queue()
    group = [
        context.Process(target=_group, args=(errand, threads, f"{name}-{n}", barrier, answers))
        for n in range(processes)
    ]
    for process in group:
        process.start()
    results = [answers.get(timeout=240) for _ in range(processes * threads)]
    for process in group:
        process.join()
    return results


def _group(errand: Errand, threads: int, name: str, barrier: Barrier, answers: object) -> None:
    def one(number: int) -> None:
        try:
            result = buy(errand, f"{name}-{number}", barrier)
        except (OSError, ValueError, KeyError, threading.BrokenBarrierError) as error:
            result = (f"failed: {error!r}", "")
        answers.put(result)  # type: ignore[attr-defined]

    crowd_ = [threading.Thread(target=one, args=(n,)) for n in range(threads)]
    for thread in crowd_:
        thread.start()
    for thread in crowd_:
        thread.join()
