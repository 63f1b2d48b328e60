"""An account from the first email to the first order, and a password that was forgotten."""

import secrets

from playwright.sync_api import Page

from tests import cast
from tests.journeys.conftest import Visit
from tests.journeys.mailbox import read_email
from tests.journeys.shelf import Shelf
from tests.journeys.steps import add_to_cart, fill_address, number_of, pay_with, to_payment
from tests.support.browser import Visitor, expect
from tests.support.stack import RunningShop

PASSWORD = "a lamp beside the sea"


def sign_in(page: Page, email: str, password: str) -> None:
    """Sign a customer in by the form."""
    page.goto("/account/login")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_account_from_first_email_to_first_order(
    shelf: Shelf, visit: Visit, owner: Visitor
) -> None:
    email = f"mara-{secrets.token_hex(3)}@example.com"
    mara = visit("mara")
    page = mara.goto("/account/register")
    page.get_by_label("Your name").fill("Mara Lindt")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    mara.snap("30-register")
    page.get_by_role("button", name="Create my account").click()
    expect(page.get_by_text("Check your email")).to_be_visible()

    # The link from the mailbox.
    page.goto(read_email(owner, email, "Please confirm your account").link("/account/confirm/"))
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm my account").click()
    expect(page.get_by_role("heading", level=1, name="Mara Lindt")).to_be_visible()
    mara.snap("31-account")

    page.get_by_role("button", name="Sign out").first.click()
    expect(page.get_by_text("You are signed out")).to_be_visible()

    # A guest's cart comes along.
    add_to_cart(mara.goto(f"/products/{shelf.mug.slug}"))
    sign_in(page, email, "not the password at all")
    expect(page.get_by_role("alert")).to_be_visible()
    mara.snap("32-wrong-password")
    sign_in(page, email, PASSWORD)
    expect(page.locator("[data-cart-link] .cart-count")).to_have_text("1")

    # A saved address is used at checkout.
    page.goto("/account/addresses")
    fill_address(page)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The address is saved")).to_be_visible()
    mara.snap("33-addresses")
    page.goto("/checkout")
    expect(page.get_by_role("radio", name="Ada Lovelace")).to_be_checked()
    mara.snap("34-saved-address")
    page.get_by_role("button", name="Continue to shipping").click()
    expect(page.locator(".facts-card")).to_contain_text("Unter den Linden 1")
    to_payment(page)
    number = number_of(page)
    pay_with(page, "4242424242424242")
    expect(page.get_by_text("Thank you")).to_be_visible()

    page.goto("/account/orders")
    mara.snap("35-history")
    page.get_by_role("link", name=number).click()
    expect(page.get_by_role("heading", level=1, name=number)).to_be_visible()


def test_new_password_signs_other_browsers_out(
    shop: RunningShop, visit: Visit, owner: Visitor
) -> None:
    email = f"ilse-{secrets.token_hex(3)}@example.com"
    cast.customer(email, "Ilse Meer")
    elsewhere, here = visit("elsewhere"), visit("here")
    sign_in(elsewhere.page, email, cast.PASSWORD)
    expect(elsewhere.page.get_by_role("heading", level=1, name="Ilse Meer")).to_be_visible()

    page = here.goto("/account/login")
    page.get_by_role("link", name="Forgot your password?").click()
    page.get_by_label("Email").fill(email)
    page.get_by_role("main").get_by_role("button").click()
    expect(page.get_by_text("Check your email")).to_be_visible()
    link = read_email(owner, email, "Choose a new password").link("/account/password/")
    page.goto(link)
    assert link.rpartition("/")[2] not in page.url, "the secret must leave the address"
    set_password(page)
    expect(page.get_by_role("heading", level=1, name="Ilse Meer")).to_be_visible()

    elsewhere.goto("/account")
    expect(elsewhere.page.get_by_role("heading", level=1, name="Sign in")).to_be_visible()
    sign_in(elsewhere.page, email, cast.PASSWORD)
    expect(elsewhere.page.get_by_role("alert")).to_be_visible()
    here.goto(link)
    expect(page.get_by_text("no longer valid")).to_be_visible()


def set_password(page: Page) -> None:
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Set my new password").click()
