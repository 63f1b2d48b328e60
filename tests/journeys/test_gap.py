"""What happens between a page and its socket, or while a fresh part is on its way, is not lost."""

from collections.abc import Sequence

import pytest
from playwright.sync_api import APIResponse, Page, Route
from sqlalchemy import func, select

from shop import orders
from shop.core.db import session, transaction
from shop.core.events import EventPending
from tests import cast
from tests.journeys.shelf import product
from tests.journeys.test_live import is_paid
from tests.journeys.test_staff import bought
from tests.support.browser import Visitor, expect
from tests.support.stack import RunningShop, eventually


@pytest.fixture
def paid_order(shop: RunningShop) -> int:
    """The id of an order that waits to be packed."""
    _, number = bought(shop, product("Gap urn", stock=9))
    eventually(lambda: is_paid(number), within_s=30, what="the order is paid")
    with transaction():
        return orders.by_number(number).id


def test_order_placed_before_the_list_listens_is_listed(owner: Visitor) -> None:
    variant, page = product("Gap urn", stock=9), owner.page
    client = hold(page, "**/js/live.js")
    page.goto("/admin/orders/list/", wait_until="commit")
    expect(page.get_by_role("heading", level=1, name="Orders")).to_be_visible()

    number = cast.order(variant).number
    let_go(page, client)

    expect(page.locator(f"tr[data-name='{number}']")).to_be_visible()


def test_stock_that_changes_before_list_listens_is_shown(owner: Visitor) -> None:
    variant, page = product("Gap urn", stock=9), owner.page
    client = hold(page, "**/js/live.js")
    page.goto(f"/admin/inventory/list/?q={variant.sku}", wait_until="commit")
    expect(page.locator('[data-cell="available"]')).to_have_text("9")

    cast.order(variant)
    let_go(page, client)

    expect(page.locator('[data-cell="available"]')).to_have_text("8")


def test_order_page_hears_of_what_its_script_missed(owner: Visitor, paid_order: int) -> None:
    page = owner.page
    client, own = hold(page, "**/js/live.js"), hold(page, "**/js/order.js")
    page.goto(f"/admin/orders/show/{paid_order}", wait_until="commit")
    expect(page.locator("[data-order-status]")).to_have_text("Paid")

    process(paid_order)
    let_go(page, client)
    page.wait_for_timeout(500)
    let_go(page, own)

    expect(page.locator("[data-order-status]")).to_have_text("Processing")


def test_input_survives_an_arriving_page_part(owner: Visitor, paid_order: int) -> None:
    page = owner.goto(f"/admin/orders/show/{paid_order}")
    owner.wait_until_following("staff:orders")
    part = hold(page, f"**/admin/orders/part/{paid_order}")
    process(paid_order)
    wait_for(page, part)
    note = page.get_by_label("Note for colleagues")
    note.press_sequentially("Ring before ")

    let_go(page, part)

    show = page.locator("[data-show-change]")
    expect(show).to_be_visible()
    expect(note).to_have_value("Ring before ")
    page.unroute(f"**/admin/orders/part/{paid_order}")
    show.click()
    expect(page.locator("[data-order-status]")).to_have_text("Processing")


def test_late_older_part_does_not_undo_a_newer(owner: Visitor, paid_order: int) -> None:
    page = owner.goto(f"/admin/orders/show/{paid_order}")
    owner.wait_until_following("staff:orders")
    slow: list[tuple[Route, APIResponse]] = []

    def answer_the_first_last(route: Route) -> None:
        if slow:
            route.continue_()
        else:
            slow.append((route, route.fetch()))

    page.route(f"**/admin/orders/part/{paid_order}", answer_the_first_last)
    process(paid_order)
    wait_for(page, slow)
    with transaction():
        orders.ship(orders.lock(paid_order))
    expect(page.locator("[data-order-status]")).to_have_text("Shipped")

    route, old = slow[0]
    route.fulfill(response=old)
    page.wait_for_timeout(500)

    expect(page.locator("[data-order-status]")).to_have_text("Shipped")


def hold(page: Page, address: str) -> list[Route]:
    """Keep what the page asks for there until ``let_go``."""
    held: list[Route] = []
    page.route(address, lambda route: held.append(route))
    return held


def wait_for(page: Page, held: Sequence[object]) -> None:
    """Wait until the page has asked for it. Playwright notes that only while it waits itself."""

    def has_asked() -> bool:
        page.wait_for_timeout(50)
        return bool(held)

    eventually(has_asked, within_s=20, what="the page asks")


def let_go(page: Page, held: list[Route]) -> None:
    """Let the page have what it has asked for, when all news has arrived."""
    wait_for(page, held)
    eventually(nothing_waits, within_s=20, what="the relay has sent it")
    for route in held:
        route.continue_()


def nothing_waits() -> bool:
    with transaction():
        return not session.scalar(select(func.count()).select_from(EventPending))


def process(order_id: int) -> None:
    with transaction():
        orders.start_processing(orders.lock(order_id))
