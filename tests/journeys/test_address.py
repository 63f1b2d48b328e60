"""The address form follows its country, with scripts and without."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page
from sqlalchemy import select, update

from shop.checkout.models import ShippingMethod
from shop.core.db import session, transaction
from tests.journeys.conftest import Visit
from tests.journeys.shelf import Shelf
from tests.journeys.steps import choose
from tests.support.browser import PHONE, Visitor, expect
from tests.support.stack import RunningShop

FAR = ["US", "IE", "HK", "JP"]


@pytest.fixture(scope="module", autouse=True)
def _far_shipping(shop: RunningShop, shelf: Shelf) -> Iterator[None]:
    """Shipping in Europe (9.90) goes further; shipping at home costs 4.90."""
    europe = ShippingMethod.code == "europe"
    with transaction():
        near = session.scalars(select(ShippingMethod.countries).where(europe)).one()
        session.execute(update(ShippingMethod).where(europe).values(countries=near + FAR))
    yield
    with transaction():
        session.execute(update(ShippingMethod).where(europe).values(countries=near))


def at_checkout(visitor: Visitor, shelf: Shelf) -> Page:
    """With something in the cart, at the first step."""
    page = visitor.goto(f"/products/{shelf.mug.slug}")
    choose(page, "Ink", "420 ml")
    if page.get_by_role("button", name="Show this choice").is_visible():
        page.get_by_role("button", name="Show this choice").click()
    page.locator("#buy-form").get_by_role("button", name="Add to cart").click()
    page.get_by_role("link", name="Check out").click()
    expect(page.get_by_label("Country")).to_be_visible()
    return page


def test_country_swaps_fields_and_keeps_typed_text(shelf: Shelf, visit: Visit) -> None:
    visitor = visit("address", viewport=PHONE)
    page = at_checkout(visitor, shelf)
    total = page.locator(".total-bar [data-part=total]")
    at_home = total.inner_text()
    page.get_by_label("Full name").fill("Ada Byrne")
    page.get_by_label("Town").fill("Dublin")

    page.get_by_label("Country").select_option("IE")

    expect(page.get_by_label("Eircode")).to_be_visible()
    expect(page.get_by_label("County", exact=False).last).to_be_visible()
    expect(page.get_by_label("Full name")).to_have_value("Ada Byrne")
    expect(page.get_by_label("Town")).to_have_value("Dublin")
    expect(total).not_to_have_text(at_home)
    visitor.snap("90-address-ie")
    page.get_by_label("Country").select_option("HK")
    expect(page.get_by_label("District")).to_have_value("Dublin")
    expect(page.locator("[name=postal_code]")).to_have_count(0)
    page.get_by_label("Country").select_option("US")
    expect(page.get_by_label("ZIP code")).to_be_visible()
    page.get_by_label("State").select_option("California")
    visitor.snap("91-address-us")
    page.get_by_label("Country").select_option("IE")
    page.get_by_label("Email").fill("ada@example.com")
    page.get_by_label("Street and house number").fill("1 Main Street")
    page.get_by_label("Eircode").fill("!!")
    page.get_by_role("button", name="Continue to shipping").click()
    expect(page.get_by_role("alert")).to_contain_text("Enter an Eircode of this country")
    page.get_by_label("Eircode").fill("")
    page.get_by_role("button", name="Continue to shipping").click()
    expect(page.get_by_text("Ada Byrne, 1 Main Street, Dublin, Ireland")).to_be_visible()


def test_country_changes_without_scripts(shelf: Shelf, visit: Visit) -> None:
    page = at_checkout(visit("plain-address", java_script_enabled=False), shelf)
    page.get_by_label("Full name").fill("Ada Byrne")
    page.get_by_label("Country").select_option("JP")

    page.get_by_role("button", name="Update").click()

    expect(page.get_by_label("Prefecture")).to_be_visible()
    expect(page.get_by_label("Full name")).to_have_value("Ada Byrne")
    page.get_by_label("Email").fill("ada@example.com")
    page.get_by_label("Street and house number").fill("1-1 Chiyoda")
    page.get_by_label("Prefecture").select_option(label="Tokyo (東京都)")
    page.get_by_label("Postal code").fill("100-0001")
    page.get_by_label("Postal code").press("Enter")
    expect(page.get_by_text("Ada Byrne, 1-1 Chiyoda, Tokyo, 100-0001, Japan")).to_be_visible()
