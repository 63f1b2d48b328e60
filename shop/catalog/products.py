"""Operations on products: what is written about them, and whether they are for sale."""

from collections.abc import Sequence
from datetime import datetime
from typing import Unpack

from sqlalchemy import select

from shop.catalog.categories import free_address, keep_address
from shop.catalog.errors import NotReady, refusing
from shop.catalog.events import ProductChanged
from shop.catalog.fields import PRODUCT_FIELDS, ProductColumns, ProductName, cleaned
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
    lazy_gettext("product"),
    {
        ProductStatus.DRAFT: {ProductStatus.ACTIVE, ProductStatus.ARCHIVED},
        ProductStatus.ACTIVE: {ProductStatus.DRAFT, ProductStatus.ARCHIVED},
        ProductStatus.ARCHIVED: {ProductStatus.DRAFT},
    },
    {
        ProductStatus.DRAFT: lazy_gettext("draft"),
        ProductStatus.ACTIVE: lazy_gettext("active"),
        ProductStatus.ARCHIVED: lazy_gettext("archived"),
    },
)


class ProductDetails(ProductColumns, total=False):
    """What can be written about a product besides its name: its columns and where it is found."""

    categories: Sequence[Category]
    primary_category: Category | None


class ProductFields(ProductName, ProductDetails, total=False):
    """What can be written about a product; what is left out stays as it is."""


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
    made = Product(created_at=now, updated_at=now, attributes={})
    slug = details.get("slug") or _free_slug(name)
    _write(made, {**details, "name": name, "slug": slug})
    with refusing():
        session.add(made)
    free_address(f"/products/{made.slug}")
    changed(made, "created")
    return made


def update_product(product: Product, **fields: Unpack[ProductFields]) -> Product:
    """Change what is written about a product; the address that a new slug leaves is kept."""
    left = product.slug
    with refusing():
        _write(product, fields)
        if product.slug != left:
            keep_address(f"/products/{left}", category_id=None, product_id=product.id)
            free_address(f"/products/{product.slug}")
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
    clean = cleaned(PRODUCT_FIELDS, fields)
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
