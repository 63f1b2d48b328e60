"""The stand-in sends what an endpoint at Stripe would, set up as the manual says."""

import re

from shop.dev.stack import PROJECT, WEBHOOK_EVENTS
from shop.payments.operations import TELLING

MANUAL = PROJECT / "docs" / "operations" / "payments.md"
A_TYPE = r"`((?:payment_intent|refund|charge|radar|review|payout)\.[a-z_.]+)`"


def test_the_manual_names_the_events_that_are_sent() -> None:
    (step,) = [line for line in MANUAL.read_text().splitlines() if line.startswith("2. **Webhook")]

    assert re.findall(A_TYPE, step) == list(WEBHOOK_EVENTS)
    assert set(WEBHOOK_EVENTS) == TELLING
