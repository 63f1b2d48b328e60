"""Stripe inside the test's process: the stand-in's own API, without its socket, clock and threads.

What the shop asks goes through ``stripe_client._client``, so idempotency keys, states and balances
behave as at Stripe. What a card holder, a bank or Stripe's dashboard does is a method here.
"""

import json
import time
from collections.abc import Callable, Iterator
from itertools import count
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import stripe

from shop.payments.webhooks import TELLING
from tools.stripe.api import Api, Request
from tools.stripe.disputes import Disputes, DisputeStatus
from tools.stripe.faults import Faults
from tools.stripe.ledger import Json, Ledger, Unit
from tools.stripe.payments import Payments
from tools.stripe.planned import read_planned
from tools.stripe.refunds import Refunds
from tools.stripe.refusals import Refusal

CARDS = {
    "good": "pm_card_visa",
    "declined": "pm_card_chargeDeclined",
    "slow refund": "pm_card_pendingRefund",
    "failing refund": "pm_card_refundFail",
}
HEADERS = {"authorization": "Bearer sk_test_properties"}


class Bank:
    """Stripe, its card holders and their banks. ``heard`` is what the shop heard, in order."""

    def __init__(self, checkpoint: Callable[[str], None]) -> None:
        self._checkpoint = checkpoint
        self._faults = Faults()
        self._ledger = Ledger()
        self._refunds, self._disputes = Refunds(self._faults), Disputes()
        self._payments = Payments(self._faults)
        self._api = Api(self._ledger, self._faults, self._payments, self._refunds, self._disputes)
        self._sent = 0
        self._clock = count()
        self._sought: dict[str, str] = {}
        self.heard: list[tuple[str, str, Json]] = []
        self.is_away = False

    def raw_request(self, method: str, path: str, **params: Any) -> SimpleNamespace:
        """What ``stripe.StripeClient`` does: an answer, or one of the library's errors."""
        self._checkpoint("before Stripe")
        asked = next(self._clock)
        if self.is_away:
            raise stripe.APIConnectionError("Stripe is away")
        status, answer, headers = self._ask(method, path, params)
        kind = path.removeprefix("/v1/")
        if (method, kind) == ("post", "refunds"):
            self._sought = params["metadata"]
        if status < 400:
            # A deed is as new as its answer, a question as its asking: that is what the shop knows.
            asked_at = asked if method == "get" else next(self._clock)
            said = self._used(kind, params, answer) | {"asked_at": asked_at}
            self.heard.append((method, kind, said))
        elif answer["error"]["type"] == "invalid_request_error":
            self.heard.append((f"{method} refused", kind, params))
        self._checkpoint("after Stripe")
        if status < 400:
            return SimpleNamespace(data=answer)
        message = answer["error"]["message"]
        if answer["error"]["type"] == "invalid_request_error":
            raise stripe.InvalidRequestError(message, None, http_status=status, headers=headers)
        raise stripe.APIError(message, http_status=status, headers=headers)

    def fail_next(self, path: str, *, is_done: bool) -> None:
        """Stripe's next answer to this path is a failure that it saves; the work may be done."""
        self._faults.plan([read_planned({"path": path, "created": is_done})])

    def recover(self) -> None:
        """Stripe fails no more."""
        self._faults.change({"reset": True})

    def _used(self, kind: str, params: dict[str, Any], answer: Json) -> Json:
        """What the shop takes from an answer: whoever looks for a refund, takes that one only."""
        if kind != "refunds" or "payment_intent" not in params or "data" not in answer:
            return answer
        mine = self._sought.items()
        return answer | {"data": [one for one in answer["data"] if mine <= one["metadata"].items()]}

    def confirm(self, intent_id: str, card: str, *, slowly: bool = False) -> None:
        """The card holder pays; ``slowly``: the bank thinks about it until ``settle``."""
        self._faults.change({"processing_s": 60.0 if slowly else 0.0})
        path = f"/v1/payment_intents/{intent_id}/confirm"
        self._ask("post", path, {"payment_method": CARDS[card]})

    def change_amount(self, intent_id: str, by: int) -> None:
        """Somebody with the secret key asks for more or less; refused once it is paid."""
        amount = self.intent(intent_id)["amount"] + by
        self._ask("post", f"/v1/payment_intents/{intent_id}", {"amount": amount})

    def settle(self, intent_id: str) -> None:
        """The bank has thought about it."""
        with Unit(self._ledger) as unit:
            self._payments.settle(unit, intent_id)
            unit.commit()

    def fail(self, intent_id: str) -> None:
        """The bank has thought about it, and the money does not come."""
        if self.intent(intent_id)["status"] == "processing":
            with Unit(self._ledger) as unit:
                self._payments.attempts.fail(unit, intent_id, "insufficient_funds")
                unit.commit()

    def finish_refund(self, refund_id: str) -> None:
        """The bank answers late: a pending refund succeeds, one to a dead card fails."""
        with Unit(self._ledger) as unit:
            self._refunds.finish(unit, refund_id)
            unit.commit()
        for task in self._ledger.all("task"):
            if task["object_id"] == refund_id:
                self._ledger.commit([("task", task["id"], None)])

    def unfinished_refunds(self) -> list[str]:
        """Refunds about which a bank has not said its last word."""
        return [
            one["object_id"] for one in self._ledger.all("task") if one["task"] == "finish_refund"
        ]

    def refund(self, intent_id: str, amount: int) -> bool:
        """Somebody refunds money in Stripe's dashboard. False if Stripe refuses."""
        asked = {"payment_intent": intent_id, "amount": amount}
        return self._ask("post", "/v1/refunds", asked)[0] < 400

    def capture(self, intent_id: str, amount: int) -> bool:
        """Somebody captures in Stripe's dashboard. False if Stripe refuses."""
        path = f"/v1/payment_intents/{intent_id}/capture"
        return self._ask("post", path, {"amount_to_capture": amount})[0] < 400

    def dispute(self, intent_id: str, amount: int | None, status: str) -> bool:
        """The card holder's bank asks for money, or takes it; also once more. False if there is
        nothing to take."""
        intent = self.intent(intent_id)
        with Unit(self._ledger) as unit:
            try:
                self._disputes.open(
                    unit,
                    intent["latest_charge"] or "",
                    amount=amount,
                    status=DisputeStatus(status),
                    strict=False,
                )
            except Refusal:
                return False
            unit.commit()
        return True

    def move_dispute(self, dispute_id: str, status: str) -> None:
        """The bank decides, or opens again what it had decided; the money follows."""
        with Unit(self._ledger) as unit:
            self._disputes.move(unit, dispute_id, DisputeStatus(status))
            unit.commit()

    def intent(self, intent_id: str) -> Json:
        """A PaymentIntent as it is now."""
        return Unit(self._ledger).find("payment_intent", intent_id)

    def all(self, kind: str) -> list[Json]:
        """Every object of a kind, oldest first."""
        return self._ledger.all(kind)

    def left(self, intent_id: str) -> int:
        """Minor units of a PaymentIntent that could still be refunded."""
        gone = sum(
            one["amount"]
            for one in self.all("refund")
            if one["payment_intent"] == intent_id and one["status"] not in {"failed", "canceled"}
        )
        return int(self.intent(intent_id)["amount_received"]) - gone

    def news(self) -> Iterator[tuple[bytes, str]]:
        """Messages since the last call that matter to the shop, signed."""
        events = self.all("event")
        fresh, self._sent = events[self._sent :], len(events)
        for event in fresh:
            if event["type"] in TELLING:
                yield letter(event)

    def _ask(
        self, method: str, path: str, params: dict[str, Any]
    ) -> tuple[int, Json, dict[str, str]]:
        params = dict(params)
        key = params.pop("idempotency_key", None)
        text = urlencode(list(_flat(params)))
        answer = self._api.answer(
            Request(
                method=method.upper(),
                path=path,
                query="" if method == "post" else text,
                headers=HEADERS | ({"idempotency-key": key} if key else {}),
                body=text.encode() if method == "post" else b"",
            )
        )
        return answer.status, json.loads(answer.body), answer.headers


SECRET = "whsec_properties"


def letter(event: Json) -> tuple[bytes, str]:
    """A message as it arrives: raw body and signature."""
    body = json.dumps(event)
    return body.encode(), stripe.WebhookSignature.generate_signature_header(
        body, SECRET, timestamp=int(time.time())
    )


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _flat(one, f"{name}[{key}]" if name else key)
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _flat(one, f"{name}[{number}]")
    else:
        yield name, str(value).lower() if isinstance(value, bool) else str(value)
