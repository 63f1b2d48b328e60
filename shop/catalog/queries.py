"""What the catalogue can be asked about its tree, its products and one of them. Lists with
filters and search are in ``lists.py``. Plain statements into frozen values, no entities loaded.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from shop.catalog import tree
from shop.catalog.pages import (
    CategoryView,
    ImageView,
    MenuCategory,
    OptionView,
    ProductCard,
    ProductPage,
    ReviewView,
    ValueView,
    VariantView,
)
from shop.catalog.rows import (
    CARD,
    IMAGE,
    IN_USE,
    cards_of,
    clean,
    image_of,
    rating_of,
    statement_of,
)
from shop.catalog.sale import AVAILABLE, ON_SALE
from shop.catalog.wording import html_of
from shop.core import clock
from shop.core.db import session
from shop.core.errors import NotFound
from shop.core.i18n import gettext as _

PAGE = f"""
SELECT p.id, p.slug, p.name, p.tagline, p.description, p.attributes, p.seo_title,
       p.seo_description, p.price_from_minor, p.price_to_minor, p.tax_class, p.rating_sum,
       p.rating_count, p.primary_category_id,
    (SELECT json_agg({IMAGE} ORDER BY i.position, i.id)
     FROM image i JOIN media_file m ON m.id = i.media_id WHERE i.product_id = p.id) AS images,
    (SELECT json_agg(json_build_array(o.id, o.name, ov.id, ov.name, ov.swatch)
                     ORDER BY o.position, o.id, ov.position, ov.id)
     FROM "option" o JOIN option_value ov ON ov.option_id = o.id
     WHERE o.product_id = p.id AND {IN_USE}) AS choices,
    (SELECT json_agg(json_build_array(v.id, v.sku, v.title, v.price_minor, v.compare_at_minor,
                                      v.backorder_allowed, v.low_stock_level, v.combination,
                                      {AVAILABLE}) ORDER BY v.position, v.id)
     FROM variant v WHERE v.product_id = p.id AND v.archived_at IS NULL) AS variants,
    (SELECT json_agg(json_build_array(r.author, r.rating, r.title, r.text, r.created_at::date)
                     ORDER BY r.created_at DESC, r.id DESC)
     FROM (SELECT * FROM review WHERE product_id = p.id
           ORDER BY created_at DESC, id DESC LIMIT 10) r) AS reviews
FROM product p WHERE p.slug = :slug AND {ON_SALE}
"""
BY_ID = (
    "WITH chosen AS (SELECT id, n FROM"
    " unnest(cast(:ids AS bigint[])) WITH ORDINALITY AS wanted(id, n))" + CARD
)
FEATURED = f"""
WITH chosen AS (
    SELECT p.id, row_number() OVER (ORDER BY p.featured_rank, p.id) AS n FROM product p
    WHERE p.featured_rank IS NOT NULL AND {ON_SALE} ORDER BY p.featured_rank, p.id LIMIT :limit
){CARD}"""
NEWEST = f"""
WITH chosen AS (
    SELECT id, row_number() OVER () AS n FROM (
        SELECT p.id FROM product p WHERE {ON_SALE}
        ORDER BY p.published_at DESC, p.id DESC LIMIT :limit
    ) latest
){CARD}"""
RELATED = f"""
WITH chosen AS (
    SELECT id, row_number() OVER () AS n FROM (
        SELECT best.id FROM unnest(cast(:categories AS bigint[])) AS shelf(category_id)
        CROSS JOIN LATERAL (
            SELECT p.id, p.sold_count FROM product p
            WHERE p.primary_category_id = shelf.category_id AND p.id <> :self AND {ON_SALE}
            ORDER BY p.sold_count DESC, p.id DESC LIMIT :limit
        ) best
        ORDER BY shelf.category_id <> :category, best.sold_count DESC, best.id DESC LIMIT :limit
    ) akin
){CARD}"""
# The image of what sells best on each shelf: a top category with all that is below it.
SHELF_IMAGES = f"""
SELECT shelf.top, best.image FROM (
    SELECT top, array_agg(id) AS ids
    FROM unnest(cast(:tops AS bigint[]), cast(:ids AS bigint[])) AS pair(top, id) GROUP BY top
) shelf
CROSS JOIN LATERAL (
    SELECT (SELECT {IMAGE} FROM image i JOIN media_file m ON m.id = i.media_id
            WHERE i.product_id = p.id ORDER BY i.position, i.id LIMIT 1) AS image
    FROM product p
    WHERE {ON_SALE} AND EXISTS (SELECT FROM image i WHERE i.product_id = p.id)
      AND EXISTS (SELECT FROM product_category pc
                  WHERE pc.product_id = p.id AND pc.category_id = ANY(shelf.ids))
    ORDER BY p.sold_count DESC, p.rating_count DESC, p.id LIMIT 1
) best
"""
# ── the tree ─────────────────────────────────────────────────────────────────────────────────────


def menu() -> tuple[MenuCategory, ...]:
    """The category tree, in order; kept in this process for a few seconds."""
    return tree.read().roots


def category(path: str) -> CategoryView:
    """The category at ``path`` (``kitchen/mugs-cups``). Raises ``NotFound``."""
    view = tree.read().by_path.get(path.strip("/"))
    if view is None:
        raise NotFound(_("Category not found."))
    return view


def redirect_for(path: str) -> str | None:
    """Where an address that moved is now, else None; one statement.

    ``/c/<category path>`` and ``/products/<slug>``, as in the shop's addresses.
    """
    found = session.execute(
        statement_of("""
            SELECT '/c/' || c.path AS category, '/products/' || p.slug AS product
            FROM old_path o LEFT JOIN category c ON c.id = o.category_id
            LEFT JOIN product p ON p.id = o.product_id WHERE o.path = :path
        """),
        {"path": clean(path, 2_000).rstrip("/")},
    ).first()
    target: str | None = (found.category or found.product) if found else None
    return target


def addresses(*, most: int = 50_000) -> list[tuple[str, datetime | None]]:
    """Every public address of the catalogue and when it last changed, for search engines.

    One statement, one more when the tree is read again.
    """
    rows = session.execute(
        statement_of(
            f"SELECT p.slug, p.updated_at FROM product p WHERE {ON_SALE} ORDER BY p.id LIMIT :most"
        ),
        {"now": clock.now(), "most": most},
    )
    shelves = [(f"/c/{path}", None) for path in tree.read().by_path]
    return [*shelves, *((f"/products/{row.slug}", row.updated_at) for row in rows)]


# ── lists ────────────────────────────────────────────────────────────────────────────────────────


def cards(ids: Sequence[int]) -> tuple[ProductCard, ...]:
    """Cards of these products, in this order, leaving out what is not for sale. One statement."""
    return cards_of(BY_ID, {"ids": list(ids)}) if ids else ()


def featured(n: int) -> tuple[ProductCard, ...]:
    """The products that staff put forward. One statement."""
    return cards_of(FEATURED, {"limit": n})


def newest(n: int) -> tuple[ProductCard, ...]:
    """What was published last. One statement."""
    return cards_of(NEWEST, {"limit": n})


def shelf_images(paths: Sequence[str]) -> dict[str, ImageView]:
    """For categories by path, the image of what sells best in each, with all below it.

    One statement, one more when the tree is read again. What has no image is left out.
    """
    whole = tree.read()
    known = {whole.by_path[path].id: path for path in paths if path in whole.by_path}
    pairs = [(top, each) for top in known for each in whole.below[top]]
    rows = session.execute(
        statement_of(SHELF_IMAGES),
        {"tops": [p[0] for p in pairs], "ids": [p[1] for p in pairs], "now": clock.now()},
    )
    return {known[row.top]: image_of(row.image) for row in rows}


# ── one product ──────────────────────────────────────────────────────────────────────────────────


def product_page(slug: str) -> ProductPage:
    """What the page of a product that is for sale shows. Raises ``NotFound``.

    Two statements, one more when the tree is read again.
    """
    row = session.execute(
        statement_of(PAGE), {"slug": clean(slug, 200), "now": clock.now()}
    ).first()
    if row is None:
        raise NotFound(_("Product not found."))
    place = tree.read().by_id.get(row.primary_category_id)
    return ProductPage(
        id=row.id,
        slug=row.slug,
        name=row.name,
        tagline=row.tagline,
        description_html=html_of(row.description),
        attributes=row.attributes,
        images=tuple(image_of(image) for image in row.images or ()),
        options=_options(row.choices or ()),
        variants=tuple(_variant(entry) for entry in row.variants or ()),
        breadcrumbs=place.breadcrumbs if place else (),
        category=place,
        seo_title=row.seo_title or row.name,
        seo_description=row.seo_description or row.tagline,
        price_from_minor=row.price_from_minor,
        price_to_minor=row.price_to_minor,
        tax_class=row.tax_class,
        rating=rating_of(row),
        rating_count=row.rating_count,
        reviews=tuple(ReviewView(*entry) for entry in row.reviews or ()),
        related=_related(row.id, place),
    )


def _options(choices: Sequence[Sequence[Any]]) -> tuple[OptionView, ...]:
    names: dict[int, str] = {}
    values: dict[int, list[ValueView]] = {}
    for option_id, name, value_id, value_name, swatch in choices:
        names[option_id] = name
        values.setdefault(option_id, []).append(ValueView(value_id, value_name, swatch))
    return tuple(OptionView(key, names[key], tuple(values[key])) for key in names)


def _variant(entry: Sequence[Any]) -> VariantView:
    key, sku, title, price, compare_at, backorder, low_level, combination, available = entry
    return VariantView(
        id=key,
        sku=sku,
        title=title,
        price_minor=price,
        compare_at_minor=compare_at,
        value_ids=tuple(int(value) for value in combination.split(".") if value),
        available=available,
        is_available=backorder or available > 0,
        backorder_allowed=backorder,
        low=0 < available <= low_level,
    )


def _related(product_id: int, place: CategoryView | None) -> tuple[ProductCard, ...]:
    """Neighbours on the shelf: the same category first, then the rest of its branch."""
    if place is None:
        return ()
    known = tree.read()
    branch = known.by_path[place.breadcrumbs[0].path]
    return cards_of(
        RELATED,
        {
            "categories": list(known.below[branch.id]),
            "category": place.id,
            "self": product_id,
            "limit": 4,
        },
    )
