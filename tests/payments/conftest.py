"""Stripe, played by the stand-in, whose messages go nowhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from shop.payments import stripe_gateway
from tests.dev import stripe_rig


@pytest.fixture
def stripe(app: Flask, tmp_path: Path) -> Iterator[stripe_rig.Rig]:
    settings = app.config["SETTINGS"]
    with stripe_rig.running(tmp_path) as (rig, _):
        stripe_gateway.configure(
            secret_key=settings.stripe_secret_key,
            publishable_key=settings.stripe_publishable_key,
            webhook_secrets=settings.stripe_webhook_secrets,
            api_base=rig.url,
        )
        yield rig
    stripe_gateway.configure(
        secret_key=settings.stripe_secret_key,
        publishable_key=settings.stripe_publishable_key,
        webhook_secrets=settings.stripe_webhook_secrets,
        api_base=settings.stripe_api_base,
    )
