"""Where money is at Stripe: authorisations, refunds, disputes, warnings, and the balance."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import stripe

from shop.dev.stripe.disputes import DISPUTE_REASONS, DisputeStatus
from tests.dev.stripe_rig import Rig, running

WORKS = "4242424242424242"
STATUSES = [one.value for one in DisputeStatus]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running(tmp_path_factory.mktemp("stripe")) as (rig, _process):
        yield rig


@pytest.fixture
def rig(server: Rig) -> Rig:
    server.fresh()
    return server


@pytest.fixture
def held(rig: Rig) -> stripe.PaymentIntent:
    return rig.pay(rig.intent(capture_method="manual"), WORKS)


@pytest.fixture
def paid(rig: Rig) -> stripe.PaymentIntent:
    return rig.pay(rig.intent(), WORKS)


def _charge(rig: Rig, intent: stripe.PaymentIntent) -> stripe.Charge:
    return rig.client.v1.charges.retrieve(str(intent.latest_charge))


def _balance(rig: Rig, intent: stripe.PaymentIntent) -> int:
    """What Stripe's balance holds of a payment, without fees, in minor units."""
    sources = {str(intent.latest_charge)}
    for kind in ("refunds", "disputes"):
        found = getattr(rig.client.v1, kind).list({"payment_intent": intent.id, "limit": 100})
        sources |= {one.id for one in found.data}
    movements = rig.client.v1.balance_transactions.list({"limit": 100}).auto_paging_iter()
    return sum(one.amount for one in movements if one.source in sources)


# Authorisations


def test_partial_capture_makes_no_refund(rig: Rig, held: stripe.PaymentIntent) -> None:
    rig.client.v1.payment_intents.capture(held.id, {"amount_to_capture": 2000})

    charge = _charge(rig, held)
    assert (charge.amount, charge.amount_captured, charge.amount_refunded) == (2500, 2000, 0)
    assert not charge.refunded and rig.state()["refunds"] == []
    assert _balance(rig, held) == 2000
    kinds = rig.received(held.id)
    assert "charge.captured" in kinds and "charge.refunded" not in kinds
    rig.client.v1.refunds.create({"payment_intent": held.id})
    assert _charge(rig, held).refunded and _balance(rig, held) == 0


def test_void_makes_no_refund(rig: Rig, held: stripe.PaymentIntent) -> None:
    rig.client.v1.payment_intents.cancel(held.id)

    charge = _charge(rig, held)
    assert (charge.captured, charge.amount_captured, charge.amount_refunded) == (False, 0, 0)
    assert not charge.refunded and rig.state()["refunds"] == []
    assert "charge.refunded" not in rig.received(held.id) and _balance(rig, held) == 0
    with pytest.raises(stripe.InvalidRequestError) as refused:
        rig.client.v1.refunds.create({"payment_intent": held.id})
    assert refused.value.code == "charge_not_refundable"


@pytest.mark.parametrize("by_itself", [True, False])
def test_authorisation_expires(rig: Rig, by_itself: bool) -> None:
    rig.control(authorisation_s=0.3 if by_itself else 3 * 86_400)
    held = rig.pay(rig.intent(capture_method="manual"), WORKS)
    details: Any = _charge(rig, held).payment_method_details
    assert details.card.capture_before - held.created <= 3 * 86_400 + 1
    if not by_itself:
        rig.control("/payment", payment_intent=held.id, outcome="expire")

    ended = _until(rig, held.id, "canceled")

    assert ended.cancellation_reason == "expired" and ended.amount_capturable == 0
    assert rig.received(held.id)[-2:] == ["charge.expired", "payment_intent.canceled"]
    with pytest.raises(stripe.InvalidRequestError):
        rig.client.v1.payment_intents.capture(held.id)


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
    assert refund["status"] == first and _balance(rig, paid) == 1800
    assert _charge(rig, paid).amount_refunded == 700

    ended = rig.control("/refund", refund=refund["id"], status=last)

    assert ended["status"] == last and ended["failure_balance_transaction"]
    assert _charge(rig, paid).amount_refunded == 0 and _balance(rig, paid) == 2500
    assert ("refund.failed" in rig.received(paid.id)) is (last == "failed")
    again = rig.control("/refund", refund=refund["id"], status="succeeded")
    assert "This refund is over" in again["error"]


def test_refund_waits_for_the_balance(rig: Rig, paid: stripe.PaymentIntent) -> None:
    refund = rig.control(
        "/refund", payment_intent=paid.id, status="pending", pending_reason="insufficient_funds"
    )
    assert refund["balance_transaction"] is None and _balance(rig, paid) == 2500

    rig.control("/refund", refund=refund["id"], status="succeeded")

    found = rig.client.v1.refunds.retrieve(refund["id"])
    assert found.status == "succeeded" and found.pending_reason is None
    assert _balance(rig, paid) == 0


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


# Disputes


def test_every_dispute_status_of_the_sdk_is_known() -> None:
    (statuses, _any) = get_args(stripe.Dispute.__annotations__["status"])
    (reasons_doc,) = [line for line in _source("_dispute.py") if "Possible values are" in line]

    assert sorted(STATUSES) == sorted(get_args(statuses))
    assert all(f"`{reason}`" in reasons_doc for reason in DISPUTE_REASONS)


@pytest.mark.parametrize("first", STATUSES)
@pytest.mark.parametrize("last", STATUSES)
def test_dispute_moves_money_in_any_order(
    rig: Rig, paid: stripe.PaymentIntent, first: str, last: str
) -> None:
    taking = {"needs_response", "under_review", "lost", "appeal_needs_response"}
    taking |= {"appeal_under_review"}
    dispute = rig.control("/dispute", payment_intent=paid.id, amount=1000, status=first)
    assert _balance(rig, paid) == (1500 if first in taking else 2500)

    moved = rig.control("/dispute", dispute=dispute["id"], status=last)

    assert moved["status"] == last
    assert _balance(rig, paid) == (1500 if last in taking else 2500)
    net = sum(one["amount"] for one in moved["balance_transactions"])
    assert net == (-1000 if last in taking else 0)
    fees = sum(one["fee"] for one in moved["balance_transactions"])
    assert fees == (1500 if last in taking else 0), "what is won returns its fee"
    assert moved["is_charge_refundable"] is last.startswith(("warning_needs", "warning_under"))
    kinds = rig.received(paid.id)
    withdrawn = kinds.count("charge.dispute.funds_withdrawn")
    reinstated = kinds.count("charge.dispute.funds_reinstated")
    assert withdrawn - reinstated == int(last in taking)


def test_fee_of_a_won_dispute_may_stay(rig: Rig, paid: stripe.PaymentIntent) -> None:
    rig.control(dispute_fee_returned=False)
    dispute = rig.control("/dispute", payment_intent=paid.id)

    won = rig.control("/dispute", dispute=dispute["id"], status="won")

    assert [one["fee"] for one in won["balance_transactions"]] == [1500, 0]


def test_several_disputes_share_one_charge(rig: Rig, paid: stripe.PaymentIntent) -> None:
    first = rig.control("/dispute", payment_intent=paid.id, amount=1000)
    second = rig.control("/dispute", payment_intent=paid.id, amount=1500)
    assert "must be from 1 to 0" in rig.control("/dispute", payment_intent=paid.id)["error"]
    assert _balance(rig, paid) == 0

    rig.control("/dispute", dispute=first["id"], status="won")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        rig.client.v1.refunds.create({"payment_intent": paid.id, "amount": 100})
    assert refused.value.code == "charge_disputed"
    rig.control("/dispute", dispute=second["id"], status="won")

    assert _balance(rig, paid) == 2500
    assert rig.client.v1.refunds.create({"payment_intent": paid.id}).amount == 2500


def test_lost_money_is_never_refunded(rig: Rig, paid: stripe.PaymentIntent) -> None:
    rig.control("/dispute", payment_intent=paid.id, amount=1000, status="lost")

    with pytest.raises(stripe.InvalidRequestError) as refused:
        rig.client.v1.refunds.create({"payment_intent": paid.id, "amount": 100})

    assert refused.value.code == "charge_disputed" and _balance(rig, paid) == 1500


def test_dispute_may_exceed_what_is_left(rig: Rig, paid: stripe.PaymentIntent) -> None:
    rig.client.v1.refunds.create({"payment_intent": paid.id, "amount": 500})
    dispute = rig.control("/dispute", payment_intent=paid.id, amount=2500)
    assert _balance(rig, paid) == -500

    partially_won = rig.control("/dispute", dispute=dispute["id"], status="lost", withdrawn=2000)

    assert (partially_won["status"], partially_won["amount"]) == ("lost", 2500)
    amounts = [one["amount"] for one in partially_won["balance_transactions"]]
    assert amounts == [-2500, 500] and _balance(rig, paid) == 0
    assert "charge.dispute.funds_reinstated" in rig.received(paid.id)


def test_dispute_may_have_another_currency(rig: Rig, paid: stripe.PaymentIntent) -> None:
    dispute = rig.control(
        "/dispute", payment_intent=paid.id, amount=2900, currency="usd", withdrawn=2610
    )
    assert "must be from 1 to 2500" in dispute["error"]

    dispute = rig.control(
        "/dispute", payment_intent=paid.id, amount=2900, currency="usd", withdrawn=2320
    )

    assert (dispute["amount"], dispute["currency"]) == (2900, "usd")
    (movement,) = dispute["balance_transactions"]
    assert (movement["amount"], movement["currency"]) == (-2320, "eur")
    assert movement["exchange_rate"] == 0.8 and _balance(rig, paid) == 180


def test_dispute_amount_may_change(rig: Rig, paid: stripe.PaymentIntent) -> None:
    inquiry = rig.control(
        "/dispute", payment_intent=paid.id, amount=2500, status="warning_needs_response"
    )
    refund = rig.client.v1.refunds.create({"payment_intent": paid.id, "amount": 500})
    assert refund.status == "succeeded", "an inquiry leaves the charge refundable"

    moved = rig.control("/dispute", dispute=inquiry["id"], status="needs_response", withdrawn=2000)

    assert moved["amount"] == 2000 and _balance(rig, paid) == 0


def test_debit_dispute_is_lost_at_once(rig: Rig) -> None:
    rig.control(settle_s=0, dispute_after_s=0)
    intent = rig.intent(allowed_payment_method_types=["sepa_debit"])
    rig.client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_sepaDebit_disputed_de"})

    deadline = time.monotonic() + 10
    while not (disputes := rig.client.v1.disputes.list({"payment_intent": intent.id}).data):
        assert time.monotonic() < deadline
        time.sleep(0.05)

    assert (disputes[0].status, disputes[0].reason) == ("lost", "debit_not_authorized")


# Warnings, reviews, payouts


def test_early_fraud_warning_is_sent(rig: Rig, paid: stripe.PaymentIntent) -> None:
    made = rig.control("/fraud_warning", payment_intent=paid.id, fraud_type="misc")

    (warning,) = rig.client.v1.radar.early_fraud_warnings.list({"charge": made["charge"]}).data
    assert warning.id == made["id"] and warning.actionable
    assert rig.received(paid.id)[-1] == "radar.early_fraud_warning.created"


def test_review_opens_and_closes(rig: Rig, paid: stripe.PaymentIntent) -> None:
    made = rig.control("/review", payment_intent=paid.id)
    assert rig.client.v1.payment_intents.retrieve(paid.id).review == made["id"]
    assert [one.id for one in rig.client.v1.reviews.list().data] == [made["id"]]

    closed = rig.client.v1.reviews.approve(made["id"])

    assert not closed.open and closed.closed_reason == "approved"
    assert rig.client.v1.reviews.list().data == []
    assert rig.received(paid.id)[-2:] == ["review.opened", "review.closed"]
    again = rig.control("/review", review=made["id"], closed_reason="refunded_as_fraud")
    assert "closed already" in again["error"]


@pytest.mark.parametrize(
    ("act", "reason"), [("refund", "refunded"), ("dispute", "disputed"), ("cancel", "canceled")]
)
def test_review_and_warning_end_with_payment(rig: Rig, act: str, reason: str) -> None:
    capture = "manual" if act == "cancel" else "automatic"
    intent = rig.pay(rig.intent(capture_method=capture), WORKS)
    review = rig.control("/review", payment_intent=intent.id)
    warning = rig.control("/fraud_warning", payment_intent=intent.id)

    if act == "cancel":
        assert rig.client.v1.payment_intents.cancel(intent.id).review is None
    else:
        rig.control(f"/{act}", payment_intent=intent.id)

    closed = rig.client.v1.reviews.retrieve(review["id"])
    assert (closed.open, closed.closed_reason) == (False, reason)
    found = rig.client.v1.radar.early_fraud_warnings.retrieve(warning["id"])
    assert found.actionable is (act == "cancel")
    updated = "radar.early_fraud_warning.updated" in rig.received(intent.id)
    assert updated is (act != "cancel")


@pytest.mark.parametrize("later", [True, False])
def test_payout_fails(rig: Rig, later: bool) -> None:
    if later:
        paid_out = rig.control("/payout", amount=5000, status="paid")
        failed = rig.control("/payout", payout=paid_out["id"], failure_code="account_closed")
    else:
        failed = rig.control("/payout", amount=5000, failure_code="account_closed")

    found = rig.client.v1.payouts.retrieve(failed["id"])
    assert (found.status, found.failure_code) == ("failed", "account_closed")
    assert rig.received(found.id)[-1] == "payout.failed"
    movements = rig.client.v1.balance_transactions.list({"source": found.id}).data
    assert sum(one.amount for one in movements) == 0


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


def _source(name: str) -> list[str]:
    return (Path(stripe.__file__).parent / name).read_text().splitlines()
