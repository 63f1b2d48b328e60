"""What Stripe refuses to capture, refund, release or start is said in words, and asks a person.

Stripe is played by the stand-in.
"""

from datetime import timedelta
from typing import Any, get_args

import pytest
import stripe as sdk
import tenacity
from sqlalchemy import select, update

from shop import orders, payments
from shop.core import clock
from shop.core.db import session, transaction
from shop.core.errors import Unavailable, WrongState
from shop.payments import attempts, refusals, stripe_client
from shop.payments.models import Payment, Refund, Task
from shop.payments.refusals import RefusalReason
from shop.payments.stripe_errors import AccessDenied
from tests.cast import Cast
from tests.payments.test_keys import (
    CANCEL,
    CAPTURE,
    CREATE,
    REFUND,
    at_stripe,
    fail,
    one,
    pay_at_stripe,
    requested,
)
from tests.payments.test_unapplied import hear
from tests.tools import stripe_rig


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stripe_client, "_BACK_OFF", tenacity.wait_none())


def open_kinds() -> list[str]:
    return [task.kind for task in payments.open_tasks()]


REFUSED = [
    ("charge_expired_for_capture", "authorisation_expired", "authorisation has expired"),
    ("capture_unauthorized_payment", "authorisation_expired", "authorisation has expired"),
    ("card_declined", "card_declined", "card issuer declined"),
    ("insufficient_funds", "card_insufficient_funds", "not enough money on the card"),
    ("processing_error", "processing_error", "could not process this"),
]


@pytest.mark.parametrize(("error", "code", "words"), REFUSED)
def test_refused_capture_says_why_and_can_be_repeated(
    cast: Cast, stripe: stripe_rig.Rig, error: str, code: str, words: str
) -> None:
    order = cast.unpaid_order
    payment = pay_at_stripe(order.id, stripe, capture="manual")
    fail(stripe, CAPTURE, error)

    with pytest.raises(payments.Refused, match=words) as refused:
        payments.capture(payment.id)

    assert refused.value.code == code
    (task,) = payments.open_tasks()
    assert (task.kind, task.order_id) == ("capture_failed", order.id)
    assert words in task.sentence and order.number in task.sentence

    assert payments.capture(payment.id) == "paid"
    assert open_kinds() == []
    assert orders.by_id(order.id).payment_status == "paid"


def test_capture_refused_twice_opens_one_task(cast: Cast, stripe: stripe_rig.Rig) -> None:
    payment = pay_at_stripe(cast.unpaid_order.id, stripe, capture="manual")
    fail(stripe, CAPTURE, "card_declined", times=2)

    for _ in range(2):
        with pytest.raises(payments.Refused):
            payments.capture(payment.id)

    assert open_kinds() == ["capture_failed"]
    payments.release(payment.id)
    assert "capture_failed" not in open_kinds()


def test_refusal_saved_before_is_asked_again(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    payment = pay_at_stripe(order.id, stripe, capture="manual")
    fail(stripe, CAPTURE, "card_declined")
    with pytest.raises(sdk.CardError):  # its sender died before the answer came
        stripe.client.v1.payment_intents.capture(
            payment.intent_id or "",
            {"amount_to_capture": order.total_minor, "expand": ["latest_charge"]},
            {"idempotency_key": f"{payment.key}:capture:{order.total_minor}"},
        )

    assert payments.capture(payment.id) == "paid"


def test_ended_authorisation_is_said_and_asks_once(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    payment = pay_at_stripe(order.id, stripe, capture="manual")
    stripe.client.v1.payment_intents.cancel(payment.intent_id or "")

    with pytest.raises(WrongState, match="authorisation has ended"):
        payments.capture(payment.id)

    assert open_kinds() == ["authorisation_ended"]
    assert orders.by_id(order.id).payment_status == "unpaid"


def test_another_amount_captured_before_is_said(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    payment = pay_at_stripe(order.id, stripe, capture="manual")
    params: Any = {"amount_to_capture": 1000}
    stripe.client.v1.payment_intents.capture(payment.intent_id or "", params)

    with pytest.raises(WrongState, match=r"10\.00 of this money was already captured"):
        payments.capture(payment.id, 500)

    assert one(Payment).captured_minor == 1000
    assert orders.by_id(order.id).payment_status == "partly_paid"


def test_money_that_stays_authorised_is_not_released(cast: Cast, stripe: stripe_rig.Rig) -> None:
    payment = pay_at_stripe(cast.unpaid_order.id, stripe, capture="manual")
    fail(stripe, CANCEL, "charge_disputed")

    with pytest.raises(WrongState, match="has not released"):
        payments.release(payment.id)

    assert one(Payment).status == "authorised"


def test_money_captured_at_same_time_is_not_released(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    payment = pay_at_stripe(order.id, stripe, capture="manual")
    stripe.client.v1.payment_intents.capture(payment.intent_id or "")

    with pytest.raises(WrongState, match="was captured at the same time"):
        payments.release(payment.id)

    assert orders.by_id(order.id).payment_status == "paid"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("balance_insufficient", "Stripe balance is too low"),
        ("charge_already_refunded", "refunded all of this payment already"),
        ("charge_disputed", "does not refund disputed payments"),
        ("refund_disputed_payment", "does not refund disputed payments"),
        ("charge_not_refundable", "cannot be refunded through Stripe"),
        ("card_declined", "card issuer declined"),
        ("insufficient_funds", "not enough money on the card"),
    ],
)
def test_refused_refund_fails_with_a_task(
    cast: Cast, stripe: stripe_rig.Rig, error: str, words: str
) -> None:
    order = cast.unpaid_order
    pay_at_stripe(order.id, stripe)
    refund = requested(order.id)
    fail(stripe, REFUND, error)

    payments.send_refund(refund.id)

    refund = one(Refund)
    assert refund.status == "failed" and words in refund.failure
    (task,) = payments.open_tasks()
    assert task.kind == "refund_failed" and words in task.sentence
    with transaction():
        payments.retry_refund(refund.id)
    payments.send_refund(refund.id)
    assert (one(Refund).status, open_kinds()) == ("done", [])


def test_unlisted_code_keeps_the_words_of_stripe(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    pay_at_stripe(order.id, stripe)
    refund = requested(order.id)
    fail(stripe, REFUND, "charge_disputed", code="brand_new_code", message="The moon is full.")

    payments.send_refund(refund.id)

    assert one(Refund).failure == "Stripe refused: The moon is full."


def test_refund_made_before_is_not_called_failed(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    payment = pay_at_stripe(order.id, stripe)
    refund = requested(order.id, order.total_minor)
    made = stripe.client.v1.refunds.create(
        {
            "payment_intent": payment.intent_id or "",
            "metadata": {"refund": refund.key, "attempt": "1"},
        }
    )

    payments.send_refund(refund.id)

    assert (one(Refund).status, one(Refund).stripe_id) == ("done", made.id)
    assert len(at_stripe(stripe, "refund")) == 1


def test_refused_start_asks_a_person_once_a_day(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order_id = cast.unpaid_order.id
    fail(stripe, CREATE, "charge_disputed", code="account_invalid", times=2)

    for _ in range(2):
        with pytest.raises(payments.Refused, match="nothing was charged") as refused:
            payments.start(order_id)

    assert refused.value.code == "payment_refused"
    (task,) = session.scalars(select(Task))
    assert task.kind == "payment_not_started" and "Stripe account" in task.sentence
    assert payments.start(order_id).client_secret


@pytest.mark.parametrize("error", ["authentication_error", "permission_error"])
def test_rejected_key_asks_a_person_once_a_day(
    cast: Cast, stripe: stripe_rig.Rig, error: str
) -> None:
    order = cast.unpaid_order
    with transaction():
        attempts.open_payment(orders.lock(order.id), capture="manual")
    fail(stripe, CREATE, error)
    with pytest.raises(Unavailable, match="not available at the moment"):
        payments.start(order.id)
    payment = pay_at_stripe(order.id, stripe, capture="manual")
    fail(stripe, CAPTURE, error)
    with pytest.raises(Unavailable):
        payments.capture(payment.id)
    payments.capture(payment.id)
    refund = requested(order.id)
    fail(stripe, REFUND, error)
    with pytest.raises(Unavailable):
        payments.send_refund(refund.id)

    (task,) = payments.open_tasks()
    assert task.kind == "stripe_access" and "STRIPE_SECRET_KEY" in task.sentence
    assert one(Refund).status == "requested"


def test_rejected_key_at_capture_opens_a_task(cast: Cast, stripe: stripe_rig.Rig) -> None:
    payment = pay_at_stripe(cast.unpaid_order.id, stripe, capture="manual")
    fail(stripe, CAPTURE, "permission_error")

    with pytest.raises(AccessDenied):
        payments.capture(payment.id)

    assert open_kinds() == ["stripe_access"]


def test_rejected_key_at_a_webhook_opens_a_task(cast: Cast, stripe: stripe_rig.Rig) -> None:
    payment = pay_at_stripe(cast.unpaid_order.id, stripe)
    fail(stripe, f"/v1/payment_intents/{payment.intent_id}", "permission_error", method="GET")

    with pytest.raises(AccessDenied):
        hear("payment_intent.succeeded", {"id": payment.intent_id})

    assert open_kinds() == ["stripe_access"]


def test_old_refund_of_an_unknown_payment_fails(cast: Cast, stripe: stripe_rig.Rig) -> None:
    refund = requested(cast.paid_order.id)
    with transaction() as current:
        current.execute(update(Refund).values(requested_at=clock.now() - timedelta(days=2)))

    payments.send_refund(refund.id)

    assert one(Refund).status == "failed"
    assert "STRIPE_SECRET_KEY" in one(Refund).failure
    assert open_kinds() == ["refund_failed"]


def test_refused_start_can_be_tried_again(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order_id = cast.unpaid_order.id
    with transaction() as current:
        attempts.open_payment(orders.lock(order_id), capture="automatic")
        current.execute(update(Payment).values(created_at=clock.now() - timedelta(minutes=5)))
    fail(stripe, CREATE, "charge_disputed")

    payments.reconcile()
    assert one(Payment).status == "created"
    payments.reconcile()

    assert one(Payment).status == "started"


def test_every_listed_code_is_one_of_stripe() -> None:
    known = _words(sdk.PaymentIntent.LastPaymentError.__annotations__["code"])

    assert len(known) > 150
    assert refusals._BY_CODE.keys() - known == set()


def test_every_reason_has_a_sentence() -> None:
    assert set(RefusalReason) - refusals.SENTENCES.keys() == {RefusalReason.OTHER}


def _words(hint: object) -> set[str]:
    """The words of all literals in a type."""
    parts = get_args(hint)
    return {part for part in parts if isinstance(part, str)}.union(*map(_words, parts))
