"""The admin in a browser: accessible in light and dark, whole at 390 px, no errors in scripts."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # has no types
from flask import Flask
from flask_appbuilder.security.sqla.models import Role
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Dialog,
    Page,
    ViewportSize,
    WebSocketRoute,
    expect,
    sync_playwright,
)
from sqlalchemy import select
from werkzeug.serving import make_server

from shop import catalog
from shop.admin.staff import accounts
from shop.catalog.models import Variant
from shop.core import db, i18n
from shop.core.db import transaction
from shop.customers.models import Customer
from tests.support import chromium
from tests.support.languages import write_catalog

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
PASSWORD = "a quiet kiln of clay"
RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}
PAGES = (
    "/admin/customers/list/", "/admin/customers/show/1", "/admin/categories/list/",
    "/admin/categories/add", "/admin/shipping/list/", "/admin/shipping/edit/1",
    "/admin/tax-rates/list/", "/admin/staff/list/", "/admin/staff/add", "/admin/staff/show/1",
    "/admin/roles/list/", "/admin/roles/show/Support", "/admin/profile/", "/admin/password/",
    "/admin/nope",
)  # fmt: skip
WIDE: ViewportSize = {"width": 1440, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium.executable(), args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def address(app: Flask, live_database: str) -> Iterator[str]:
    """The shop on a port of its own, with an Owner, some customers and two categories."""
    with transaction():
        owner = db.session.scalars(select(Role).where(Role.name == "Owner")).one()
        accounts.create(
            email="olga@example.com", first_name="Olga", last_name="Berg", password=PASSWORD,
            held=[owner], by=None,
        )  # fmt: skip
        kitchen = catalog.create_category("Kitchen")
        catalog.create_category("Mugs & cups", parent=kitchen)
        db.session.add_all(
            Customer(email=f"c{n}@example.com", name=f"Customer {n}", password_hash="")
            for n in range(30)
        )
    db.session.remove()
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()


@pytest.fixture
def context(browser: Browser, address: str) -> Iterator[BrowserContext]:
    """A signed-in browser."""
    opened = browser.new_context(base_url=address, viewport=WIDE)
    page = opened.new_page()
    page.goto("/admin/login/")
    page.fill("#username", "olga@example.com")
    page.fill("#password", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url("**/admin/")
    page.close()
    yield opened
    opened.close()


def problems(page: Page) -> list[str]:
    found = Axe().run(page, options=RULES).response["violations"]
    return [f"{each['id']} at {each['nodes'][0]['target']}" for each in found]


def watched(context: BrowserContext) -> tuple[Page, list[str]]:
    """A page, and what it complains about (the sockets are not running here)."""
    page = context.new_page()
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on(
        "console",
        lambda message: (
            said.append(message.text)
            if message.type == "error" and not re.search("WebSocket|404", message.text)
            else None
        ),
    )
    return page, said


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_an_accessibility_fault(
    context: BrowserContext, address: str, theme: str
) -> None:
    context.add_cookies([{"name": "theme", "value": theme, "url": address}])
    page = context.new_page()

    faults = {}
    for path in PAGES:
        page.goto(path)
        if found := problems(page):
            faults[path] = found

    assert faults == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_sign_in_page_has_no_accessibility_fault(
    browser: Browser, address: str, theme: str
) -> None:
    page = browser.new_page(color_scheme=theme)  # type: ignore[arg-type]
    page.goto(f"{address}/admin/login/")

    assert problems(page) == []
    page.close()


def test_nothing_sticks_out_on_phone_and_nothing_complains(context: BrowserContext) -> None:
    page, said = watched(context)
    page.set_viewport_size(PHONE)

    for path in PAGES:
        page.goto(path)
        wider = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wider <= 0, path

    assert said == []


def test_deleting_asks_first(context: BrowserContext) -> None:
    page, said = watched(context)
    page.goto("/admin/categories/list/")
    row = page.locator("tr", has_text="Mugs & cups")

    row.get_by_role("button", name="Delete").click()
    dialog = page.locator("#confirm")
    assert "Mugs & cups" in dialog.inner_text()
    dialog.get_by_role("button", name="Cancel").click()
    assert row.count() == 1
    row.get_by_role("button", name="Delete").click()
    dialog.get_by_role("button", name="Delete").click()

    page.get_by_text("is deleted").wait_for()
    assert row.count() == 0
    assert said == []


def test_ctrl_k_leads_anywhere(context: BrowserContext) -> None:
    page, said = watched(context)
    page.goto("/admin/profile/")

    page.keyboard.press("Control+k")
    page.keyboard.type("tax")
    page.keyboard.press("Enter")

    page.wait_for_url("**/admin/tax-rates/list/")
    assert said == []


def test_palette_and_filters_have_no_accessibility_fault(context: BrowserContext) -> None:
    page = context.new_page()
    page.goto("/admin/customers/list/")

    page.keyboard.press("Control+k")
    assert problems(page) == []
    page.keyboard.press("Escape")
    page.get_by_text("Filter", exact=True).click()
    assert problems(page) == []


def test_form_guards_changes_and_saves_with_ctrl_s(context: BrowserContext) -> None:
    page, said = watched(context)
    page.goto("/admin/profile/")
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)

    page.fill("#first_name", "Helga")
    assert page.get_by_text("Unsaved changes").count() == 1
    page.get_by_role("link", name="Customers").click()
    page.wait_for_timeout(200)
    assert asked == ["beforeunload"]
    page.keyboard.press("Control+s")

    page.get_by_text("Your profile is saved.").wait_for()
    assert page.input_value("#first_name") == "Helga"
    assert said == []


def test_saving_one_form_saves_the_other_changed_forms(
    context: BrowserContext,
) -> None:
    with transaction():
        product = catalog.create_product("Tidal mug")
        variant = catalog.add_variant(product, sku="MUG-1", price_minor=2_400)
        db.session.flush()
        pk, variant_pk = product.id, variant.id
    page, said = watched(context)
    page.goto(f"/admin/products/edit/{pk}")
    price = page.locator(f"[name='price_minor-{variant_pk}']")

    price.fill("1.250")
    page.get_by_label("Tagline").fill("For the early hours")
    page.get_by_label("Tagline").press("Control+s")
    page.get_by_text("Not saved", exact=True).wait_for()
    assert price.input_value() == "1.250"
    assert page.get_by_label("Tagline").input_value() == "For the early hours"

    price.fill("26.50")
    page.get_by_label("Tagline").press("Control+s")
    expect(page.locator(".is-changed")).to_have_count(0)

    db.session.remove()
    saved = db.session.get_one(Variant, variant_pk)
    assert (saved.price_minor, saved.product.tagline) == (2_650, "For the early hours")
    assert [line for line in said if "422" not in line and "409" not in line] == []


def test_rows_are_selected_and_acted_on_together(context: BrowserContext) -> None:
    page, said = watched(context)
    with transaction():
        role = db.session.scalars(select(Role).where(Role.name == "Viewer")).one()
        for n in range(2):
            accounts.create(
                email=f"v{n}@example.com", first_name=f"V{n}", last_name="", password=PASSWORD,
                held=[role], by=None,
            )  # fmt: skip
    page.goto("/admin/staff/list/?q=v")

    page.get_by_role("checkbox", name="Select V0").check()
    page.get_by_role("checkbox", name="Select V1").check()
    assert page.locator("[data-count]").inner_text() == "2"
    page.get_by_role("button", name="Deactivate").click()
    page.locator("#confirm").get_by_role("button", name="Deactivate").click()

    page.get_by_role("heading", name="Deactivate: 2 of 2 done").wait_for()
    page.get_by_role("button", name="Done").click()
    assert page.locator("tr .pill", has_text="Deactivated").count() == 2
    assert said == []


def test_colours_and_row_height_survive_a_reload(context: BrowserContext) -> None:
    page, said = watched(context)
    page.goto("/admin/customers/list/")

    page.locator("[data-cycle=theme]").click()
    page.locator("[data-cycle=density]").click()
    page.reload()

    root = page.locator("html")
    assert root.get_attribute("data-theme") == "light"
    assert root.get_attribute("data-density") == "compact"
    assert said == []


def announce_order(page: Page) -> None:
    """Stand in for the sockets: they tell of one new order."""
    sent = (
        '{"op":"event","topic":"staff:orders","seq":1,"type":"order.placed","at":"2026-11-22T10:00:00Z",'
        '"data":{"id":7,"number":"EO-10023","total_minor":14200,"currency":"EUR","customer":"Ada"}}'
    )

    def serve(socket: WebSocketRoute) -> None:
        socket.send('{"op":"hello","connection":"c","heartbeat":25}')
        socket.on_message(lambda text: answer(socket) if "staff:orders" in text else None)

    def answer(socket: WebSocketRoute) -> None:
        socket.send('{"op":"subscribed","topic":"staff:orders","seq":0,"snapshot":{}}')
        socket.send(sent)

    page.route_web_socket(re.compile("/ws"), serve)


def test_new_orders_are_announced(context: BrowserContext) -> None:
    page, said = watched(context)
    announce_order(page)
    page.goto("/admin/customers/list/")

    page.get_by_text("New order EO-10023").wait_for()
    assert page.get_by_text("€142.00 · Ada").count() == 1
    assert page.locator(".toast a", has_text="View").get_attribute("href") == "/admin/orders/show/7"
    assert page.locator("[data-live-text]").inner_text() == "Live"
    assert said == []


def test_scripts_of_both_doors_speak_the_language_of_the_page(
    context: BrowserContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentences = {
        "New order %(number)s": "Nouvelle commande %(number)s",
        "Live": "En direct",
        "Suggestions": "Propositions",
    }
    write_catalog(tmp_path, "fr", sentences)
    monkeypatch.setattr(i18n, "FOLDER", tmp_path)
    choose = i18n.set_locale
    monkeypatch.setattr(i18n, "set_locale", lambda _chosen: choose("fr"))
    page, said = watched(context)
    announce_order(page)

    page.goto("/admin/customers/list/")
    page.get_by_text("Nouvelle commande EO-10023").wait_for()
    lights = page.locator("[data-live-text]").inner_text()
    page.goto("/search")
    page.locator("main").get_by_role("combobox").or_(page.locator("main [type=search]")).focus()
    page.get_by_role("listbox", name="Propositions", include_hidden=True).first.wait_for(
        state="attached"
    )

    assert lights == "En direct"
    assert page.locator("html").get_attribute("lang") == "fr"
    assert said == []
