"""The history of a record, the way back to an earlier value, and the list of all entries."""

import re
from contextlib import AbstractContextManager
from html import unescape

import pytest
from flask import Flask
from sqlalchemy import insert, select, text
from sqlalchemy.orm import Session

from shop import catalog
from shop.admin.framework.entries import compared
from shop.audit import AuditAction, AuditEntry
from shop.catalog.models import Product
from shop.core import actor, clock, db
from shop.core.db import transaction
from tests.admin.desk import Desk, sit
from tests.cast import Cast


@pytest.fixture
def owner(app: Flask, session: Session) -> Desk:
    return sit(app, "Owner")


@pytest.fixture
def mug(session: Session) -> Product:
    """A product that Noor has renamed."""
    with acting("Noor"), transaction():
        product = catalog.create_product("Tidal mug", tagline="For the early hours")
    with acting("Noor"), transaction():
        catalog.update_product(product, name="Tidal cup")
    return product


def acting(name: str) -> AbstractContextManager[None]:
    return actor.acting_as(actor.Actor("staff", 99, name))


def name_of(product: Product) -> str:
    """Its name in the database."""
    return db.session.scalars(select(Product.name).where(Product.id == product.id)).one()


def text_of(html: str) -> str:
    """What a page says, without its tags and gaps."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_history_says_who_changed_what(owner: Desk, mug: Product) -> None:
    page = text_of(owner.text(f"/admin/products/history/{mug.id}"))

    assert "History of Tidal cup" in page
    assert re.search(
        r"Changed Noor .*? Name Tidal mug ?Tidal cup Restore Created Noor ",
        page,
    )


def test_the_record_leads_to_its_history(owner: Desk, mug: Product, cast: Cast) -> None:
    assert f"/admin/products/history/{mug.id}" in owner.text(f"/admin/products/edit/{mug.id}")
    order = cast.paid_order
    assert f"/admin/orders/history/{order.id}" in owner.text(f"/admin/orders/show/{order.id}")
    assert owner.get(f"/admin/orders/history/{order.id}").status_code == 200


def test_a_value_is_restored_through_the_form(owner: Desk, mug: Product) -> None:
    address = f"/admin/products/history/{mug.id}"
    number = re.search(r'name="entry" value="(\d+)"', owner.text(address))
    assert number

    answer = owner.post(f"{address}/restore", {"entry": number[1], "field": "name"})

    assert answer.status_code == 303
    assert name_of(mug) == "Tidal mug"
    page = text_of(owner.text(address))
    assert "Name is restored." in page
    assert re.search(rf"Changed {owner.name} .*? Tidal cup Tidal mug", page)


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        ("0", "name"),
        ("x", "name"),
        ("9" * 5000, "name"),
        ("{n}", "slug"),
        ("{n}", "status"),
        ("", ""),
    ],
)  # fmt: skip
def test_what_cannot_be_restored_is_refused(
    owner: Desk, mug: Product, entry: str, field: str
) -> None:
    address = f"/admin/products/history/{mug.id}"
    number = re.search(r'name="entry" value="(\d+)"', owner.text(address))
    assert number
    form = {"entry": entry.format(n=number[1]), "field": field}

    assert owner.post(f"{address}/restore", form).status_code == 303

    assert "This value cannot be restored." in owner.text(address)
    assert name_of(mug) == "Tidal cup"


def test_a_column_that_is_gone_stays_in_the_history(
    owner: Desk, session: Session, mug: Product
) -> None:
    with acting("Noor"), transaction():
        session.execute(
            insert(AuditEntry).values(
                action=AuditAction.UPDATE,
                record_type="product",
                record_id=str(mug.id),
                changes={"motto": ["Slow", "Fast"]},
                fields=["motto"],
                actor_kind="staff",
            )
        )

    assert "Motto Slow" in text_of(owner.text(f"/admin/products/history/{mug.id}"))


def test_a_long_history_has_older_pages(owner: Desk, mug: Product) -> None:
    for number in range(60):
        with acting("Noor"), transaction():
            catalog.update_product(mug, name=f"Cup {number}")
    address = f"/admin/products/history/{mug.id}?before=7"

    page = owner.text(address)

    assert page.count('class="card entry"') == 50
    older = re.search(r'href="([^"]+below=[^"]+)"', page)
    assert older
    assert "Tidal mug" in owner.text(unescape(older[1]))


def test_history_needs_its_permission(app: Flask, session: Session, mug: Product) -> None:
    warehouse = sit(app, "Warehouse")
    address = f"/admin/products/history/{mug.id}"

    page = warehouse.text(address)

    assert "Restore" not in page
    assert warehouse.post(f"{address}/restore", {"entry": "1", "field": "name"}).status_code == 403
    assert sit(app, "Finance").get(address).status_code == 403


def test_personal_data_is_shown_until_it_is_erased(
    owner: Desk, session: Session, cast: Cast
) -> None:
    with acting("Noor"):
        ada = cast.ada
    address = f"/admin/customers/history/{ada.id}"
    assert "ada@example.com" in owner.text(address)

    with transaction():
        session.execute(text("DELETE FROM audit_personal"))

    page = owner.text(address)
    assert "Personal data that has been erased." in page
    assert "ada@example.com" not in page.split("entries")[1]


def test_all_entries_are_filtered(owner: Desk, mug: Product) -> None:
    assert "Tidal cup" in owner.text("/admin/audit/list/?record_type=product&field=name")
    assert "Tidal cup" not in owner.text("/admin/audit/list/?record_type=variant")
    assert "Tidal cup" not in owner.text("/admin/audit/list/?field=slug&action=update")
    today = f"{clock.now():%Y-%m-%d}"
    assert "Tidal cup" in owner.text(f"/admin/audit/list/?at.from={today}&at.to={today}")
    assert "Tidal cup" in owner.text(f"/admin/audit/list/?at.from={today}&record_type=product")
    assert "Tidal cup" not in owner.text("/admin/audit/list/?at.to=2020-01-01")
    assert "Tidal cup" not in owner.text("/admin/audit/list/?at.from=2990-01-01")
    page = owner.text("/admin/audit/list/?action=update&record_type=product")
    entry = re.search(r"/admin/audit/show/(\d+)", page)
    assert entry
    shown = owner.text(f"/admin/audit/show/{entry[1]}")
    assert "Tidal mug" in shown
    assert f"/admin/products/history/{mug.id}" in shown


def test_only_owners_see_all_entries(app: Flask, session: Session) -> None:
    assert sit(app, "Viewer").get("/admin/audit/list/").status_code == 403


def test_long_texts_are_compared_by_words() -> None:
    assert compared("A <b>blue</b> mug for two", "A green mug for two") == (
        "A <del>&lt;b&gt;blue&lt;/b&gt; </del><ins>green </ins>mug for two"
    )
