"""The stand-in sends what an endpoint at Stripe would, set up as the manual says."""

import re

from shop.payments.webhooks import TELLING
from tests.tools.sdk_types import event_types
from tools.stack import PROJECT, WEBHOOK_EVENTS

MANUAL = PROJECT / "docs" / "operations" / "payments.md"
A_TYPE = r"`([a-z_]+\.[a-z_.]+)`"


def test_the_manual_names_the_events_that_are_sent() -> None:
    (step,) = [line for line in MANUAL.read_text().splitlines() if line.startswith("2. **Webhook")]

    assert re.findall(A_TYPE, step) == list(WEBHOOK_EVENTS)


def test_every_event_that_matters_is_sent() -> None:
    assert set(WEBHOOK_EVENTS) == TELLING
    assert event_types() >= TELLING
