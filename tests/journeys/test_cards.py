"""Cards that are refused or asked about: the reason in words, the cart whole, the items
reserved."""

import time

from playwright.sync_api import Page

from shop import orders, payments
from shop.catalog.models import Variant
from shop.core.db import transaction
from tests.journeys.conftest import Visit
from tests.journeys.shelf import available, product
from tests.journeys.steps import add_to_cart, check_out, number_of, pay_with, to_payment
from tests.support.browser import PATIENCE_MS, Visitor, expect
from tests.support.stack import RunningShop

GOOD = "4242424242424242"
DECLINED = "4000000000000002"
THREE_D_SECURE = "4000002500003155"


def at_the_card_form(visitor: Visitor, name: str) -> Variant:
    """Somebody with one of five pieces in the cart, at the payment page."""
    variant = product(name, stock=5)
    with transaction():
        slug = variant.product.slug
    add_to_cart(visitor.goto(f"/products/{slug}"))
    check_out(visitor.page, "cards@example.com")
    assert available(variant) == 4
    return variant


def test_a_declined_card_says_so_and_another_pays(shop: RunningShop, visit: Visit) -> None:
    ada = visit("ada")
    variant = at_the_card_form(ada, "Refused vase")
    page = ada.page

    pay_with(page, DECLINED)

    expect(page.get_by_role("alert").get_by_text("declined")).to_contain_text("Nothing was charged")
    expect(page.locator("[data-pay]")).to_be_enabled()
    ada.snap("20-declined")
    assert available(variant) == 4, "the unit must stay reserved"
    cart = visit_cart(ada)
    expect(cart.get_by_role("link", name="Refused vase")).to_be_visible()
    page.go_back()
    expect(page.locator("[data-pay]")).to_be_enabled()
    pay_with(page, GOOD)
    expect(page.get_by_text("Thank you")).to_be_visible()
    assert available(variant) == 4
    expect(visit_cart(ada).get_by_text("Your cart is empty")).to_be_visible()


def test_three_d_secure_that_is_passed_pays(shop: RunningShop, visit: Visit) -> None:
    ada = visit("ada")
    at_the_card_form(ada, "Questioned bowl")

    pay_with(ada.page, THREE_D_SECURE)
    ada.page.get_by_role("button", name="Complete").click()

    expect(ada.page.get_by_text("Thank you")).to_be_visible()
    expect(ada.page.locator(".state-line")).to_contain_text("Paid")


def test_failed_3ds_leads_back_to_another_card(shop: RunningShop, visit: Visit) -> None:
    ada = visit("ada")
    variant = at_the_card_form(ada, "Doubted jug")
    page = ada.page

    pay_with(page, THREE_D_SECURE)
    page.get_by_role("button", name="Fail").click()

    expect(page.get_by_role("alert").get_by_text("Your bank did not confirm")).to_be_visible()
    expect(page.locator("[data-pay]")).to_be_enabled()
    ada.snap("21-3ds-failed")
    assert available(variant) == 4
    pay_with(page, GOOD)
    expect(page.get_by_text("Thank you")).to_be_visible()


def visit_cart(visitor: Visitor) -> Page:
    return visitor.goto("/cart")


def test_payment_page_in_another_tab_shows_order_status(shop: RunningShop, visit: Visit) -> None:
    ada = visit("ada")
    at_the_card_form(ada, "Twofold tray")
    page, old = ada.page, number_of(ada.page)
    other = ada.context.new_page()
    other.goto("/cart")
    other.get_by_role("spinbutton").fill("2")
    other.get_by_role("spinbutton").press("Tab")
    expect(other.locator("[data-cart-link]")).to_have_attribute("aria-label", "Cart, 2 items")
    other.goto("/checkout/delivery")
    to_payment(other)
    assert number_of(other) != old
    wait_until_cancelled(page, old)

    pay_with(page, GOOD)

    expect(page.get_by_role("heading", level=1, name=f"Order {old}")).to_be_visible()
    expect(page.locator(".state-line")).to_contain_text("Cancelled")
    pay_with(other, GOOD)
    expect(other.get_by_text("Thank you")).to_be_visible()


def wait_until_cancelled(page: Page, number: str) -> None:
    """Wait until Stripe, too, knows that nobody will pay for this order."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    with transaction():
        order_id = orders.by_number(number).id
    while True:
        with transaction():
            if payments.latest(order_id).status == "cancelled":
                return
        assert time.monotonic() < deadline, "the payment is still open"
        page.wait_for_timeout(200)
