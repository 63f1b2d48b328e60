"""Money that goes back: by staff, by the customer, at Stripe, and by a dispute."""

from typing import Any

import pytest
from playwright.sync_api import Page

from shop import orders, payments
from shop.catalog.models import Variant
from shop.core.db import session, transaction
from tests.journeys.conftest import Visit
from tests.journeys.mailbox import read_email
from tests.journeys.shelf import available, product
from tests.journeys.test_staff import bought
from tests.support import axe
from tests.support.browser import Visitor, expect
from tests.support.stack import RunningShop, post

# What happens at Stripe must stand on the order within a minute.
A_MINUTE_MS = 60_000


@pytest.fixture
def bowl(shop: RunningShop) -> Variant:
    """Ten bowls, €12.00 each."""
    return product("Ember bowl", stock=10)


def open_order(owner: Visitor, number: str) -> Page:
    page = owner.goto("/admin/orders/list/?q=" + number)
    page.get_by_role("link", name=number).click()
    expect(page.get_by_role("heading", level=1, name=f"Order {number}")).to_be_visible()
    owner.wait_until_following("staff:orders")
    return page


def payment_pill(page: Page) -> Any:
    return page.get_by_role("heading", name="Payment").locator(".pill")


def intent_of(page: Page) -> str:
    return page.locator(".attempts .mono").first.inner_text()


def test_staff_give_line_back_and_everybody_sees_it(
    shop: RunningShop, owner: Visitor, visit: Visit, bowl: Variant
) -> None:
    key, number = bought(shop, bowl)
    session.rollback()
    order = orders.by_number(number)
    token, name = order.token, order.lines[0].name
    session.rollback()
    customer = visit("customer")
    customer.goto(f"/orders/{number}?token={token}")
    customer.wait_until_following(f"order:{number}")
    page = open_order(owner, number)
    left = available(bowl)

    page.get_by_role("button", name="Refund", exact=True).click()
    dialog = page.get_by_role("dialog", name=f"Refund {number}")
    dialog.get_by_label("How many of Ember bowl").fill("2")
    expect(dialog.locator("[data-sum]")).to_have_text("More than is left to refund")
    dialog.get_by_label("How many of Ember bowl").fill("1")
    dialog.get_by_label("Restock").check()
    dialog.get_by_label("Reason").select_option("returned")
    price = dialog.locator("[data-sum]").inner_text()
    assert axe.violations(page) == []
    owner.snap("70-refund")
    dialog.get_by_role("button", name=f"Refund {price}").click()
    asked = page.get_by_role("dialog").filter(has_text="It cannot be cancelled")
    expect(asked).to_contain_text(f"Refund {price} to Visa ending 4242?")
    asked.get_by_role("button", name=f"Refund {price}").click()

    expect(page.locator(".money-list")).to_contain_text("Refunded")
    expect(payment_pill(page)).to_have_text("Partly refunded")
    expect(page.locator(".money-list")).to_contain_text(f"1 × {name}, restocked")
    assert axe.violations(page) == []
    owner.snap("71-refunded")
    expect(customer.page.get_by_role("heading", name="Refunds")).to_be_visible()
    expect(customer.page.locator("#order-money")).to_contain_text(price)
    expect(customer.page.locator("#order-money")).to_contain_text("Refunded")
    customer.snap("72-customer")
    assert axe.violations(customer.page) == []
    session.rollback()
    assert available(bowl) == left + 1
    letter = read_email(owner, f"{key}@example.com", f"refund for order {number}")
    assert price in letter.text and "Ember bowl" in letter.text
    assert "Banks can take up to ten days" in letter.text


def test_a_refund_works_without_scripts(
    shop: RunningShop, owner: Visitor, visit: Visit, bowl: Variant
) -> None:
    _, number = bought(shop, bowl)
    address = open_order(owner, number).url.partition("?")[0].replace("/show/", "/") + "/refund"
    plain = visit("plain", java_script_enabled=False)
    plain.context.add_cookies(owner.context.cookies())  # type: ignore[arg-type]
    page = plain.goto(address.removeprefix(shop.base_url))

    page.get_by_label("Custom amount").check()
    page.get_by_label("Amount, at most").fill("4,5o")
    page.get_by_label("Reason").select_option("goodwill")
    page.get_by_role("button", name="Refund", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text(
        "“4,5o” is not an amount. Write 1250.00 or 1,250.00."
    )
    expect(page.get_by_label("Amount, at most")).to_have_value("4,5o")
    plain.snap("73-refused")
    page.get_by_label("Amount, at most").fill("4,50")
    page.get_by_role("button", name="Refund", exact=True).click()
    expect(page.get_by_role("heading", name="Refund €4.50 to Visa ending 4242?")).to_be_visible()
    plain.snap("74-agree")
    page.get_by_role("button", name="Refund €4.50").click()

    expect(page.get_by_text("The refund is pending.")).to_be_visible()


def test_refund_made_at_stripe_shows_on_the_order(
    shop: RunningShop, owner: Visitor, bowl: Variant
) -> None:
    _, number = bought(shop, bowl)
    page = open_order(owner, number)

    control(shop, "refund", payment_intent=intent_of(page), amount=300)

    listed = page.locator(".money-list")
    expect(listed).to_contain_text("Created in Stripe", timeout=A_MINUTE_MS)
    expect(listed).to_contain_text("€3.00")
    expect(payment_pill(page)).to_have_text("Partly refunded")
    owner.snap("75-external")
    owner.goto("/admin/payments/list/")
    task = page.locator(".tasks li").filter(has_text=number).filter(has_text="refunded at Stripe")
    expect(task).to_contain_text("Say in the order what it was for.")
    owner.snap("76-task")
    assert axe.violations(page) == []


def test_dispute_holds_money_back_until_it_is_won(
    shop: RunningShop, owner: Visitor, bowl: Variant
) -> None:
    _, number = bought(shop, bowl)
    page = open_order(owner, number)
    order_page = page.url

    dispute = control(shop, "dispute", payment_intent=intent_of(page), reason="fraudulent")

    expect(payment_pill(page)).to_have_text("Disputed", timeout=A_MINUTE_MS)
    expect(page.get_by_role("button", name="Refund", exact=True)).to_have_count(0)
    expect(page.get_by_text("Needs an answer")).to_be_visible()
    owner.snap("77-disputed")
    assert axe.violations(page) == []
    owner.goto("/admin/payments/list/")
    task = page.locator("section", has_text="Open tasks").locator("li", has_text=number)
    expect(task).to_contain_text("disputes")
    owner.snap("78-payments")

    control(shop, "dispute", dispute=dispute["id"], status="won")

    expect(task).to_have_count(0, timeout=A_MINUTE_MS)
    page.goto(order_page)
    expect(payment_pill(page)).to_have_text("Paid")
    expect(page.get_by_text("Reinstated after a dispute")).to_be_visible()
    expect(page.get_by_role("button", name="Refund", exact=True)).to_be_visible()


def test_customer_cancels_some_items(
    shop: RunningShop, owner: Visitor, visit: Visit, bowl: Variant
) -> None:
    key, number = bought(shop, bowl, 2)
    session.rollback()
    token = orders.by_number(number).token
    session.rollback()
    customer = visit("customer")
    page = customer.goto(f"/orders/{number}?token={token}")

    page.get_by_text("Cancel only some items").click()
    page.get_by_label("Ember bowl").select_option("1")
    customer.snap("79-cancel-pieces")
    assert axe.violations(page) == []
    page.get_by_role("button", name="Cancel these items").click()

    expect(page.get_by_text("These items are cancelled.")).to_be_visible()
    expect(page.get_by_text("1 of them cancelled")).to_be_visible()
    expect(page.locator("#order-money")).to_contain_text("Refunded")
    read_email(owner, f"{key}@example.com", f"Part of your order {number} has been cancelled")
    customer.wait_until_following("order:")
    with transaction():
        order = orders.lock(orders.by_number(number).id)
        payments.request_refund(order, payments.Wanted(amount_minor=100), reason="goodwill")
    expect(page.locator(".toast")).to_have_text("There is news about your order.")
    expect(page.locator("#order-money")).to_contain_text("€1.00")


def test_reconciliation_runs_beside_the_page(shop: RunningShop, owner: Visitor) -> None:
    page = owner.goto("/admin/payments/list/")
    expect(page.locator("[data-running]")).to_have_count(0, timeout=A_MINUTE_MS)

    page.get_by_label("Period to reconcile").select_option("7")
    page.get_by_role("button", name="Reconcile now").click()

    expect(page.get_by_role("button", name="Reconcile now")).to_be_enabled(timeout=A_MINUTE_MS)
    expect(page.locator(".runs li").first).to_contain_text("checked")
    owner.snap("80-compared")


def control(shop: RunningShop, what: str, **body: object) -> dict[str, Any]:
    """Act as if in Stripe's dashboard."""
    status, answer = post(f"{shop.stripe_url}/_control/{what}", body)
    assert status == 200, answer
    return answer
