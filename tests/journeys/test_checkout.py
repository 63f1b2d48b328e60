"""On the steps of checkout the page follows what is chosen, and what was typed stays."""

import secrets
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.cast import ADDRESS
from tests.discounts.offers import offer
from tests.journeys.conftest import Visit
from tests.journeys.shelf import Shelf
from tests.journeys.steps import add_to_cart, fill_contact
from tests.support.browser import PHONE, expect


def open_code_box(page: Page, place: str) -> None:
    """Unfold what stands before the box of a code, as far as it is folded."""
    if place == ".total-bar" and page.locator(".total-bar:not([open])").count():
        page.locator(".total-bar > summary").click()
    if page.locator(f"{place} .code-field:not([open])").count():
        page.locator(f"{place} .code-field > summary").click()


@pytest.mark.parametrize(
    ("name", "place", "options"),
    [
        ("typist", ".checkout-aside", {}),
        ("plain-typist", ".checkout-aside", {"java_script_enabled": False}),
        ("small-typist", ".total-bar", {"viewport": PHONE}),
    ],
)
def test_code_at_checkout_keeps_what_was_typed(
    shelf: Shelf, visit: Visit, name: str, place: str, options: dict[str, Any]
) -> None:
    code = f"TEN-{secrets.token_hex(3)}".upper()
    offer(code, code=code)
    guest = visit(name, **options)
    page = guest.goto(f"/products/{shelf.lamp.slug}")
    page.locator("#buy-form").get_by_role("button", name="Add to cart").click()
    page.get_by_role("link", name="Check out").click()
    fill_contact(page, "typist@example.com")
    box = page.locator(place)

    open_code_box(page, place)
    box.get_by_label("Code").fill("nonsense")
    box.get_by_role("button", name="Apply").click()
    expect(box.get_by_text("Discount code “NONSENSE” not found")).to_be_visible()
    expect(page.get_by_label("Town")).to_have_value(ADDRESS["city"])
    guest.snap(f"65-{name}-refused")
    box.get_by_label("Code").fill(code.lower())
    box.get_by_label("Code").press("Enter")
    expect(box.get_by_text("saves €8.90")).to_be_visible()
    expect(page.get_by_label("Email")).to_have_value("typist@example.com")
    page.get_by_label("Town").press("Enter")

    expect(page.get_by_role("heading", name="Shipping method")).to_be_visible()
    page.get_by_role("radio", name="Express").check()
    page.get_by_role("checkbox", name="The invoice goes").uncheck()
    page.get_by_label("Full name").fill("Analytical Ltd")
    open_code_box(page, place)
    guest.snap(f"66-{name}-delivery")
    box.get_by_role("button", name=f"Remove the code {code}").click()
    expect(box.get_by_role("button", name=f"Remove the code {code}")).to_have_count(0)
    expect(page.get_by_role("radio", name="Express")).to_be_checked()
    expect(page.get_by_label("Full name")).to_have_value("Analytical Ltd")
    expect(box.locator(".grand")).to_contain_text("€101.90")


def test_totals_follow_the_chosen_shipping_method(shelf: Shelf, visit: Visit) -> None:
    guest = visit("chooser")
    add_to_cart(guest.goto(f"/products/{shelf.lamp.slug}"))
    page = guest.goto("/checkout")
    fill_contact(page, "chooser@example.com")
    page.get_by_role("button", name="Continue to shipping").click()
    aside = page.locator(".checkout-aside")
    expect(aside).to_contain_text("Including €14.21 VAT")
    guest.mark()

    page.get_by_role("radio", name="Express").check()

    expect(aside.locator(".totals")).to_contain_text("Express delivery€12.90")
    expect(aside.locator(".grand")).to_contain_text("€101.90")
    expect(aside).to_contain_text("Including €16.27 VAT")
    page.get_by_role("radio", name="Standard").check()
    expect(aside).to_contain_text("Including €14.21 VAT")
    guest.assert_not_reloaded()


def test_one_more_in_the_drawer_is_one_more(shelf: Shelf, visit: Visit) -> None:
    page = visit("counter").goto(f"/products/{shelf.lamp.slug}")
    add_to_cart(page)
    drawer = page.get_by_role("dialog")

    drawer.get_by_role("button", name="One more").click()

    expect(page.locator("[data-cart-link] .cart-count")).to_have_text("2")
