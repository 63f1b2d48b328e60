"""What others do is seen without a reload, within two seconds; also after the sockets were gone."""

import secrets
import time

from tests import cast
from tests.journeys.conftest import Visit
from tests.journeys.shelf import product
from tests.journeys.steps import add_to_cart
from tests.journeys.test_account import sign_in
from tests.support.browser import Visitor, expect
from tests.support.stack import RunningShop

CLAIM_S = 2.0


def test_the_last_piece_is_gone_while_somebody_looks(shop: RunningShop, visit: Visit) -> None:
    variant = product("Last lantern", stock=1)
    looker = visit("looker")
    page = looker.goto(f"/products/{variant.product.slug}")
    expect(page.locator("[data-stock]")).to_have_text("Only 1 left")
    looker.mark()
    looker.wait_until_following("product:")

    began = time.monotonic()
    cast.order(variant)
    expect(page.locator("[data-stock]")).to_have_text("Sold out", timeout=5_000)
    seen_s = time.monotonic() - began

    print(f"sold out was seen {seen_s:.2f} s after the order began")
    assert seen_s < CLAIM_S
    expect(page.locator("#buy-form [data-buy]")).to_be_disabled()
    looker.assert_not_reloaded()
    looker.snap("40-sold-out")


def test_the_cart_follows_on_a_second_device(shop: RunningShop, visit: Visit) -> None:
    email = f"two-{secrets.token_hex(3)}@example.com"
    cast.customer(email, "Tove Two")
    variant = product("Shared tray", stock=9)
    laptop, phone = visit("laptop"), visit("phone")
    for device in (laptop, phone):
        sign_in(device.page, email, cast.PASSWORD)
        expect(device.page.get_by_role("heading", level=1, name="Tove Two")).to_be_visible()
    phone.goto("/cart")
    expect(phone.page.get_by_text("Your cart is empty")).to_be_visible()
    phone.mark()
    phone.wait_until_following("cart")

    laptop.goto(f"/products/{variant.product.slug}")
    began = time.monotonic()
    add_to_cart(laptop.page)
    expect(phone.page.locator("[data-cart-link] .cart-count")).to_have_text("1", timeout=5_000)
    seen_s = time.monotonic() - began
    expect(phone.page.get_by_role("link", name="Shared tray")).to_be_visible()

    print(f"the second device showed the cart {seen_s:.2f} s after the click")
    phone.assert_not_reloaded()


def test_dead_sockets_are_said_and_made_up_for(
    shop: RunningShop, visit: Visit, owner: Visitor
) -> None:
    variant = product("Patient clock", stock=1)
    looker = visit("looker")
    page = looker.goto(f"/products/{variant.product.slug}")
    looker.wait_until_following("product:")
    owner.goto("/admin/orders/list/")
    light = owner.page.locator("[data-live]")
    expect(light).to_have_attribute("data-live", "on")
    looker.mark()
    owner.mark()

    light.evaluate(
        "light => { window.__said = []; new MutationObserver(() => __said.push(light.innerText))"
        ".observe(light, { childList: true, subtree: true, characterData: true }); }"
    )
    assert shop.kill(r"shop\.realtime\.wsgi") >= 1
    order = cast.order(variant)

    expect(light).to_have_attribute("data-live", "on", timeout=60_000)
    expect(owner.page.locator(f"tr[data-number='{order.number}']")).to_be_visible()
    expect(page.locator("[data-stock]")).to_have_text("Sold out")
    assert "Reconnecting…" in owner.page.evaluate("__said")
    looker.assert_not_reloaded()
    owner.assert_not_reloaded()
    for visitor in (looker, owner):  # the browser itself notes the lost connection
        visitor.complaints[:] = [w for w in visitor.complaints if "WebSocket" not in w]
