"""The doctor in the admin: asked by a button, answered by a worker, read by who may."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, expect
from sqlalchemy import select
from werkzeug.serving import make_server

from shop import doctor
from shop.core import db
from shop.core.db import session, transaction
from shop.core.errors import Unavailable, WrongState
from shop.doctor import runs
from shop.doctor.models import DoctorRun
from tests.admin.desk import sit
from tests.doctor.healthy import Shop
from tests.doctor.test_command import change
from tests.support.axe import violations
from tests.support.browser import DESKTOP, PHONE, chrome

PAGE = "/admin/doctor/"


@pytest.fixture(autouse=True)
def _push_request_context() -> None:
    """Replaces pytest-flask's: one ``g`` for all requests of a test would keep people signed in."""


def ask(app: Flask, role: str = "Manager") -> Any:
    desk = sit(app, role)
    assert desk.post("/admin/doctor/run").status_code == 303
    return desk


@pytest.mark.parametrize("role", ["Owner", "Manager"])
def test_whoever_runs_the_shop_asks_and_reads(app: Flask, own_shop: Shop, role: str) -> None:
    desk = sit(app, role)
    assert "No runs yet" in desk.text(PAGE)

    desk.post("/admin/doctor/run")
    assert "started a run at" in desk.text(PAGE)
    own_shop.wait_until_idle()

    page = desk.text(PAGE)
    assert "All passed" in page
    assert f"{len(doctor.CHECKS)} checks passed" in page
    assert "Mara Lindt" in page
    assert "started a run at" not in page


@pytest.mark.parametrize("role", ["Catalogue", "Warehouse", "Support", "Finance", "Viewer"])
def test_the_others_do_not(app: Flask, own_shop: Shop, role: str) -> None:
    desk = sit(app, role)

    refused = desk.get(PAGE), desk.post("/admin/doctor/run")

    assert all(answer.status_code in {302, 303, 403} for answer in refused)
    assert PAGE not in desk.text("/admin/")
    assert session.scalar(select(DoctorRun.id)) is None


def test_failed_check_is_named_and_linked(app: Flask, own_shop: Shop) -> None:
    paid = own_shop.orders["paid"]
    change(
        f'UPDATE "order" SET item_count = 9 WHERE id = {paid}',
        f"UPDATE stock_level SET on_hand = on_hand + 1 WHERE variant_id = {own_shop.lamp.id}",
        "UPDATE product SET sold_count = sold_count + 5",
        "UPDATE delivery SET state = 'dead', error = '<b>broke</b>' WHERE id = 1",
    )
    desk = ask(app)
    own_shop.wait_until_idle()

    page = desk.text(PAGE)

    assert "4 checks failed" in page
    assert f'href="/admin/orders/show/{paid}"' in page
    assert f'href="/admin/inventory/show/{own_shop.lamp.id}"' in page
    assert f'href="/admin/products/edit/{own_shop.mug.product_id}"' in page
    assert 'href="/admin/jobs/list/?tab=dead"' in page
    assert "&lt;b&gt;broke" in page
    assert "3 failures" in page


def test_one_run_at_a_time(app: Flask, own_shop: Shop) -> None:
    desk = ask(app)

    desk.post("/admin/doctor/run")

    assert "Integrity checks are already running." in desk.said()
    assert len(session.scalars(select(DoctorRun)).all()) == 1
    with pytest.raises(WrongState), transaction():
        doctor.request_run()


def test_abandoned_run_does_not_block_the_next(app: Flask, own_shop: Shop) -> None:
    desk = ask(app)
    change("UPDATE doctor_run SET asked_at = asked_at - interval '16 minutes'")

    desk.post("/admin/doctor/run")
    own_shop.wait_until_idle()

    assert "All passed" in desk.text(PAGE)


def test_repeated_execution_changes_nothing(app: Flask, own_shop: Shop) -> None:
    ask(app)
    own_shop.wait_until_idle()
    run = doctor.latest()
    assert run and run.finished_at

    doctor.execute_run(run.id)
    doctor.execute_run(10**9)

    session.remove()
    again = doctor.latest()
    assert again and again.finished_at == run.finished_at


def test_failed_run_says_why(app: Flask, own_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(**_: object) -> None:
        raise Unavailable("The database cannot be asked: it is gone")

    monkeypatch.setattr(runs, "run_all", away)
    desk = ask(app)
    own_shop.wait_until_idle()

    page = desk.text(PAGE)
    assert "Could not run" in page
    assert "The database cannot be asked: it is gone" in page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chrome() as launched:
        yield launched


@pytest.fixture
def address(app: Flask, own_shop: Shop) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()


@pytest.mark.parametrize(
    ("look", "name"),
    [
        ({"color_scheme": "light", "viewport": DESKTOP}, "desktop-light"),
        ({"color_scheme": "dark", "viewport": DESKTOP}, "desktop-dark"),
        ({"color_scheme": "light", "viewport": PHONE}, "phone-light"),
        ({"color_scheme": "dark", "viewport": PHONE}, "phone-dark"),
    ],
)
def test_the_page_is_accessible_fits_and_follows(
    browser: Browser, app: Flask, own_shop: Shop, address: str, look: Any, name: str
) -> None:
    change(
        f'UPDATE "order" SET item_count = 9 WHERE id = {own_shop.orders["paid"]}',
        "UPDATE product SET sold_count = sold_count + 5",
    )
    cookie = sit(app, "Owner").client.get_cookie("shop")
    assert cookie
    context = browser.new_context(base_url=address, reduced_motion="reduce", **look)
    context.add_cookies([{"name": "shop", "value": cookie.value, "url": address}])
    page = context.new_page()
    page.goto(PAGE)
    assert violations(page) == []

    page.get_by_role("button", name="Run now").click()
    expect(page.get_by_text("started a run at")).to_be_visible()
    assert violations(page) == []
    own_shop.wait_until_idle()

    expect(page.get_by_text("2 checks failed").first).to_be_visible()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    context.close()
    db.session.remove()
