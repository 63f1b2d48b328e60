"""A guest buys, staff hear of it and ship it, the guest sees that. Nobody reloads anything."""

import re
import time

from tests.journeys.conftest import Visit
from tests.journeys.mailbox import read_email
from tests.journeys.shelf import Shelf
from tests.journeys.steps import (
    add_to_cart,
    choose,
    fill_contact,
    number_of,
    pay_with,
    to_payment,
)
from tests.support.browser import Visitor, expect

CLAIM_S = 2.0


def test_a_guest_buys_and_both_see_it_happen(shelf: Shelf, visit: Visit, owner: Visitor) -> None:
    desk, guest = owner.page, visit("guest")
    owner.goto("/admin/orders/list/")
    expect(desk.locator("[data-live]")).to_have_attribute("data-live", "on")
    owner.mark()

    # Home, listing, product.
    page = guest.goto("/")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    guest.snap("01-home")
    page.get_by_role("navigation", name="Categories").get_by_text(
        shelf.kitchen.name, exact=True
    ).click()
    page.get_by_role("link", name=shelf.mugs.name).click()
    expect(page.get_by_role("heading", level=1, name=shelf.mugs.name)).to_be_visible()
    guest.snap("02-listing")
    page.get_by_role("link", name=shelf.mug.name).click()
    expect(page.get_by_role("heading", level=1, name=shelf.mug.name)).to_be_visible()
    guest.snap("03-product")

    # A variant has an address of its own.
    wanted = shelf.of_mug["Ink", "420 ml"]
    choose(page, "Ink", "420 ml")
    expect(page).to_have_url(re.compile(rf"variant={wanted.sku}$"))
    expect(page.locator("[data-sku]")).to_have_text(wanted.sku)
    expect(page.get_by_alt_text("The mug in Ink")).to_be_in_viewport(ratio=0.9)
    page.reload()
    expect(page.get_by_role("radio", name="Ink")).to_be_checked()
    expect(page.get_by_alt_text("The mug in Ink")).to_be_in_viewport(ratio=0.9)
    guest.snap("04-variant")

    add_to_cart(page)
    guest.snap("05-drawer")
    page.get_by_role("link", name="Check out").click()
    fill_contact(page, "guest@example.com")
    guest.snap("06-contact")
    page.get_by_role("button", name="Continue to shipping").click()
    guest.snap("07-delivery")
    to_payment(page)
    guest.snap("08-payment")
    number = number_of(page)

    began = time.monotonic()
    row = desk.locator(f"tr[data-name='{number}']")
    expect(row).to_be_visible()
    owner.assert_not_reloaded()
    expect(desk.locator(".toast", has_text=number)).to_be_visible()
    print(f"the order was in the list {time.monotonic() - began:.2f} s after the payment page")
    owner.snap("09-admin-new-order")

    began = time.monotonic()
    pay_with(page, "4242424242424242")
    expect(page.get_by_text("Thank you")).to_be_visible()
    confirmed = time.monotonic()
    expect(row.locator('[data-cell="payment_status"]')).to_have_text("Paid", timeout=5_000)
    seen = time.monotonic()
    print(f"confirmed {confirmed - began:.2f} s after Pay, Paid {seen - confirmed:.2f} s later")
    assert seen - confirmed < CLAIM_S, "staff should see the payment within two seconds"
    owner.assert_not_reloaded()
    guest.snap("10-confirmation")
    expect(page.locator("[data-cart-link] .cart-count")).to_have_text("")
    expect(page.get_by_text("Cancel this order")).to_be_visible()
    guest.mark()

    # Staff ship it.
    row.get_by_role("link", name=number).click()
    expect(desk.get_by_role("heading", level=1, name=number)).to_be_visible()
    owner.snap("11-admin-order")
    desk.get_by_role("button", name="Ship", exact=True).first.click()
    dialog = desk.get_by_role("dialog")
    dialog.get_by_label("Carrier").fill("DHL")
    dialog.get_by_label("Tracking number").fill("JD0140")
    owner.snap("12-admin-ship")
    dialog.get_by_role("button", name="Ship 1 item").click()
    began = time.monotonic()
    expect(page.locator("#order-state")).to_contain_text("JD0140")
    seen_s = time.monotonic() - began
    print(f"the customer's page said shipped {seen_s:.2f} s after the click")
    expect(page.locator(".state-line")).to_contain_text("Shipped")
    expect(page.get_by_text("Cancel this order")).to_have_count(0)
    guest.assert_not_reloaded()
    guest.snap("13-shipped")
    expect(desk.locator("[data-order-status]")).to_have_text("Shipped")
    owner.snap("14-admin-shipped")

    # Both emails, and the link in them.
    receipt = read_email(owner, "guest@example.com", f"{number} is paid")
    assert shelf.mug.name in receipt.text
    owner.snap("15-mail-receipt")
    shipped = read_email(owner, "guest@example.com", f"{number} is on its way")
    assert "JD0140" in shipped.text
    owner.snap("16-mail-shipped")

    stranger = visit("stranger")
    stranger.goto(shipped.link(number))
    expect(stranger.page.get_by_role("heading", level=1, name=number)).to_be_visible()
    expect(stranger.page.locator("#order-state")).to_contain_text("JD0140")
