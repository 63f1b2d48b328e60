"""The errors that Stripe answers, and which of them it keeps under an idempotency key."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import stripe

from tests.tools.stripe_rig import Rig, running

WORKS = "4242424242424242"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running(tmp_path_factory.mktemp("stripe")) as (rig, _process):
        yield rig


@pytest.fixture
def rig(server: Rig) -> Rig:
    server.fresh()
    return server


@pytest.fixture
def authorised(rig: Rig) -> stripe.PaymentIntent:
    return rig.pay(rig.intent(capture_method="manual"), WORKS)


@pytest.mark.parametrize(("created", "count"), [(True, 1), (False, 0)])
def test_saved_500_is_replayed_under_its_key(rig: Rig, created: bool, count: int) -> None:
    paid = rig.pay(rig.intent(), WORKS)
    rig.control(fail={"path": "/v1/refunds", "error": "api_error", "created": created})

    def refund(key: str) -> stripe.Refund:
        return rig.client.v1.refunds.create(
            {"payment_intent": paid.id, "amount": 500}, {"idempotency_key": key}
        )

    with pytest.raises(stripe.APIError) as first:
        refund("once")
    with pytest.raises(stripe.APIError) as again:
        refund("once")

    assert first.value.http_status == again.value.http_status == 500
    assert "Idempotent-Replayed" not in _headers(first.value)
    assert _headers(again.value)["Idempotent-Replayed"] == "true"
    assert _headers(again.value)["Original-Request"] == _headers(first.value)["Request-Id"]
    assert _headers(again.value)["Stripe-Should-Retry"] == "false"
    assert len(rig.state()["refunds"]) == count
    assert refund("another").amount == 500, "another key is another request"


def test_500s_by_chance_are_saved_too(rig: Rig) -> None:
    rig.control(error_rate=1, error_created=1, seed=4)
    answers = [_create(rig, f"key-{number}") for number in range(12)]
    rig.control(reset=True)

    again = [_create(rig, f"key-{number}") for number in range(12)]

    saved = [number for number, (status, _headers) in enumerate(answers) if status == 500]
    assert saved and len(saved) < 12
    for number, (status, headers) in enumerate(again):
        assert status == (500 if number in saved else 200)
        assert ("Idempotent-Replayed" in headers) is (number in saved)
    assert len(rig.state()["payment_intents"]) == 12


def test_errors_are_counted_down_by_path(rig: Rig) -> None:
    rig.control(fail=[{"path": "/v1/payment_intents/*/cancel", "times": 2}])
    intent = rig.intent()

    for _time in range(2):
        with pytest.raises(stripe.APIError):
            rig.client.v1.payment_intents.cancel(intent.id)

    assert rig.call("GET", "/_control")[1]["fail"] == []
    assert rig.client.v1.payment_intents.cancel(intent.id).status == "canceled"


def test_reset_clears_planned_errors(rig: Rig) -> None:
    rig.control(fail={"path": "/v1/payment_intents", "times": 3})
    assert rig.call("GET", "/_control")[1]["fail"][0]["times"] == 3

    rig.control(reset=True)

    assert rig.intent().status == "requires_payment_method"


def test_reads_can_fail_as_well(rig: Rig) -> None:
    intent = rig.intent()
    rig.control(fail={"path": "/v1/payment_intents/*", "method": "GET", "error": "unavailable"})

    with pytest.raises(stripe.APIError) as refused:
        rig.client.v1.payment_intents.retrieve(intent.id)

    assert refused.value.http_status == 503
    assert rig.client.v1.payment_intents.retrieve(intent.id).id == intent.id


@pytest.mark.parametrize(
    ("error", "kind", "status", "code"),
    [
        ("charge_expired_for_capture", stripe.InvalidRequestError, 400, None),
        ("capture_unauthorized_payment", stripe.InvalidRequestError, 400, None),
        ("card_declined", stripe.CardError, 402, None),
        ("insufficient_funds", stripe.CardError, 402, "card_declined"),
    ],
)
def test_capture_can_be_declined(
    rig: Rig,
    authorised: stripe.PaymentIntent,
    error: str,
    kind: type[stripe.StripeError],
    status: int,
    code: str | None,
) -> None:
    rig.control(fail={"path": "/v1/payment_intents/*/capture", "error": error})

    for _time in range(2):
        with pytest.raises(kind) as refused:
            rig.client.v1.payment_intents.capture(authorised.id, {}, {"idempotency_key": "capture"})
        assert (refused.value.http_status, refused.value.code) == (status, code or error)

    assert rig.client.v1.payment_intents.retrieve(authorised.id).status == "requires_capture"
    assert rig.client.v1.payment_intents.capture(authorised.id).status == "succeeded"


@pytest.mark.parametrize("error", ["balance_insufficient", "refund_disputed_payment"])
def test_refund_can_be_declined(rig: Rig, error: str) -> None:
    paid = rig.pay(rig.intent(), WORKS)
    rig.control(fail={"path": "/v1/refunds", "error": error})

    with pytest.raises(stripe.InvalidRequestError) as refused:
        rig.client.v1.refunds.create({"payment_intent": paid.id})

    assert refused.value.code == error and rig.state()["refunds"] == []


@pytest.mark.parametrize(("error", "status"), [("rate_limit", 429), ("lock_timeout", 409)])
def test_limits_are_not_saved_under_a_key(rig: Rig, error: str, status: int) -> None:
    rig.control(fail={"path": "/v1/payment_intents", "error": error, "retry_after_s": 2})

    refused, headers = _create(rig, "key")
    done, again = _create(rig, "key")

    assert (refused, headers["Retry-After"]) == (status, "2")
    assert done == 200 and "Idempotent-Replayed" not in again


def test_lost_connection_has_done_its_work(rig: Rig) -> None:
    rig.control(fail={"path": "/v1/payment_intents", "error": "connection_lost"})
    params: Any = {"amount": 2500, "currency": "eur"}

    with pytest.raises(stripe.APIConnectionError):
        rig.client.v1.payment_intents.create(params, {"idempotency_key": "lost"})
    found = rig.client.v1.payment_intents.create(params, {"idempotency_key": "lost"})

    assert [one["id"] for one in rig.state()["payment_intents"]] == [found.id]


def test_slow_answer_keeps_its_key_in_use(rig: Rig) -> None:
    rig.control(fail={"path": "/v1/payment_intents", "error": "slow", "delay_s": 1.5})

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(_create, rig, "slow")
        while not rig.state()["payment_intents"]:
            time.sleep(0.02)
        meanwhile, _headers = _create(rig, "slow")
        first, _headers = slow.result()
    again, headers = _create(rig, "slow")

    assert (meanwhile, first, again) == (409, 200, 200)
    assert headers["Idempotent-Replayed"] == "true"


# Raw objects


def test_any_object_can_be_put_in_place(rig: Rig) -> None:
    paid = rig.pay(rig.intent(), WORKS)
    refund = {"object": "refund", "id": "re_strange", "charge": paid.latest_charge, "amount": 7}
    refund |= {"payment_intent": paid.id, "currency": "usd", "status": "requires_action"}
    dispute = {"object": "dispute", "charge": paid.latest_charge, "status": "prevented"}

    done = rig.control(put=[refund, dispute], emit={"type": "refund.updated", "id": "re_strange"})

    found = rig.client.v1.refunds.retrieve("re_strange")
    assert (found.currency, found.status, found.amount) == ("usd", "requires_action", 7)
    assert rig.client.v1.refunds.list({"payment_intent": paid.id}).data[0].id == "re_strange"
    assert (
        rig.client.v1.disputes.list({"charge": str(paid.latest_charge)}).data[0].id
        == (done["objects"][1]["id"])
    )
    assert rig.received(paid.id)[-1] == "refund.updated"
    (event,) = [one for one in rig.receiver.events if one.id in done["events"]]
    assert event.data.object.status == "requires_action"


def test_events_may_belong_to_others(rig: Rig) -> None:
    intent = {"object": "payment_intent", "id": "pi_other", "metadata": {}, "status": "succeeded"}

    rig.control(
        emit=[
            {"type": "payment_intent.succeeded", "object": intent, "account": "acct_other"},
            {"type": "payment_intent.succeeded", "object": intent, "api_version": "2020-08-27"},
            {"type": "payment_intent.succeeded", "object": intent, "livemode": True},
        ]
    )

    assert len(rig.received("pi_other")) == 3
    first, second, third = sorted(rig.receiver.events, key=lambda one: one.livemode)
    assert {first.api_version, second.api_version} == {"2020-08-27", stripe.api_version}
    assert {one.to_dict().get("account") for one in (first, second)} == {"acct_other", None}
    assert third.livemode and rig.state()["payment_intents"] == []


def test_events_may_be_about_anything(rig: Rig) -> None:
    strange = [{"object": "quote"}, {"object": "refund", "payment_intent": {"object": "x"}}, {}]

    rig.control(emit=[{"type": "refund.updated", "object": one} for one in strange])

    assert len(rig.received()) == 3


def test_objects_can_be_changed_and_deleted(rig: Rig) -> None:
    intent, other = rig.intent(), rig.intent()
    customer = rig.client.v1.customers.create({"email": "ada@example.com"})

    rig.control(
        change={"id": intent.id, "status": "processing"},
        delete=[other.id, customer.id],
        emit=[{"type": "payment_intent.processing", "id": intent.id}, "customer.deleted"],
    )

    assert rig.client.v1.payment_intents.retrieve(intent.id).status == "processing"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        rig.client.v1.payment_intents.retrieve(other.id)
    assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")
    assert rig.client.v1.customers.retrieve(customer.id).deleted
    assert {"payment_intent.processing", "customer.deleted"} <= set(rig.received())


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"put": {"id": "re_1"}}, "needs its kind"),
        ({"put": {"object": "refund", "id": "../x"}}, "id must be"),
        ({"put": [1]}, "is written as"),
        ({"change": {"id": "re_none"}}, "no object re_none"),
        ({"delete": "re_none"}, "no object re_none"),
        ({"emit": "refund.failed"}, "needs an object"),
        ({"fail": {"path": "refunds"}}, "path must be"),
        ({"fail": {"path": "/v1/refunds", "error": "bad"}}, "error must be one of"),
        ({"fail": {"path": "/v1/refunds", "times": 0}}, "times must be"),
        ({"fail": {"path": "/v1/refunds", "error": "rate_limit", "created": True}}, "nothing can"),
        ({"put": {"object": "refund"}, "drop": 7}, "drop must be"),
    ],
)
def test_bad_raw_objects_change_nothing(rig: Rig, body: dict[str, Any], words: str) -> None:
    answer = rig.control(**body)

    assert words in answer["error"]
    assert rig.state()["refunds"] == [] and rig.call("GET", "/_control")[1]["fail"] == []


def _create(rig: Rig, key: str) -> tuple[int, dict[str, str]]:
    params: Any = {"amount": 2500, "currency": "eur"}
    try:
        made = rig.client.v1.payment_intents.create(params, {"idempotency_key": key})
    except stripe.StripeError as refused:
        assert refused.http_status is not None
        return refused.http_status, _headers(refused)
    assert made.last_response is not None
    return 200, dict(made.last_response.headers)


def _headers(refused: stripe.StripeError) -> dict[str, str]:
    return dict(refused.headers or {})
