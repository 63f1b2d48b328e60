"""Disputes: seen, reported to staff, and what they do to the money until they are decided."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from shop import doctor, orders, payments
from shop.core import clock
from shop.core.db import session, transaction
from shop.core.errors import Invalid, WrongState
from shop.payments import disputes, refund_news, refunds, syncing
from shop.payments.models import CLOSED_DISPUTES, Dispute, DisputeStatus, PaymentEvent, Task
from shop.payments.stripe_objects import Charge
from shop.payments.unapplied import CannotApply
from tests import cast as people
from tests.cast import Cast


def hear(payment: payments.Payment, status: str, *facts: people.Moved, **changes: Any) -> str:
    with transaction():
        return disputes.apply_dispute(
            payment.id, people.dispute(payment, status, *facts, **changes)
        )


def books(order: orders.Order) -> tuple[int, int, int]:
    """What is disputed, what is lost, what the fees are."""
    balance = payments.balance_of(order.id, "EUR")
    return balance.disputed_minor, balance.lost_minor, balance.fees_minor


def paid(cast: Cast) -> tuple[orders.Order, payments.Payment]:
    (payment,) = payments.of_order(cast.paid_order.id)
    return cast.paid_order, payment


def task() -> Task:
    return session.scalars(select(Task)).one()


def test_open_dispute_asks_for_evidence_and_blocks_refunds(cast: Cast) -> None:
    order, payment = paid(cast)

    hear(payment, "needs_response")

    now = orders.by_id(order.id)
    assert (now.status, now.payment_status) == ("confirmed", "disputed")
    assert "disputes" in task().sentence
    assert "Answer at Stripe by" in task().sentence
    with pytest.raises(WrongState, match="Stripe refuses refunds"), transaction():
        payments.request_refund(
            orders.lock(order.id), payments.Wanted(amount_minor=1), reason="goodwill"
        )


def test_won_dispute_leaves_the_order_as_it_was(cast: Cast) -> None:
    order, payment = paid(cast)
    hear(payment, "needs_response")

    hear(payment, "under_review")
    hear(payment, "won")

    assert orders.by_id(order.id).payment_status == "paid"
    assert task().closed_at is not None


def test_a_dispute_that_is_lost_takes_the_money(cast: Cast) -> None:
    order, payment = paid(cast)

    hear(payment, "lost")

    assert orders.by_id(order.id).payment_status == "refunded"
    kinds = session.scalars(select(PaymentEvent.kind).order_by(PaymentEvent.id)).all()
    assert kinds == ["captured", "dispute_withdrawn", "fee"]
    assert books(order) == (0, payment.amount_minor, 1500)


def test_an_answer_asked_for_earlier_changes_no_status(cast: Cast) -> None:
    order, payment = paid(cast)
    earlier = clock.now() - timedelta(seconds=1)
    hear(payment, "won")

    assert hear(payment, "needs_response", asked_at=earlier) == "won"

    assert orders.by_id(order.id).payment_status == "paid"


def test_inquiry_moves_no_money_and_allows_refund(cast: Cast) -> None:
    order, payment = paid(cast)

    hear(payment, "warning_needs_response")

    assert orders.by_id(order.id).payment_status == "paid"
    assert "asks about" in task().sentence
    with transaction():
        payments.request_refund(
            orders.lock(order.id), payments.Wanted(amount_minor=100), reason="goodwill"
        )
    hear(payment, "warning_closed")
    assert task().closed_at is not None


@pytest.mark.parametrize("meanwhile", ["closed by staff", "warning_closed"])
def test_inquiry_that_becomes_dispute_is_asked_about_again(cast: Cast, meanwhile: str) -> None:
    _, payment = paid(cast)
    hear(payment, "warning_needs_response")
    if meanwhile == "closed by staff":
        with transaction():
            payments.close_task(task().id)
    else:
        hear(payment, meanwhile)

    hear(payment, "needs_response")

    session.expire_all()
    assert (task().closed_at, task().closed_by) == (None, "")
    assert "disputes" in task().sentence
    assert [one.stripe_id for one in payments.open_disputes()] == ["du_1"]


def test_who_has_answered_is_not_asked_again(cast: Cast) -> None:
    _, payment = paid(cast)
    hear(payment, "needs_response")
    with transaction():
        payments.close_task(task().id)

    hear(payment, "needs_response")
    hear(payment, "under_review")

    assert task().closed_at is not None


def test_the_same_news_five_times_counts_once(cast: Cast) -> None:
    _, payment = paid(cast)

    for _ in range(5):
        hear(payment, "needs_response")

    assert len(session.scalars(select(Dispute)).all()) == 1
    assert len(session.scalars(select(PaymentEvent)).all()) == 3


def test_dispute_of_a_foreign_payment_is_left_alone(cast: Cast) -> None:
    hear(paid(cast)[1], "needs_response")
    elsewhere = people.dispute(paid(cast)[1], "lost", id="du_2", intent_id="pi_elsewhere")

    assert syncing.apply_sent_dispute(elsewhere) == "not ours"
    assert session.scalars(select(Dispute.stripe_id)).all() == ["du_1"]


def test_order_with_a_lost_dispute_can_be_cancelled(cast: Cast) -> None:
    order, payment = paid(cast)
    hear(payment, "lost")

    with transaction():
        payments.cancel_order(orders.lock(order.id), reason="fraud")

    assert orders.by_id(order.id).status == "cancelled"
    session.refresh(payment)
    assert payment.refunding_minor == 0
    with pytest.raises(WrongState, match="returned this money to the cardholder"), transaction():
        payments.request_refund(
            orders.lock(order.id), payments.Wanted(amount_minor=1), reason="goodwill"
        )


STATUSES = list(DisputeStatus)


@pytest.mark.parametrize("second", STATUSES)
@pytest.mark.parametrize("first", STATUSES)
def test_any_status_may_follow_any_other(cast: Cast, first: str, second: str) -> None:
    order, payment = paid(cast)
    hear(payment, first, ("txn_out", -1000, 1500))

    assert hear(payment, second, ("txn_out", -1000, 1500)) == second

    now = orders.by_id(order.id)
    is_open = second not in {"won", "lost", "warning_closed", "prevented"}
    is_claimed = is_open and not second.startswith("warning")
    assert now.payment_status == (
        "disputed" if is_claimed else "partly_refunded" if not is_open else "paid"
    )
    assert books(order) == ((1000, 0, 1500) if is_open else (0, 1000, 1500))
    assert (task().closed_at is None) is is_open if session.scalar(select(Task.id)) else not is_open


def test_funds_come_back_and_go_again_after_decision(cast: Cast) -> None:
    order, payment = paid(cast)
    out, back = ("txn_1", -4290, 1500), ("txn_2", 4290, -1500)

    hear(payment, "lost", out)
    assert (books(order), orders.by_id(order.id).payment_status) == ((0, 4290, 1500), "refunded")

    hear(payment, "won", out, back)
    assert (books(order), orders.by_id(order.id).payment_status) == ((0, 0, 0), "paid")

    hear(payment, "appeal_needs_response", out, back, ("txn_3", -4290, 0))
    assert (books(order), orders.by_id(order.id).payment_status) == ((4290, 0, 0), "disputed")
    assert task().closed_at is None

    hear(payment, "lost", out, back, ("txn_3", -4290, 0))
    assert (books(order), orders.by_id(order.id).payment_status) == ((0, 4290, 0), "refunded")


@pytest.mark.parametrize("status", ["arbitration_pending", "warning_escalated"])
def test_an_unknown_status_counts_as_open(cast: Cast, status: str) -> None:
    order, payment = paid(cast)

    hear(payment, status, ("txn_1", -4290, 0))

    assert orders.by_id(order.id).payment_status == "disputed"
    assert task().closed_at is None
    assert doctor.run_all().faults == ()


def test_several_disputes_of_one_charge_add_up(cast: Cast) -> None:
    order, payment = paid(cast)

    hear(payment, "lost", ("txn_1", -1000, 1500), id="du_1", amount_minor=1000)
    hear(payment, "needs_response", ("txn_2", -500, 1500), id="du_2", amount_minor=500)

    assert books(order) == (500, 1000, 3000)
    assert orders.by_id(order.id).payment_status == "disputed"
    session.refresh(payment)
    assert payment.withdrawn_minor == 1500


def test_balance_transactions_say_more_than_the_amount(cast: Cast) -> None:
    order, payment = paid(cast)

    hear(payment, "lost", ("txn_1", -700, 0), amount_minor=2000)

    assert books(order) == (0, 700, 0)


def test_part_that_was_won_can_be_refunded(cast: Cast) -> None:
    order, payment = paid(cast)
    hear(payment, "won", ("txn_1", -3000, 0), ("txn_2", 2000, 0))

    with pytest.raises(Invalid, match=r"€32\.90"), transaction():
        payments.request_refund(
            orders.lock(order.id), payments.Wanted(amount_minor=3291), reason="goodwill"
        )
    with transaction():
        payments.request_refund(
            orders.lock(order.id), payments.Wanted(amount_minor=3290), reason="goodwill"
        )


@pytest.mark.parametrize(
    ("currency", "amount_minor", "settled", "moved_minor", "rate", "lost"),
    [
        ("USD", 4633, "EUR", -4290, "0.926", 4290),  # the balance is in the payment's currency
        ("EUR", 4290, "USD", -4633, "1.08", 4290),  # the dispute is
        ("EUR", 4290, "JPY", -6950, "162", 4290),
        ("GBP", 3300, "USD", -4633, "1.273", 4290),  # neither: what the charge brought tells
    ],
)
def test_a_dispute_in_another_currency_counts(
    cast: Cast,
    currency: str,
    amount_minor: int,
    settled: str,
    moved_minor: int,
    rate: str,
    lost: int,
) -> None:
    order, payment = paid(cast)
    movement = people.moved(("txn_1", moved_minor, 1700), settled, rate)
    sent = people.dispute(
        payment, "lost", currency=currency, amount_minor=amount_minor, movements=(movement,)
    )
    came = people.moved(("txn_0", 4633, 150), "USD", "1.08")
    charge = Charge(f"ch_{payment.id}", payment.intent_id or "", 4290, "EUR", came)

    with transaction():
        disputes.apply_dispute(payment.id, sent, charge)

    balance = payments.balance_of(order.id, "EUR")
    assert (balance.lost_minor, orders.by_id(order.id).payment_status) == (lost, "refunded")


def test_a_dispute_without_a_rate_is_refused(cast: Cast) -> None:
    _, payment = paid(cast)
    movement = people.moved(("txn_1", -4633, 0), "USD")
    sent = people.dispute(payment, "lost", currency="GBP", movements=(movement,))

    with pytest.raises(CannotApply, match="tells no rate"), transaction():
        disputes.apply_dispute(payment.id, sent)

    assert session.scalars(select(Dispute)).all() == []


@pytest.mark.parametrize("status", [s for s in STATUSES if s not in CLOSED_DISPUTES])
def test_open_dispute_blocks_every_refund(cast: Cast, status: str) -> None:
    order, payment = paid(cast)
    with transaction():
        failed = payments.request_refund(
            orders.lock(order.id), payments.Wanted(amount_minor=100), reason="goodwill"
        )
        refund_news.fail_refund(orders.lock(order.id), failed, "no")
    hear(payment, status, is_charge_refundable=False)

    assert payments.preview(orders.by_id(order.id)).refusal
    for attempt in (
        lambda: payments.request_refund(
            orders.lock(order.id), payments.Wanted(amount_minor=1), reason="goodwill"
        ),
        lambda: payments.retry_refund(failed.id),
        lambda: payments.cancel_order(orders.lock(order.id), reason="customer"),
    ):
        with pytest.raises(WrongState, match="Stripe refuses refunds"), transaction():
            attempt()
    with transaction():
        authorised = orders.lock(order.id)
        assert refunds.refund_payment(authorised, payment, reason="paid twice") is None
    assert session.scalars(select(Task.kind).where(Task.kind == "refund_blocked")).all()


def test_rest_kept_by_a_bank_opens_a_task(cast: Cast) -> None:
    order, payment = paid(cast)
    hear(payment, "lost", amount_minor=1000)

    with transaction():
        payments.cancel_order(orders.lock(order.id), reason="customer")

    assert orders.by_id(order.id).status == "cancelled"
    open_now = session.scalars(select(Task).where(Task.closed_at.is_(None))).one()
    assert open_now.kind == "kept_after_dispute"
    assert "€32.90 of its money is still here" in open_now.sentence
