"""What others do is seen without a reload, within two seconds; also after the sockets were gone."""

import secrets
import time

from shop import orders
from shop.core import relay
from shop.core.db import transaction
from shop.reactions import REACTIONS
from shop.realtime.broadcasts import messages
from tests import cast
from tests.journeys.conftest import Visit
from tests.journeys.conftest import sign_in as sign_in_to_admin
from tests.journeys.shelf import product
from tests.journeys.steps import STAFF_PASSWORD, add_to_cart, hire
from tests.journeys.test_account import sign_in
from tests.journeys.test_staff import bought
from tests.support.browser import DESKTOP, SMALLEST, Visitor, expect, sideways
from tests.support.stack import RunningShop, eventually

CLAIM_S = 2.0
# Notes every tone with whether its page may be heard just then.
EAR = """
    window.__tones = [];
    const start = OscillatorNode.prototype.start;
    OscillatorNode.prototype.start = function (when) {
        window.__tones.push(this.context.state);
        return start.call(this, when);
    };
"""
NOTE_WORDS = """
    (light) => {
        window.__said = [];
        const note = () => window.__said.push(light.innerText);
        new MutationObserver(note).observe(light, { childList: true, subtree: true });
    }
"""


def test_last_unit_sells_while_a_visitor_looks(shop: RunningShop, visit: Visit) -> None:
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
    expect(owner.page.locator(f"tr[data-name='{order.number}']")).to_be_visible()
    expect(page.locator("[data-stock]")).to_have_text("Sold out")
    assert "Reconnecting…" in owner.page.evaluate("__said")
    looker.assert_not_reloaded()
    owner.assert_not_reloaded()
    for visitor in (looker, owner):  # the browser itself notes the lost connection
        visitor.complaints[:] = [w for w in visitor.complaints if "WebSocket" not in w]


def test_page_reloads_when_the_relay_missed_broadcasts(shop: RunningShop, visit: Visit) -> None:
    variant = product("Missed kettle", stock=1)
    looker = visit("looker")
    page = looker.goto(f"/products/{variant.product.slug}")
    expect(page.locator("[data-stock]")).to_have_text("Only 1 left")
    looker.mark()
    looker.wait_until_following("product:")

    # Like a relay that died between its commit and its publishing.
    assert shop.kill(r"-m shop relay") == 1
    cast.order(variant)
    _, lost, _ = relay.dispatch(REACTIONS, messages)
    assert f"product:{variant.product_id}" in {news["topic"] for news in lost}

    expect(page.locator("[data-stock]")).to_have_text("Sold out", timeout=60_000)
    looker.assert_not_reloaded()


def test_page_signed_out_elsewhere_is_not_live(
    shop: RunningShop, visit: Visit, owner: Visitor
) -> None:
    home = sign_in_to_admin(visit("home"), shop.owner["email"], shop.owner["password"])
    page = home.goto("/admin/orders/list/")
    light = page.locator("[data-live]")
    expect(light).to_have_text("Live")
    home.wait_until_following("staff:orders")
    light.evaluate(NOTE_WORDS)

    office = owner.goto("/admin/profile/")
    office.get_by_role("button", name="Sign out elsewhere").click()
    office.get_by_role("dialog").get_by_role("button", name="Sign out elsewhere").click()
    expect(office.get_by_text("All other browsers are signed out.")).to_be_visible()

    expect(light).to_have_text("Not live: sign in again")
    expect(light).to_have_attribute("data-live", "off")
    assert "Live" not in page.evaluate("__said")
    light.get_by_role("link", name="sign in again").click()
    page.get_by_label("Email").fill(shop.owner["email"])
    page.get_by_label("Password").fill(shop.owner["password"])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1, name="Orders")).to_be_visible()
    expect(light).to_have_text("Live")


def test_input_survives_a_colleague_changing_the_order(shop: RunningShop, owner: Visitor) -> None:
    _, number = bought(shop, product("Busy urn", stock=9))
    eventually(lambda: is_paid(number), within_s=30, what="the order is paid")
    with transaction():
        order_id = orders.by_number(number).id
    page = owner.goto(f"/admin/orders/show/{order_id}")
    status = page.locator("[data-order-status]")
    expect(status).to_have_text("Paid")
    owner.wait_until_following("staff:orders")
    owner.mark()
    with transaction():
        orders.start_processing(orders.lock(order_id))
    expect(status).to_have_text("Processing")

    note = page.get_by_label("Note for colleagues")
    note.press_sequentially("Ring before ")
    with transaction():
        orders.ship(orders.lock(order_id))
    expect(page.locator("[data-changed]")).to_contain_text(f"{number} was just changed: it is")
    page.keyboard.type("you deliver", delay=50)

    expect(note).to_have_value("Ring before you deliver")
    owner.assert_not_reloaded()
    page.get_by_role("button", name="Add note").click()
    expect(page.locator(".timeline")).to_contain_text("Ring before you deliver")
    expect(status).to_have_text("Shipped")


def is_paid(number: str) -> bool:
    with transaction():
        return orders.by_number(number).paid_at is not None


def test_new_order_is_heard_once_that_was_allowed(
    shop: RunningShop, visit: Visit, owner: Visitor
) -> None:
    variant = product("Loud bell", stock=9)
    owner.context.add_init_script(EAR)
    page = owner.goto("/admin/orders/list/")

    def arrives() -> list[str]:
        """Somebody orders; what was heard when the toast had come."""
        expect(page.locator("[data-live]")).to_have_attribute("data-live", "on")
        owner.wait_until_following("staff:orders")
        number = cast.order(variant).number
        expect(page.get_by_text(f"New order {number}", exact=True).last).to_be_visible()
        page.wait_for_timeout(1_000)
        return page.evaluate("__tones.splice(0)")

    expect(page.locator("[data-sound]")).to_have_attribute("aria-pressed", "false")
    assert arrives() == []

    page.locator("[data-sound]").click()
    page.wait_for_function("__tones.length === 2 && __tones.splice(0)")
    assert arrives() == ["running", "running"]

    # A page that nobody has touched may not sound; it says so, and keeps no noise for later.
    # Whatever Playwright asks a page counts as a touch: so the order comes before the questions.
    page.goto("about:blank")
    owner.goto("/admin/orders/list/")
    page.wait_for_timeout(2_000)
    owner.wait_until_following("staff:orders")
    number = cast.order(variant).number
    page.wait_for_timeout(3_000)
    heard, words = page.evaluate("[__tones, document.querySelector('[data-sound]').title]")
    expect(page.get_by_text(f"New order {number}", exact=True).last).to_be_visible()
    assert heard == []
    assert "starts with your first click" in words

    page.get_by_role("heading", level=1).click()
    expect(page.locator("[data-sound]")).to_have_attribute("title", "Sound for new orders")
    assert page.evaluate("__tones") == []
    assert arrives() == ["running", "running"]

    second = owner.context.new_page()
    second.goto("/admin/profile/")
    second.locator("[data-sound]").click()
    expect(page.locator("[data-sound]")).to_have_attribute("aria-pressed", "false")
    assert arrives() == []
    owner.complaints[:] = [words for words in owner.complaints if "AudioContext" not in words]


def test_low_stock_shows_one_toast_to_staff(
    shop: RunningShop, visit: Visit, owner: Visitor
) -> None:
    variant = product("Scarce bowl", stock=5)
    page = owner.goto("/admin/products/list/")
    expect(page.locator("[data-live]")).to_have_attribute("data-live", "on")
    owner.wait_until_following("staff:stock")

    cast.order(variant)
    began = time.monotonic()
    cast.order(variant)
    note = page.get_by_text(f"{variant.sku}: 3 left")
    expect(note).to_be_visible()
    seen_s = time.monotonic() - began
    cast.order(variant)

    assert seen_s < CLAIM_S
    owner.snap("41-low-stock")
    page.wait_for_timeout(1_000)
    expect(page.get_by_text("Low stock", exact=True)).to_have_count(1)
    page.locator(".toast", has_text=variant.sku).get_by_role("link", name="View").click()
    page.wait_for_url("**/admin/inventory/list/?q=SCARCE-BOWL*")


def test_two_at_one_record_see_that_they_are(
    shop: RunningShop, visit: Visit, owner: Visitor
) -> None:
    variant = product("Shared stool", stock=9)
    order = cast.order(variant)
    email = f"ana-{secrets.token_hex(3)}@example.com"
    hire(email, "Ana", "Weber", role="Manager")
    ana = sign_in_to_admin(visit("Ana"), email, STAFF_PASSWORD)

    for path in (f"orders/show/{order.id}", f"products/edit/{variant.product_id}"):
        chip = owner.goto(f"/admin/{path}").locator("[data-presence]")
        owner.wait_until_following("staff:presence:")
        expect(chip).to_be_empty()
        owner.mark()

        ana.goto(f"/admin/{path}")
        expect(chip).to_have_text("Ana Weber is here too", timeout=5_000)
        expect(ana.page.locator("[data-presence]")).to_contain_text("is here too")
        expect(ana.page.locator("[data-presence]")).not_to_contain_text("Ana")
        owner.page.set_viewport_size(SMALLEST)
        assert sideways(owner.page) <= 0
        owner.snap(f"41-presence-{path.partition('/')[0]}")
        owner.page.set_viewport_size(DESKTOP)

        ana.goto("/admin/profile/")
        expect(chip).to_be_empty(timeout=5_000)
        owner.assert_not_reloaded()

    tab = ana.context.new_page()
    tab.goto(f"/admin/{path}")
    expect(chip).to_have_text("Ana Weber is here too")
    tab.close()
    expect(chip).to_be_empty(timeout=5_000)
