"""Operations on products: what is written about them, and whether they are for sale."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict, Unpack

from sqlalchemy import select

from shop.catalog.categories import checked_slug, free_address, keep_address
from shop.catalog.errors import NotReady, readable, refusing
from shop.catalog.events import ProductChanged
from shop.catalog.models import Category, Product, ProductStatus
from shop.catalog.wording import slug_of
from shop.core import clock
from shop.core.db import session
from shop.core.errors import Invalid, NotFound, WrongState
from shop.core.events import emit
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
from shop.core.states import StateTable

PRODUCT = StateTable(
    "product",
    {
        ProductStatus.DRAFT: {ProductStatus.ACTIVE, ProductStatus.ARCHIVED},
        ProductStatus.ACTIVE: {ProductStatus.DRAFT, ProductStatus.ARCHIVED},
        ProductStatus.ARCHIVED: {ProductStatus.DRAFT},
    },
)
# Name for people, fewest and most characters.
TEXTS = {
    "name": (lazy_gettext("The name"), 1, 200),
    "tagline": (lazy_gettext("The tagline"), 0, 200),
    "description": (lazy_gettext("The description"), 0, 20_000),
    "keywords": (lazy_gettext("The keywords"), 0, 500),
    "seo_title": (lazy_gettext("The title for search engines"), 0, 120),
    "seo_description": (lazy_gettext("The description for search engines"), 0, 320),
    "tax_class": (lazy_gettext("The tax class"), 1, 40),
}
MAX_ATTRIBUTES = 30


class ProductDetails(TypedDict, total=False):
    """What can be written about a product besides its name."""

    slug: str
    tagline: str
    description: str
    keywords: str
    attributes: dict[str, str]
    tax_class: str
    seo_title: str
    seo_description: str
    featured_rank: int | None
    categories: Sequence[Category]
    primary_category: Category | None


class ProductFields(ProductDetails, total=False):
    """What can be written about a product; what is left out stays as it is."""

    name: str


def get_product(product_id: int, *, to_change: bool = False) -> Product:
    """The product, for editing; ``to_change`` locks it. Raises ``NotFound``."""
    found = session.get(Product, product_id, with_for_update={"of": Product} if to_change else None)
    if found is None:
        raise NotFound(_("Product not found."))
    return found


def create_product(name: str, **details: Unpack[ProductDetails]) -> Product:
    """A new draft. Without ``slug`` a free one is made of the name.

    Raises ``Invalid``, or ``Taken`` for a slug that another product has.
    """
    now = clock.now()
    slug = details.get("slug") or _free_slug(name)
    made = Product(slug=checked_slug(slug), name=name, created_at=now, updated_at=now)
    made.attributes = {}
    _write(made, {"name": name, **details})
    with refusing():
        session.add(made)
    free_address(f"/products/{made.slug}")
    changed(made, "created")
    return made


def update_product(product: Product, **fields: Unpack[ProductFields]) -> Product:
    """Change what is written about a product; the address that a new slug leaves is kept."""
    slug = checked_slug(fields["slug"]) if "slug" in fields else product.slug
    with refusing():
        _write(product, fields)
        if slug != product.slug:
            keep_address(f"/products/{product.slug}", category_id=None, product_id=product.id)
            free_address(f"/products/{slug}")
            product.slug = slug
    changed(product, "updated")
    return product


def publish(
    product: Product, *, at: datetime | None = None, until: datetime | None = None
) -> Product:
    """Offer a product for sale, now or from ``at``, and only ``until`` then if that is given.

    Raises ``NotReady`` without a variant to sell, ``WrongState`` if it is archived, and ``Invalid``
    for days that cannot be.
    """
    clock.check_year(at, "published_at")
    clock.check_year(until, "unpublish_at")
    if not any(variant.archived_at is None for variant in product.variants):
        raise NotReady(
            _(
                "%(product)s has nothing to sell yet: add a variant with a price first.",
                product=product.name,
            )
        )
    start = at or product.published_at or clock.now()
    if until is not None and until <= start:
        raise Invalid(_("The last day must lie after the first."), field="unpublish_at")
    if product.status != ProductStatus.ACTIVE:
        product.status = PRODUCT.move(product.status, to=ProductStatus.ACTIVE)
    product.published_at = start
    product.unpublish_at = until
    changed(product, "published")
    return product


def unpublish(product: Product) -> Product:
    """Take a product off sale, to work on it."""
    product.status = PRODUCT.move(product.status, to=ProductStatus.DRAFT)
    changed(product, "unpublished")
    return product


def archive(product: Product) -> Product:
    """Put a product away for good; old orders still show it."""
    product.status = PRODUCT.move(product.status, to=ProductStatus.ARCHIVED)
    product.featured_rank = None
    changed(product, "archived")
    return product


def restore(product: Product) -> Product:
    """Take a product out of the archive, as a draft."""
    if product.status != ProductStatus.ARCHIVED:
        raise WrongState(
            _("This product is %(status)s and cannot be restored.", status=product.status)
        )
    product.status = PRODUCT.move(product.status, to=ProductStatus.DRAFT)
    changed(product, "restored")
    return product


def delete_product(product: Product) -> None:
    """Remove a product that was never ordered nor counted. Raises ``HasHistory`` otherwise."""
    product_id = product.id
    with refusing(history_of=product.name):
        session.delete(product)
    emit(ProductChanged(product_id=product_id, what="deleted"))


def changed(product: Product, what: str) -> None:
    """Note that a product changed; every operation on it or its parts ends here."""
    product.updated_at = clock.now()
    session.flush()
    emit(ProductChanged(product_id=product.id, what=what))


def _write(product: Product, fields: ProductFields) -> None:
    """Check everything first, so that a refusal leaves the product as it was."""
    clean: dict[str, object] = {
        field: readable(str(fields.get(field)), field=field, what=str(what), most=most, least=least)
        for field, (what, least, most) in TEXTS.items()
        if field in fields
    }
    if "attributes" in fields:
        clean["attributes"] = _attributes(fields["attributes"])
    if "featured_rank" in fields:
        rank = fields["featured_rank"]
        if rank is not None and not 0 <= rank <= 1_000_000:
            raise Invalid(
                _("The featured position is a whole number from 0."), field="featured_rank"
            )
        clean["featured_rank"] = rank
    categories = list(fields.get("categories", product.categories))
    if "primary_category" in fields or "categories" in fields:
        primary = fields.get("primary_category", product.primary_category)
        if "primary_category" not in fields and primary not in categories:
            primary = categories[0] if categories else None
        if primary is not None and primary not in categories:
            categories.append(primary)
        clean |= {"categories": categories, "primary_category": primary}
    for field, value in clean.items():
        setattr(product, field, value)


def _attributes(attributes: dict[str, str]) -> dict[str, str]:
    if len(attributes) > MAX_ATTRIBUTES:
        raise Invalid(
            _("A product can have %(most)s details, not more.", most=MAX_ATTRIBUTES),
            field="attributes",
        )
    return {
        readable(
            name, field="attributes", what=_("The name of a detail"), most=60, least=1
        ): readable(value, field="attributes", what=_("The detail %(name)s", name=name), most=500)
        for name, value in attributes.items()
    }


def _free_slug(name: str) -> str:
    """A slug from the name, numbered if others have it; a race is caught by the unique key."""
    wanted = slug_of(name)[:70].rstrip("-")
    used = set(session.scalars(select(Product.slug).where(Product.slug.startswith(wanted))))
    n = 1
    slug = wanted
    while slug in used:
        n += 1
        slug = f"{wanted}-{n}"
    return slug
