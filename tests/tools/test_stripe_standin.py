"""The Stripe stand-in, driven by the official SDK over HTTP."""

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import pytest
import stripe

from tests.tools.stripe_rig import Receiver, Rig, card, running

WORKS, DECLINED, POOR = "4242424242424242", "4000000000000002", "4000000000009995"
SECURE, DISPUTED = "4000002500003155", "4000000000000259"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running(tmp_path_factory.mktemp("stripe")) as (rig, _process):
        yield rig


@pytest.fixture
def rig(server: Rig) -> Rig:
    server.fresh()
    return server


@pytest.fixture
def paid(rig: Rig) -> stripe.PaymentIntent:
    return rig.pay(rig.intent(), WORKS)


def test_an_intent_carries_what_the_shop_sent(rig: Rig) -> None:
    address = {"line1": "Hauptstr. 1", "city": "Bonn", "postal_code": "53111", "country": "DE"}

    intent = rig.intent(
        description="Order 1001",
        metadata={"order": "1001"},
        receipt_email="ada@example.com",
        shipping={"name": "Ada", "address": address},
        automatic_payment_methods={"enabled": True},
    )

    again = rig.client.v1.payment_intents.retrieve(intent.id)
    assert again.status == "requires_payment_method"
    assert again.metadata["order"] == "1001"
    assert again.shipping is not None and again.shipping.address is not None
    assert again.shipping.address.city == "Bonn"
    assert again.client_secret is not None
    assert again.client_secret.startswith(f"{intent.id}_secret_")


def test_good_card_pays_and_charge_can_be_expanded(rig: Rig) -> None:
    intent = rig.pay(rig.intent(), WORKS, expand=["latest_charge.balance_transaction"])

    charge = intent.latest_charge
    assert intent.status == "succeeded" and intent.amount_received == 2500
    assert isinstance(charge, stripe.Charge)
    assert charge.captured and charge.payment_method_details is not None
    assert charge.payment_method_details.card is not None
    assert charge.payment_method_details.card.last4 == "4242"
    assert isinstance(charge.balance_transaction, stripe.BalanceTransaction)
    assert charge.balance_transaction.fee == 103
    assert rig.received(intent.id) == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "charge.updated",
    ]


def test_events_carry_version_that_sdk_is_pinned_to(rig: Rig, paid: stripe.PaymentIntent) -> None:
    rig.received(paid.id)

    # An event of the test before may come late.
    event = next(one for one in rig.receiver.events if paid.id in str(one))
    assert event.api_version == stripe.api_version
    assert event.data.object.id == paid.id


def test_a_test_method_may_confirm_at_creation(rig: Rig) -> None:
    intent = rig.intent(payment_method="pm_card_mastercard", confirm=True)

    assert intent.status == "succeeded"


@pytest.mark.parametrize(
    ("number", "code", "decline_code", "words"),
    [
        (DECLINED, "card_declined", "generic_decline", "Your card was declined."),
        (POOR, "card_declined", "insufficient_funds", "Your card has insufficient funds."),
        ("4000000000000069", "expired_card", "expired_card", "Your card has expired."),
        ("4111111111111111", "card_declined", "test_mode_live_card", "non test (live) card"),
    ],
)
def test_a_declined_card_leaves_the_intent_payable(
    rig: Rig, number: str, code: str, decline_code: str, words: str
) -> None:
    intent = rig.intent()

    with pytest.raises(stripe.CardError) as refused:
        rig.pay(intent, number)

    assert refused.value.http_status == 402 and refused.value.code == code
    assert refused.value.error is not None and refused.value.error.decline_code == decline_code
    assert words in str(refused.value.user_message)
    after = rig.client.v1.payment_intents.retrieve(intent.id)
    assert after.status == "requires_payment_method"
    assert after.last_payment_error is not None and after.last_payment_error.code == code
    assert rig.pay(intent, WORKS).status == "succeeded"
    kinds = rig.received(intent.id)
    assert kinds[1:3] == ["charge.failed", "payment_intent.payment_failed"]


@pytest.mark.parametrize(
    ("details", "code"),
    [
        ({"number": "4242424242424241"}, "incorrect_number"),
        ({"number": "42ab"}, "invalid_number"),
        ({"exp_month": 13}, "invalid_expiry_month"),
        ({"exp_year": 2001}, "invalid_expiry_year"),
        ({"cvc": "12"}, "invalid_cvc"),
    ],
)
def test_wrong_card_details_are_named_and_change_nothing(
    rig: Rig, details: dict[str, Any], code: str
) -> None:
    intent = rig.intent()
    params: Any = {"payment_method_data": card(details.pop("number", WORKS), **details)}

    with pytest.raises(stripe.CardError) as refused:
        rig.client.v1.payment_intents.confirm(intent.id, params)

    assert refused.value.code == code
    after = rig.client.v1.payment_intents.retrieve(intent.id)
    assert after.last_payment_error is None and after.latest_charge is None


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"currency": "eur"}, "parameter_missing", "amount"),
        ({"amount": 2500}, "parameter_missing", "currency"),
        ({"amount": -1, "currency": "eur"}, "parameter_invalid_integer", "amount"),
        ({"amount": "abc", "currency": "eur"}, "parameter_invalid_integer", "amount"),
        ({"amount": 10**9, "currency": "eur"}, "amount_too_large", "amount"),
        ({"amount": 1, "currency": "eur"}, "amount_too_small", "amount"),
        ({"amount": 2500, "currency": "euro"}, None, "currency"),
        ({"amount": 2500, "currency": "eur", "amonut": 1}, "parameter_unknown", "amonut"),
        ({"amount": 2500, "currency": "eur", "source": "tok_x"}, "parameter_unknown", "source"),
        ({"amount": 2500, "currency": "eur", "customer": "cus_x"}, "resource_missing", "customer"),
    ],
)
def test_bad_parameters_are_refused_by_name(
    rig: Rig, params: dict[str, Any], code: str | None, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        rig.client.v1.payment_intents.create(params)  # type: ignore[arg-type]

    assert (refused.value.code, refused.value.param) == (code, param)
    assert rig.state()["payment_intents"] == []


def test_paid_intent_cannot_be_paid_changed_or_canceled(
    rig: Rig, paid: stripe.PaymentIntent
) -> None:
    intents = rig.client.v1.payment_intents

    attempts: list[Callable[[], object]] = [
        lambda: intents.confirm(paid.id, {"payment_method": "pm_card_visa"}),
        lambda: intents.update(paid.id, {"amount": 600}),
        lambda: intents.cancel(paid.id),
        lambda: intents.capture(paid.id),
    ]
    for attempt in attempts:
        with pytest.raises(stripe.InvalidRequestError) as refused:
            attempt()
        assert refused.value.code == "payment_intent_unexpected_state"
    assert len(rig.state()["charges"]) == 1


def test_metadata_merges_and_amounts_change_before_payment(rig: Rig) -> None:
    intent = rig.intent(metadata={"order": "1", "gone": "x"})

    updated = rig.client.v1.payment_intents.update(
        intent.id, {"amount": 900, "metadata": {"gone": "", "note": "n"}}
    )

    assert updated.amount == 900
    assert updated.metadata.to_dict() == {"order": "1", "note": "n"}


def test_partial_capture_releases_the_rest(rig: Rig) -> None:
    intent = rig.pay(rig.intent(capture_method="manual"), WORKS)
    assert (intent.status, intent.amount_capturable) == ("requires_capture", 2500)
    authorised = rig.client.v1.charges.retrieve(str(intent.latest_charge))
    assert (
        authorised.payment_method_details.card.capture_before == authorised.created + 7 * 24 * 3600
    )

    with pytest.raises(stripe.InvalidRequestError):
        rig.client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 2501})
    done = rig.client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 2000})

    assert (done.status, done.amount_received) == ("succeeded", 2000)
    with pytest.raises(stripe.InvalidRequestError):
        rig.client.v1.refunds.create({"payment_intent": intent.id, "amount": 2001})
    rig.client.v1.refunds.create({"payment_intent": intent.id, "amount": 2000})
    assert "payment_intent.amount_capturable_updated" in rig.received(intent.id)


def test_a_canceled_intent_cannot_be_paid(rig: Rig) -> None:
    intent = rig.intent()

    canceled = rig.client.v1.payment_intents.cancel(intent.id, {"cancellation_reason": "abandoned"})

    assert canceled.status == "canceled" and canceled.canceled_at
    with pytest.raises(stripe.InvalidRequestError) as refused:
        rig.pay(intent, WORKS)
    assert refused.value.code == "payment_intent_unexpected_state"
    assert rig.received(intent.id)[-1] == "payment_intent.canceled"


# 3-D Secure


@pytest.mark.parametrize(
    ("button", "status", "outcome"),
    [
        ("complete", "succeeded", "succeeded"),
        ("fail", "requires_payment_method", "failed"),
    ],
)
def test_three_d_secure_asks_and_returns_to_shop(
    rig: Rig, button: str, status: str, outcome: str
) -> None:
    intent = rig.pay(rig.intent(), SECURE, return_url="http://shop.test/back?order=1")
    assert intent.status == "requires_action" and intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    page = str(intent.next_action.redirect_to_url.url)

    location = _press(page, button)

    back = parse_qs(urlsplit(location).query)
    assert location.startswith("http://shop.test/back?order=1&")
    assert back["payment_intent"] == [intent.id]
    assert back["payment_intent_client_secret"] == [intent.client_secret]
    assert back["redirect_status"] == [outcome]
    after = rig.client.v1.payment_intents.retrieve(intent.id)
    assert after.status == status
    assert _press(page, "complete") == location, "a second answer changes nothing"
    kinds = rig.received(intent.id)
    assert kinds[1] == "payment_intent.requires_action"
    if button == "fail":
        assert after.last_payment_error is not None
        assert after.last_payment_error.code == "payment_intent_authentication_failure"
        assert kinds[2] == "payment_intent.payment_failed"


# Keys and the browser's side of the API


def test_unknown_keys_are_refused_and_live_keys_hidden(rig: Rig) -> None:
    for key in ("sk_live_abcdefgh12345678", "nonsense", "sk_test_"):
        client = stripe.StripeClient(key, base_addresses={"api": rig.url})
        with pytest.raises(stripe.AuthenticationError) as refused:
            client.v1.payment_intents.list()
        assert "abcdefgh12345678" not in str(refused.value)


def test_publishable_key_only_confirms_and_reads_its_intent(rig: Rig) -> None:
    intent = rig.intent(metadata={"secret": "note"})
    other = rig.intent()
    form = {"key": "pk_test_x", "client_secret": intent.client_secret}

    assert rig.call("GET", f"/v1/payment_intents?{urlencode(form)}")[0] == 403
    assert rig.call("GET", f"/v1/payment_intents/{other.id}?{urlencode(form)}")[0] == 400
    assert rig.call("GET", f"/v1/payment_intents/{intent.id}?key=pk_test_x")[0] == 400
    status, seen = rig.call("GET", f"/v1/payment_intents/{intent.id}?{urlencode(form)}")
    assert status == 200 and "metadata" not in seen and "customer" not in seen

    confirm = f"/v1/payment_intents/{intent.id}/confirm"
    for private in ("metadata[x]=y", "capture_method=manual", "expand[]=latest_charge"):
        assert rig.call("POST", confirm, f"{urlencode(form)}&{private}".encode())[0] == 403
    form |= {
        "payment_method_data[type]": "card",
        "payment_method_data[card][number]": WORKS,
        "payment_method_data[card][exp_month]": "12",
        "payment_method_data[card][exp_year]": "40",
        "payment_method_data[card][cvc]": "123",
        "return_url": "http://shop.test/back",
    }
    status, body = rig.call(
        "POST", f"/v1/payment_intents/{intent.id}/confirm", urlencode(form).encode()
    )
    assert status == 200 and body["status"] == "succeeded" and "latest_charge" not in body


# Idempotency


def test_the_same_key_brings_back_the_first_answer(rig: Rig) -> None:
    params: Any = {"amount": 2500, "currency": "eur"}
    create = rig.client.v1.payment_intents.create

    first = create(params, {"idempotency_key": "order:1:pay:1"})
    again = create(params, {"idempotency_key": "order:1:pay:1"})

    assert first.id == again.id and len(rig.state()["payment_intents"]) == 1
    assert again.last_response is not None
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    with pytest.raises(stripe.IdempotencyError):
        create({"amount": 2600, "currency": "eur"}, {"idempotency_key": "order:1:pay:1"})
    with pytest.raises(stripe.IdempotencyError):
        rig.client.v1.customers.create({"email": "a@b.de"}, {"idempotency_key": "order:1:pay:1"})


def test_key_keeps_a_decline_but_no_mistake(rig: Rig) -> None:
    intent = rig.intent()
    confirm = rig.client.v1.payment_intents.confirm

    for _attempt in range(2):
        with pytest.raises(stripe.CardError):
            confirm(
                intent.id, {"payment_method": "pm_card_chargeDeclined"}, {"idempotency_key": "k"}
            )
    assert len(rig.state()["charges"]) == 1, "the second was a replay"

    with pytest.raises(stripe.InvalidRequestError):
        rig.client.v1.payment_intents.create(
            {"amount": -5, "currency": "eur"}, {"idempotency_key": "k2"}
        )
    rig.client.v1.payment_intents.create(
        {"amount": 500, "currency": "eur"}, {"idempotency_key": "k2"}
    )


def test_fifty_requests_with_one_key_make_one_intent(rig: Rig) -> None:
    barrier = threading.Barrier(50)

    def attempt(_number: int) -> int:
        barrier.wait()
        return int(
            rig.call(
                "POST",
                "/v1/payment_intents",
                b"amount=2500&currency=eur",
                **{"Authorization": "Bearer sk_test_x", "Idempotency-Key": "one"},
            )[0]
        )

    with ThreadPoolExecutor(50) as pool:
        answers = Counter(pool.map(attempt, range(50)))

    assert set(answers) <= {200, 409} and answers[200] >= 1
    assert len(rig.state()["payment_intents"]) == 1


def test_sixty_four_threads_cannot_pay_one_intent_twice(rig: Rig) -> None:
    intent = rig.intent()

    def attempt(_number: int) -> bool:
        try:
            rig.client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
        except stripe.InvalidRequestError as refused:
            assert refused.code == "payment_intent_unexpected_state"
            return False
        return True

    with ThreadPoolExecutor(64) as pool:
        won = list(pool.map(attempt, range(64)))

    assert won.count(True) == 1 and len(rig.state()["charges"]) == 1


# Refunds, disputes, customers, lists


def test_refunds_never_exceed_what_was_captured(rig: Rig, paid: stripe.PaymentIntent) -> None:
    def attempt(_number: int) -> int:
        try:
            return rig.client.v1.refunds.create({"payment_intent": paid.id, "amount": 600}).amount
        except stripe.InvalidRequestError as refused:
            assert "greater than unrefunded amount" in str(refused)
            return 0

    with ThreadPoolExecutor(16) as pool:
        refunded = sum(pool.map(attempt, range(16)))

    assert refunded == 2400
    rest = rig.client.v1.refunds.create(
        {"payment_intent": paid.id, "reason": "requested_by_customer"}
    )
    assert rest.amount == 100
    with pytest.raises(stripe.InvalidRequestError) as refused:
        rig.client.v1.refunds.create({"payment_intent": paid.id})
    assert refused.value.code == "charge_already_refunded"
    charge = rig.client.v1.charges.retrieve(str(paid.latest_charge), {"expand": ["refunds"]})
    assert charge.refunded and charge.amount_refunded == 2500
    assert charge.refunds is not None and len(charge.refunds.data) == 5
    kinds = Counter(rig.received(paid.id))
    assert kinds["charge.refunded"] == kinds["refund.created"] == kinds["refund.updated"] == 5


def test_nothing_paid_nothing_refunded(rig: Rig) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge"):
        rig.client.v1.refunds.create({"payment_intent": rig.intent().id})


def test_a_refund_may_fail_later(rig: Rig) -> None:
    rig.control(refund_after_s=0.1)
    intent = rig.pay(rig.intent(), "4000000000005126")
    refund = rig.client.v1.refunds.create({"payment_intent": intent.id})
    assert refund.status == "succeeded"

    _until(lambda: rig.client.v1.refunds.retrieve(refund.id).status == "failed")

    charge = rig.client.v1.charges.retrieve(str(intent.latest_charge))
    assert charge.amount_refunded == 0 and not charge.refunded
    assert rig.received(intent.id)[-1] == "refund.failed"


def test_a_card_is_disputed_after_it_paid(rig: Rig) -> None:
    rig.control(dispute_after_s=0.1)
    intent = rig.pay(rig.intent(), DISPUTED)

    _until(lambda: rig.client.v1.disputes.list({"payment_intent": intent.id}).data)

    dispute = rig.client.v1.disputes.list({"payment_intent": intent.id}).data[0]
    assert (dispute.status, dispute.reason, dispute.amount) == (
        "needs_response",
        "fraudulent",
        2500,
    )
    with pytest.raises(stripe.InvalidRequestError) as refused:
        rig.client.v1.refunds.create({"payment_intent": intent.id})
    assert refused.value.code == "charge_disputed"
    assert rig.client.v1.disputes.close(dispute.id).status == "lost"
    kinds = rig.received(intent.id)
    assert "charge.dispute.created" in kinds and kinds[-1] == "charge.dispute.closed"


def test_somebody_acts_in_the_dashboard(rig: Rig, paid: stripe.PaymentIntent) -> None:
    refund = rig.control("/refund", payment_intent=paid.id, amount=500)
    dispute = rig.control("/dispute", payment_intent=paid.id, reason="product_not_received")
    won = rig.control("/dispute", dispute=dispute["id"], status="won")

    assert (refund["amount"], dispute["amount"], won["status"]) == (500, 2000, "won")
    kinds = rig.received(paid.id)
    assert kinds[-2:] == ["charge.dispute.funds_reinstated", "charge.dispute.closed"]
    event = next(one for one in rig.receiver.events if one.type == "refund.created")
    assert event.request.id is None


def test_customers_are_kept(rig: Rig) -> None:
    customer = rig.client.v1.customers.create({"email": "ada@example.com", "name": "Ada"})
    intent = rig.intent(customer=customer.id)

    found = rig.client.v1.customers.list({"email": "ada@example.com"})

    assert [one.id for one in found.data] == [customer.id]
    assert rig.client.v1.payment_intents.list({"customer": customer.id}).data[0].id == intent.id


def test_events_are_listed_by_time_type_and_page(rig: Rig) -> None:
    began = int(time.time())
    intents = [rig.intent() for _number in range(5)]
    rig.pay(intents[0], WORKS)
    rig.received()

    created = rig.client.v1.events.list(
        {"types": ["payment_intent.created"], "created": {"gte": began}, "limit": 2}
    )

    assert created.has_more and len(created.data) == 2
    everything = [event.data.object["id"] for event in created.auto_paging_iter()]
    assert everything == [intent.id for intent in reversed(intents)]
    assert rig.client.v1.events.list({"created": {"gte": began + 60}}).data == []
    assert rig.client.v1.events.retrieve(created.data[0].id).pending_webhooks == 0


# Misbehaviour


def test_webhooks_are_sent_again_until_shop_takes_them(rig: Rig) -> None:
    rig.receiver.status = 503
    intent = rig.intent()
    _until(lambda: rig.state()["deliveries"][0]["attempts"] >= 2)
    assert rig.client.v1.events.list().data[0].pending_webhooks == 1

    rig.receiver.status = 200

    assert rig.received(intent.id) == ["payment_intent.created"]


def test_webhook_endpoint_gets_the_event_types_it_requested(tmp_path: Path) -> None:
    with running(tmp_path, "--webhook-events", "payment_intent.succeeded") as (rig, _process):
        rig.pay(rig.intent(), WORKS)
        assert rig.control("/flush") == {"done": True, "left": 0}

        assert [event.type for event in rig.receiver.events] == ["payment_intent.succeeded"]
        listed = [event.type for event in rig.client.v1.events.list().data]
        assert "payment_intent.created" in listed
        assert rig.control("/redeliver")["events"] == []


def test_dropped_events_can_be_listed_and_redelivered(rig: Rig) -> None:
    rig.control(drop=1)
    intent = rig.pay(rig.intent(), WORKS)

    assert rig.received() == []
    assert len(rig.client.v1.events.list().data) == 4
    assert len(rig.control("/redeliver")["events"]) == 4
    assert len(rig.received(intent.id)) == 4


def test_share_is_dropped_same_way_for_same_seed(rig: Rig) -> None:
    runs = []
    for _run in range(2):
        rig.fresh()
        rig.control(drop=0.4, seed=7)
        for _number in range(20):
            rig.intent()
        rig.received()
        runs.append([row["state"] for row in rig.state()["deliveries"]])

    assert runs[0] == runs[1] and 0 < runs[0].count("dropped") < 20


def test_every_event_arrives_five_times(rig: Rig) -> None:
    rig.control(duplicate=5)
    intent = rig.pay(rig.intent(), WORKS)

    assert set(Counter(rig.received(intent.id)).values()) == {5}
    ids = Counter(event.id for event in rig.receiver.events)
    assert len(ids) == 4 and set(ids.values()) == {5}


def test_shuffled_events_all_arrive_out_of_order(rig: Rig) -> None:
    rig.control(shuffle=True, delay_s=[0, 0.3], seed=3)
    intents = [rig.pay(rig.intent(), WORKS) for _number in range(8)]
    right = [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "charge.updated",
    ]

    orders = [rig.received(intent.id) for intent in intents]

    assert all(sorted(order) == sorted(right) for order in orders)
    assert any(order != right for order in orders)


def test_delayed_events_keep_their_order(rig: Rig) -> None:
    rig.control(delay_s=[0, 0.4])
    intents = [rig.pay(rig.intent(), WORKS) for _number in range(6)]

    for intent in intents:
        assert rig.received(intent.id) == [
            "payment_intent.created",
            "charge.succeeded",
            "payment_intent.succeeded",
            "charge.updated",
        ]


def test_webhooks_can_be_switched_off(rig: Rig) -> None:
    rig.control(webhooks=False)
    rig.intent()

    assert rig.received() == []


def test_a_lost_answer_was_nevertheless_done(rig: Rig) -> None:
    rig.control(lose_response=1)
    params: Any = {"amount": 2500, "currency": "eur"}

    with pytest.raises(stripe.APIConnectionError):
        rig.client.v1.payment_intents.create(params, {"idempotency_key": "lost"})
    rig.control(lose_response=0)
    found = rig.client.v1.payment_intents.create(params, {"idempotency_key": "lost"})

    assert [intent["id"] for intent in rig.state()["payment_intents"]] == [found.id]


def test_outage_does_nothing_and_sdk_may_retry(rig: Rig) -> None:
    rig.control(error_rate=0.5, seed=1)
    client = stripe.StripeClient(
        "sk_test_x", base_addresses={"api": rig.url}, max_network_retries=0
    )

    made = failed = 0
    for _number in range(30):
        try:
            client.v1.payment_intents.create({"amount": 2500, "currency": "eur"})
            made += 1
        except (stripe.APIError, stripe.RateLimitError):
            failed += 1

    rig.control(reset=True)
    assert made and failed and len(rig.state()["payment_intents"]) == made


def test_latency_delays_the_api_only(rig: Rig) -> None:
    rig.control(latency_s=0.4)
    began = time.monotonic()
    rig.intent()
    assert time.monotonic() - began >= 0.4


def test_a_slow_bank_leaves_the_payment_processing(rig: Rig) -> None:
    rig.control(processing_s=0.3)
    intent = rig.pay(rig.intent(), WORKS)
    assert intent.status == "processing"

    _until(lambda: rig.client.v1.payment_intents.retrieve(intent.id).status == "succeeded")

    assert rig.received(intent.id)[1] == "payment_intent.processing"


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("", b'{"drop": 2}', "drop must be a number from 0 to 1"),
        ("", b'{"drop": NaN}', "drop must be a number"),
        ("", b'{"duplicate": true}', "duplicate must be a whole number"),
        ("", b'{"delay_s": [3, 0]}', "smaller number first"),
        ("", b'{"delay": 1}', "no setting 'delay'"),
        ("", b"[1]", "must be a JSON object"),
        ("", b'{"drop"', "not JSON"),
        ("/refund", b'{"payment_intent": "pi_none"}', "No such payment_intent"),
        ("/dispute", b"{}", "Name a payment_intent or a charge"),
        ("/redeliver", b'{"event": "evt_none"}', "no event evt_none"),
        ("/flush", b'{"timeout_s": "soon"}', "timeout_s must be seconds"),
    ],
)
def test_bad_control_input_is_refused_in_words(
    rig: Rig, path: str, body: bytes, words: str
) -> None:
    status, answer = rig.call("POST", f"/_control{path}", body)

    assert status in (400, 404) and words in answer["error"]
    assert rig.call("GET", "/_control")[1]["drop"] == 0


def test_other_sites_may_not_steer_it(rig: Rig) -> None:
    status, _answer = rig.call("POST", "/_control", b'{"drop": 1}', Origin="http://evil.test")

    assert status == 403


@pytest.mark.parametrize(
    "body", [b"\xff\xfe", b"a[b=1&a=2&a[c]=3", b"amount[x]=1&currency=eur", b"a" * 1_500_000]
)
def test_garbage_is_refused_not_crashed_on(rig: Rig, body: bytes) -> None:
    status, _answer = rig.call(
        "POST", "/v1/payment_intents", body, Authorization="Bearer sk_test_x"
    )

    assert status in (400, 413)


# The process


def test_killed_stand_in_comes_back_with_its_payments(tmp_path: Path) -> None:
    state = tmp_path / "stripe.json"
    params: Any = {"amount": 2500, "currency": "eur"}
    with running(tmp_path, state=state) as (rig, process):
        first = rig.client.v1.payment_intents.create(params, {"idempotency_key": "k"})
        paid = rig.pay(rig.intent(), WORKS)
        rig.receiver.status = 500
        waiting = rig.intent()
        process.kill()
        process.wait()
    with state.open("ab") as file:
        file.write(b'\n[["payment_intent","pi_cut",{"id":')

    with running(tmp_path, state=state, receiver=Receiver()) as (rig, _process):
        again = rig.client.v1.payment_intents.create(params, {"idempotency_key": "k"})
        assert again.id == first.id
        assert rig.client.v1.payment_intents.retrieve(paid.id).status == "succeeded"
        assert rig.received(waiting.id) == ["payment_intent.created"]


def test_no_card_number_is_logged_or_kept(tmp_path: Path) -> None:
    state = tmp_path / "stripe.json"
    with running(tmp_path, state=state) as (rig, _process):
        rig.pay(rig.intent(), WORKS)
        with pytest.raises(stripe.CardError):
            rig.pay(rig.intent(), "4111111111111111")

    log = rig.log.read_text()
    assert '"status": 402' in log
    for number in (WORKS, "4111111111111111"):
        assert number not in log and number not in state.read_text()


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (["--port", "1"], {"SHOP_ENV": "production"}, "does not run when SHOP_ENV=production"),
        (["--port", "0", "--webhook-url", "shop"], {}, "--webhook-url must be"),
        (["--port", "0", "--webhook-url", "http://x/y"], {}, "--webhook-secret must be"),
        (["--port", "0", "--state", "/proc/nowhere/x"], {}, "cannot be used"),
        (["--port", "0", "--state", __file__], {}, "it holds something else"),
        (["--port", "70000"], {}, "Cannot listen"),
    ],
)
def test_it_refuses_to_start_with_a_sentence(
    arguments: list[str], environment: dict[str, str], words: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.stripe", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "SHOP_ENV": "test", **environment},
    )

    assert done.returncode == 2
    assert words in done.stderr and "Traceback" not in done.stderr


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any) -> None:
        return None


def _press(page: str, button: str) -> str:
    """Answer the 3-D Secure page; where it sends the browser."""
    try:
        build_opener(_Stay).open(Request(page, data=f"answer={button}".encode()), timeout=10)
    except HTTPError as redirect:
        return str(redirect.headers["Location"])
    raise AssertionError("the page did not redirect")


def _until(holds: Any, timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
