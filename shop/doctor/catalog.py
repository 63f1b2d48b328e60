"""What must hold of the catalogue: what is kept for lists, and pictures with their files."""

from sqlalchemy import Connection, text

from shop import media
from shop.catalog.variants import PRICE_SPAN
from shop.core.i18n import lazy_gettext
from shop.doctor.checks import Check, Fault, Scope

# Files come before the row that names them; the nightly sweep leaves what is younger than a day.
SWEPT_AFTER_S = 2 * 24 * 3600
FORMATS = ("webp", "avif")

# Shared with repairs: what each product's kept columns should say. Sales and stars are added to the
# product one by one: to count them all again is the proof of that.
SOLD = """
    SELECT l.product_id, sum(l.quantity - l.cancelled) AS sold_count
    FROM order_line l JOIN "order" o ON o.id = l.order_id
    WHERE o.status IN ('confirmed', 'completed') GROUP BY l.product_id
"""
RATED = """
    SELECT product_id, sum(rating) AS rating_sum, count(*) AS rating_count
    FROM review GROUP BY product_id
"""


def _missing_files(connection: Connection, scope: Scope) -> tuple[int, list[Fault]]:
    """Pictures without their original, or without a size that pages ask for."""
    present = {key: set(names) for key, names in media.storage.current().names()}
    faults = []
    for row in connection.execute(text("SELECT id, key, state, widths FROM media_file")):
        names = present.get(row.key, set())
        wanted = {f"{width}.{kind}" for width in row.widths.split(",") if width for kind in FORMATS}
        missing = sorted(({"original.webp"} | wanted) - names)
        if missing:
            faults.append(Fault(row.id, row.key, f"without {', '.join(missing)}"))
    return len(faults), faults[: scope.limit]


def _stray_files(connection: Connection, scope: Scope) -> tuple[int, list[Fault]]:
    """Files that no row names and that the nightly sweep should have removed."""
    old = set(media.storage.current().keys(older_than_seconds=SWEPT_AFTER_S))
    named = set(connection.scalars(text("SELECT key FROM media_file")))
    strays = sorted(old - named)
    return len(strays), [Fault(None, key, "no picture names it") for key in strays[: scope.limit]]


CHECKS = (
    Check(
        id="sold-count",
        invariant="I26",
        title=lazy_gettext("How often a product was sold is what its orders say"),
        why=lazy_gettext("“Most popular” sorts by it."),
        todo=lazy_gettext("`flask shop doctor --fix` counts it again."),
        about="product",
        sql=f"""
        SELECT p.id, p.name, format('says %s, its orders say %s', p.sold_count,
            coalesce(s.sold_count, 0)) AS fact
        FROM product p LEFT JOIN ({SOLD}) s ON s.product_id = p.id
        WHERE p.sold_count <> coalesce(s.sold_count, 0)
        """,
    ),
    Check(
        id="ratings",
        invariant="I26",
        title=lazy_gettext("The stars of a product are those of its reviews"),
        why=lazy_gettext("Customers go by them."),
        todo=lazy_gettext("`flask shop doctor --fix` counts them again."),
        about="product",
        sql=f"""
        SELECT p.id, p.name, format('says %s stars in %s reviews, there are %s in %s',
            p.rating_sum, p.rating_count, coalesce(r.rating_sum, 0), coalesce(r.rating_count, 0))
            AS fact
        FROM product p LEFT JOIN ({RATED}) r ON r.product_id = p.id
        WHERE (p.rating_sum, p.rating_count)
            <> (coalesce(r.rating_sum, 0), coalesce(r.rating_count, 0))
        """,
    ),
    Check(
        id="price-span",
        invariant="I26",
        title=lazy_gettext("The prices that lists show are those of the variants"),
        why=lazy_gettext("A customer would see another price in the list than on the page."),
        todo=lazy_gettext("`flask shop doctor --fix` looks them up again."),
        about="product",
        sql=f"""
        SELECT p.id, p.name, format('says %s to %s, its variants say %s to %s', p.price_from_minor,
            p.price_to_minor, coalesce(v.price_from_minor, 0), coalesce(v.price_to_minor, 0))
            AS fact
        FROM product p LEFT JOIN ({PRICE_SPAN}) v ON v.product_id = p.id
        WHERE (p.price_from_minor, p.price_to_minor)
            <> (coalesce(v.price_from_minor, 0), coalesce(v.price_to_minor, 0))
        """,
    ),
    Check(
        id="category-paths",
        invariant="I26",
        title=lazy_gettext("The URL of a category is that of its parent and its own slug"),
        why=lazy_gettext("Its page could not be found, or another one would be shown."),
        todo=lazy_gettext("Save the category once more with its slug."),
        sql="""
        SELECT c.id, c.name, format('its address is %s, its parent''s is %s', c.path,
            coalesce(p.path, '—')) AS fact
        FROM category c LEFT JOIN category p ON p.id = c.parent_id
        WHERE c.path <> concat_ws('/', p.path, c.slug)
        """,
    ),
    Check(
        id="picture-files",
        invariant="I23",
        title=lazy_gettext("Every image has its files"),
        why=lazy_gettext("Customers would see a gap."),
        todo=lazy_gettext(
            "`flask shop doctor --fix` has missing sizes made again; upload again what lacks "
            "its original."
        ),
        find=_missing_files,
    ),
    Check(
        id="stray-files",
        invariant="I23",
        title=lazy_gettext("Every file in the image folder belongs to an image"),
        why=lazy_gettext("They fill the disk, and nobody can remove them by name."),
        todo=lazy_gettext(
            "`flask shop doctor --fix` removes those older than a day, as the relay does "
            "nightly."
        ),
        find=_stray_files,
    ),
)  # fmt: skip
