"""Without JavaScript everything works, up to the card form, which says what it needs."""

import re

from tests.journeys.conftest import Visit
from tests.journeys.shelf import Shelf
from tests.journeys.steps import choose, fill_contact
from tests.support.browser import expect


def test_a_browser_without_scripts_gets_to_the_payment(shelf: Shelf, visit: Visit) -> None:
    plain = visit("plain", java_script_enabled=False)
    page = plain.goto("/")
    page.get_by_role("link", name=shelf.mug.name).first.click()
    expect(page.get_by_role("heading", level=1, name=shelf.mug.name)).to_be_visible()

    choose(page, "Ink", "420 ml")
    page.get_by_role("button", name="Show this choice").click()
    expect(page).to_have_url(re.compile(rf"variant={shelf.of_mug['Ink', '420 ml'].sku}$"))
    plain.snap("50-plain-product")
    page.locator("#buy-form").get_by_role("button", name="Add to cart").click()

    expect(page.get_by_role("heading", level=1, name="Your cart")).to_be_visible()
    page.get_by_role("spinbutton", name=shelf.mug.name).fill("2")
    page.get_by_role("button", name="Update").click()
    expect(page.get_by_role("spinbutton", name=shelf.mug.name)).to_have_value("2")
    plain.snap("51-plain-cart")
    page.get_by_role("link", name="Check out").click()
    fill_contact(page, "plain@example.com")
    page.get_by_role("button", name="Continue to shipping").click()
    page.get_by_role("radio", name="Express").check()
    page.get_by_role("button", name="Show the total with this shipping method").click()
    expect(page.locator(".checkout-aside")).to_contain_text("Express delivery")
    page.get_by_role("button", name="Continue to payment").click()

    expect(page.get_by_text("The payment form needs JavaScript")).to_be_visible()
    expect(page.get_by_role("button", name="Pay")).to_be_hidden()
    plain.snap("52-plain-payment")
