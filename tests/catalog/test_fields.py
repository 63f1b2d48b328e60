"""Every column that people write is declared once, and its declaration is true."""

from dataclasses import fields as parts
from typing import Any

import pytest

from shop import catalog
from shop.catalog.fields import Field, Flag, Pairs, Text, Whole
from shop.catalog.models import Product, Variant
from shop.core.db import Base
from shop.core.errors import Invalid

# Columns that nobody writes, each with who keeps it.
KEPT: dict[type[Base], dict[str, str]] = {
    Product: {
        "id": "given by the database",
        "status": "moved by publish, unpublish, archive and restore",
        "published_at": "set by publish",
        "unpublish_at": "set by publish",
        "primary_category_id": "written as primary_category, with the categories",
        "price_from_minor": "follows from the variants",
        "price_to_minor": "follows from the variants",
        "sold_count": "counted by orders",
        "rating_sum": "counted by reviews",
        "rating_count": "counted by reviews",
        "created_at": "set once",
        "updated_at": "set by every change",
        "search": "computed by the database",
    },
    Variant: {
        "id": "given by the database",
        "product_id": "set once",
        "combination": "follows from the option values",
        "title": "follows from the option values",
        "archived_at": "set by archive_variant and restore_variant",
    },
}
DECLARED = {Product: catalog.PRODUCT_FIELDS, Variant: catalog.VARIANT_FIELDS}
TYPES: dict[type[Field[Any]], type] = {
    Text: str,
    Pairs: object,  # as SQLAlchemy calls what JSON may be
    Whole: int,
    Flag: bool,
}


@pytest.mark.parametrize("model", [Product, Variant])
def test_every_column_is_declared_or_kept(model: type[Base]) -> None:
    columns = set(model.__table__.columns.keys())

    assert DECLARED[model].keys() | KEPT[model].keys() == columns
    assert DECLARED[model].keys() & KEPT[model].keys() == set()
    assert all(KEPT[model].values())


@pytest.mark.parametrize(
    ("model", "name"), [(model, name) for model, all_of in DECLARED.items() for name in all_of]
)
def test_declaration_fits_its_column(model: type[Base], name: str) -> None:
    one, column = DECLARED[model][name], model.__table__.columns[name]

    kind = next(TYPES[base] for base in type(one).__mro__ if base in TYPES)
    assert one.name == name
    assert one.is_nullable == column.nullable
    assert column.type.python_type is kind


@pytest.mark.parametrize(
    ("declared", "page"),
    [
        (catalog.PRODUCT_FIELDS, catalog.ProductPage),
        (catalog.VARIANT_FIELDS, catalog.VariantView),
    ],
)
def test_public_fields_are_on_the_page(declared: catalog.Declared, page: type) -> None:
    shown = {part.name for part in parts(page)}

    public = {name for name, one in declared.items() if one.is_public}
    assert public
    assert public <= shown


@pytest.mark.parametrize(
    ("one", "value", "kept"),
    [
        (catalog.PRODUCT_FIELDS["tagline"], "  For slow mornings ", "For slow mornings"),
        (catalog.PRODUCT_FIELDS["featured_rank"], None, None),
        (catalog.VARIANT_FIELDS["sku"], " eo-1 ", "EO-1"),
        (catalog.VARIANT_FIELDS["weight_g"], 2_000_000_000, 2_000_000_000),
    ],
)
def test_value_is_kept_as_declared(one: Field[Any], value: Any, kept: Any) -> None:
    assert one.clean(value) == kept


@pytest.mark.parametrize(
    ("one", "value", "sentence"),
    [
        (catalog.PRODUCT_FIELDS["name"], " ", "The name is missing."),
        (catalog.PRODUCT_FIELDS["tagline"], "x" * 201, "The tagline may have at most 200"),
        (catalog.PRODUCT_FIELDS["tagline"], None, "The tagline is missing."),
        (catalog.PRODUCT_FIELDS["featured_rank"], -1, "a whole number from 0 to 1,000,000"),
        (catalog.VARIANT_FIELDS["price_minor"], -1, "The price cannot be less than 0"),
    ],
)
def test_value_out_of_bounds_is_refused(one: Field[Any], value: Any, sentence: str) -> None:
    with pytest.raises(Invalid, match=sentence) as refused:
        one.clean(value)

    assert refused.value.field == one.name


def test_what_must_be_there_is_not_emptied() -> None:
    empty = catalog.emptied(catalog.PRODUCT_FIELDS)

    assert (empty["tagline"], empty["attributes"], empty["featured_rank"]) == ("", {}, None)
    assert empty.keys().isdisjoint({"name", "slug", "tax_class"})
