"""Whatever people, banks and crashes do in whatever order: money and stock stay right.

The short profile (60 examples of 30 steps) runs with all tests, and is the same every time. The
long one, 2,000 of 50, goes where chance leads: ``PROPERTIES=long bin/test tests/properties``;
``PROPERTIES_EXAMPLES`` sets another number.
"""

import logging
import os
from collections.abc import Iterator
from datetime import timedelta

import pytest
import tenacity
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from pytest import MonkeyPatch
from sqlalchemy import text

from shop.core import clock, db
from shop.payments import reconciling, stripe_client
from tests.properties.bank import SECRET
from tests.properties.machine import Ground, Shop

PROFILES = {"short": (60, 30), "long": (2_000, 50)}
CHOSEN = os.environ.get("PROPERTIES", "short")
EXAMPLES, STEPS = PROFILES[CHOSEN]
PROFILE = settings(
    max_examples=int(os.environ.get("PROPERTIES_EXAMPLES", EXAMPLES)),
    stateful_step_count=STEPS,
    derandomize=CHOSEN == "short",
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def ground(live_database: str, monkeypatch: MonkeyPatch) -> Iterator[Ground]:
    """A shop with goods, whose Stripe is in this process and whose commits are checkpoints."""
    commit = db._Session.commit
    with clock.freeze(clock.now() - timedelta(days=1)):
        made = Ground(db.engine())

    def checked(current: db._Session) -> None:
        made.fuse.checkpoint("before the commit")
        commit(current)
        made.fuse.checkpoint("after the commit")

    monkeypatch.setattr(db._Session, "commit", checked)
    for name in ("_client", "_capture"):
        monkeypatch.setattr(stripe_client, name, getattr(stripe_client, name))
    monkeypatch.setattr(stripe_client, "_webhook_secrets", (SECRET,))
    monkeypatch.setattr(stripe_client, "_BACK_OFF", tenacity.wait_none())
    # All of an example happens at one moment of the database's clock: nothing is too young to ask.
    for name in ("STUCK_AFTER", "REFUND_STUCK_AFTER"):
        monkeypatch.setattr(reconciling, name, text("interval '-1 day'"))
    logging.disable(logging.CRITICAL)  # Stripe is away in every eighth step, and so on
    yield made
    logging.disable(logging.NOTSET)
    made.close()
    db.session.remove()


def test_event_order_never_breaks_money_or_stock(ground: Ground) -> None:
    """Rules, invariants and the model agree after each of 30 (or 50) random steps."""
    Shop.ground = ground
    Shop.tally.clear()
    try:
        run_state_machine_as_test(Shop, settings=PROFILE)
    finally:
        print(dict(Shop.tally))
