"""Forms of settings and staff: what cannot be is refused at its field, in its own words."""

from typing import Any

import pytest
from flask import Flask
from flask_appbuilder.security.sqla.models import Role, User
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from shop.catalog.models import Category
from shop.checkout.models import ShippingMethod, TaxRate
from shop.core import db
from tests.admin.desk import Desk, sit

METHOD = {
    "name": "Pigeon", "code": "pigeon", "price_minor": "3,50", "free_over_minor": "",
    "countries": "DE, AT", "min_days": "1", "max_days": "2", "position": "9", "is_active": "y",
}  # fmt: skip
RATE = {"country": "CH", "tax_class": "standard", "rate": "0.081"}
CATEGORY = {"name": "Shed", "slug": "", "parent": "", "description": ""}
PERSON = {
    "first_name": "Eve", "last_name": "X", "email": "eve@example.com",
    "password": "an unusual sentence 7",
}  # fmt: skip
FORMS: dict[str, tuple[type[Any], dict[str, str]]] = {
    "shipping": (ShippingMethod, METHOD),
    "tax-rates": (TaxRate, RATE),
    "categories": (Category, CATEGORY),
    "staff": (User, PERSON),
}


@pytest.fixture
def owner(app: Flask, session: Session) -> Desk:
    return sit(app, "Owner")


def how_many(table: type[Any]) -> int:
    db.session.remove()
    return db.session.scalar(select(func.count()).select_from(table)) or 0


def complete(form: str, typed: dict[str, str]) -> dict[str, Any]:
    role = db.session.scalars(select(Role.id).filter_by(name="Viewer")).one()
    return FORMS[form][1] | ({"roles": role} if form == "staff" else {}) | typed


@pytest.mark.parametrize("form", FORMS)
def test_the_forms_take_what_is_right(owner: Desk, form: str) -> None:
    table, _ = FORMS[form]
    before = how_many(table)

    assert owner.post(f"/admin/{form}/add", complete(form, {})).status_code == 303
    assert how_many(table) == before + 1


@pytest.mark.parametrize(
    ("form", "name", "typed", "sentence"),
    [
        ("shipping", "price_minor", "-1", "An amount cannot be below zero."),
        ("shipping", "price_minor", "1e3", "“1e3” is not an amount."),
        ("shipping", "price_minor", "1_000", "“1_000” is not an amount."),
        ("shipping", "price_minor", "1.250", "Write 1250.00 or 1,250.00."),
        ("shipping", "free_over_minor", "12,000", "Write 12000.00 or 12,000.00."),
        ("shipping", "min_days", "-1", "A number of days from 0 to 365."),
        ("shipping", "max_days", "366", "A number of days from 0 to 365."),
        ("shipping", "max_days", "0", "cannot be shorter than the fastest"),
        ("shipping", "code", "a b!", "Lowercase letters, digits and hyphens, at most 40."),
        ("shipping", "code", "a" * 41, "Lowercase letters, digits and hyphens, at most 40."),
        ("shipping", "countries", "DE, XX", "There is no country with the code XX."),
        ("shipping", "countries", "DE, EU", "There is no country with the code EU."),
        ("shipping", "name", "x" * 81, "At most 80 characters."),
        ("tax-rates", "rate", "-0.1", "A rate is a fraction from 0 to less than 1"),
        ("tax-rates", "rate", "1", "A rate is a fraction from 0 to less than 1"),
        ("tax-rates", "rate", "Infinity", "Type a number."),
        ("tax-rates", "rate", "NaN", "Type a number."),
        ("tax-rates", "rate", "0.12345", "At most 4 digits after the point."),
        ("tax-rates", "rate", "much", "Type a number."),
        ("tax-rates", "rate", "1e-1", "Type a number."),
        ("tax-rates", "rate", "1e999999999", "Type a number."),
        ("tax-rates", "rate", "0.1_9", "Type a number."),
        ("tax-rates", "rate", "０.１９", "Type a number."),
        ("tax-rates", "rate", "1.000,5", "Type a number."),
        ("shipping", "position", "1.5", "Type a whole number."),
        ("shipping", "position", "1_0", "Type a whole number."),
        ("shipping", "position", "١٢", "Type a whole number."),
        ("shipping", "min_days", "0x1", "Type a whole number."),
        ("shipping", "max_days", "9" * 5000, "Type a whole number."),
        ("tax-rates", "country", "XX", "There is no country with the code XX."),
        ("tax-rates", "tax_class", "a b", "Lowercase letters, digits and hyphens, at most 40."),
        ("categories", "parent", "abc", "Choose one of the categories."),
        ("categories", "parent", "-1", "Choose one of the categories."),
        ("categories", "parent", "9" * 30, "Choose one of the categories."),
        ("staff", "first_name", "x" * 65, "At most 64 characters."),
    ],
)
def test_database_refusals_read_as_sentences(
    owner: Desk, form: str, name: str, typed: str, sentence: str
) -> None:
    table, _ = FORMS[form]
    before = how_many(table)

    refused = owner.post(f"/admin/{form}/add", complete(form, {name: typed}))

    assert refused.status_code == 422
    assert sentence in refused.text
    assert "Not saved." in refused.text
    assert how_many(table) == before


@pytest.mark.parametrize("form", FORMS)
def test_character_that_cannot_be_kept_is_not_failure(owner: Desk, form: str) -> None:
    table, typed = FORMS[form]
    before = how_many(table)
    first = next(iter(typed))

    assert owner.post(f"/admin/{form}/add", complete(form, {first: "a\0b"})).status_code == 400
    assert owner.get(f"/admin/{form}/list/?q=a%00b").status_code == 400
    assert how_many(table) == before


@pytest.mark.parametrize("asked", ["9" * 5000, "٣", "²", "-1", "1_0", "1e1"])
@pytest.mark.parametrize("path", ["mail/list/?start=", "shipping/list/?after="])
def test_page_that_is_none_is_refused(owner: Desk, path: str, asked: str) -> None:
    assert owner.get(f"/admin/{path}{asked}").status_code == 400
