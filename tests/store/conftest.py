"""Browsers for the tests of the pages."""

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session


@pytest.fixture(autouse=True)
def _push_request_context() -> None:
    """Replaces pytest-flask's: one context around the whole test would let requests share ``g``."""


@pytest.fixture
def browser(app: Flask, session: Session) -> Iterator[FlaskClient]:
    """A visitor. Forms need no secret here; ``test_account`` has the test that they do."""
    app.config["WTF_CSRF_ENABLED"] = False
    yield app.test_client()
    app.config["WTF_CSRF_ENABLED"] = True
