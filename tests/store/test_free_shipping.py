"""The free-shipping limit and its rule, as the cart and the pages say them."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from shop import checkout
from shop.checkout import FreeShippingCounts
from tests.cast import ADDRESS, Cast
from tests.discounts.offers import offer


@pytest.fixture
def after_discounts() -> Iterator[None]:
    """The rule that is not the default."""
    before = checkout.terms()
    counts = FreeShippingCounts.AFTER_DISCOUNTS
    checkout.configure(replace(before, free_shipping_counts=counts))
    yield
    checkout.configure(before)


def fill(browser: FlaskClient, cast: Cast) -> None:
    """Four mugs (76.00) and a code for 25 % off, on their way to Berlin."""
    offer("Quarter", code="QUARTER", value=2500)
    browser.post("/cart/add", data={"variant_id": cast.mug.id, "quantity": 4})
    browser.post("/cart/discount", data={"code": "quarter"})
    sent = browser.post("/checkout", data={**ADDRESS, "email": "ada@example.com"})
    assert sent.status_code == 303


def test_cart_counts_goods_before_discounts(browser: FlaskClient, cast: Cast) -> None:
    fill(browser, cast)

    shown = browser.get("/cart").text

    assert "Shipping is free" in shown and "€57.00" in shown
    assert "Free for orders of €60.00 or more, before discounts." in shown
    assert "or more, before discounts" in browser.get("/checkout/delivery").text


@pytest.mark.usefixtures("after_discounts")
def test_cart_counts_goods_after_discounts(browser: FlaskClient, cast: Cast) -> None:
    fill(browser, cast)

    shown = browser.get("/cart").text
    delivery = browser.get("/checkout/delivery").text

    assert "<strong>€3.00</strong> more and shipping is free" in shown and "€61.90" in shown
    assert "Free for orders of €60.00 or more, after discounts." in shown
    assert 'name="total.standard" value="6190"' in delivery


@pytest.mark.usefixtures("after_discounts")
def test_delivery_page_says_rates_and_rule(browser: FlaskClient) -> None:
    page = " ".join(browser.get("/pages/shipping").text.split())

    assert "<strong>Standard delivery</strong>: €4.90, to Austria, Germany." in page
    assert "Free for orders of €60.00 or more, after discounts." in page
