"""What CrudView promises to whoever declares a table: search-select, actions, rows in scope."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
from flask import Flask
from flask_appbuilder.actions import action
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_wtf import CSRFProtect
from jinja2 import StrictUndefined
from sqlalchemy import select
from sqlalchemy.orm import Session

from shop import admin
from shop.admin.base import CrudView, Page
from shop.admin.interface import Table
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


class AddressBookView(CrudView):
    """A table with a relation of many rows and an action that may refuse."""

    route_base = "/admin/address-book"
    datamodel = Table(Address)
    noun = "address"
    list_columns = ("name", "customer", "city")
    add_columns = edit_columns = ("customer", "name", "line1", "city", "postal_code", "country")
    lookups: ClassVar = {"customer": ("name", "email")}

    @action("move", "Move", "Move them?", "truck")
    def move(self, items: Any) -> Page:
        with transaction():
            for address in self.rows(items):
                if address.city == "Paris":
                    raise WrongState("Paris stays where it is.")
                address.city = "Bonn"
        return self.to_list("Moved.")


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
    assert owner.get("/admin/address-book/lookup/password_hash").status_code == 404


def test_the_chosen_row_is_saved_and_shown_again(owner: Desk, people: dict[str, int]) -> None:
    answer = owner.post("/admin/address-book/add", ADDRESS | {"customer": people["Bruno"]})

    assert answer.status_code == 303
    made = db.session.scalars(select(Address)).one()
    assert made.customer_id == people["Bruno"]
    assert 'value="Bruno"' in owner.text(f"/admin/address-book/edit/{made.id}")


@pytest.mark.parametrize("key", ["", "0", "abc", "99999999999999999999"])
def test_a_row_that_does_not_exist_cannot_be_chosen(
    owner: Desk, people: dict[str, int], key: str
) -> None:
    answer = owner.post("/admin/address-book/add", ADDRESS | {"customer": key})

    assert answer.status_code == 200
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


def test_an_action_changes_all_selected_rows_or_none(owner: Desk, people: dict[str, int]) -> None:
    with transaction():
        db.session.add_all(
            [
                Address(customer_id=people["Ada"], **ADDRESS),
                Address(customer_id=people["Ada"], **(ADDRESS | {"city": "Paris"})),
            ]
        )
    berlin, paris = db.session.scalars(select(Address.id).order_by(Address.id)).all()
    path = "/admin/address-book/action_post"

    refused = owner.post(path, {"action": "move", "rowid": [berlin, paris]})
    assert refused.status_code == 303
    assert "Paris stays where it is." in owner.said()
    db.session.remove()
    assert db.session.get(Address, berlin).city == "Berlin"

    owner.post(path, {"action": "move", "rowid": [berlin]})
    db.session.remove()
    assert db.session.get(Address, berlin).city == "Bonn"
    assert owner.post(path, {"action": "fly", "rowid": [berlin]}).status_code == 404
    assert owner.post(path, {"action": "move"}).status_code == 303
