"""Wallets in a browser: the frame may ask for payment, and Express Checkout buys, once."""

import secrets

import pytest
from playwright.sync_api import FrameLocator, Locator, Page
from sqlalchemy import func, select

from shop import checkout
from shop.catalog.models import Variant
from shop.core.db import transaction
from shop.orders.models import Order
from tests.journeys.conftest import Visit
from tests.journeys.shelf import available, product
from tests.journeys.steps import add_to_cart
from tests.journeys.test_every_page import faults_of
from tests.support.browser import PHONE, SMALLEST, Visitor, expect
from tests.support.stack import RunningShop

# How far what is seen has moved by itself since the page was opened.
SHIFTED = """() => new Promise((done) => {
    let moved = 0;
    const watch = new PerformanceObserver((list) => {
        for (const one of list.getEntries()) if (!one.hadRecentInput) moved += one.value;
    });
    watch.observe({ type: "layout-shift", buffered: true });
    setTimeout(() => { watch.disconnect(); done(moved); }, 300);
})"""
ALLOWED = "() => (document.permissionsPolicy || document.featurePolicy).allowsFeature('payment')"


def with_cart(visitor: Visitor, name: str) -> Variant:
    """Somebody with one of five units in the cart; returns the variant."""
    variant = product(name, stock=5)
    with transaction():
        slug = variant.product.slug
    add_to_cart(visitor.goto(f"/products/{slug}"))
    return variant


def button(page: Page, wallet: str = "Google Pay") -> Locator:
    """A wallet's button in the Express Checkout Element."""
    frame = page.frame_locator("[data-buttons] iframe")
    return frame.get_by_role("button", name=f"Pay with {wallet}")


def sheet(page: Page) -> FrameLocator:
    """The wallet's own window."""
    return page.frame_locator("dialog[open] iframe[title='Test wallet']")


def new_address() -> str:
    """An email address that nobody has ordered with."""
    return f"wallet.{secrets.token_hex(4)}@example.com"


def count_orders(email: str) -> int:
    with transaction() as session:
        found = select(func.count()).select_from(Order).where(Order.email == email)
        return session.scalar(found) or 0


def test_payment_is_allowed_only_where_needed(shop: RunningShop, visit: Visit) -> None:
    ada = visit("ada")
    with_cart(ada, "Permitted mug")
    page = ada.page
    assert page.evaluate(ALLOWED) is False, "a product page needs no payment"

    page.goto("/cart")

    expect(button(page)).to_be_visible()
    (frame,) = [one for one in page.frames if "/elements/express" in one.url]
    assert frame.evaluate(ALLOWED) is True
    assert page.evaluate(ALLOWED) is True


@pytest.mark.parametrize("path", ["/cart", "/checkout"])
def test_wallet_buys(shop: RunningShop, visit: Visit, path: str) -> None:
    ada = visit("ada", viewport=PHONE if path == "/cart" else {"width": 1280, "height": 900})
    variant = with_cart(ada, f"Wallet mug {path[1:]}")
    email = new_address()
    page = ada.goto(path)
    expect(button(page)).to_be_visible()
    page.locator(".express").scroll_into_view_if_needed()
    ada.snap(f"50-express-{path[1:]}")
    assert faults_of(ada, "", SMALLEST) == []

    button(page).click()
    wallet = sheet(page)
    wallet.get_by_label("Email").fill(email)
    wallet.get_by_role("button", name="Pay €").click()

    expect(page.get_by_text("Thank you, Ada Lovelace")).to_be_visible()
    expect(page.locator(".state-line")).to_contain_text("Paid")
    expect(page.get_by_text("10115 Berlin")).to_be_visible()
    assert count_orders(email) == 1
    assert available(variant) == 4
    expect(ada.goto("/cart").get_by_text("Your cart is empty")).to_be_visible()


def test_wallet_follows_address_and_method(shop: RunningShop, visit: Visit) -> None:
    ada = visit("ada")
    with_cart(ada, "Travelling mug")
    page = ada.goto("/cart")
    button(page, "Apple Pay").click()
    wallet = sheet(page)
    pay = wallet.get_by_role("button", name="Pay €")
    expect(pay).to_be_enabled()
    at_home = pay.inner_text()

    wallet.get_by_label("Shipping address").select_option(label="Ada Lovelace, Paris")
    expect(pay).not_to_have_text(at_home)
    wallet.get_by_label("Shipping address").select_option(label="Ada Lovelace, New York")
    expect(wallet.get_by_text("does not ship to this address")).to_be_visible()
    wallet.get_by_label("Shipping address").select_option(label="Ada Lovelace, Berlin")
    expect(pay).to_have_text(at_home)
    wallet.get_by_role("radio").nth(1).check()
    expect(pay).not_to_have_text(at_home)
    total = pay.inner_text().removeprefix("Pay ")
    email = new_address()
    wallet.get_by_label("Email").fill(email)
    pay.click()

    expect(page.get_by_text("Thank you, Ada Lovelace")).to_be_visible()
    expect(page.locator(".order-summary")).to_contain_text(total)
    with transaction() as session:
        order = session.scalars(select(Order).where(Order.email == email)).one()
        assert order.shipping_method == checkout.shipping_options("DE", 0)[1].code


def test_wallet_that_is_closed_orders_nothing(shop: RunningShop, visit: Visit) -> None:
    ada = visit("ada")
    variant = with_cart(ada, "Hesitant mug")
    page = ada.goto("/cart")
    button(page).click()

    sheet(page).get_by_role("button", name="Cancel").click()

    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(page.get_by_role("link", name="Check out")).to_be_visible()
    assert available(variant) == 5


def test_wallet_works_by_keyboard(shop: RunningShop, visit: Visit) -> None:
    ada = visit("ada")
    with_cart(ada, "Keyboard mug")
    page = ada.goto("/cart")
    expect(button(page)).to_be_visible()
    page.get_by_role("link", name="Check out").focus()

    page.keyboard.press("Tab")
    expect(button(page, "Apple Pay")).to_be_focused()
    page.keyboard.press("Enter")
    expect(sheet(page).get_by_role("button", name="Pay €")).to_be_enabled()
    sheet(page).get_by_label("Email").fill(new_address())
    sheet(page).get_by_label("Email").press("Enter")

    expect(page.get_by_text("Thank you, Ada Lovelace")).to_be_visible()


def test_price_change_stops_the_wallet(shop: RunningShop, visit: Visit) -> None:
    ada = visit("ada")
    variant = with_cart(ada, "Dearer mug")
    page = ada.goto("/cart")
    button(page).click()
    pay = sheet(page).get_by_role("button", name="Pay €")
    expect(pay).to_be_enabled()
    email = new_address()
    sheet(page).get_by_label("Email").fill(email)
    with transaction() as session:
        session.merge(variant).price_minor += 500

    pay.click()

    expect(page.get_by_role("alert").get_by_text("The total has changed")).to_be_visible()
    ada.snap("51-express-refused")
    page.get_by_role("link", name="Show your cart as it is now").click()
    expect(page.get_by_label("Totals").locator("dl dd").last).to_have_text("€28.90")
    assert count_orders(email) == 0
    assert available(variant) == 5


def test_wallet_follows_the_cart(shop: RunningShop, visit: Visit) -> None:
    ada = visit("ada")
    with_cart(ada, "Doubled mug")
    page = ada.goto("/cart")
    expect(button(page)).to_be_visible()
    page.get_by_role("spinbutton").fill("2")
    page.get_by_role("spinbutton").press("Tab")
    expect(page.locator("[data-cart-link]")).to_have_attribute("aria-label", "Cart, 2 items")
    total = page.get_by_label("Totals").locator("dl dd").last.inner_text()

    button(page).click()

    wallet = sheet(page)
    expect(wallet.get_by_role("button", name=f"Pay {total}")).to_be_enabled()


@pytest.mark.parametrize("size", [PHONE, {"width": 1280, "height": 900}], ids=["phone", "desktop"])
def test_wallets_move_nothing(shop: RunningShop, visit: Visit, size: dict[str, int]) -> None:
    ada = visit("ada", viewport=size)
    with_cart(ada, "Steady mug")

    for path in ("/checkout", "/cart", "/checkout"):
        page = ada.goto(path)
        expect(button(page)).to_be_visible()
        assert page.evaluate(SHIFTED) < 0.01, path
        ada.snap(f"52-express{path.replace('/', '-')}-{size['width']}")


# What a device without any wallet answers inside the frame.
WITHOUT = """() => {
    const policy = { get: () => ({ allowsFeature: () => false }) };
    Object.defineProperty(Document.prototype, "featurePolicy", policy);
    Object.defineProperty(Document.prototype, "permissionsPolicy", policy);
}"""


def test_no_wallet_leaves_no_trace(shop: RunningShop, visit: Visit) -> None:
    ada = visit("ada")
    with_cart(ada, "Plain mug")
    ada.context.add_init_script(f"({WITHOUT})()")

    page = ada.goto("/cart")

    expect(page.locator(".express")).to_have_attribute("data-state", "absent")
    expect(page.get_by_text("Express checkout")).not_to_be_visible()
    expect(page.get_by_role("link", name="Check out")).to_be_visible()
    assert page.evaluate(SHIFTED) < 0.01
    ada.snap("53-no-wallet")
