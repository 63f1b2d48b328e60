"""One cart in two tabs: whatever is paid in which of them, one order comes of it."""

import re

from playwright.sync_api import Page
from sqlalchemy import select

from shop import orders
from shop.core.db import session, transaction
from shop.orders.models import Order
from tests.journeys.conftest import Visit
from tests.journeys.shelf import available, product
from tests.journeys.steps import add_to_cart, check_out, number_of, pay_with, to_payment
from tests.support.browser import expect
from tests.support.stack import RunningShop

GOOD = "4242424242424242"


def live_of(number: str) -> list[str]:
    """Numbers of the live orders of this order's chain."""
    with transaction():
        chain = select(Order.chain_id).where(Order.number == number).scalar_subquery()
        live = select(Order.number).where(Order.chain_id == chain, Order.status.in_(orders.LIVE))
        found = list(session.scalars(live))
    session.remove()
    return found


def second_tab(first: Page) -> Page:
    """The same buyer orders again in another tab, with another email address."""
    tab = first.context.new_page()
    tab.goto(first.url.partition("/checkout")[0] + "/checkout")
    tab.get_by_label("Email").fill("second@example.com")
    tab.get_by_role("button", name="Continue to shipping").click()
    to_payment(tab)
    return tab


def test_paying_the_replaced_order_leaves_one(shop: RunningShop, visit: Visit) -> None:
    variant = product("Two tab vase", stock=5)
    ada = visit("ada")
    add_to_cart(ada.goto(f"/products/{variant.product.slug}"))
    first = check_out(ada.page, "first@example.com")
    tab = second_tab(ada.page)
    second = number_of(tab)
    assert second != first

    pay_with(ada.page, GOOD)

    # Either the attempt was cancelled at Stripe by then, or the money was faster and wins.
    state = ada.page.locator("#order-state")
    expect(state.get_by_text(re.compile("has taken its place|Paid")).first).to_be_visible()
    (live,) = live_of(first)
    loser = second if live == first else first
    other = tab if loser == second else ada.page
    other.reload()
    expect(other.get_by_text(f"order {live} has taken its place")).to_be_visible()
    expect(other.locator("[data-pay]")).to_have_count(0)
    assert available(variant) == 4


def test_paying_in_both_tabs_refunds_the_second(shop: RunningShop, visit: Visit) -> None:
    variant = product("Two tab bowl", stock=5)
    ada = visit("ada")
    add_to_cart(ada.goto(f"/products/{variant.product.slug}"))
    first = check_out(ada.page, "first@example.com")
    tab = second_tab(ada.page)
    second = number_of(tab)

    pay_with(tab, GOOD)
    expect(tab.get_by_text("Thank you")).to_be_visible()
    pay_with(ada.page, GOOD)

    # Its attempt is cancelled at Stripe by now, or its money is on the way back.
    expect(ada.page.get_by_text(f"order {second} has taken its place")).to_be_visible()
    assert live_of(first) == [second]
    assert available(variant) == 4
