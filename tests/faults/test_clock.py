"""The clock of our machine is wrong by ten minutes; Stripe's and the database's are right."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
import stripe

from shop import orders, payments
from shop.core import clock
from shop.core.db import transaction
from shop.payments import intents
from tests import cast as people
from tests.cast import Cast

SECRET = "whsec_tests"


@contextmanager
def skewed(minutes: float) -> Iterator[None]:
    """Our clock, for the shop and for Stripe's library."""
    real, ahead = time.time, minutes * 60
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: real() + ahead)
        with clock.freeze(clock.now() + timedelta(minutes=minutes)):
            yield


def message(kind: str, intent_id: str) -> tuple[bytes, str]:
    """A message of Stripe's, stamped by its clock, and its signature."""
    event = {"id": f"evt_{intent_id}", "type": kind, "data": {"object": {"id": intent_id}}}
    body = json.dumps(event)
    header = stripe.WebhookSignature.generate_signature_header(body, SECRET)
    return body.encode(), header


@pytest.mark.parametrize("minutes", [10, -10])
def test_wrong_clock_refuses_webhooks_and_gets_the_money(cast: Cast, minutes: int) -> None:
    order = cast.unpaid_order
    payment = people.attempt(order)
    body, signature = message("payment_intent.succeeded", payment.intent_id or "")

    with skewed(minutes):
        with pytest.raises(payments.BadSignature):
            payments.record_webhook(body, signature)
        # What ``reconcile`` and the page that the browser returns to do instead.
        with transaction():
            intents.apply_intent(payment.id, people.intent(payment))

    assert (order.status, order.payment_status) == ("confirmed", "paid")


@pytest.mark.parametrize("minutes", [4, -0.5])
def test_slightly_wrong_clock_takes_webhooks(cast: Cast, minutes: float) -> None:
    payment = people.attempt(cast.unpaid_order)
    body, signature = message("payment_intent.succeeded", payment.intent_id or "")

    with skewed(minutes):
        assert payments.record_webhook(body, signature)


@pytest.mark.parametrize("minutes", [10, -10])
def test_payment_under_wrong_clock_buys_or_is_refunded(cast: Cast, minutes: int) -> None:
    with skewed(minutes):
        order = people.order(cast.mug, 2)
        payment = people.attempt(order)
    with clock.freeze(clock.now() + timedelta(minutes=20)), transaction():
        locked = orders.lock(order.id)
        if locked.expires_at <= clock.now():
            orders.expire(locked)

    with transaction():
        intents.apply_intent(payment.id, people.intent(payment))

    assert (order.status, order.payment_status) == ("confirmed", "paid")
