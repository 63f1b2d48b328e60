"""What View promises to whoever declares a table: filters, pages, columns, actions."""

import csv
import io
import re
from decimal import Decimal
from pathlib import Path

import pytest
from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_wtf import CSRFProtect
from jinja2 import StrictUndefined
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from shop import admin
from shop.admin.framework import Action, Missing, Relation, Table, Text, View, exports
from shop.admin.framework.columns import Bare
from shop.admin.framework.exports import csv_text
from shop.core import db
from shop.core.db import transaction
from shop.core.errors import WrongState
from shop.customers.models import Address, Customer
from tests.admin.desk import Desk, sit

ADDRESS = {
    "name": "Ada",
    "line1": "Kanalstr. 1",
    "city": "Berlin",
    "postal_code": "10117",
    "country": "DE",
}


def move(address: Address) -> None:
    if address.city == "Paris":
        raise WrongState("Paris stays where it is.")
    if address.city == "Nowhere":
        db.session.execute(text("SELECT nothing FROM nowhere"))
    if address.city == "Atlantis":
        raise OperationalError("UPDATE", {}, ConnectionError("server closed the connection"))
    address.city = "Bonn"


class AddressBookView(View):
    """A table with a filter by a relation of many rows and an action that may refuse."""

    route_base = "/admin/address-book"
    datamodel = Table(Address)
    noun = "address"
    plural = "Addresses"
    columns = (Text("name"), Text("customer"), Text("city"), Text("postal_code", shown=False))
    search = ("name", "city")
    sort = "name"
    more_filters = (
        Relation(
            "customer",
            "Customer",
            model=Customer,
            searched=(Customer.name, Customer.email),
            matches=lambda pk: Address.customer_id == pk,
        ),
        Missing("phone", "Phone", sql=Address.phone),
    )
    add_columns = edit_columns = ("customer", "name", "line1", "city", "postal_code", "country")
    row_actions = (
        Action(
            "move",
            "Move",
            move,
            "%(name)s is moved.",
            lambda count: f"{count} moved.",
            confirm="Move {count}?",
        ),
    )


@pytest.fixture
def owner(app: Flask, session: Session, tmp_path: Path) -> Desk:
    """An Owner of an admin that has this table, too."""
    own = Flask("shop", root_path=app.root_path, template_folder="../templates")
    own.config.update(app.config)
    own.jinja_env.undefined = StrictUndefined
    own.jinja_env.trim_blocks = own.jinja_env.lstrip_blocks = True
    CSRFProtect(own)
    own.extensions["limiter"] = {Limiter(get_remote_address, app=own)}
    admin.init_app(own)
    with own.app_context():
        own.extensions["appbuilder"].add_view_no_menu(AddressBookView)
    own.extensions["staff"].install()
    return sit(own, "Owner")


@pytest.fixture
def people(session: Session) -> dict[str, int]:
    """Three customers by name, with their numbers."""
    with transaction():
        made = [
            Customer(email=f"{name.lower()}@example.com", name=name, password_hash="")
            for name in ("Ada", "Adam", "Bruno")
        ]
        session.add_all(made)
        session.flush()
        return {each.name: each.id for each in made}


def test_a_relation_is_found_while_one_types(owner: Desk, people: dict[str, int]) -> None:
    found = owner.get("/admin/address-book/lookup/customer?q=ada").get_json()

    assert found == [
        {"id": people["Ada"], "text": "Ada"},
        {"id": people["Adam"], "text": "Adam"},
    ]
    assert owner.get("/admin/address-book/lookup/customer?q=%25").get_json() == []
    assert [
        one["text"] for one in owner.get("/admin/address-book/lookup/customer?q=ÁDA").get_json()
    ] == ["Ada", "Adam"]
    assert owner.get("/admin/address-book/lookup/password_hash").status_code == 404


def test_the_chosen_row_is_saved_and_shown_again(owner: Desk, people: dict[str, int]) -> None:
    answer = owner.post("/admin/address-book/add", ADDRESS | {"customer": people["Bruno"]})

    assert answer.status_code == 303
    made = db.session.scalars(select(Address)).one()
    assert made.customer_id == people["Bruno"]
    shown = owner.text(f"/admin/address-book/edit/{made.id}")
    assert re.search(rf'<option selected value="{people["Bruno"]}">Bruno', shown)


@pytest.mark.parametrize("key", ["", "0", "abc", "99999999999999999999"])
def test_row_that_does_not_exist_cannot_be_chosen(
    owner: Desk, people: dict[str, int], key: str
) -> None:
    answer = owner.post("/admin/address-book/add", ADDRESS | {"customer": key})

    assert answer.status_code == 422
    assert "Choose one" in answer.text
    assert db.session.scalars(select(Address)).all() == []


def test_a_list_loads_its_relations_with_it(
    owner: Desk, people: dict[str, int], statements: list[str]
) -> None:
    with transaction():
        db.session.add_all(Address(customer_id=n, **ADDRESS) for n in people.values())
    owner.text("/admin/profile/")
    del statements[:]

    owner.text("/admin/address-book/list/")

    assert len(statements) == 4, statements


def addresses(people: dict[str, int], *cities: str) -> list[int]:
    """Addresses of Ada in these cities. Returns their keys."""
    with transaction():
        made = [Address(customer_id=people["Ada"], **(ADDRESS | {"city": city})) for city in cities]
        db.session.add_all(made)
        db.session.flush()
        return [each.id for each in made]


def city_of(pk: int) -> str:
    db.session.remove()
    return db.session.get_one(Address, pk).city


def test_bulk_action_reports_the_result_of_each_row(owner: Desk, people: dict[str, int]) -> None:
    berlin, paris = addresses(people, "Berlin", "Paris")
    path = "/admin/address-book/action_post"

    status, answer = owner.ask(path, {"action": "move", "rowid": [berlin, paris]})

    assert (status, answer["done"]) == (200, 1)
    assert [one["ok"] for one in answer["results"]] == [True, False]
    assert answer["results"][1]["sentence"] == "Paris stays where it is."
    assert (city_of(berlin), city_of(paris)) == ("Bonn", "Paris")
    assert owner.post(path, {"action": "fly", "rowid": [berlin]}).status_code == 404
    assert owner.post(path, {"action": "move", "rowid": ["x"]}).status_code == 404
    owner.post(path, {"action": "move"})
    assert "Select at least one row first." in owner.said()


def test_action_reaches_all_that_match_and_no_other(owner: Desk, people: dict[str, int]) -> None:
    cologne, hamburg = addresses(people, "Cologne", "Hamburg")

    owner.post("/admin/address-book/action_post?q=köln", {"action": "move", "all": "1"})
    assert (city_of(cologne), city_of(hamburg)) == ("Cologne", "Hamburg")
    owner.post("/admin/address-book/action_post?q=cOlógne", {"action": "move", "all": "1"})

    assert (city_of(cologne), city_of(hamburg)) == ("Bonn", "Hamburg")


def test_filters_narrow_list_and_are_named_on_chips(owner: Desk, people: dict[str, int]) -> None:
    addresses(people, "Cologne")
    ada, bruno = people["Ada"], people["Bruno"]

    found = owner.text(f"/admin/address-book/list/?customer={ada}&phone=no")
    none = owner.text(f"/admin/address-book/list/?customer={bruno}")

    assert "Cologne" in found and "1–1 of 1" in found
    assert "Customer: <b>Ada</b>" in found and "Phone: <b>Empty</b>" in found
    assert "Cologne" not in none and "No address matches" in none
    assert owner.get("/admin/address-book/list/?customer=999999999").status_code == 400
    assert owner.get("/admin/address-book/list/?phone=maybe").status_code == 400


def test_columns_are_chosen_in_the_address(owner: Desk, people: dict[str, int]) -> None:
    addresses(people, "Cologne")

    usual = owner.text("/admin/address-book/list/")
    chosen = owner.text("/admin/address-book/list/?cols=name,postal_code")

    assert 'data-cell="city"' in usual and 'data-cell="postal_code"' not in usual
    assert 'data-cell="city"' not in chosen and 'data-cell="postal_code"' in chosen
    assert owner.get("/admin/address-book/list/?cols=password_hash").status_code == 400


@pytest.mark.parametrize("sort", ["city", "-city", "postal_code", "-postal_code"])
def test_pages_follow_each_other_whatever_the_order(
    owner: Desk, people: dict[str, int], sort: str
) -> None:
    made = addresses(people, *(f"City {n % 7}" for n in range(60)))
    with transaction():
        for pk in made[::5]:
            db.session.get_one(Address, pk).postal_code = str(10_000 + pk % 3)
    address, pages = f"/admin/address-book/list/?sort={sort}", []
    while address:
        page = owner.text(address)
        pages.append(re.findall(r'<tr data-pk="(\d+)"', page))
        further = re.search(r'href="([^"]+)" rel="next"', page)
        address = further[1].replace("&amp;", "&") if further else ""

    assert [len(page) for page in pages] == [25, 25, 10]
    assert sorted(int(pk) for page in pages for pk in page) == sorted(made)
    back = re.search(r'href="([^"]+)" rel="prev"', page)
    assert back
    before = owner.text(back[1].replace("&amp;", "&"))
    assert re.findall(r'<tr data-pk="(\d+)"', before) == pages[1]
    assert "26–50 of 60" in before


def test_a_bulk_action_says_how_many_rows_it_reached(owner: Desk, people: dict[str, int]) -> None:
    path = "/admin/address-book/action_post"

    owner.post(path, {"action": "move", "rowid": addresses(people, "Berlin", "Bremen")})

    assert "2 moved." in owner.said()


def test_an_unforeseen_error_fails_its_row_only(
    owner: Desk, people: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    first, odd, last = addresses(people, "Berlin", "Nowhere", "Bremen")

    status, answer = owner.ask(
        "/admin/address-book/action_post", {"action": "move", "rowid": [first, odd, last]}
    )

    assert (status, answer["done"]) == (200, 2)
    assert [one["ok"] for one in answer["results"]] == [True, False, True]
    assert answer["results"][1]["sentence"].startswith("Something went wrong.")
    assert "an action failed" in caplog.text
    assert [city_of(pk) for pk in (first, odd, last)] == ["Bonn", "Nowhere", "Bonn"]


def test_a_lost_database_ends_a_bulk_action_with_what_was_done(
    owner: Desk, people: dict[str, int]
) -> None:
    first, lost, last = addresses(people, "Berlin", "Atlantis", "Bremen")

    status, answer = owner.ask(
        "/admin/address-book/action_post", {"action": "move", "rowid": [first, lost, last]}
    )

    assert (status, answer["done"]) == (200, 1)
    assert [one["ok"] for one in answer["results"]] == [True, False, False]
    assert "Check whether this was saved" in answer["results"][1]["sentence"]
    assert answer["results"][2]["sentence"].startswith("Not tried")
    assert [city_of(pk) for pk in (first, lost, last)] == ["Bonn", "Atlantis", "Bremen"]


def exported(desk: Desk, query: str = "") -> list[list[str]]:
    answer = desk.get(f"/admin/address-book/export/csv{query}")
    assert answer.status_code == 200
    assert answer.mimetype == "text/csv"
    assert 'attachment; filename="address-book-' in answer.headers["Content-Disposition"]
    return list(csv.reader(io.StringIO(answer.get_data().decode("utf-8-sig"), newline="")))


def test_an_export_holds_what_is_seen(owner: Desk, people: dict[str, int]) -> None:
    addresses(people, *(f"City {n:02}" for n in range(30)), "Cologne")

    all_rows = exported(owner, "?q=city&sort=-city")
    columns = exported(owner, "?q=cologne&cols=name,postal_code")

    assert all_rows[0] == ["Name", "Customer", "City"]
    assert [row[2] for row in all_rows[1:]] == [f"City {n:02}" for n in range(29, -1, -1)]
    assert columns == [["Name", "Postal code"], ["Ada", "10117"]]
    assert exported(owner, "?q=nothing-like-it") == [["Name", "Customer", "City"]]
    assert owner.get("/admin/address-book/export/csv?bogus=1").status_code == 400
    assert owner.get("/admin/address-book/export/exe").status_code == 404
    shown = owner.text("/admin/address-book/list/?q=city&size=50")
    assert 'href="/admin/address-book/export/csv?q=city&amp;size=50" download' in shown


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_an_exported_cell_is_no_formula(owner: Desk, people: dict[str, int], start: str) -> None:
    addresses(people, f"{start}HYPERLINK(1)", "Plain")

    cells = [row[2] for row in exported(owner)[1:]]

    assert sorted(cells) == sorted([f"'{start}HYPERLINK(1)", "Plain"])


def test_an_export_ends_at_its_limit(
    owner: Desk, people: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses(people, *(f"City {n}" for n in range(7)))
    monkeypatch.setattr(exports, "MAX_ROWS", 5)
    monkeypatch.setattr(exports, "ROWS_AT_ONCE", 2)

    assert len(exported(owner)) == 1 + 5
    assert "Export CSV (first 5 rows)" in owner.text("/admin/address-book/list/")


def test_numbers_in_a_file_are_numbers() -> None:
    table: list[list[Bare]] = [["Total", Decimal("-12.30"), 4]]

    assert list(csv_text(table)) == ["\ufeffTotal,-12.30,4\r\n"]
