"""Every object that the stand-in sends has the shape that the installed SDK declares."""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import stripe

from tests.tools.sdk_types import event_types, problems
from tests.tools.stripe_rig import Rig, card, running
from tools.stripe.disputes import DisputeStatus
from tools.stripe.methods import BY_IBAN, UNDEBITABLE

METHODS = ("sepa_debit", "ideal", "bancontact", "klarna", "multibanco", "konbini", "oxxo")
CURRENCIES = {"konbini": "jpy", "oxxo": "mxn"}
BILLING = {
    "name": "Ada",
    "email": "fill_never@example.com",
    "address": {"line1": "Hauptstr. 1", "country": "DE"},
}
CARDS = (
    "4242424242424242", "378282246310005", "4000000000000002", "4000002500003155",
    "4000000000007726", "4000000000005126",
)  # fmt: skip


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A stand-in in which everything has happened that it can play."""
    with running(tmp_path_factory.mktemp("stripe")) as (rig, _process):
        rig.control(timers=False, refund_after_s=0)
        _play_cards(rig)
        for name in METHODS:
            for outcome in ("succeed", "fail", "expire", "process"):
                _play_method(rig, name, outcome)
        _play_disputes(rig)
        _play_the_rest(rig)
        rig.received()
        yield rig


def test_objects_have_the_fields_of_the_sdk(rig: Rig) -> None:
    state = rig.state()

    kinds = {one["object"] for shelf in _shelves(state) for one in shelf}
    wrong = [problem for shelf in _shelves(state) for one in shelf for problem in problems(one)]

    assert wrong == []
    assert kinds == {
        "payment_intent",
        "payment_method",
        "payment_method_configuration",
        "charge",
        "refund",
        "dispute",
        "balance_transaction",
        "customer",
        "event",
        "review",
        "payout",
        "radar.early_fraud_warning",
    }


def test_statuses_of_every_kind_were_played(rig: Rig) -> None:
    state = rig.state()

    def statuses(name: str) -> set[str]:
        return {one["status"] for one in state[name]}

    assert statuses("payment_intents") == {
        "requires_payment_method",
        "requires_confirmation",
        "requires_action",
        "requires_capture",
        "processing",
        "succeeded",
        "canceled",
    }
    assert statuses("charges") == {"succeeded", "pending", "failed"}
    assert statuses("refunds") == {"pending", "requires_action", "succeeded", "failed", "canceled"}
    assert statuses("disputes") == {one.value for one in DisputeStatus}


def test_events_carry_types_and_objects_of_the_sdk(rig: Rig) -> None:
    events = rig.state()["events"]

    known = event_types()
    assert len(known) > 200
    assert {one["type"] for one in events} <= known
    assert [problem for one in events for problem in problems(one["data"]["object"])] == []


def test_answers_have_the_fields_of_the_sdk(rig: Rig) -> None:
    lists = (
        "payment_intents", "charges", "refunds", "disputes", "customers", "events",
        "balance_transactions", "payouts", "reviews", "payment_method_configurations",
    )  # fmt: skip

    for name in (*lists, "radar/early_fraud_warnings"):
        status, page = rig.call(
            "GET", f"/v1/{name}?limit=100", Authorization="Bearer sk_test_shapes"
        )
        assert status == 200 and page["data"], name
        assert page["url"] == f"/v1/{name}"
        assert problems(page) == []


def test_errors_have_the_fields_of_the_sdk(rig: Rig) -> None:
    known = set(stripe.ErrorObject.__annotations__)
    intent = rig.intent()
    with pytest.raises(stripe.CardError) as declined:
        rig.pay(intent, "4000000000000002")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        rig.client.v1.payment_intents.capture(intent.id)

    for problem in (declined.value, refused.value):
        assert problem.json_body is not None
        error = json.loads(str(problem.http_body))["error"]
        assert set(error) <= known
        assert problems(error["payment_intent"]) == []


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (["status"], "done", "does not fit"),
        (["amount"], "12", "does not fit"),
        (["colour"], "red", "no such field"),
        (["payment_method_options", "card", "colour"], "red", "no such field"),
        (["latest_charge"], 5, "does not fit"),
        (["currency"], None, "does not fit"),
    ],
)
def test_wrong_shapes_are_found(rig: Rig, path: list[str], value: Any, words: str) -> None:
    intent = deepcopy(rig.state()["payment_intents"][0])
    assert problems(intent) == []

    place = intent
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value

    (problem,) = problems(intent)
    assert words in problem and path[-1] in problem


def test_missing_fields_are_found(rig: Rig) -> None:
    dispute = dict(rig.state()["disputes"][0])
    del dispute["evidence_details"]

    assert problems(dispute) == ["dispute.evidence_details: is missing"]


def _shelves(state: dict[str, Any]) -> list[list[dict[str, Any]]]:
    notes = ("deliveries", "idempotency_keys")
    return [shelf for name, shelf in state.items() if name not in notes]


def _play_cards(rig: Rig) -> None:
    client = rig.client.v1
    customer = client.customers.create({"email": "ada@example.com", "name": "Ada"})
    address = {"line1": "Hauptstr. 1", "city": "Bonn", "postal_code": "53111", "country": "DE"}
    for number in CARDS:
        intent = rig.intent(
            customer=customer.id,
            description="Order 1001",
            metadata={"order": "1001"},
            shipping={"name": "Ada", "address": address},
        )
        try:
            intent = rig.pay(intent, number, return_url="http://shop.test/back")
        except stripe.CardError:
            continue
        if intent.status == "succeeded":
            client.refunds.create({"payment_intent": intent.id, "amount": 700})
    for token in ("tok_applePay", "tok_googlePay"):
        method: Any = {"type": "card", "card": {"token": token}}
        client.payment_intents.confirm(rig.intent().id, {"payment_method_data": method})
    client.payment_methods.create(card(CARDS[0]))  # type: ignore[arg-type]
    rig.intent(payment_method="pm_card_visa")
    for act in ("capture", "part", "cancel", "expire", "hold"):
        authorised = rig.pay(rig.intent(capture_method="manual"), CARDS[0])
        if act in ("capture", "part"):
            amount: Any = {"amount_to_capture": 1000} if act == "part" else {}
            client.payment_intents.capture(authorised.id, amount)
        elif act == "cancel":
            client.payment_intents.cancel(authorised.id, {"cancellation_reason": "abandoned"})
        elif act == "expire":
            rig.control("/payment", payment_intent=authorised.id, outcome="expire")
    rig.control(processing_s=60)
    rig.pay(rig.intent(), CARDS[0])
    rig.control(processing_s=0)


def _play_method(rig: Rig, name: str, outcome: str) -> None:
    currency = CURRENCIES.get(name, "eur")
    intent = rig.intent(allowed_payment_method_types=[name], currency=currency)
    for iban in BY_IBAN if name == "sepa_debit" else [""]:
        if BY_IBAN.get(iban) in UNDEBITABLE:
            continue
        method: Any = {"type": name, "billing_details": BILLING}
        if iban:
            method["sepa_debit"] = {"iban": iban}
        fresh = (
            rig.intent(allowed_payment_method_types=[name], currency=currency) if iban else intent
        )
        rig.client.v1.payment_intents.confirm(
            fresh.id, {"payment_method_data": method, "return_url": "http://shop.test/back"}
        )
        intent = fresh
    rig.control("/payment", payment_intent=intent.id, outcome=outcome)
    if outcome == "succeed":
        paid = {"payment_intent": intent.id}
        for status in ("pending", "requires_action", "succeeded", "failed", "canceled"):
            refund = rig.control("/refund", **paid, amount=100, status=status)
            assert refund["status"] == status, refund
        rig.control("/dispute", **paid, amount=100)


def _play_disputes(rig: Rig) -> None:
    statuses = [one.value for one in DisputeStatus]
    for first in statuses:
        intent = rig.pay(rig.intent(), CARDS[0])
        dispute = rig.control("/dispute", payment_intent=intent.id, amount=1000, status=first)
        assert dispute["status"] == first
        rig.control("/dispute", payment_intent=intent.id, amount=500, status="lost")
    rig.control("/dispute", dispute=dispute["id"], status="won")
    intent = rig.pay(rig.intent(), CARDS[0])
    rig.control(
        "/dispute", payment_intent=intent.id, amount=900, currency="usd", status="prevented"
    )
    answered = rig.control("/dispute", payment_intent=intent.id, amount=900)
    rig.client.v1.disputes.update(
        answered["id"], {"evidence": {"uncategorized_text": "winning_evidence"}}
    )


def _play_the_rest(rig: Rig) -> None:
    intent = rig.pay(rig.intent(), CARDS[0])
    rig.control("/fraud_warning", payment_intent=intent.id)
    closed = rig.control("/review", payment_intent=intent.id)
    rig.control("/review", review=closed["id"])
    rig.control("/review", payment_intent=intent.id, reason="manual")
    for status in ("pending", "in_transit", "paid", "failed", "canceled"):
        assert rig.control("/payout", status=status)["status"] == status
    on: Any = {"display_preference": {"preference": "on"}}
    rig.client.v1.payment_method_configurations.create({"name": "Store", "card": on})
    gone = rig.client.v1.customers.create({"email": "gone@example.com"})
    rig.client.v1.customers.delete(gone.id)
