"""What is pressed twice, or whose answer is lost on its way, happens once, and the page says so."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Locator, Page, Route

from shop.catalog.models import Variant
from tests.journeys.conftest import Visit
from tests.journeys.shelf import available, product
from tests.journeys.steps import add_to_cart
from tests.support.browser import Visitor, expect
from tests.support.stack import RunningShop

# A lost answer; and a page that is there before its styles, because routing turns the cache off.
EXPECTED = re.compile("ERR_FAILED")


@pytest.fixture
def tray(shop: RunningShop) -> Variant:
    """Ten trays."""
    return product("Twice tray", stock=10)


def test_stock_change_with_two_clicks_counts_once(owner: Visitor, tray: Variant) -> None:
    page = owner.goto(f"/admin/inventory/list/?q={tray.sku}")
    sent: list[str] = []
    page.on("request", lambda one: sent.append(one.url) if one.method == "POST" else None)
    page.get_by_role("button", name=f"Adjust {tray.sku}").click()
    dialog = fill_adjustment(page)

    dialog.get_by_role("button", name="Save").dblclick()

    expect(dialog).to_be_hidden()
    expect(page.locator('[data-cell="on_hand"]')).to_have_text("13")
    assert len(sent) == 1
    assert_counted_once(page, tray)


@pytest.mark.parametrize("place", ["list", "show"])
def test_repeated_stock_change_with_lost_answer_counts_once(
    owner: Visitor, tray: Variant, place: str
) -> None:
    address, button = {
        "list": (f"list/?q={tray.sku}", f"Adjust {tray.sku}"),
        "show": (f"show/{tray.id}", "Adjust stock"),
    }[place]
    page = owner.goto(f"/admin/inventory/{address}")
    page.get_by_role("button", name=button).click()
    dialog = fill_adjustment(page)

    with losing_the_first_answer(owner, f"**/admin/inventory/adjust/{tray.id}") as sent:
        dialog.get_by_role("button", name="Save").click()
        expect(dialog.get_by_role("alert")).to_contain_text("No response from the shop.")
        assert available(tray) == 13, "the change must have arrived"
        dialog.get_by_role("button", name="Save").click()
        expect(dialog).to_be_hidden()

    expect(page.locator('[data-cell="on_hand"]')).to_have_text("13")
    assert len(sent) == 2
    assert_counted_once(page, tray)


def test_added_item_counts_once_despite_a_lost_answer(
    shop: RunningShop, visit: Visit, tray: Variant
) -> None:
    known = product("Known plate", stock=10)
    buyer = visit("buyer")
    # A lost answer could not bring the cookie of a new cart.
    add_to_cart(buyer.goto(f"/products/{known.product.slug}"))
    page = buyer.goto(f"/products/{tray.product.slug}")
    buyer.wait_until_following("product:")

    with losing_the_first_answer(buyer, "**/cart/add") as sent:
        page.locator("#buy-form").get_by_role("button", name="Add to cart").click()
        expect(page.get_by_role("heading", level=1, name="Your cart")).to_be_visible()
        expect(page.get_by_role("spinbutton", name=tray.product.name)).to_have_value("1")
        expect(page.locator("[data-cart-link]")).to_have_attribute("aria-label", "Cart, 2 items")

    assert len(sent) == 1


@pytest.fixture
def cart(shop: RunningShop, visit: Visit, tray: Variant) -> Visitor:
    """A buyer at a cart with one tray."""
    buyer = visit("buyer")
    add_to_cart(buyer.goto(f"/products/{tray.product.slug}"))
    buyer.goto("/cart")
    buyer.wait_until_following("cart")
    return buyer


def test_item_removed_by_two_clicks_can_be_restored(cart: Visitor, tray: Variant) -> None:
    page = cart.page

    page.get_by_role("button", name=f"Remove {tray.product.name}").dblclick()
    page.get_by_role("button", name="Undo", exact=True).click()

    expect(page.get_by_role("spinbutton", name=tray.product.name)).to_have_value("1")


def test_removed_item_is_gone_despite_a_lost_answer(cart: Visitor, tray: Variant) -> None:
    page = cart.page

    with losing_the_first_answer(cart, "**/remove") as sent:
        page.get_by_role("button", name=f"Remove {tray.product.name}").click()
        expect(page.get_by_text("Your cart is empty")).to_be_visible()

    assert len(sent) == 1
    expect(page.get_by_role("alert")).to_have_count(0)


def test_restored_item_counts_once_despite_lost_answer(cart: Visitor, tray: Variant) -> None:
    page = cart.page
    page.get_by_role("button", name=f"Remove {tray.product.name}").click()

    with losing_the_first_answer(cart, "**/cart/add") as sent:
        page.get_by_role("button", name="Undo", exact=True).click()
        expect(page.get_by_role("spinbutton", name=tray.product.name)).to_have_value("1")

    assert len(sent) == 1


@contextmanager
def losing_the_first_answer(visitor: Visitor, address: str) -> Iterator[list[str]]:
    """Lose the answer to the first request to ``address``. Yields what is sent."""
    sent: list[str] = []

    def pass_on(route: Route) -> None:
        sent.append(route.request.url)
        if len(sent) > 1:
            route.continue_()
            return
        route.fetch()
        route.abort()

    visitor.page.route(address, pass_on)
    try:
        yield sent
    finally:
        visitor.complaints[:] = [w for w in visitor.complaints if not EXPECTED.search(w)]


def fill_adjustment(page: Page) -> Locator:
    """Three more, with a note, in the open dialog."""
    dialog = page.get_by_role("dialog", name="Adjust stock")
    dialog.locator("[data-amount]").fill("3")
    dialog.get_by_label("Reason").select_option("correction")
    dialog.get_by_label("Note").fill("behind the kiln")
    return dialog


def assert_counted_once(page: Page, variant: Variant) -> None:
    """The ledger has one entry of it, and the stock is what that makes."""
    page.goto(f"/admin/inventory/show/{variant.id}")
    expect(page.get_by_role("row").filter(has_text="behind the kiln")).to_have_count(1)
    assert available(variant) == 13
