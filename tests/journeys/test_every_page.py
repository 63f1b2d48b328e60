"""Every page that can be seen: nothing for axe to find in light and dark, nothing wider than the
window, nothing that the browser complains about."""

import re
import secrets
import time

import pytest
from playwright.sync_api import Page, ViewportSize
from sqlalchemy import select

from shop import orders, payments
from shop.core.db import session, transaction
from shop.notifications.models import EmailMessage
from tests import cast
from tests.faults.buyers import Errand, buy
from tests.journeys.conftest import Visit
from tests.journeys.shelf import Shelf
from tests.journeys.steps import add_to_cart, check_out
from tests.journeys.test_account import sign_in as sign_in_customer
from tests.support import axe
from tests.support.browser import PATIENCE_MS, PHONE, SMALLEST, Visitor, expect, sideways
from tests.support.stack import RunningShop

STATIC_PAGES = ("about", "contact", "imprint", "privacy", "returns", "shipping", "terms")


def faults_of(visitor: Visitor, path: str, window: ViewportSize) -> list[str]:
    """What is wrong with one page: in light, in dark, in the smallest window."""
    page = visitor.page
    wide = page.viewport_size
    assert wide is not None
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        if path:
            visitor.goto(path)
        visitor.wait_until_idle()
        found += [f"{page.url} {scheme}: {fault}" for fault in axe.violations(page)]
    name = re.sub(r"[^a-z0-9]+", "-", page.url.partition("//")[2].partition("/")[2]) or "home"
    visitor.snap(f"dark-{visitor.name}-{name[:60]}")
    page.set_viewport_size(window)
    page.emulate_media(color_scheme="light")
    if (extra := sideways(page)) > 0:
        found.append(f"{page.url} is {extra} px wider than {window['width']} px: {widest(page)}")
    visitor.snap(f"small-{visitor.name}-{name[:60]}")
    page.set_viewport_size(wide)
    return found


def widest(page: Page) -> str:
    """What sticks out on the right."""
    return page.evaluate(
        """() => [...document.querySelectorAll("body *")]
            .filter((one) => one.getBoundingClientRect().right > innerWidth + 0.5)
            .slice(0, 3).map((one) => one.tagName + "." + one.className).join(", ")"""
    )


def test_the_store_s_pages(shelf: Shelf, visit: Visit) -> None:
    guest = visit("guest")
    paths = [
        "/", "/products", f"/products?q={shelf.mug.name}", "/products?q=nothingatall",
        f"/c/{shelf.kitchen.path}", f"/products/{shelf.mug.slug}", "/search", "/cart",
        "/account/login", "/account/register", "/account/password/forgot", "/no-such-page",
        *(f"/pages/{name}" for name in STATIC_PAGES),
    ]  # fmt: skip

    faults = [fault for path in paths for fault in faults_of(guest, path, SMALLEST)]

    add_to_cart(guest.goto(f"/products/{shelf.mug.slug}"))
    faults += faults_of(guest, "", SMALLEST)  # the drawer
    faults += faults_of(guest, "/cart", SMALLEST)
    faults += faults_of(guest, "/checkout", SMALLEST)
    number = check_out(guest.page, "every@example.com")
    faults += faults_of(guest, "", SMALLEST)  # the card form
    faults += faults_of(guest, "/checkout/delivery", SMALLEST)
    assert number
    assert faults == []


def test_a_product_page_asks_for_few_things(shelf: Shelf, visit: Visit) -> None:
    guest = visit("guest")
    asked: list[str] = []
    guest.page.on("request", lambda request: asked.append(request.url))

    guest.goto(f"/products/{shelf.mug.slug}")
    guest.wait_until_following("product:")

    assert len(asked) <= 15, asked
    assert sum(url.endswith(".js") for url in asked) == 1


def test_a_customer_s_pages(shop: RunningShop, shelf: Shelf, visit: Visit) -> None:
    email = f"page-{secrets.token_hex(3)}@example.com"
    who = cast.customer(email, "Pia Page")
    cast.pay(cast.order(shelf.of_mug["Ember", "300 ml"], customer_id=who.id))
    customer = visit("customer")
    sign_in_customer(customer.page, email, cast.PASSWORD)
    expect(customer.page.get_by_role("heading", level=1, name="Pia Page")).to_be_visible()
    customer.goto("/account/orders")
    order = customer.page.get_by_role("link", name="EO-").first.get_attribute("href") or ""

    faults = [
        fault
        for path in (
            "/account",
            "/account/orders",
            order,
            "/account/addresses",
            "/account/password",
        )
        for fault in faults_of(customer, path, SMALLEST)
    ]

    assert faults == []


def test_order_page_and_emails_take_any_word(shop: RunningShop, visit: Visit) -> None:
    word, place = "Donaudampfschiff" * 3, "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogoch"
    bowl = cast.product(word)
    email = f"{'word' * 12}-{secrets.token_hex(3)}@{'example' * 5}.com"
    sent, kept = (cast.order(bowl, 3) for _ in range(2))
    for order in (sent, kept):
        with transaction():
            locked = orders.lock(order.id)
            locked.email, locked.customer_name = email, word
            locked.shipping_address = {**locked.shipping_address, "name": word, "city": place}
        cast.pay(order)
    with transaction():
        locked = orders.lock(sent.id)
        orders.ship(locked, {locked.lines[0].id: 1}, carrier=word, tracking_number="T0" * 25)
        wanted = payments.Wanted(lines={locked.lines[0].id: 1})
        payments.request_refund(locked, wanted, reason="other")
    guest = visit("guest")
    page = guest.goto(f"/orders/{sent.number}?token={sent.token}")
    expect(page.locator("#order-money")).to_contain_text(word)

    faults = faults_of(guest, "", SMALLEST)
    page.goto(f"/orders/{kept.number}?token={kept.token}")
    for summary in page.locator(".cancel summary").all():
        summary.click()
    faults += faults_of(guest, "", SMALLEST)

    reader = visit("reader", viewport=SMALLEST).page  # an empty page: no policy forbids its styles
    for received in emails_to(email, 3):
        reader.set_content(received.html)
        expect(reader.locator("body")).to_contain_text(word)
        faults += [f"the email {received.kind} is too wide"] if sideways(reader) > 0 else []
    assert faults == []


def emails_to(email: str, number: int) -> list[EmailMessage]:
    """The emails to somebody, once there are so many."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while len(found := _emails(email)) < number:
        assert time.monotonic() < deadline, f"only {len(found)} emails"
        time.sleep(0.2)
    return found


def _emails(email: str) -> list[EmailMessage]:
    session.rollback()
    wanted = select(EmailMessage).where(EmailMessage.recipient == email)
    return list(session.scalars(wanted))


def test_the_admin_s_pages(shop: RunningShop, shelf: Shelf, visit: Visit, owner: Visitor) -> None:
    variant = shelf.of_mug["Ember", "420 ml"]
    buy(Errand(shop.base_url, shop.stripe_url, variant.id), f"admin-{secrets.token_hex(3)}")
    page = owner.goto("/admin/")
    menu = page.locator("nav[aria-label=Pages] a")
    paths = menu.evaluate_all("links => links.map((one) => one.pathname)")
    paths += ["/admin/profile/", "/admin/categories/add", "/admin/products/add", "/admin/staff/add"]
    paths += ["/admin/discounts/add"]
    for listing in ("orders", "products", "inventory", "customers", "mail", "payments"):
        owner.goto(f"/admin/{listing}/list/")
        row = page.locator("[data-listing] tbody .row-link")
        if row.count():
            paths.append(row.first.get_attribute("href") or "")

    faults = [fault for path in paths for fault in faults_of(owner, path, PHONE)]
    for path in ("/admin/login/", "/admin/forgotten/"):
        faults += faults_of(visit("stranger"), path, PHONE)

    print(f"{len(paths) + 1} pages of the admin: {' '.join(paths)}")
    assert faults == []


@pytest.mark.parametrize("path", ["/admin/nothing-here", "/admin/orders/show/999999"])
def test_the_admin_s_error_pages(owner: Visitor, path: str) -> None:
    assert faults_of(owner, path, PHONE) == []
