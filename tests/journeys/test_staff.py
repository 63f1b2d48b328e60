"""Staff at work: goods from nothing to the shop, stock, a cancelled order, and who may not."""

import secrets
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page

from shop.catalog.models import Variant
from shop.core.db import transaction
from tests.faults.buyers import Errand, buy
from tests.journeys.conftest import Visit, sign_in
from tests.journeys.mailbox import read_email
from tests.journeys.shelf import MUG, available, product
from tests.journeys.steps import STAFF_PASSWORD, hire, invite
from tests.support import axe
from tests.support.browser import PHONE, Visitor, expect, sideways
from tests.support.stack import RunningShop


def test_a_wrong_password_is_refused_in_words(shop: RunningShop, visit: Visit) -> None:
    stranger = visit("stranger")
    page = stranger.goto("/admin/login/")
    page.get_by_label("Email").fill(shop.owner["email"])
    page.get_by_label("Password").fill("not this one at all")
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_text("or the password is wrong")).to_be_visible()
    stranger.snap("60-wrong-password")
    stranger.goto("/admin/orders/list/")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def test_a_product_from_nothing_to_the_shop(owner: Visitor, tmp_path: Path, visit: Visit) -> None:
    run = secrets.token_hex(2)
    page = owner.goto("/admin/categories/add")
    page.get_by_label("Name").fill(f"Vases {run}")
    page.locator(".save-bar [type=submit]").click()
    expect(page.get_by_role("row").filter(has_text=f"Vases {run}")).to_be_visible()

    page.goto("/admin/products/add")
    page.get_by_label("Name").fill(f"Moon vase {run}")
    page.locator("#description").fill("Round, **quiet**, for one twig.")
    page.get_by_label(f"Vases {run}").check()
    owner.snap("61-product-add")
    page.get_by_role("button", name="Save draft").click()
    expect(page.get_by_role("heading", level=1, name=f"Moon vase {run}")).to_be_visible()

    options = page.locator("#options")
    options.get_by_label("New option").fill("Colour")
    options.get_by_label("Its values, separated by commas").fill("Chalk, Moss")
    options.get_by_role("button", name="Save options").click()
    variants = page.locator("#variants")
    variants.get_by_label("SKU pattern").fill(f"MOON-{run.upper()}-{{Colour}}")
    variants.get_by_label("Price, EUR").first.fill("58.00")
    variants.get_by_role("button", name="Generate").click()
    expect(variants.get_by_label("SKU of Chalk")).to_have_value(f"MOON-{run.upper()}-CHALK")

    image, second, liar = tmp_path / "a.jpg", tmp_path / "b.png", tmp_path / "notes.jpg"
    Image.open(MUG / "ember-front.webp").convert("RGB").save(image)
    Image.open(MUG / "ink-front.webp").convert("RGB").save(second)
    liar.write_text("a shopping list")
    page.locator("#picture-file").set_input_files([image, second])
    shown = page.locator("[data-picture-list] li")
    expect(shown).to_have_count(2)
    page.locator("#picture-file").set_input_files([liar])
    refusal = page.locator("[data-uploads]")
    expect(refusal).to_contain_text("notes.jpg")
    expect(refusal).to_contain_text("not a JPEG, PNG or WebP image")
    expect(shown).to_have_count(2)
    owner.snap("62-product-edit")

    page.get_by_role("button", name="Publish").click()
    page.get_by_role("dialog").get_by_role("button", name="Publish").click()
    customer = visit("customer")
    expect(page.get_by_role("link", name="View in store")).to_be_visible()
    customer.goto(page.get_by_role("link", name="View in store").get_attribute("href") or "")
    expect(customer.page.get_by_role("heading", level=1, name=f"Moon vase {run}")).to_be_visible()
    expect(customer.page.locator("[data-stock]")).to_have_text("Sold out")

    # Stock comes, with a reason, and the page of the customer knows.
    customer.wait_until_following("product:")
    page.get_by_role("link", name="Stock of Chalk").click()
    page.get_by_role("button", name="Adjust stock").click()
    dialog = page.get_by_role("dialog", name="Adjust stock")
    dialog.locator("[data-amount]").fill("7")
    dialog.get_by_label("Reason").select_option(index=1)
    dialog.get_by_label("Note").fill("found behind the kiln")
    owner.snap("63-adjust")
    dialog.get_by_role("button", name="Save").click()
    entry = page.get_by_role("row").filter(has_text="found behind the kiln")
    expect(entry).to_contain_text("+7")
    owner.snap("64-history")
    expect(customer.page.locator("[data-stock]")).not_to_have_text("Sold out")


@pytest.fixture
def vase(shop: RunningShop) -> Variant:
    """Ten vases."""
    return product("Brief vase", stock=10)


def test_cancelled_paid_order_is_refunded(shop: RunningShop, owner: Visitor, vase: Variant) -> None:
    key, number = bought(shop, vase)
    page = owner.goto("/admin/orders/list/?q=" + number)
    page.get_by_role("link", name=number).click()
    expect(page.locator("[data-order-status]")).to_have_text("Paid")
    page.get_by_role("button", name="Cancel order").click()
    dialog = page.get_by_role("dialog", name=f"Cancel {number}?")
    expect(dialog.get_by_label("Refund what was paid for it")).to_be_checked()
    dialog.get_by_label("Reason").select_option("customer")
    owner.snap("65-cancel")
    dialog.get_by_role("button", name="Cancel the order").click()

    expect(page.locator("[data-order-status]")).to_have_text("Cancelled")
    expect(page.get_by_role("heading", name="Payment").locator(".pill")).to_have_text("Refunded")
    owner.snap("66-cancelled")
    assert available(vase) == 10
    read_email(owner, f"{key}@example.com", f"{number} has been cancelled")
    read_email(owner, f"{key}@example.com", f"refund for order {number}")


def test_shipment_is_marked_as_delivered(shop: RunningShop, owner: Visitor, vase: Variant) -> None:
    _, number = bought(shop, vase)
    page = owner.goto("/admin/orders/list/?q=" + number)
    page.get_by_role("link", name=number).click()
    page.get_by_role("button", name="Start processing").click()
    expect(page.locator("[data-order-status]")).to_have_text("Processing")
    page.get_by_role("button", name="Ship", exact=True).first.click()
    page.get_by_role("dialog").get_by_role("button", name="Ship 1 item").click()
    page.get_by_role("button", name="Mark as delivered").click()

    expect(page.locator("[data-order-status]")).to_have_text("Delivered")
    owner.snap("67-delivered")


def test_a_viewer_looks_and_changes_nothing(shop: RunningShop, visit: Visit, vase: Variant) -> None:
    _, number = bought(shop, vase)
    email = f"vera-{secrets.token_hex(3)}@example.com"
    hire(email, "Vera", "View", role="Viewer")

    viewer = sign_in(visit("viewer"), email, STAFF_PASSWORD)
    page = viewer.goto("/admin/orders/list/?q=" + number)
    page.get_by_role("link", name=number).click()
    expect(page.locator("[data-order-status]")).to_have_text("Paid")
    main = page.get_by_role("main")
    for words in ("Start processing", "Ship", "Cancel order"):
        expect(main.get_by_role("button", name=words, exact=True)).to_have_count(0)
    viewer.snap("68-viewer")

    pk = page.url.rpartition("/")[2].partition("?")[0]
    for action in (f"orders/{pk}/process", f"orders/{pk}/ship", f"orders/{pk}/cancel"):
        assert post(page, action) == 403, action
    assert post(page, f"inventory/adjust/{vase.id}", delta="5", reason="found", mode="delta") == 403
    page.reload()
    expect(page.locator("[data-order-status]")).to_have_text("Paid")
    assert available(vase) == 9


def test_from_invitation_to_signed_in(shop: RunningShop, owner: Visitor, visit: Visit) -> None:
    email = f"ines-{secrets.token_hex(3)}@example.com"
    invite(owner.page, email, "Ines", "Roth", role="Support")
    expect(owner.page.get_by_text("Invited", exact=True)).to_be_visible()
    owner.snap("69-invited")
    link = read_email(owner, email, "You are invited").link("/admin/invitation/")

    ines = visit("ines", viewport=PHONE)
    page = ines.goto(link)
    expect(page.get_by_text("Support")).to_be_visible()
    expect(page.get_by_text("invites you to work")).to_be_visible()
    assert sideways(page) <= 0
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        assert axe.violations(page) == []
        ines.snap(f"69-accept-{scheme}")
    page.locator("#password").fill(STAFF_PASSWORD)
    page.get_by_label("New password again").fill(STAFF_PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/")

    ines.goto("/admin/profile/")
    expect(page.get_by_text("Chrome on")).to_be_visible()
    expect(page.get_by_text("This browser")).to_be_visible()
    assert sideways(page) <= 0
    ines.snap("69-sign-ins")
    owner.goto("/admin/staff/list/?q=" + email)
    expect(owner.page.get_by_role("row").filter(has_text=email)).to_contain_text("Active")


def bought(shop: RunningShop, variant: Variant, quantity: int = 1) -> tuple[str, str]:
    """Somebody's paid order by the API. Returns who and the number."""
    key = f"buyer-{secrets.token_hex(3)}"
    with transaction():
        errand = Errand(shop.base_url, shop.stripe_url, variant.id, quantity)
    code, number = buy(errand, key)
    assert code == "paid"
    return key, number


def post(page: Page, action: str, **form: str) -> int:
    """Send a form past the page, with its secret."""
    token = page.locator("meta[name=csrf-token]").get_attribute("content") or ""
    return page.request.post(f"/admin/{action}", form={"csrf_token": token, **form}).status
