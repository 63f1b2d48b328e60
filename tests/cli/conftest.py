"""Fixtures of the command line."""

import pytest

from tests.payments.conftest import stand_in as stand_in
from tests.payments.conftest import stripe as stripe


@pytest.fixture(autouse=True)
def _push_request_context() -> None:
    """Replaces pytest-flask's: one ``g`` for all requests of a test would keep people signed in."""
