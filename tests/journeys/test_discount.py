"""A code saves money from the cart to the order, and staff see what it did."""

import secrets

from shop import discounts
from shop.core.db import transaction
from tests.journeys.conftest import Visit
from tests.journeys.shelf import Shelf
from tests.journeys.steps import add_to_cart, fill_contact, number_of, pay_with, to_payment
from tests.support.browser import PHONE, Visitor, expect


def test_a_code_from_the_cart_to_the_order(shelf: Shelf, visit: Visit, owner: Visitor) -> None:
    code = f"WELCOME-{secrets.token_hex(3)}".upper()
    desk = owner.page
    owner.goto("/admin/discounts/add")
    desk.get_by_label("Name").fill("Welcome")
    desk.get_by_label("Code", exact=True).fill(code)
    desk.get_by_label("Percentage off").fill("10")
    desk.get_by_label("Uses per customer").fill("1")
    expect(desk.locator("[data-sentence-words]")).to_have_text(
        "10 % off everything, once per customer, with a code"
    )
    owner.snap("60-admin-discount")
    desk.get_by_role("button", name="Save").click()
    expect(desk.get_by_role("heading", level=1, name="Welcome")).to_be_visible()

    guest = visit("saver")
    page = guest.goto(f"/products/{shelf.lamp.slug}")
    add_to_cart(page)
    drawer = page.get_by_role("dialog")
    drawer.get_by_text("Discount code").click()
    drawer.get_by_label("Code").fill("nonsense")
    drawer.get_by_role("button", name="Apply").click()
    expect(drawer.get_by_text("Discount code “NONSENSE” not found")).to_be_visible()
    drawer.get_by_label("Code").fill(code.lower())
    drawer.get_by_role("button", name="Apply").click()
    expect(drawer.get_by_text("saves €8.90")).to_be_visible()
    guest.snap("61-drawer-code")
    page.get_by_role("link", name="Check out").click()
    fill_contact(page, f"saver-{code.lower()}@example.com")
    page.get_by_role("button", name="Continue to shipping").click()
    expect(page.locator(".checkout-aside")).to_contain_text("€80.10")
    guest.snap("62-delivery-code")
    to_payment(page)
    number = number_of(page)
    expect(page.locator("[data-pay]")).to_have_text("Pay €80.10")
    pay_with(page, "4242424242424242")
    expect(page.get_by_text("Thank you")).to_be_visible()
    expect(page.locator("main")).to_contain_text(f"Welcome ({code})")
    guest.snap("63-order-code")

    desk.reload()
    expect(desk.locator(".kpis")).to_contain_text("€8.90")
    owner.goto("/admin/orders/list/")
    desk.locator(f"tr[data-name='{number}']").get_by_role("link", name=number).click()
    expect(desk.locator(".totals").first).to_contain_text(code)
    owner.snap("64-admin-order-code")
    with transaction():
        (found,) = discounts.page(q=code).rows
        assert found.used == 1


def test_cart_page_shows_a_refusal_once(shelf: Shelf, visit: Visit) -> None:
    guest = visit("speller", viewport=PHONE)
    add_to_cart(guest.goto(f"/products/{shelf.lamp.slug}"))
    page = guest.goto("/cart")
    guest.mark()
    page.get_by_role("spinbutton").fill("2")
    page.get_by_role("spinbutton").press("Tab")
    expect(page.locator(".toast")).to_have_text("Your cart has 2 items.")
    expect(page.locator(".toast")).to_have_count(0)

    page.get_by_text("Discount code").click()
    page.get_by_label("Code").fill("nonsense")
    page.get_by_role("button", name="Apply").click()

    expect(page.get_by_text("Discount code “NONSENSE” not found")).to_have_count(1)
    expect(page.locator(".toast")).to_have_count(0)
    guest.assert_not_reloaded()
