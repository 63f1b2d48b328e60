"""Messages of Stripe's are stored as they come, each once."""

from sqlalchemy import select

from shop import payments
from shop.core.db import transaction
from shop.payments import webhooks
from tests.cast import Cast
from tests.support.events import count_events


def test_a_stored_message_is_stored_once(cast: Cast) -> None:
    message = {
        "id": "evt_1",
        "type": "payment_intent.succeeded",
        "data": {"object": {"id": "pi_1"}},
    }

    with transaction():
        stored = [webhooks.record_verified(message) for _ in range(3)]

    assert stored == [True, False, False]
    assert count_events("WebhookReceived") == 1


def test_message_without_content_is_stored_and_wakes_nobody(cast: Cast) -> None:
    message = {"id": "evt_2", "type": "charge.updated", "data": {"object": {"id": "ch_1"}}}

    with transaction():
        assert webhooks.record_verified(message)

    assert count_events("WebhookReceived") == 0
    with transaction() as session:
        outcomes = session.scalars(select(payments.WebhookDelivery.outcome)).all()
    assert list(outcomes) == ["ignored"]
