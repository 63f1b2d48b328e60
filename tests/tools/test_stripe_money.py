"""Where money is at Stripe: authorisations, amounts, refunds, and the balance."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from tests.tools.stripe_rig import Rig, balance_of, running

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


@pytest.fixture
def paid(rig: Rig) -> stripe.PaymentIntent:
    return rig.pay(rig.intent(), WORKS)


def _charge(rig: Rig, intent: stripe.PaymentIntent) -> stripe.Charge:
    return rig.client.v1.charges.retrieve(str(intent.latest_charge))


# Authorisations


def test_partial_capture_makes_no_refund(rig: Rig, authorised: stripe.PaymentIntent) -> None:
    rig.client.v1.payment_intents.capture(authorised.id, {"amount_to_capture": 2000})

    charge = _charge(rig, authorised)
    assert (charge.amount, charge.amount_captured, charge.amount_refunded) == (2500, 2000, 0)
    assert not charge.refunded and rig.state()["refunds"] == []
    assert balance_of(rig, authorised) == 2000
    kinds = rig.received(authorised.id)
    assert "charge.captured" in kinds and "charge.refunded" not in kinds
    rig.client.v1.refunds.create({"payment_intent": authorised.id})
    assert _charge(rig, authorised).refunded and balance_of(rig, authorised) == 0


def test_void_makes_no_refund(rig: Rig, authorised: stripe.PaymentIntent) -> None:
    rig.client.v1.payment_intents.cancel(authorised.id)

    charge = _charge(rig, authorised)
    assert (charge.captured, charge.amount_captured, charge.amount_refunded) == (False, 0, 0)
    assert not charge.refunded and rig.state()["refunds"] == []
    assert "charge.refunded" not in rig.received(authorised.id) and balance_of(rig, authorised) == 0
    with pytest.raises(stripe.InvalidRequestError) as refused:
        rig.client.v1.refunds.create({"payment_intent": authorised.id})
    assert refused.value.code == "charge_not_refundable"


@pytest.mark.parametrize("by_itself", [True, False])
def test_authorisation_expires(rig: Rig, by_itself: bool) -> None:
    rig.control(authorisation_s=0.3 if by_itself else 3 * 86_400)
    authorised = rig.pay(rig.intent(capture_method="manual"), WORKS)
    details: Any = _charge(rig, authorised).payment_method_details
    assert details.card.capture_before - authorised.created <= 3 * 86_400 + 1
    if not by_itself:
        rig.control("/payment", payment_intent=authorised.id, outcome="expire")

    ended = _until(rig, authorised.id, "canceled")

    assert ended.cancellation_reason == "expired" and ended.amount_capturable == 0
    assert rig.received(authorised.id)[-2:] == ["charge.expired", "payment_intent.canceled"]
    with pytest.raises(stripe.InvalidRequestError):
        rig.client.v1.payment_intents.capture(authorised.id)


# Amounts and versions


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        (17_499, "huf", "amount_too_small"),
        (999, "thb", "amount_too_small"),
        (49, "jpy", "amount_too_small"),
        (100_000_000, "eur", "amount_too_large"),
        (1_250, "isk", "parameter_invalid_integer"),
        (12_345, "kwd", "parameter_invalid_integer"),
    ],
)
def test_amounts_are_refused_by_currency(rig: Rig, amount: int, currency: str, code: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        rig.intent(amount, currency=currency)

    assert (refused.value.code, refused.value.param) == (code, "amount")


@pytest.mark.parametrize(
    ("amount", "currency"),
    [(17_500, "huf"), (1000, "thb"), (50, "jpy"), (1_000_000_000, "idr"), (12_340, "kwd")],
)
def test_amounts_are_taken_by_currency(rig: Rig, amount: int, currency: str) -> None:
    assert rig.intent(amount, currency=currency).amount == amount


def test_ideal_takes_the_smallest_amounts(rig: Rig) -> None:
    assert rig.intent(1, allowed_payment_method_types=["ideal"]).amount == 1


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("2031-01-01.zebra", "Invalid Stripe API version: 2031-01-01.zebra"),
        ("yesterday", "Invalid Stripe API version"),
        ("2025-03-31.basil", "speaks Stripe API version"),
        ("2020-08-27", "speaks Stripe API version"),
    ],
)
def test_other_api_versions_are_refused(rig: Rig, version: str, words: str) -> None:
    client = stripe.StripeClient(
        "sk_test_rig", base_addresses={"api": rig.url}, stripe_version=version
    )

    with pytest.raises(stripe.InvalidRequestError, match=words) as refused:
        client.v1.payment_intents.list()

    assert refused.value.http_status == 400


# Refunds


@pytest.mark.parametrize("first", ["pending", "requires_action", "succeeded"])
@pytest.mark.parametrize("last", ["failed", "canceled"])
def test_refund_ends_in_every_status(
    rig: Rig, paid: stripe.PaymentIntent, first: str, last: str
) -> None:
    body: Any = {"payment_intent": paid.id, "amount": 700, "status": first}
    refund = rig.control("/refund", **body, instructions_email="ada@example.com")
    assert refund["status"] == first and balance_of(rig, paid) == 1800
    assert _charge(rig, paid).amount_refunded == 700

    ended = rig.control("/refund", refund=refund["id"], status=last)

    assert ended["status"] == last and ended["failure_balance_transaction"]
    assert _charge(rig, paid).amount_refunded == 0 and balance_of(rig, paid) == 2500
    assert ("refund.failed" in rig.received(paid.id)) is (last == "failed")
    again = rig.control("/refund", refund=refund["id"], status="succeeded")
    assert "This refund is over" in again["error"]


def test_refund_waits_for_thebalance_of(rig: Rig, paid: stripe.PaymentIntent) -> None:
    refund = rig.control(
        "/refund", payment_intent=paid.id, status="pending", pending_reason="insufficient_funds"
    )
    assert refund["balance_transaction"] is None and balance_of(rig, paid) == 2500

    rig.control("/refund", refund=refund["id"], status="succeeded")

    found = rig.client.v1.refunds.retrieve(refund["id"])
    assert found.status == "succeeded" and found.pending_reason is None
    assert balance_of(rig, paid) == 0


def test_voucher_refund_asks_the_buyer(rig: Rig) -> None:
    intent = rig.intent(allowed_payment_method_types=["konbini"], currency="jpy")
    billing = {"name": "Ada", "email": "ada@example.com"}
    method: Any = {"type": "konbini", "billing_details": billing}
    rig.client.v1.payment_intents.confirm(intent.id, {"payment_method_data": method})
    rig.control("/payment", payment_intent=intent.id)

    refund = rig.client.v1.refunds.create({"payment_intent": intent.id})

    assert refund.id.startswith("pyr_") and refund.status == "requires_action"
    assert refund.next_action is not None and refund.next_action.display_details is not None
    assert refund.next_action.display_details.email_sent.email_sent_to == "ada@example.com"
    assert rig.client.v1.refunds.cancel(refund.id).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError, match="cannot be canceled"):
        rig.client.v1.refunds.cancel(refund.id)


def test_deleted_customer_is_still_found_deleted(rig: Rig) -> None:
    customer = rig.client.v1.customers.create({"email": "ada@example.com"})

    assert rig.client.v1.customers.delete(customer.id).deleted

    assert rig.client.v1.customers.retrieve(customer.id).deleted
    assert rig.client.v1.customers.list().data == []
    with pytest.raises(stripe.InvalidRequestError):
        rig.client.v1.customers.update(customer.id, {"name": "Ada"})


def _until(rig: Rig, intent_id: str, status: str) -> stripe.PaymentIntent:
    deadline = time.monotonic() + 10
    while (intent := rig.client.v1.payment_intents.retrieve(intent_id)).status != status:
        assert time.monotonic() < deadline, f"it is still {intent.status}"
        time.sleep(0.05)
    return intent
