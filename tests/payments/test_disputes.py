"""Disputes: seen, told to staff, and what they do to the money until they are decided."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from shop import orders, payments
from shop.core import clock
from shop.core.db import session, transaction
from shop.core.errors import WrongState
from shop.payments import disputes, procedures
from shop.payments.models import Dispute, PaymentEvent, Task
from shop.payments.stripe_gateway import SentDispute
from tests.cast import Cast


def hear(payment: payments.Payment, status: str, **changes: Any) -> str:
    facts: dict[str, Any] = {
        "id": "du_1",
        "intent_id": payment.intent_id or "",
        "status": status,
        "amount_minor": payment.amount_minor,
        "currency": "EUR",
        "reason": "product_not_received",
        "due_by": clock.now() + timedelta(days=9),
        "created": clock.now(),
        "fee_minor": 1500,
        "fee_currency": "EUR",
    }
    with transaction():
        return disputes.apply_dispute(payment.id, SentDispute(**facts | changes))


def paid(cast: Cast) -> tuple[orders.Order, payments.Payment]:
    (payment,) = payments.of_order(cast.paid_order.id)
    return cast.paid_order, payment


def task() -> Task:
    return session.scalars(select(Task)).one()


def test_an_open_dispute_shows_asks_for_an_answer_and_blocks_refunds(cast: Cast) -> None:
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


def test_a_dispute_that_is_won_leaves_the_order_as_it_was(cast: Cast) -> None:
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
    assert kinds == ["captured", "dispute_opened", "fee", "dispute_lost"]


def test_old_news_does_not_open_a_decided_dispute_again(cast: Cast) -> None:
    order, payment = paid(cast)
    hear(payment, "won")

    assert hear(payment, "needs_response") == "won"

    assert orders.by_id(order.id).payment_status == "paid"


def test_an_inquiry_moves_no_money_and_allows_a_refund(cast: Cast) -> None:
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
def test_an_inquiry_that_becomes_a_dispute_is_asked_about_again(cast: Cast, meanwhile: str) -> None:
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


def test_a_dispute_of_a_payment_that_is_not_ours_is_left_alone(cast: Cast) -> None:
    hear(paid(cast)[1], "needs_response")
    elsewhere = SentDispute(
        "du_2", "pi_elsewhere", "needs_response", 1, "EUR", "", None, clock.now(), 0, "EUR"
    )

    assert procedures.apply_sent_dispute(elsewhere) == "unknown dispute"
    assert session.scalars(select(Dispute.stripe_id)).all() == ["du_1"]


def test_an_order_whose_money_the_bank_took_back_can_be_cancelled(cast: Cast) -> None:
    order, payment = paid(cast)
    hear(payment, "lost")

    with transaction():
        payments.cancel_order(orders.lock(order.id), reason="fraud")

    assert orders.by_id(order.id).status == "cancelled"
    session.refresh(payment)
    assert payment.refunding_minor == 0
    with pytest.raises(WrongState, match="gave this money back to the cardholder"), transaction():
        payments.request_refund(
            orders.lock(order.id), payments.Wanted(amount_minor=1), reason="goodwill"
        )


@pytest.mark.parametrize(
    ("decided", "then"),
    [("won", "paid"), ("lost", "partly_refunded")],
)
@pytest.mark.parametrize("amount_minor", [500, 2_000])
def test_a_dispute_whose_amount_changed_holds_nothing_back_once_it_is_decided(
    cast: Cast, decided: str, then: str, amount_minor: int
) -> None:
    order, payment = paid(cast)
    hear(payment, "needs_response", amount_minor=1_000)
    assert orders.by_id(order.id).payment_status == "disputed"

    hear(payment, decided, amount_minor=amount_minor)

    assert orders.by_id(order.id).payment_status == then
    lost = amount_minor if decided == "lost" else 0
    assert payments.balance_of(order.id, "EUR").lost_minor == lost


def test_what_a_bank_left_of_a_cancelled_order_is_somebody_s_to_pay_back(cast: Cast) -> None:
    order, payment = paid(cast)
    hear(payment, "lost", amount_minor=1000)

    with transaction():
        payments.cancel_order(orders.lock(order.id), reason="customer")

    assert orders.by_id(order.id).status == "cancelled"
    open_now = session.scalars(select(Task).where(Task.closed_at.is_(None))).one()
    assert open_now.kind == "kept_after_dispute"
    assert "€32.90 of its money is still here" in open_now.sentence
