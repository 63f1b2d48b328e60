"""One running shop and one browser for all journeys; every visitor's window must stay quiet.

TEST_SHOP_VAR names the folder of a shop that runs already (``bin/dev --no-demo``, with
RATE_LIMITS=off and PAYMENT_METHODS as below) and is used instead of a new one. SHOP_PICTURES names
a folder for images of the steps. A failed journey leaves images of all its windows in its
temporary folder.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values
from playwright.sync_api import Browser

from shop import checkout
from shop.core.db import end_read
from tests.journeys import shelf as goods
from tests.support.browser import Visitor, chrome, expect
from tests.support.stack import RunningShop, running_shop

Visit = Callable[..., Visitor]
PAYMENT_METHODS = "card,link,ideal,sepa_debit,multibanco"


@pytest.fixture(autouse=True)
def _push_request_context() -> None:
    """Replaces pytest-flask's: the shop of the journeys runs in processes of its own."""


@pytest.fixture(autouse=True)
def _end_read() -> Iterator[None]:
    """Postgres would end what a journey's own reads left open, in the middle of the next one."""
    yield
    end_read()


@pytest.fixture(scope="package")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    """A whole shop without the demo, with this process's operations on its database."""
    if given := os.environ.get("TEST_SHOP_VAR"):
        settings = {k: v or "" for k, v in dotenv_values(Path(given, "dev.env")).items()}
        running = RunningShop(settings["BASE_URL"], Path(given), settings)
        with running.database():
            yield running
        return
    folder = tmp_path_factory.mktemp("shop")
    extra = {"PAYMENT_METHODS": PAYMENT_METHODS, "MAX_UNPAID_ORDERS": "1000"}
    with running_shop(folder, "--no-demo", **extra) as running, running.database():
        # All journeys share a shop, and most of their buyers an email address.
        terms = checkout.terms()
        checkout.configure(replace(terms, max_unpaid_orders=1000))
        yield running
        checkout.configure(terms)


@pytest.fixture(scope="package")
def shelf(shop: RunningShop) -> goods.Shelf:
    """The goods, with their images in all sizes."""
    return goods.fill(shop)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One Chromium for all."""
    with chrome() as launched:
        yield launched


@pytest.fixture
def visit(
    shop: RunningShop, browser: Browser, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Visit]:
    """Opens windows: ``visit("Ada", viewport=PHONE)``. None may have complained at the end."""
    visitors: list[Visitor] = []

    def open_window(name: str, **options: Any) -> Visitor:
        visitors.append(Visitor(browser, shop.base_url, name, **options))
        return visitors[-1]

    failed_before = request.session.testsfailed
    yield open_window
    has_failed = request.session.testsfailed > failed_before
    for visitor in visitors:
        if has_failed:
            screenshot = tmp_path / f"{visitor.name}.png"
            visitor.page.screenshot(path=screenshot, full_page=True)
            print(f"{visitor.name} was at {visitor.page.url}, see {screenshot}")
        visitor.context.close()
    complaints = [f"{v.name}: {words}" for v in visitors for words in v.complaints]
    assert complaints == []


@pytest.fixture
def owner(shop: RunningShop, visit: Visit) -> Visitor:
    """The owner, signed in to the admin by the form."""
    return sign_in(visit("owner"), shop.owner["email"], shop.owner["password"])


def sign_in(who: Visitor, email: str, password: str) -> Visitor:
    """Sign a member of staff in."""
    page = who.goto("/admin/login/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("link", name="Dashboard")).to_have_attribute("aria-current", "page")
    return who
