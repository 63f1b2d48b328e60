"""The purchase against Stripe's own test mode. Needs a test key; skipped without one."""

import os

import pytest
import stripe

from shop import orders, payments
from shop.core.db import transaction
from shop.payments import stripe_client
from tests.cast import Cast

KEY = os.environ.get("STRIPE_TEST_SECRET_KEY", "")

pytestmark = pytest.mark.skipif(
    not KEY.startswith("sk_test_"),
    reason="STRIPE_TEST_SECRET_KEY is not set: nothing is sent to Stripe without it",
)


@pytest.fixture(autouse=True)
def real_stripe() -> object:
    stripe_client.configure(
        secret_key=KEY, publishable_key="pk_test_unused", webhook_secrets=(), api_base=""
    )
    yield
    stripe_client.configure(secret_key="", publishable_key="", webhook_secrets=(), api_base="")


def test_a_purchase_and_its_refund_in_test_mode(cast: Cast) -> None:
    order = cast.unpaid_order
    started = payments.start(order.id)
    assert payments.start(order.id).client_secret == started.client_secret

    intent_id = started.client_secret.partition("_secret")[0]
    stripe.StripeClient(KEY).v1.payment_intents.confirm(
        intent_id, {"payment_method": "pm_card_visa", "return_url": "https://example.com/"}
    )
    assert payments.sync_payment(started.payment_id) == "paid"
    assert payments.sync_payment(started.payment_id) == "known"

    with transaction():
        payments.cancel_order(orders.lock(order.id), reason="mistake")
    (payment,) = payments.of_order(order.id)
    payments.send_refund(payment.refunds[0].id)
    assert orders.by_id(order.id).payment_status == "refunded"
