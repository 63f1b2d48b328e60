"""The catalogue as answered: what the shop's pages show to everybody, and all of it to staff."""

from collections.abc import Mapping
from typing import Any

from flask import current_app
from marshmallow import fields

from shop import catalog, checkout, inventory, media
from shop.api import etags
from shop.api.fields import Schema, shown_fields
from shop.catalog.models import Category, Image, Product, Variant


class SourceSchema(Schema):
    """One width of an image, in two formats."""

    width = fields.Integer(required=True)
    avif = fields.String(required=True)
    webp = fields.String(required=True)


class ImageSchema(Schema):
    """An image. ``sources`` is empty until a worker has made them. ``id`` is for staff."""

    id = fields.Integer()
    url = fields.String(required=True)
    alt = fields.String(required=True)
    width = fields.Integer(required=True)
    height = fields.Integer(required=True)
    colour = fields.String(required=True)
    option_value_id = fields.Integer(required=True, allow_none=True)
    sources = fields.List(fields.Nested(SourceSchema), required=True)


class CardSchema(Schema):
    """A product in a list. Prices are in minor units of ``currency``."""

    id = fields.Integer(required=True)
    slug = fields.String(required=True)
    name = fields.String(required=True)
    tagline = fields.String(required=True)
    currency = fields.String(required=True)
    price_from_minor = fields.Integer(required=True)
    price_to_minor = fields.Integer(required=True)
    compare_at_minor = fields.Integer(required=True, allow_none=True)
    is_available = fields.Boolean(required=True)
    is_new = fields.Boolean(required=True)
    rating = fields.Float(required=True, allow_none=True)
    rating_count = fields.Integer(required=True)
    image = fields.Nested(ImageSchema, required=True, allow_none=True)


class OptionValueSchema(Schema):
    """One choice of an option."""

    id = fields.Integer(required=True)
    name = fields.String(required=True)
    swatch = fields.String(required=True, allow_none=True)


class OptionSchema(Schema):
    """What a customer chooses between."""

    id = fields.Integer(required=True)
    name = fields.String(required=True)
    values = fields.List(fields.Nested(OptionValueSchema), required=True)


class StockSchema(Schema):
    """Units over all locations; ``available`` is what can still be sold."""

    on_hand = fields.Integer(required=True)
    reserved = fields.Integer(required=True)
    committed = fields.Integer(required=True)
    available = fields.Integer(required=True)


class VariantSchema(Schema):
    """What can be put in a cart. ``left`` is given when few are. Optional: for staff only."""

    class Meta(Schema.Meta):
        include = shown_fields(catalog.VARIANT_FIELDS)

    id = fields.Integer(required=True)
    product_id = fields.Integer(required=True)
    title = fields.String(required=True)
    currency = fields.String(required=True)
    option_value_ids = fields.List(fields.Integer(), required=True)
    is_available = fields.Boolean(required=True)
    left = fields.Integer(required=True, allow_none=True)
    archived = fields.Boolean()
    stock = fields.Nested(StockSchema)


class ProductSchema(Schema):
    """A product. Staff also see what is not for sale, and how it is managed."""

    class Meta(Schema.Meta):
        include = shown_fields(catalog.PRODUCT_FIELDS)

    id = fields.Integer(required=True)
    description_html = fields.String()
    currency = fields.String(required=True)
    price_from_minor = fields.Integer(required=True)
    price_to_minor = fields.Integer(required=True)
    category_path = fields.String(allow_none=True)
    rating = fields.Float(allow_none=True)
    rating_count = fields.Integer()
    options = fields.List(fields.Nested(OptionSchema), required=True)
    variants = fields.List(fields.Nested(VariantSchema), required=True)
    images = fields.List(fields.Nested(ImageSchema), required=True)
    status = fields.String()
    published_at = fields.DateTime(allow_none=True)
    unpublish_at = fields.DateTime(allow_none=True)
    category_ids = fields.List(fields.Integer())
    primary_category_id = fields.Integer(allow_none=True)
    updated_at = fields.DateTime()


class CategorySchema(Schema):
    """A node of the tree; ``path`` is its address below ``/c/``."""

    id = fields.Integer(required=True)
    parent_id = fields.Integer(required=True, allow_none=True)
    name = fields.String(required=True)
    slug = fields.String(required=True)
    path = fields.String(required=True)
    description = fields.String(required=True)
    position = fields.Integer(required=True)


class BranchSchema(Schema):
    """A node with all that is below it."""

    id = fields.Integer(required=True)
    name = fields.String(required=True)
    slug = fields.String(required=True)
    path = fields.String(required=True)
    children = fields.List(
        fields.Nested(lambda: BranchSchema()), required=True, metadata={"description": "Branches"}
    )


Shown = dict[str, Any]


def card(one: catalog.ProductCard) -> Shown:
    """A product in a list."""
    return {
        "id": one.id,
        "slug": one.slug,
        "name": one.name,
        "tagline": one.tagline,
        "currency": checkout.terms().currency,
        "price_from_minor": one.price_from_minor,
        "price_to_minor": one.price_to_minor,
        "compare_at_minor": one.compare_at_minor,
        "is_available": one.is_available,
        "is_new": one.is_new,
        "rating": one.rating,
        "rating_count": one.rating_count,
        "image": image_view(one.image) if one.image else None,
    }


def page(one: catalog.ProductPage) -> Shown:
    """A product as everybody sees it."""
    return _public(catalog.PRODUCT_FIELDS, one) | {
        "id": one.id,
        "description_html": str(one.description_html),
        "currency": checkout.terms().currency,
        "price_from_minor": one.price_from_minor,
        "price_to_minor": one.price_to_minor,
        "category_path": one.category.path if one.category else None,
        "rating": one.rating,
        "rating_count": one.rating_count,
        "options": [option(each) for each in one.options],
        "variants": [variant_on_page(each, one.id) for each in one.variants],
        "images": [image_view(each) for each in one.images],
    }


def variant_on_page(one: catalog.VariantView, product_id: int) -> Shown:
    """A variant as everybody sees it: how many are left is shown as on the page."""
    return _public(catalog.VARIANT_FIELDS, one) | {
        "id": one.id,
        "product_id": product_id,
        "title": one.title,
        "currency": checkout.terms().currency,
        "option_value_ids": list(one.value_ids),
        "is_available": one.is_available,
        "left": one.available if one.low else None,
    }


def product(one: Product) -> Shown:
    """A product as staff see it."""
    levels = inventory.levels([each.id for each in one.variants])
    return _all(catalog.PRODUCT_FIELDS, one) | {
        "id": one.id,
        "status": one.status,
        "published_at": one.published_at and one.published_at.isoformat(),
        "unpublish_at": one.unpublish_at and one.unpublish_at.isoformat(),
        "currency": checkout.terms().currency,
        "price_from_minor": one.price_from_minor,
        "price_to_minor": one.price_to_minor,
        "category_ids": sorted(each.id for each in one.categories),
        "primary_category_id": one.primary_category_id,
        "options": [option(each) for each in one.options],
        "variants": [variant(each, levels) for each in one.variants],
        "images": [image(each) for each in one.images],
        "updated_at": one.updated_at.isoformat(),
    }


def product_tag(one: Product) -> str:
    """Changes with everything that is written about a product, and not with its stock."""
    return etags.of([one.id, one.updated_at.timestamp()])


def variant(one: Variant, levels: Mapping[int, inventory.Level]) -> Shown:
    """A variant as staff see it."""
    level = levels.get(one.id, inventory.Level(0, 0, 0))
    return variant_facts(one) | {
        "is_available": one.archived_at is None and (one.backorder_allowed or level.available > 0),
        "left": level.available,
        "stock": stock(level),
    }


def variant_facts(one: Variant) -> Shown:
    """What can be written of a variant; its tag is made of this."""
    return _all(catalog.VARIANT_FIELDS, one) | {
        "id": one.id,
        "product_id": one.product_id,
        "title": one.title,
        "currency": checkout.terms().currency,
        "option_value_ids": [each.id for each in one.values],
        "archived": one.archived_at is not None,
    }


def stock(level: inventory.Level) -> Shown:
    """Units of a variant."""
    return {
        "on_hand": level.on_hand,
        "reserved": level.reserved,
        "committed": level.committed,
        "available": level.available,
    }


def option(one: Any) -> Shown:
    """An option with its values, from a page or from its rows."""
    return {
        "id": one.id,
        "name": one.name,
        "values": [{"id": v.id, "name": v.name, "swatch": v.swatch} for v in one.values],
    }


def image_view(one: catalog.ImageView) -> Shown:
    """An image of a page."""
    return {
        "url": _address(one.key),
        "alt": one.alt,
        "width": one.width,
        "height": one.height,
        "colour": one.colour,
        "option_value_id": one.option_value_id,
        "sources": [
            {
                "width": width,
                "avif": _address(one.key, width, "avif"),
                "webp": _address(one.key, width, "webp"),
            }
            for width in one.widths
        ],
    }


def image(one: Image) -> Shown:
    """An image as staff see it."""
    file = one.media
    widths = tuple(int(width) for width in file.widths.split(",") if width)
    view = catalog.ImageView(
        file.key, one.alt, file.width, file.height, file.colour, widths, one.option_value_id
    )
    return {"id": one.id} | image_view(view)


def category(one: Category) -> Shown:
    """A category; its tag is made of this."""
    return {
        "id": one.id,
        "parent_id": one.parent_id,
        "name": one.name,
        "slug": one.slug,
        "path": one.path,
        "description": one.description,
        "position": one.position,
    }


def _all(declared: catalog.Declared, one: Product | Variant) -> Shown:
    return {name: getattr(one, name) for name in declared}


def _public(declared: catalog.Declared, one: catalog.ProductPage | catalog.VariantView) -> Shown:
    return {name: getattr(one, name) for name, field in declared.items() if field.is_public}


def _address(key: str, width: int | None = None, fmt: Any = "webp") -> str:
    return str(current_app.config["SETTINGS"].base_url) + media.url(key, width, fmt)
