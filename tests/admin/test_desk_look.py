"""The working pages in a browser: accessible, whole on a phone, and following what happens live."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect
from werkzeug.serving import make_server

from shop import orders
from shop.admin.orders.page import OrdersView
from shop.catalog.models import Variant
from shop.core.db import session, transaction
from tests import cast as people
from tests.admin.desk import sit
from tests.cast import Cast
from tests.discounts.offers import offer
from tests.support.axe import violations
from tests.support.browser import DESKTOP, PHONE, SMALLEST, chrome, sideways

SESSION = "shop"


class Shop:
    """A shop with a paid, an unpaid and a shipped order, and an Owner's browser cookie."""

    def __init__(self, app: Flask, address: str) -> None:
        cast = Cast()
        self.address = address
        self.paid = cast.paid_order.id
        self.number = cast.paid_order.number
        self.unpaid = people.order(cast.lamp).id
        shipped = people.order(cast.mug)
        people.pay(shipped)
        with transaction():
            orders.ship(orders.lock(shipped.id), carrier="DHL", tracking_number="003404")
        self.shipped = shipped.id
        self.shipment = shipped.fulfilments[0].id
        self.product, self.variant = cast.mug.product_id, cast.mug.id
        self.discount = offer("Welcome", code="WELCOME10", min_subtotal_minor=5_000).id
        client = sit(app, "Owner").client
        cookie = client.get_cookie(SESSION)
        assert cookie
        self.cookie: Any = {"name": SESSION, "value": cookie.value, "url": address}
        session.remove()

    def pages(self) -> list[str]:
        return [
            "/admin/",
            "/admin/orders/list/",
            f"/admin/orders/show/{self.paid}",
            f"/admin/orders/show/{self.shipped}",
            f"/admin/orders/{self.paid}/ship",
            f"/admin/orders/{self.paid}/shipping-address",
            f"/admin/orders/{self.shipped}/tracking/{self.shipment}",
            "/admin/inventory/list/",
            f"/admin/inventory/show/{self.variant}",
            "/admin/products/list/",
            f"/admin/products/edit/{self.product}",
            f"/admin/products/show/{self.product}",
            "/admin/products/add",
            "/admin/mail/list/",
            "/admin/jobs/list/",
            "/admin/payments/list/",
            "/admin/discounts/list/",
            "/admin/discounts/add",
            f"/admin/discounts/edit/{self.discount}",
            f"/admin/discounts/show/{self.discount}?try=1&variant-0={self.variant}",
        ]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chrome() as launched:
        yield launched


@pytest.fixture
def shop(app: Flask, live_database: str) -> Iterator[Shop]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Shop(app, f"http://127.0.0.1:{server.port}")
    finally:
        server.shutdown()
        thread.join()


def window(browser: Browser, shop: Shop, **options: Any) -> Page:
    context = browser.new_context(base_url=shop.address, **({"viewport": DESKTOP} | options))
    context.add_cookies([shop.cookie])
    return context.new_page()


def put_on_a_page(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(OrdersView, "page_size", rows)


def happens(page: Page, kind: str, **data: Any) -> None:
    """What the socket would tell the page."""
    page.evaluate(
        "([type, data]) => document.dispatchEvent("
        "new CustomEvent('live:staff:orders', {detail: {type, data}}))",
        [kind, data],
    )


@pytest.mark.parametrize(
    "look",
    [
        {"color_scheme": "light"},
        {"color_scheme": "dark"},
        {"color_scheme": "light", "viewport": PHONE},
    ],
)
def test_every_page_is_accessible_and_fits(browser: Browser, shop: Shop, look: Any) -> None:
    page = window(browser, shop, reduced_motion="reduce", **look)
    whole = page.viewport_size
    assert whole is not None
    problems = []
    for path in shop.pages():
        page.goto(path)
        problems += [f"{path}: {line}" for line in violations(page)]
        for size in (whole, SMALLEST):
            page.set_viewport_size(size)
            extra = sideways(page)
            problems += [f"{path}: {extra} px too wide at {size['width']}"] if extra > 0 else []
        page.set_viewport_size(look.get("viewport", DESKTOP))

    assert problems == []


def test_new_order_waits_while_rows_are_selected(browser: Browser, shop: Shop) -> None:
    page = window(browser, shop)
    page.goto("/admin/orders/list/")
    line = page.locator(f'tr[data-pk="{shop.paid}"]')
    page.evaluate("pk => document.querySelector(`tr[data-pk='${pk}']`).remove()", shop.paid)

    page.locator("input[name=rowid]").first.check()
    happens(page, "order.placed", id=shop.paid)
    expect(page.locator("[data-arrivals]")).to_contain_text("1 new order")
    expect(line).to_have_count(0)
    page.click("[data-arrivals] button")

    expect(line).to_have_count(1)
    expect(page.locator("[data-status-words]")).to_have_text(f"New order {shop.number}")


def test_numbers_below_list_follow_new_order(browser: Browser, shop: Shop) -> None:
    page = window(browser, shop)
    page.goto("/admin/orders/list/")
    expect(page.locator(".pager p")).to_have_text("1–3 of 3")
    page.evaluate("window.stayed = true")

    another = people.order(people.product("Another lamp", stock=2)).id
    happens(page, "order.placed", id=another)

    expect(page.locator(f'tr[data-pk="{another}"]')).to_be_visible()
    expect(page.locator(".pager p")).to_have_text("1–4 of 4")
    expect(page.locator('[data-tab-count="all"]')).to_have_text("4")
    assert page.evaluate("window.stayed")


def test_full_page_stays_as_long_as_it_is(
    browser: Browser, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_on_a_page(monkeypatch, 3)
    page = window(browser, shop)
    page.goto("/admin/orders/list/")
    assert page.locator("[data-rows] tr").count() == 3

    another = people.order(people.product("Another lamp", stock=2)).id
    happens(page, "order.placed", id=another)

    expect(page.locator(".pager p")).to_have_text("1–3 of 4")
    expect(page.locator("[data-rows] tr")).to_have_count(3)
    expect(page.locator(".pager nav")).to_be_visible()


def test_change_on_a_later_page_is_no_arrival(
    browser: Browser, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_on_a_page(monkeypatch, 2)
    page = window(browser, shop)
    page.goto("/admin/orders/list/")
    shown = [row.get_attribute("data-pk") for row in page.locator("[data-rows] tr").all()]
    (older,) = {str(pk) for pk in (1, 2, 3)} - set(shown)

    happens(page, "order.changed", id=int(older))
    happens(page, "order.placed", id=people.order(people.product("Another lamp", stock=2)).id)

    expect(page.locator(".pager p")).to_have_text("1–2 of 4")
    expect(page.locator("[data-rows] tr").nth(1)).to_have_attribute("data-pk", str(shown[0]))


def test_the_first_order_brings_the_table_with_it(browser: Browser, shop: Shop) -> None:
    page = window(browser, shop)
    page.goto("/admin/orders/list/?q=olive@example.org")
    expect(page.get_by_role("heading", name="No order matches")).to_be_visible()
    page.evaluate("window.stayed = true")

    first = people.order(people.product("Another lamp", stock=2)).id
    with transaction():
        orders.lock(first).email = "olive@example.org"
    happens(page, "order.placed", id=first)

    expect(page.locator(f'tr[data-pk="{first}"]')).to_be_visible()
    expect(page.locator(".pager p")).to_have_text("1–1 of 1")
    page.locator("input[name=rowid]").check()
    expect(page.locator("[data-bulk] [data-count]")).to_have_text("1")
    page.locator("[data-clear]").click()
    expect(page.locator("[data-bulk]")).to_be_hidden()
    assert page.evaluate("window.stayed")


def test_the_queue_is_worked_with_the_keyboard(browser: Browser, shop: Shop) -> None:
    page = window(browser, shop)
    page.goto("/admin/orders/list/?tab=to_pack")

    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("[data-bulk] [data-count]")).to_have_text("1")
    page.click("[data-bulk] button[type=submit]")
    page.click("#confirm [data-yes]")

    expect(page.locator("[data-results]")).to_contain_text(f"{shop.number} is being processed.")


def test_dialog_sends_a_shipment(browser: Browser, shop: Shop) -> None:
    page = window(browser, shop)
    page.goto(f"/admin/orders/show/{shop.paid}")

    page.click("[commandfor=ship-dialog]")
    page.locator("[data-ship] input[type=number]").fill("1")
    expect(page.locator("[data-ship-label]")).to_have_text("Ship 1 item")
    page.fill("#carrier", "DHL")
    page.click("[data-ship] button[type=submit]")

    expect(page.locator("[data-order-status]")).to_have_text("Partly shipped")


def test_unsaved_note_survives_changes_by_others(browser: Browser, shop: Shop) -> None:
    page = window(browser, shop)
    page.goto(f"/admin/orders/show/{shop.paid}")
    page.fill("#note", "Half a note")

    happens(page, "order.updated", id=shop.paid, version=99, status_label="Shipped")

    expect(page.locator("[data-changed]")).to_contain_text("it is Shipped")
    expect(page.locator("#note")).to_have_value("Half a note")


def test_stock_is_corrected_in_place_with_a_reason(browser: Browser, shop: Shop) -> None:
    page = window(browser, shop)
    page.goto("/admin/inventory/list/?q=tidal")

    page.locator("[data-adjust]").click()
    page.fill("[data-amount]", "-2")
    expect(page.locator("[data-after]")).to_have_text("7")
    page.select_option("#adjust-reason", "damage")
    page.click("#adjust-dialog button[type=submit]")

    expect(page.locator('[data-cell="on_hand"]')).to_have_text("7")


def test_orders_are_shipped_one_after_another_by_keyboard(browser: Browser, shop: Shop) -> None:
    variant = session.get(Variant, shop.variant)
    assert variant
    made = people.order(variant)
    people.pay(made)
    other = made.id
    session.remove()
    page = window(browser, shop)
    page.goto(f"/admin/orders/show/{other}?tab=to_pack")

    page.keyboard.press("j")
    page.wait_for_url(f"**/admin/orders/show/{shop.paid}?tab=to_pack")  # and for its scripts
    page.keyboard.press("k")
    page.wait_for_url(f"**/admin/orders/show/{other}?tab=to_pack")  # and for its scripts
    page.keyboard.press("s")
    page.get_by_label("Carrier").fill("GLS")
    page.keyboard.press("Control+Enter")

    page.wait_for_url(f"**/admin/orders/show/{shop.paid}?tab=to_pack")  # and for its scripts
    expect(page.get_by_text("gets an email about this shipment")).to_be_visible()
    page.keyboard.press("s")
    expect(page.get_by_label("Carrier")).to_have_value("GLS")
