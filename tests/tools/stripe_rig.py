"""A Stripe stand-in in a process of its own, and a shop's end of its webhooks."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import stripe

SECRET = "whsec_test_of_the_stand_in"


class Receiver(ThreadingHTTPServer):
    """Takes webhooks, checks each signature with the SDK, answers what the test wants."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), ReceiverHandler)
        self.events: list[Any] = []
        self.status = 200
        self.mutex = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where webhooks go."""
        return f"http://127.0.0.1:{self.server_address[1]}/webhooks"


class ReceiverHandler(BaseHTTPRequestHandler):
    """One delivery."""

    server: Receiver

    def do_POST(self) -> None:
        """Verify before anything else, as the shop does."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        event = stripe.Webhook.construct_event(body, self.headers["Stripe-Signature"], SECRET)
        with self.server.mutex:
            status = self.server.status
            if status == 200:
                self.server.events.append(event)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


class Rig:
    """What a test talks to."""

    def __init__(self, url: str, receiver: Receiver, log: Path) -> None:
        self.url = url
        self.receiver = receiver
        self.log = log
        self.client = stripe.StripeClient(
            "sk_test_rig", base_addresses={"api": url}, max_network_retries=0
        )

    def control(self, path: str = "", **body: Any) -> dict[str, Any]:
        """POST to `/_control…`."""
        return dict(self.call("POST", f"/_control{path}", json.dumps(body).encode())[1])

    def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Any:
        """Any request. Returns status and JSON."""
        request = Request(self.url + path, data=body, method=method, headers=headers)
        try:
            with urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read())
        except HTTPError as problem:
            return problem.code, json.loads(problem.read())

    def state(self) -> dict[str, Any]:
        """All objects."""
        return dict(self.call("GET", "/_control/state")[1])

    def received(self, intent_id: str | None = None, *, timeout_s: float = 15) -> list[str]:
        """The event types that arrived, after everything was sent."""
        assert self.control("/flush", timeout_s=timeout_s)["done"]
        with self.receiver.mutex:
            return [
                event.type
                for event in self.receiver.events
                if intent_id is None or intent_id in str(event)
            ]

    def intent(self, amount: int = 2500, **fields: Any) -> stripe.PaymentIntent:
        """A fresh PaymentIntent."""
        params: Any = {"amount": amount, "currency": "eur", **fields}
        return self.client.v1.payment_intents.create(params)

    def pay(self, intent: stripe.PaymentIntent, number: str, **fields: Any) -> stripe.PaymentIntent:
        """Confirm with a card as the SDK does."""
        params: Any = {"payment_method_data": card(number), **fields}
        return self.client.v1.payment_intents.confirm(intent.id, params)

    def fresh(self) -> None:
        """No data, no faults, nothing received."""
        self.control(reset=True)
        self.control("/reset_data")
        with self.receiver.mutex:
            self.receiver.events.clear()
            self.receiver.status = 200


def card(number: str, **details: Any) -> dict[str, Any]:
    """`payment_method_data` for a card."""
    fields = {"number": number, "exp_month": 12, "exp_year": 2040, "cvc": "123", **details}
    return {"type": "card", "card": fields}


def balance_of(rig: Rig, intent: stripe.PaymentIntent) -> int:
    """What Stripe's balance holds of a payment, without fees, in minor units."""
    sources = {str(intent.latest_charge)}
    for kind in ("refunds", "disputes"):
        found = getattr(rig.client.v1, kind).list({"payment_intent": intent.id, "limit": 100})
        sources |= {one.id for one in found.data}
    movements = rig.client.v1.balance_transactions.list({"limit": 100}).auto_paging_iter()
    return sum(one.amount for one in movements if one.source in sources)


@contextmanager
def running(
    folder: Path, *more: str, state: Path | None = None, receiver: Receiver | None = None
) -> Iterator[tuple[Rig, subprocess.Popen[bytes]]]:
    """The stand-in on a free port for as long as the block runs; ``more``: options of its own."""
    receiver = receiver or Receiver()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "tools.stripe",
        "--port",
        str(port),
        "--webhook-url",
        receiver.url,
        "--webhook-secret",
        SECRET,
        *more,
    ]
    if state is not None:
        command += ["--state", str(state)]
    log = folder / "stand-in.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, env={**os.environ, "SHOP_ENV": "test"}
        )
    rig = Rig(f"http://127.0.0.1:{port}", receiver, log)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                if rig.call("GET", "/healthz")[0] == 200:
                    break
            except OSError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, "the stand-in did not start"
                time.sleep(0.05)
        yield rig, process
    finally:
        process.terminate()
        process.wait(10)
        receiver.shutdown()
        receiver.server_close()
