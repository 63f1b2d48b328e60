"""Buyers that use the shop's API and pay at the Stripe stand-in, many at once."""

import json
import multiprocessing
import threading
import time
import urllib.request
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
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


def buy(errand: Errand, key: str, wait: Barrier | None = None) -> tuple[str, str]:
    """Fill a cart, order, pay. Gives ("paid", order number) or (code of the refusal, "")."""
    api = f"{errand.base_url}/api/v1"
    status, cart = post(
        f"{api}/cart/items", {"variant_id": errand.variant_id, "quantity": errand.quantity}
    )
    if wait is not None:
        wait.wait()
    if status >= 400:
        return cart["code"], ""
    status, order = insist(
        f"{api}/orders",
        {
            "cart_token": cart["token"],
            "cart_version": cart["version"],
            "email": f"{key}@example.com",
            "shipping_address": ADDRESS,
            "shipping_method": "standard",
        },
        {"Idempotency-Key": key},
    )
    if status >= 400:
        return order["code"], ""
    status, intent = insist(
        f"{api}/orders/{order['number']}/payment-intent?token={order['token']}", {}, {}
    )
    if status >= 400:
        return intent["code"], order["number"]
    confirm(errand, intent)
    return "paid", order["number"]


def insist(url: str, body: object, headers: dict[str, str]) -> tuple[int, dict]:
    """POST, and again after a 503 or an "in progress", as the contract asks of programs."""
    for _ in range(10):
        status, answer = post(url, body, headers)
        if status != 503 and answer.get("code") != "in_progress":
            break
        time.sleep(1)
    return status, answer


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
    """All buyers press at the same moment; gives what each got."""
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
