"""Payments that fail after their customer has left the page, whatever the shop has seen of them."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from shop import checkout, orders, payments
from shop.core import clock
from shop.core.db import transaction
from shop.payments import closing, intents, methods
from shop.payments.stripe_objects import Voucher
from tests import cast as people
from tests.cast import Cast
from tests.notifications.test_emails import emails, work
from tests.payments.test_each_method import confirm
from tests.tools import stripe_rig

FAILED = {"failure": "No funds.", "failure_reference": "py_1", "failed_method": "sepa_debit"}


@pytest.fixture
def payment(cast: Cast) -> payments.Payment:
    return people.attempt(cast.unpaid_order)


@pytest.fixture
def debits() -> Iterator[None]:
    terms = checkout.terms()
    methods.configure(["card", "sepa_debit", "multibanco"])
    yield
    methods.configure(["card"])
    checkout.configure(terms)


def becomes(payment: payments.Payment, status: str, **facts: object) -> str:
    """Stripe's answer is now this; everything that follows has run."""
    with transaction():
        done = intents.apply_intent(payment.id, people.intent(payment, status, **facts))
    work()
    return done


def left(payment: payments.Payment) -> timedelta:
    """How long the order can still be paid."""
    return orders.by_id(payment.order_id).expires_at - clock.now()


def kinds() -> list[str]:
    return [email.kind for email in emails()]


def test_unseen_debit_that_failed_can_be_paid_again(payment: payments.Payment) -> None:
    facts = {**FAILED, "method": "sepa_debit"}

    assert becomes(payment, "requires_payment_method", **facts) == "failed"
    assert becomes(payment, "requires_payment_method", **facts) == "waiting"

    assert left(payment) > timedelta(hours=71)
    assert kinds() == ["payment_failed"]
    assert "SEPA Direct Debit" in emails()[0].text


def test_unseen_voucher_that_ended_can_be_paid_again(payment: payments.Payment) -> None:
    facts = {**FAILED, "method": "oxxo", "failed_method": "oxxo"}

    becomes(payment, "requires_payment_method", **facts)

    assert left(payment) > timedelta(hours=71)
    assert kinds() == ["payment_failed"]


def test_expiry_after_unseen_failure_sends_an_email(payment: payments.Payment) -> None:
    becomes(payment, "requires_payment_method", **FAILED)
    late = orders.by_id(payment.order_id).expires_at + timedelta(seconds=1)

    with clock.freeze(late), transaction():
        orders.expire(orders.lock(payment.order_id))
    work()

    assert kinds() == ["payment_failed", "expired"]


def test_declined_card_keeps_its_minutes(payment: payments.Payment) -> None:
    becomes(payment, "requires_payment_method", **{**FAILED, "failed_method": "card"})

    assert left(payment) < timedelta(minutes=16)
    assert kinds() == []


def test_older_processing_does_not_undo_a_failure(payment: payments.Payment) -> None:
    before = clock.now() - timedelta(seconds=5)
    becomes(payment, "requires_payment_method", **FAILED)

    assert becomes(payment, "processing", asked_at=before) == "known"

    assert orders.by_id(payment.order_id).payment_status == "unpaid"
    assert kinds() == ["payment_failed"]


def test_debit_cancelled_at_stripe_can_be_paid_again(payment: payments.Payment) -> None:
    becomes(payment, "processing", method="sepa_debit")

    becomes(payment, "canceled", method="sepa_debit")

    assert left(payment) > timedelta(hours=71)
    assert kinds() == ["payment_processing", "payment_failed"]
    assert "The payment was cancelled." in emails()[-1].text


def test_voucher_cancelled_at_stripe_can_be_paid_again(payment: payments.Payment) -> None:
    given = Voucher("https://payments.stripe.com/v/1", "1", clock.now() + timedelta(days=5))
    becomes(payment, "requires_action", method="oxxo", voucher=given)

    becomes(payment, "canceled", method="oxxo")

    assert timedelta(hours=71) < left(payment) < timedelta(hours=73)
    assert kinds() == ["voucher", "payment_failed"]


def test_expiring_order_finds_the_failure_first(
    cast: Cast, stripe: stripe_rig.Rig, debits: None
) -> None:
    order = cast.unpaid_order
    stripe.control(timers=False)
    started = payments.start(order.id)
    intent = confirm(stripe, started, "sepa_debit")
    stripe.control("/payment", payment_intent=intent["id"], outcome="fail")
    with transaction():
        order.expires_at = clock.now() - timedelta(minutes=1)

    assert closing.expire_unpaid() == 0
    work()

    found = orders.by_id(order.id)
    assert found.status == "pending"
    assert found.expires_at > clock.now() + timedelta(hours=71)
    assert kinds() == ["payment_failed"]


def test_voucher_after_a_declined_card_is_a_voucher(
    cast: Cast, stripe: stripe_rig.Rig, debits: None
) -> None:
    order = cast.unpaid_order
    stripe.control(timers=False)
    started = payments.start(order.id)
    status, _ = decline(stripe, started)
    assert status == 402
    payments.sync_payment(started.payment_id)

    confirm(stripe, started, "multibanco")
    payments.sync_payment(started.payment_id)

    attempt = payments.latest(order.id)
    assert attempt is not None
    assert (attempt.method, attempt.failure, attempt.card_last4) == ("multibanco", "", "")
    assert attempt.voucher_url


def test_debit_after_a_declined_card_shows_no_card(
    cast: Cast, stripe: stripe_rig.Rig, debits: None
) -> None:
    order = cast.unpaid_order
    stripe.control(timers=False)
    started = payments.start(order.id)
    decline(stripe, started)
    payments.sync_payment(started.payment_id)

    confirm(stripe, started, "sepa_debit")
    payments.sync_payment(started.payment_id)

    attempt = payments.latest(order.id)
    assert attempt is not None
    assert (attempt.method, attempt.card_last4) == ("sepa_debit", "")


def decline(rig: stripe_rig.Rig, started: payments.Started) -> tuple[int, object]:
    """The customer tries a card that its bank declines."""
    intent_id = started.client_secret.partition("_secret_")[0]
    body = (
        f"key=pk_test_standin&client_secret={started.client_secret}"
        "&payment_method_data[type]=card&payment_method_data[card][token]=tok_chargeDeclined"
    )
    status, answer = rig.call("POST", f"/v1/payment_intents/{intent_id}/confirm", body.encode())
    return status, answer
