"""The catalogue for everybody: what the shop's pages show, as data."""

from typing import Any

from flask import redirect, request
from marshmallow import fields, validate
from sqlalchemy import select

from shop import catalog, checkout, inventory
from shop.api import catalog_schemas as schemas
from shop.api import etags
from shop.api.callers import anybody, caller
from shop.api.door import PREFIX, Door
from shop.api.errors import Refused
from shop.api.fields import MAX_ID
from shop.api.paging import HEADERS, PageSchema, paged
from shop.catalog.models import Category, Product
from shop.core.db import session
from shop.core.errors import NotFound
from shop.core.money import AmountError, parse_amount

bp = Door(
    "Catalogue",
    "What is for sale is for everybody. Staff who may see products in the admin are shown drafts "
    "and archived ones too, with their stock.",
)
PRODUCTS = "ProductsView"
MAX_OPTIONS = 8
AS_ON_THE_PAGE = {"description": "As a person would write it: `20` or `19.90`."}


class ProductsQuerySchema(PageSchema):
    """The filters of the shop's own listing. Prices as one types them there: 25 or 24.50."""

    q = fields.String(load_default="", validate=validate.Length(max=120))
    category = fields.String(
        load_default="", validate=validate.Length(max=500), metadata={"description": "Its path."}
    )
    sort = fields.String(
        load_default=None,
        validate=validate.OneOf(["relevance", "popular", "newest", "price_asc", "price_desc"]),
    )
    min_price = fields.String(validate=validate.Length(max=40), metadata=AS_ON_THE_PAGE)
    max_price = fields.String(validate=validate.Length(max=40), metadata=AS_ON_THE_PAGE)
    in_stock = fields.Boolean(load_default=False)


@bp.get("/products")
@anybody
@bp.arguments(ProductsQuerySchema, location="query")
@bp.response(200, schemas.CardSchema(many=True), headers=HEADERS)
@bp.doc(
    parameters=[
        {
            "in": "query",
            "name": "option.<name>",
            "schema": {"type": "array", "items": {"type": "string"}},
            "description": "Values of an option, such as `option.Colour=Sand`; may be repeated.",
        }
    ]
)
def products(given: dict[str, Any]) -> Any:
    """What is for sale, filtered as in the shop"""
    found = catalog.listing(
        catalog.Filters(
            q=given["q"],
            category_path=given["category"].strip("/"),
            sort=given["sort"],
            page=given["page"],
            per_page=given["per_page"],
            min_price_minor=_price(given, "min_price"),
            max_price_minor=_price(given, "max_price"),
            in_stock=given["in_stock"],
            options=_options(),
        )
    )
    return paged(
        [schemas.card(one) for one in found.cards],
        total=found.total,
        page=given["page"],
        per_page=given["per_page"],
    )


@bp.get("/products/<string:key>")
@anybody
@bp.response(200, schemas.ProductSchema)
def product(key: str) -> Any:
    """A product by its number or its slug; 301 for a slug that has changed"""
    if caller().may("can_show", PRODUCTS):
        found = _any_product(key)
        return etags.tagged(schemas.product(found), tag=schemas.product_tag(found))
    try:
        return etags.tagged(schemas.page(_page(key)))
    except NotFound:
        target = catalog.redirect_for(f"/products/{key}")
        if target is None or not target.startswith("/products/"):
            raise
        return redirect(PREFIX + target, code=301)


@bp.get("/products/<id:product_id>/variants")
@anybody
@bp.response(200, schemas.VariantSchema(many=True))
def variants(product_id: int) -> Any:
    """The variants of a product; staff see archived ones too"""
    if caller().may("can_show", PRODUCTS):
        found = catalog.get_product(product_id)
        levels = inventory.levels([one.id for one in found.variants])
        return [schemas.variant(one, levels) for one in found.variants]
    page = _page(str(product_id))
    return [schemas.variant_on_page(one, page.id) for one in page.variants]


@bp.get("/categories")
@anybody
@bp.response(200, schemas.CategorySchema(many=True), headers=HEADERS)
@bp.arguments(PageSchema, location="query")
def categories(given: dict[str, int]) -> Any:
    """All categories, parents before their children"""
    every = session.scalars(select(Category).order_by(Category.path)).all()
    start = (given["page"] - 1) * given["per_page"]
    rows = [schemas.category(one) for one in every[start : start + given["per_page"]]]
    return paged(rows, total=len(every), page=given["page"], per_page=given["per_page"])


@bp.get("/categories/tree")
@anybody
@bp.response(200, schemas.BranchSchema(many=True))
def tree() -> Any:
    """All categories as a tree, in the order of the shop's menu"""
    below: dict[int | None, list[Category]] = {}
    for one in session.scalars(select(Category).order_by(Category.position, Category.id)):
        below.setdefault(one.parent_id, []).append(one)

    def branches(parent_id: int | None) -> list[dict[str, Any]]:
        return [
            {
                "id": one.id,
                "name": one.name,
                "slug": one.slug,
                "path": one.path,
                "children": branches(one.id),
            }
            for one in below.get(parent_id, [])
        ]

    return branches(None)


@bp.get("/categories/<id:category_id>")
@anybody
@bp.response(200, schemas.CategorySchema)
def category(category_id: int) -> Any:
    """A category, with its tag"""
    return etags.tagged(schemas.category(catalog.get_category(category_id)))


def _number(key: str) -> int | None:
    """The number that a key is, if some row could have it."""
    fits = key.isascii() and key.isdecimal() and len(key) <= 19 and 0 < int(key) <= MAX_ID
    return int(key) if fits else None


def _page(key: str) -> catalog.ProductPage:
    """A product on sale. Raises ``NotFound``."""
    number = _number(key)
    card = next(iter(catalog.cards([number])), None) if number is not None else None
    return catalog.product_page(card.slug if card else key)


def _any_product(key: str) -> Product:
    number = _number(key)
    known = session.get(Product, number) if number is not None else None
    known = known or session.scalar(select(Product).where(Product.slug == key))
    if known is None:
        raise NotFound("Product not found.")
    return known


def _price(given: dict[str, Any], name: str) -> int | None:
    typed = given.get(name, "").strip()
    if not typed:
        return None
    try:
        return parse_amount(typed, checkout.terms().currency)
    except AmountError as error:
        raise Refused(422, faults=[(name, str(error))]) from None


def _options() -> dict[str, tuple[str, ...]]:
    asked = {
        name.removeprefix("option."): tuple(dict.fromkeys(request.args.getlist(name)))
        for name in request.args
        if name.startswith("option.") and len(name) > len("option.")
    }
    if len(asked) > MAX_OPTIONS:
        raise Refused(422, faults=[("option", f"At most {MAX_OPTIONS} options at once.")])
    return asked
