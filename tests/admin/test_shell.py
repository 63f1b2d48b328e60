"""The admin's frame: where it lives, what it sends, what nonsense does, what a list costs."""

import re
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from shop.admin import security
from shop.catalog.models import Category
from shop.checkout.models import ShippingMethod, TaxRate
from shop.core import db
from shop.core.csp import page_policy
from shop.customers.models import Customer
from tests.admin.desk import Desk, sit
from tests.cast import Cast

PAGES = (
    "/admin/", "/admin/customers/list/", "/admin/categories/list/", "/admin/categories/add",
    "/admin/shipping/list/", "/admin/shipping/add", "/admin/tax-rates/list/", "/admin/staff/list/",
    "/admin/staff/add", "/admin/roles/list/", "/admin/roles/show/Support", "/admin/profile/",
    "/admin/password/", "/admin/nope",
)  # fmt: skip
METHOD = {
    "name": "Pigeon", "code": "pigeon", "price_minor": "3,50", "free_over_minor": "",
    "countries": "de at", "min_days": "1", "max_days": "2", "position": "9", "is_active": "y",
}  # fmt: skip


@pytest.fixture
def owner(app: Flask, session: Session) -> Desk:
    return sit(app, "Owner")


def register(number: int) -> None:
    """So many customers, without the cost of hashing their passwords."""
    with db.transaction():
        db.session.add_all(
            Customer(email=f"c{n}@example.com", name=f"Customer {n:02}", password_hash="")
            for n in range(number)
        )


# -- where it lives ------------------------------------------------------------------------------


def test_flask_appbuilder_has_nothing_outside_the_admin(app: Flask) -> None:
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        module = getattr(view, "__module__", "")
        if module.startswith(("flask_appbuilder", "shop.admin")):
            assert rule.rule.startswith("/admin"), rule


@pytest.mark.parametrize(
    "path",
    ["/back", "/lang/de", "/api/v1/menu/", "/api/v1/security/login", "/api/v1/security/refresh",
     "/login/", "/logout/", "/users/list/", "/static/appbuilder/css/ab.css", "/registeruser/list/"],
)  # fmt: skip
def test_what_flask_appbuilder_puts_at_root_is_gone(
    client: FlaskClient, session: Session, path: str
) -> None:
    assert client.get(path).status_code == 404
    assert client.post(path).status_code in {400, 404, 405}


def test_no_stock_template_can_be_found(app: Flask) -> None:
    for view in app.extensions["appbuilder"].baseviews:
        assert view.blueprint.template_folder is None
    assert not [name for name in app.jinja_env.list_templates() if name.startswith("appbuilder/")]


def test_every_page_of_staff_asks_for_a_permission(
    app: Flask, client: FlaskClient, session: Session
) -> None:
    for rule in app.url_map.iter_rules():
        if not rule.rule.startswith("/admin") or rule.endpoint in security.OPEN:
            continue
        values: dict[str, Any] = dict.fromkeys(rule.arguments, "1")
        assert rule.methods, rule
        with app.test_request_context():
            path = app.url_for(rule.endpoint, **values)
        if "GET" in rule.methods:
            answer = client.get(path)
            assert answer.status_code == 303, path
            assert answer.location.startswith("/admin/login/"), path
        if "POST" in rule.methods:
            assert client.post(path).status_code in {303, 400}, path


# -- what it sends -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
def test_pages_obey_the_strict_policy(owner: Desk, path: str) -> None:
    answer = owner.get(path)

    policy = answer.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert answer.headers["Cache-Control"] == "no-store"
    assert not re.search(r"\sstyle=|<style|\son[a-z]+=|javascript:", answer.text)
    assert not re.search(r"<script(?![^>]*\ssrc=)", answer.text)
    assert '<meta name="realtime-url"' in answer.text


def test_sockets_may_go_to_the_realtime_process_only() -> None:
    policy = page_policy("wss://live.example.com/ws")

    assert "connect-src 'self' wss://live.example.com https://live.example.com;" in policy


def test_files_are_kept_for_good_under_their_version(app: Flask, owner: Desk) -> None:
    page = owner.text("/admin/")
    found = re.search(r'"(/admin/static/v-[0-9a-f]+/css/admin.css)"', page)
    assert found

    answer = owner.get(found[1])

    assert answer.status_code == 200
    assert "immutable" in answer.headers["Cache-Control"]
    assert owner.get("/admin/static/v-x/../../security.py").status_code == 404


@pytest.mark.parametrize("theme, shown", [("dark", "dark"), ('"><script>', "auto"), ("", "auto")])
def test_the_theme_comes_from_a_cookie(owner: Desk, theme: str, shown: str) -> None:
    owner.client.set_cookie("theme", theme)

    assert f'data-theme="{shown}"' in owner.text("/admin/")


def test_missing_and_forbidden_pages_look_like_the_admin(app: Flask, owner: Desk) -> None:
    missing = owner.get("/admin/customers/show/999999")
    forbidden = sit(app, "Warehouse", "Walt").get("/admin/staff/list/")

    assert (missing.status_code, forbidden.status_code) == (404, 403)
    for answer in (missing, forbidden):
        assert 'class="rail"' in answer.text
        assert "Go to the dashboard" in answer.text


def test_an_error_shows_no_insides(
    app: Flask, owner: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> str:
        raise RuntimeError("secret insides")

    monkeypatch.setitem(app.view_functions, "ProfileView.show", broken)
    monkeypatch.setitem(app.config, "TESTING", False)

    answer = owner.get("/admin/profile/")

    assert answer.status_code == 500
    assert "secret insides" not in answer.text
    assert "Something went wrong" in answer.text


# -- nonsense ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", ["0", "-1", "abc", "99999999999999999999", "1 OR 1=1", "%00", "1.0"]
)
def test_ids_that_cannot_be_are_not_found(owner: Desk, key: str) -> None:
    for path in ("customers/show", "shipping/edit", "staff/show", "tax-rates/edit"):
        assert owner.get(f"/admin/{path}/{key}").status_code == 404, path
    assert owner.post(f"/admin/shipping/delete/{key}").status_code == 404


@pytest.mark.parametrize(
    "query",
    ["after=-1", "after=abc", "before=0", "after=99999999999999999999", "after=1&before=2",
     "start=0", "start=1e9", "size=7", "size=-25", "sort=password_hash", "sort=1;drop",
     "cols=password_hash", "created_at.from=tomorrow", "created_at.to=9999-99-99", "tab=nope",
     "password_hash=x", "created_at=2026-11-30"],
)  # fmt: skip
def test_invalid_list_address_is_refused_in_words(
    owner: Desk, session: Session, query: str
) -> None:
    answer = owner.get(f"/admin/customers/list/?{query}")

    assert answer.status_code == 400
    main = answer.text.split('id="main"')[1]
    assert "The request was not understood" not in main


@pytest.mark.parametrize(
    "query, leads",
    [
        ("page_CustomersView=3&psize_CustomersView=50&q=ada", "?q=ada"),
        ("_oc_CustomersView=name&_od_CustomersView=desc", ""),
        ("page=4", ""),
        ("cols=name&cols=email", "?cols=name,email"),
        ("_flt_0_name=x", ""),
    ],
)
def test_addresses_of_older_versions_lead_to_the_list(
    owner: Desk, session: Session, query: str, leads: str
) -> None:
    answer = owner.get(f"/admin/customers/list/?{query}")

    assert answer.status_code == 301
    assert answer.location.replace("%2C", ",") == f"/admin/customers/list/{leads}"


@pytest.mark.parametrize("query", ["q=%25%25%25", "q=" + "x" * 900, "q=", "tab=", "created_at.to="])
def test_odd_searches_and_empty_fields_do_no_harm(
    owner: Desk, session: Session, query: str
) -> None:
    assert owner.get(f"/admin/customers/list/?{query}").status_code == 200


def test_percent_signs_in_the_search_mean_themselves(owner: Desk, cast: Cast) -> None:
    register(3)
    with db.transaction():
        db.session.add(Customer(email="b@example.com", name="Bruno 100% Costa", password_hash=""))

    found = owner.text("/admin/customers/list/?q=100%25")

    assert "Bruno" in found
    assert "1–1 of 1" in found


# -- lists ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["customers/list/", "shipping/list/", "staff/list/", "categories/list/", "tax-rates/list/"],
)
def test_a_list_costs_at_most_eight_statements(
    owner: Desk, cast: Cast, statements: list[str], path: str
) -> None:
    register(30)
    owner.text("/admin/profile/")
    del statements[:]

    owner.text(f"/admin/{path}?q=e")

    assert 3 <= len(statements) <= 8, statements


def test_lists_turn_pages_sort_and_say_how_many(owner: Desk, session: Session) -> None:
    register(30)

    first = owner.text("/admin/customers/list/?sort=name")
    further = re.search(r'href="([^"]+)" rel="next"', first)
    assert further
    second = owner.text(further[1].replace("&amp;", "&"))
    back = re.search(r'href="([^"]+)" rel="prev"', second)
    assert back
    again = owner.text(back[1].replace("&amp;", "&"))

    assert "1–25 of 30" in first
    assert "26–30 of 30" in second
    assert "1–25 of 30" in again
    assert "Customer 00" in first
    assert "Customer 29" in second
    assert "Customer 00" in again and "Customer 25" not in again
    assert 'aria-sort="ascending"' in first


def test_no_page_shows_a_password(owner: Desk, cast: Cast) -> None:
    ada = cast.ada

    page = owner.text(f"/admin/customers/show/{ada.id}")

    assert ada.email in page
    assert ada.password_hash not in page
    assert "password" not in page.split('id="main"')[1].split("</main>")[0].lower()


# -- tables through Flask-AppBuilder's ModelView --------------------------------------------------


def test_a_shipping_method_is_added_changed_and_deleted(owner: Desk, session: Session) -> None:
    answer = owner.post("/admin/shipping/add", METHOD)
    assert answer.status_code == 303
    made = db.session.scalars(select(ShippingMethod).where(ShippingMethod.code == "pigeon")).one()
    assert (made.price_minor, made.free_over_minor, made.countries) == (350, None, ["DE", "AT"])

    owner.post(f"/admin/shipping/edit/{made.id}", METHOD | {"price_minor": "4.00"})
    db.session.remove()
    assert db.session.get(ShippingMethod, made.id).price_minor == 400

    owner.post(f"/admin/shipping/delete/{made.id}")
    db.session.remove()
    assert db.session.get(ShippingMethod, made.id) is None


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"price_minor": "1.234"}, "Write 1234.00 or 1,234.00."),
        ({"price_minor": "-1"}, "cannot be below zero"),
        ({"price_minor": "1e30"}, "is not an amount"),
        ({"price_minor": "NaN"}, "is not an amount"),
        ({"min_days": "5"}, "cannot be shorter"),
        ({"min_days": "99999999999"}, "too large"),
        ({"min_days": "-3"}, "A number of days from 0 to 365."),
        ({"countries": "DE, Atlantis"}, "not a two-letter country code"),
        ({"countries": ""}, "at least one country"),
        ({"code": "standard"}, "already taken"),
        ({"name": "  "}, "Fill this in"),
        ({"position": "9" * 12}, "too large"),
    ],
)
def test_a_bad_shipping_method_is_refused_in_words(
    owner: Desk, cast: Cast, change: dict[str, str], sentence: str
) -> None:
    answer = owner.post("/admin/shipping/add", METHOD | change)

    assert answer.status_code == 422
    assert sentence in answer.text
    assert "Error" not in answer.text
    assert (
        db.session.scalars(select(ShippingMethod).where(ShippingMethod.name == "Pigeon")).all()
        == []
    )


def test_unknown_fields_of_a_form_change_nothing(owner: Desk, session: Session) -> None:
    owner.post("/admin/shipping/add", METHOD | {"id": "77", "evil": "1"})

    made = db.session.scalars(select(ShippingMethod).where(ShippingMethod.code == "pigeon")).one()
    assert made.id != 77


def test_a_tax_rate_is_added_and_changed(owner: Desk, session: Session) -> None:
    owner.post("/admin/tax-rates/add", {"country": "xk", "tax_class": "standard", "rate": "0.18"})
    page = owner.text("/admin/tax-rates/list/?q=xk")
    found = re.search(r'href="(/admin/tax-rates/edit/[^"]+)"', page)
    assert found and "18 %" in page

    answer = owner.post(found[1].replace("&amp;", "&"), {"rate": "0.16"})

    db.session.remove()
    rate = db.session.scalars(select(TaxRate).where(TaxRate.country == "XK")).one()
    assert str(rate.rate) == "0.1600"
    assert answer.location == "/admin/tax-rates/list/?q=xk"


def test_categories_change_through_catalog_operations(owner: Desk, session: Session) -> None:
    owner.post("/admin/categories/add", {"name": "Garden", "slug": "", "parent": ""})
    garden = db.session.scalars(select(Category.id).where(Category.path == "garden")).one()
    owner.post("/admin/categories/add", {"name": "Pots", "slug": "", "parent": str(garden)})
    pots = db.session.scalars(select(Category.id).where(Category.path == "garden/pots")).one()

    circle = owner.post(
        f"/admin/categories/edit/{garden}",
        {"name": "Garden", "slug": "garden", "parent": str(pots)},
    )
    owner.post(
        f"/admin/categories/edit/{garden}", {"name": "Outside", "slug": "outside", "parent": ""}
    )
    refused = owner.post(f"/admin/categories/delete/{garden}")

    assert "cannot be moved into itself" in circle.text
    assert refused.status_code == 303
    assert "still has categories in it" in owner.said()
    db.session.remove()
    assert db.session.get(Category, pots).path == "outside/pots"


def test_what_others_still_use_is_not_deleted(owner: Desk, cast: Cast) -> None:
    with db.transaction():
        made = Category(name="Shelf", slug="shelf", path="shelf")
        db.session.add(made)
    assert owner.post(f"/admin/categories/delete/{made.id}").status_code == 303

    db.session.remove()
    assert db.session.get(Category, made.id) is None


def test_categories_are_listed_as_in_the_store(owner: Desk, session: Session) -> None:
    with db.transaction():
        zoo = Category(name="Zoo", slug="zoo", path="zoo", position=0)
        ark = Category(name="Ark", slug="ark", path="ark", position=1)
        cat = Category(name="Cats", slug="cats", path="zoo/cats", position=1, parent=zoo)
        ape = Category(name="Apes", slug="zz", path="zoo/zz", position=0, parent=zoo)
        db.session.add_all([ark, cat, ape, zoo])

    rows = re.findall(
        r'<span class="tree-(\d)">(\w+)</span>', owner.text("/admin/categories/list/")
    )
    found = re.findall(r'<span class="tree-\d">(\w+)<', owner.text("/admin/categories/list/?q=c"))

    assert rows == [("0", "Zoo"), ("1", "Apes"), ("1", "Cats"), ("0", "Ark")]
    assert found == ["Cats"]


def test_every_page_says_stripe_is_in_test_mode(
    app: Flask, owner: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = app.test_client()
    before = owner.get("/admin/profile/").text + stranger.get("/admin/login/").text
    production = replace(app.config["SETTINGS"], env="production", stripe_test_mode=True)
    monkeypatch.setitem(app.config, "SETTINGS", production)

    pages = [owner.get(path).text for path in PAGES]
    pages.append(stranger.get("/admin/login/").text)

    assert "Stripe test mode" not in before
    assert [page.count("Stripe test mode.") for page in pages] == [1] * len(pages)
