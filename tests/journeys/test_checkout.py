"""On the steps of checkout the page follows what is chosen, and what was typed stays."""

from tests.journeys.conftest import Visit
from tests.journeys.shelf import Shelf
from tests.journeys.steps import add_to_cart, fill_contact
from tests.support.browser import expect


def test_the_sums_follow_the_delivery_that_is_chosen(shelf: Shelf, visit: Visit) -> None:
    guest = visit("chooser")
    add_to_cart(guest.goto(f"/products/{shelf.lamp.slug}"))
    page = guest.goto("/checkout")
    fill_contact(page, "chooser@example.com")
    page.get_by_role("button", name="Continue to delivery").click()
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
