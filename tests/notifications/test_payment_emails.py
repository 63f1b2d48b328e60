"""Emails about payments that take days: on the way, how to pay, failed, expired, cancelled."""

from datetime import timedelta

import pytest

from shop import cart as carts
from shop import checkout, notifications, orders, payments
from shop.core import clock
from shop.core.db import transaction
from shop.payments import intents
from shop.payments.stripe_objects import Voucher
from tests import cast as people
from tests.cast import Cast
from tests.notifications.test_emails import emails, work

ENDS = timedelta(days=5)


@pytest.fixture
def payment(cast: Cast) -> payments.Payment:
    return people.attempt(cast.unpaid_order)


def becomes(payment: payments.Payment, status: str, **facts: object) -> str:
    """Stripe's answer is now this; everything that follows has run."""
    with transaction():
        done = intents.apply_intent(payment.id, people.intent(payment, status, **facts))
    work()
    return done


def debit(payment: payments.Payment) -> None:
    assert becomes(payment, "processing", method="sepa_debit") == "processing"


def voucher(payment: payments.Payment) -> Voucher:
    given = Voucher("https://payments.stripe.com/voucher/x", "21800 123 456", clock.now() + ENDS)
    assert becomes(payment, "requires_action", method="multibanco", voucher=given) == "voucher"
    return given


def kinds() -> list[str]:
    return [email.kind for email in emails()]


def test_processing_payment_sends_an_email(payment: payments.Payment) -> None:
    debit(payment)
    debit(payment)

    (email,) = emails()
    assert email.subject.endswith("placed: your payment is on its way")
    for text in (email.text, email.html):
        assert "by SEPA Direct Debit is on its way; your bank needs 2 to 5 working days" in text
        assert "Nothing more to do" in text


def test_cancelled_order_sends_no_processing_email(payment: payments.Payment) -> None:
    with transaction():
        intents.apply_intent(payment.id, people.intent(payment, "processing", method="sepa_debit"))
    with transaction():
        payments.cancel_order(orders.lock(payment.order_id), reason="customer")
    work()

    assert kinds() == ["cancelled"]


def test_voucher_of_superseded_order_must_not_be_paid(cast: Cast) -> None:
    cart = people.filled_cart(cast.mug)
    with transaction():
        first = checkout.place_order(cart.id)
    late = people.attempt(first)
    with transaction():
        carts.add(cart, cast.mug.id)
    with transaction():
        second = checkout.place_order(cart.id)
    voucher(people.attempt(second))

    becomes(late, "succeeded")

    assert kinds() == ["voucher", "cancelled", "receipt"]
    notice = next(email for email in emails() if email.kind == "cancelled")
    for text in (notice.text, notice.html):
        assert f"order {first.number} of the same cart was paid" in text
        assert "Please do not pay the voucher any more." in text


def test_success_after_days_sends_the_receipt(payment: payments.Payment) -> None:
    debit(payment)

    becomes(payment, "succeeded", method="sepa_debit")

    assert kinds() == ["payment_processing", "receipt"]


def test_failed_debit_says_until_when(payment: payments.Payment) -> None:
    debit(payment)

    becomes(
        payment,
        "requires_payment_method",
        method="sepa_debit",
        failure="The customer's account has insufficient funds to cover this payment.",
        failure_reference="py_1",
    )

    email = emails()[-1]
    order = orders.by_id(payment.order_id)
    assert email.kind == "payment_failed"
    assert "Your account has insufficient funds" in email.text
    assert "you can pay again until then" in email.text
    assert f"{order.expires_at.astimezone(checkout.terms().zone):%H:%M}" in email.text
    pay_again = f"/checkout/payment?order={order.number}&token={order.token}"
    assert pay_again in notifications.with_secret(email).text
    assert order.token not in email.text + email.html


def test_second_failure_sends_another_email(payment: payments.Payment) -> None:
    for attempt in ("py_1", "py_2"):
        debit(payment)
        becomes(payment, "requires_payment_method", failure="No.", failure_reference=attempt)

    assert kinds() == ["payment_processing", "payment_failed"] * 2


def test_declined_card_sends_no_email(payment: payments.Payment) -> None:
    becomes(payment, "requires_payment_method", failure="Declined.", failure_reference="ch_1")

    assert kinds() == []


def test_voucher_email_says_how_to_pay(payment: payments.Payment) -> None:
    given = voucher(payment)

    (email,) = emails()
    assert email.subject.startswith("How to pay for order")
    for text in (email.text, email.html):
        assert given.url in text and given.reference in text
        assert f"{given.expires_at.astimezone(checkout.terms().zone):%H:%M}" in text
        assert "with Multibanco by" in text
        assert "See your order, or pay another way" in text


def test_ended_voucher_is_reported(payment: payments.Payment) -> None:
    voucher(payment)

    becomes(
        payment,
        "requires_payment_method",
        method="multibanco",
        failure="The voucher has expired.",
        failure_reference="py_1",
    )

    assert kinds() == ["voucher", "payment_failed"]


def expire(payment: payments.Payment) -> None:
    late = orders.by_id(payment.order_id).expires_at + timedelta(seconds=1)
    with clock.freeze(late), transaction():
        orders.expire(orders.lock(payment.order_id))
    work()


def test_expiry_after_failed_debit_sends_an_email(payment: payments.Payment) -> None:
    debit(payment)
    becomes(payment, "requires_payment_method", failure="No.", failure_reference="py_1")

    expire(payment)

    assert kinds() == ["payment_processing", "payment_failed", "expired"]
    assert "did not arrive in time" in emails()[-1].text


def test_abandoned_checkout_expires_without_email(payment: payments.Payment) -> None:
    expire(payment)

    assert kinds() == []


def test_order_cancelled_while_processing_announces_a_refund(payment: payments.Payment) -> None:
    debit(payment)

    with transaction():
        payments.cancel_order(orders.lock(payment.order_id), reason="customer")
    work()

    assert "If the money still arrives, we refund it automatically." in emails()[-1].text
    order = orders.by_id(payment.order_id)
    becomes(payment, "succeeded", method="sepa_debit")
    assert kinds() == ["payment_processing", "cancelled", "late_payment"]
    refund = emails()[-1]
    assert "after this order was cancelled" in refund.text
    assert refund.subject == f"We refund your payment for order {order.number}"


@pytest.mark.parametrize(
    ("status", "words"),
    [("succeeded", "We are refunding it in full."), ("requires_capture", "you are not charged.")],
)
def test_second_payment_says_what_becomes_of_it(cast: Cast, status: str, words: str) -> None:
    cart = people.filled_cart(cast.mug)
    with transaction():
        first = checkout.place_order(cart.id)
    late = people.attempt(first)
    with transaction():
        carts.add(cart, cast.mug.id)
    with transaction():
        second = checkout.place_order(cart.id)
    people.pay(second)
    with transaction():
        intents.apply_intent(late.id, people.intent(late, status))
    work()

    notice = next(email for email in emails() if email.kind == "late_payment")
    assert words in notice.text
    assert f"You will receive order {second.number} only." in notice.text
