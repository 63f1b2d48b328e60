"""Staff get one email when something runs low, not for each further sale."""

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import select

from shop import cart as carts
from shop import checkout, inventory, orders
from shop.catalog.models import Variant
from shop.config import Settings, SettingsError
from shop.core import mail
from shop.core.broadcasts import Broadcast
from shop.core.db import session, transaction
from shop.notifications import alerts
from shop.notifications.models import EmailMessage
from tests import cast as people
from tests.admin.desk import sit
from tests.cast import Cast
from tests.notifications.test_emails import work


@pytest.fixture(autouse=True)
def alert_address() -> Iterator[None]:
    mail.configure("", "Ember & Oak <shop@example.com>")
    alerts.configure(to="stock@example.com")
    yield
    alerts.configure(to="")


def low() -> list[EmailMessage]:
    work()
    session.expire_all()
    return list(
        session.scalars(
            select(EmailMessage).where(EmailMessage.kind == "low_stock").order_by(EmailMessage.id)
        )
    )


def set_level(variant_id: int, level: int) -> None:
    with transaction():
        session.get_one(Variant, variant_id).low_stock_level = level


def test_low_stock_sends_one_email_per_crossing(cast: Cast) -> None:
    mug = cast.mug
    set_level(mug.id, 5)
    people.order(mug, 4)
    assert low() == []

    first = people.order(mug, 1)
    (alert,) = low()
    people.order(mug, 1)
    people.order(mug, 2)
    people.pay(first)

    assert len(low()) == 1
    assert alert.recipient == "stock@example.com"
    assert alert.subject == "Low stock: Tidal mug"
    assert "5 left" in alert.text and f"/admin/inventory/show/{mug.id}" in alert.text
    assert "5 left" in alert.html and "TIDAL-MUG" in alert.html
    with transaction():
        inventory.receive(mug.id, 10)
    people.order(mug, 8)
    assert len(low()) == 2


def test_replaced_order_sends_no_second_low_stock_alert(cast: Cast) -> None:
    mug, lamp = cast.mug, cast.lamp
    cart = people.filled_cart(mug, 2)
    set_level(mug.id, 8)
    for _ in range(2):
        with transaction():
            carts.add(cart, lamp.id, 1)
            checkout.place_order(cart.id)

    assert len(low()) == 1
    toasts = select(Broadcast).where(Broadcast.type == "stock.low")
    assert len(session.scalars(toasts).all()) == 1


def test_received_stock_that_stays_low_alerts_nobody(cast: Cast) -> None:
    set_level(cast.lamp.id, 5)
    with transaction():
        inventory.receive(cast.lamp.id, 1)

    assert low() == []


def test_owner_gets_the_alert_without_an_address(app: Flask, cast: Cast) -> None:
    alerts.configure(to="")
    set_level(cast.mug.id, 9)
    made = people.order(cast.mug, 1)
    assert low() == []
    sit(app, "Owner")
    with transaction():
        orders.cancel(orders.lock(made.id), reason="other")

    people.order(cast.mug, 1)

    assert [one.recipient for one in low()] == ["mara.owner@example.com"]


@pytest.mark.parametrize("address", ["nobody", "a@b@c", "a@example.com, b@example.com", "<a@b>"])
def test_address_that_is_none_is_refused_at_start(address: str) -> None:
    with pytest.raises(SettingsError, match="ALERT_MAIL must be one email address"):
        Settings.from_env({"SHOP_ENV": "test", "ALERT_MAIL": address})
