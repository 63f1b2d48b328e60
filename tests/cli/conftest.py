"""Fixtures of the command line."""

import pytest


@pytest.fixture(autouse=True)
def _push_request_context() -> None:
    """Replaces pytest-flask's: one ``g`` for all requests of a test would keep people signed in."""
