"""Disputes, fraud warnings, reviews and payouts, and what they do to the balance."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import stripe

from tests.tools.stripe_rig import Rig, balance_of, running
from tools.stripe.disputes import DISPUTE_REASONS, DisputeStatus

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
def paid(rig: Rig) -> stripe.PaymentIntent:
    return rig.pay(rig.intent(), WORKS)


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
    assert balance_of(rig, paid) == (1500 if first in taking else 2500)

    moved = rig.control("/dispute", dispute=dispute["id"], status=last)

    assert moved["status"] == last
    assert balance_of(rig, paid) == (1500 if last in taking else 2500)
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
    assert balance_of(rig, paid) == 0

    rig.control("/dispute", dispute=first["id"], status="won")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        rig.client.v1.refunds.create({"payment_intent": paid.id, "amount": 100})
    assert refused.value.code == "charge_disputed"
    rig.control("/dispute", dispute=second["id"], status="won")

    assert balance_of(rig, paid) == 2500
    assert rig.client.v1.refunds.create({"payment_intent": paid.id}).amount == 2500


def test_lost_money_is_never_refunded(rig: Rig, paid: stripe.PaymentIntent) -> None:
    rig.control("/dispute", payment_intent=paid.id, amount=1000, status="lost")

    with pytest.raises(stripe.InvalidRequestError) as refused:
        rig.client.v1.refunds.create({"payment_intent": paid.id, "amount": 100})

    assert refused.value.code == "charge_disputed" and balance_of(rig, paid) == 1500


def test_dispute_may_exceed_what_is_left(rig: Rig, paid: stripe.PaymentIntent) -> None:
    rig.client.v1.refunds.create({"payment_intent": paid.id, "amount": 500})
    dispute = rig.control("/dispute", payment_intent=paid.id, amount=2500)
    assert balance_of(rig, paid) == -500

    partially_won = rig.control("/dispute", dispute=dispute["id"], status="lost", withdrawn=2000)

    assert (partially_won["status"], partially_won["amount"]) == ("lost", 2500)
    amounts = [one["amount"] for one in partially_won["balance_transactions"]]
    assert amounts == [-2500, 500] and balance_of(rig, paid) == 0
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
    assert movement["exchange_rate"] == 0.8 and balance_of(rig, paid) == 180


def test_dispute_amount_may_change(rig: Rig, paid: stripe.PaymentIntent) -> None:
    inquiry = rig.control(
        "/dispute", payment_intent=paid.id, amount=2500, status="warning_needs_response"
    )
    refund = rig.client.v1.refunds.create({"payment_intent": paid.id, "amount": 500})
    assert refund.status == "succeeded", "an inquiry leaves the charge refundable"

    moved = rig.control("/dispute", dispute=inquiry["id"], status="needs_response", withdrawn=2000)

    assert moved["amount"] == 2000 and balance_of(rig, paid) == 0


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


def _source(name: str) -> list[str]:
    return (Path(stripe.__file__).parent / name).read_text().splitlines()


def test_payouts_are_listed_by_status_and_time(rig: Rig) -> None:
    failed = [rig.control("/payout", amount=5000 + step)["id"] for step in range(3)]
    paid_out = rig.control("/payout", status="paid")["id"]
    since: Any = {"created": {"gte": int(time.time()) - 60}, "status": "failed", "limit": 2}
    back: Any = {"expand": ["data.failure_balance_transaction"]}

    found = list(rig.client.v1.payouts.list(since | back).auto_paging_iter())

    assert [one.id for one in found] == failed[::-1]
    first: Any = found[0].failure_balance_transaction
    assert first.amount == 5002 and first.source == found[0].id
    listed = rig.client.v1.payouts.list({"status": "paid"}).data
    assert [one.id for one in listed] == [paid_out]
    later: Any = {"created": {"gte": int(time.time()) + 60}}
    assert rig.client.v1.payouts.list(later).data == []


def test_warnings_and_reviews_are_listed_by_time(rig: Rig, paid: stripe.PaymentIntent) -> None:
    warnings = [rig.control("/fraud_warning", payment_intent=paid.id)["id"] for _ in range(3)]
    review = rig.control("/review", payment_intent=paid.id)["id"]
    since: Any = {"created": {"gte": int(time.time()) - 60}, "limit": 2}
    later: Any = {"created": {"gte": int(time.time()) + 60}}
    radar = rig.client.v1.radar.early_fraud_warnings

    assert [one.id for one in radar.list(since).auto_paging_iter()] == warnings[::-1]
    assert [one.id for one in rig.client.v1.reviews.list(since).data] == [review]
    assert radar.list(later).data == [] and rig.client.v1.reviews.list(later).data == []
