"""What people do again and again on a journey."""

from flask_appbuilder.security.sqla.models import Role
from playwright.sync_api import Page
from sqlalchemy import select

from shop.admin.staff import accounts
from shop.core.db import session, transaction
from tests.cast import ADDRESS
from tests.support.browser import enter_card, expect

STAFF_PASSWORD = "twelve warm lamps"


def add_to_cart(page: Page) -> None:
    """Press the button; the drawer opens, or the cart's page if the script is not there yet."""
    page.locator("#buy-form").get_by_role("button", name="Add to cart").click()
    expect(page.get_by_role("link", name="Check out")).to_be_visible()


def choose(page: Page, *values: str) -> None:
    """Choose values of the product's options, by clicking them."""
    for value in values:
        page.locator("#choices label").filter(has_text=value).click()
        expect(page.get_by_role("radio", name=value)).to_be_checked()


def fill_contact(page: Page, email: str) -> None:
    """Who orders, and where it goes."""
    page.get_by_label("Email").fill(email)
    fill_address(page)


def fill_address(page: Page) -> None:
    """Ada's address into the fields of an address."""
    page.get_by_label("Full name").fill(ADDRESS["name"])
    page.get_by_label("Street and house number").fill(ADDRESS["line1"])
    page.get_by_label("Postal code").fill(ADDRESS["postal_code"])
    page.get_by_label("Town").fill(ADDRESS["city"])
    page.get_by_label("Country").select_option(ADDRESS["country"])


def to_payment(page: Page) -> None:
    """From the shipping step to a card form that is ready."""
    page.get_by_role("button", name="Continue to payment").click()
    expect(page.locator("[data-pay]")).to_be_enabled()


def check_out(page: Page, email: str) -> str:
    """From a filled cart to the card form. Returns the order's number."""
    page.goto("/checkout")
    fill_contact(page, email)
    page.get_by_role("button", name="Continue to shipping").click()
    to_payment(page)
    return number_of(page)


def pay_with(page: Page, number: str) -> None:
    """Type a card and pay."""
    enter_card(page, number)
    page.locator("[data-pay]").click()


def number_of(page: Page) -> str:
    """The order's number on the payment page."""
    return page.locator(".facts-card dd").first.inner_text()


def invite(owners: Page, email: str, first_name: str, last_name: str, *, role: str) -> None:
    """The owner invites somebody to this role."""
    owners.goto("/admin/staff/add")
    owners.get_by_label("First name").fill(first_name)
    owners.get_by_label("Last name").fill(last_name)
    owners.get_by_label("Email").fill(email)
    owners.get_by_role("checkbox", name=role).check()
    owners.locator(".save-bar [type=submit]").click()
    expect(owners.get_by_role("heading", level=1, name=f"{first_name} {last_name}")).to_be_visible()


def hire(email: str, first_name: str, last_name: str, *, role: str) -> None:
    """Somebody who joined with STAFF_PASSWORD and has this role."""
    with transaction():
        accounts.create(
            email=email,
            first_name=first_name,
            last_name=last_name,
            password=STAFF_PASSWORD,
            held=session.scalars(select(Role).where(Role.name == role)).all(),
            by=None,
        )
