"""Stripe, played by the stand-in, whose messages go nowhere."""

from collections.abc import Iterator

import pytest
from flask import Flask

from shop.payments import stripe_client
from tests.tools import stripe_rig


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stripe_rig.Rig]:
    """One process for all tests of a file; ``stripe`` empties it before each."""
    with stripe_rig.running(tmp_path_factory.mktemp("stripe")) as (rig, _):
        yield rig


@pytest.fixture
def stripe(app: Flask, stand_in: stripe_rig.Rig) -> Iterator[stripe_rig.Rig]:
    settings = app.config["SETTINGS"]
    stand_in.fresh()
    stripe_client.configure(
        secret_key=settings.stripe_secret_key,
        publishable_key=settings.stripe_publishable_key,
        webhook_secrets=settings.stripe_webhook_secrets,
        api_base=stand_in.url,
    )
    yield stand_in
    stripe_client.configure(
        secret_key=settings.stripe_secret_key,
        publishable_key=settings.stripe_publishable_key,
        webhook_secrets=settings.stripe_webhook_secrets,
        api_base=settings.stripe_api_base,
    )
