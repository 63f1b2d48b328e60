"""Lists of products: category pages, filters with their counts, search, suggestions."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

from cachetools import TTLCache
from sqlalchemy import Row

from shop.catalog import tree
from shop.catalog.pages import (
    Breadcrumb,
    CategoryView,
    Facet,
    FacetValue,
    Filters,
    Listing,
    ProductCard,
    ProductHint,
    Sort,
    Suggestions,
)
from shop.catalog.queries import category
from shop.catalog.rows import (
    CARD,
    IMAGE,
    cards_of,
    clean,
    image_of,
    statement_of,
)
from shop.catalog.sale import AVAILABLE, ON_SALE
from shop.core import clock
from shop.core.db import session
from shop.core.errors import NotFound
from shop.core.i18n import gettext as _

MAX_QUERY_LENGTH = 100
# Beyond this many products the numbers beside filters would cost more than they tell.
MAX_FACETED = 2_000
MAX_SIMILAR = 200
MAX_INT = 2**31 - 1


SEARCHED = """websearch_to_tsquery('shop_en', :q)
    || (websearch_to_tsquery('shop_en', :head) && to_tsquery('shop_en', :last))"""
# Looks for similar names only when words and SKU found next to nothing. The threshold is set in
# the same one-time filter that decides this: the default, 0.6, misses "candel" for "candle".
FEW = """(SELECT count(*) FROM direct) < 3
    AND (SELECT set_config('pg_trgm.word_similarity_threshold', '0.4', true)) IS NOT NULL"""
ORDERS: dict[Sort, str] = {
    "relevance": "p.featured_rank NULLS LAST, p.sold_count DESC, p.id",
    "newest": "p.published_at DESC, p.id DESC",
    "price_asc": "p.price_from_minor, p.id",
    "price_desc": "p.price_from_minor DESC, p.id",
    "popular": "p.sold_count DESC, p.rating_count DESC, p.id",
}


def listing(filters: Filters) -> Listing:
    """One page of products with facets: two statements, one more when the tree is read again.

    A product is listed when one of its variants passes all filters together; a facet counts what
    its other values would add. Raises ``NotFound`` for an unknown category or a page that is not
    there.
    """
    asked = _bounded(filters)
    place = category(asked.category_path) if asked.category_path else None
    counts = _counts(asked, place)
    pages = max(1, -(-counts.total // asked.per_page))
    if not 1 <= asked.page <= pages:
        raise NotFound(_("Page not found."))
    sort: Sort = asked.sort or "relevance"
    order = ("found.rank DESC, " if asked.q and sort == "relevance" else "") + ORDERS[sort]
    shown: tuple[ProductCard, ...] = ()
    if counts.total:
        source = _source(asked, place)
        shown = cards_of(
            f"WITH {source.ctes} chosen AS (SELECT id, row_number() OVER () AS n FROM ("
            f"SELECT p.id FROM {source.rows}{_has_variant(asked)}"
            f" ORDER BY {order} LIMIT :limit OFFSET :offset) on_this_page){CARD}",
            source.values | {"limit": asked.per_page, "offset": (asked.page - 1) * asked.per_page},
        )
    return Listing(
        cards=shown,
        total=counts.total,
        page=asked.page,
        pages=pages,
        facets=counts.facets,
        price_range=counts.price_range,
        in_stock_count=counts.in_stock,
        category=place,
        breadcrumbs=place.breadcrumbs if place else (),
        sort=sort,
        is_guess=counts.is_guess,
    )


def suggest(q: str) -> Suggestions:
    """Up to eight products and four categories for what is being typed. One statement."""
    asked = Filters(q=clean(q, MAX_QUERY_LENGTH))
    if len(asked.q) < 2:
        return Suggestions((), ())
    source = _source(asked, None)
    best_first = f"found.rank DESC, {ORDERS['relevance']}"
    rows = session.execute(
        statement_of(f"""
            WITH {source.ctes.rstrip(", ")}
            SELECT p.name, p.slug, p.price_from_minor, (
                SELECT {IMAGE} FROM image i JOIN media_file m ON m.id = i.media_id
                WHERE i.product_id = p.id ORDER BY i.position, i.id LIMIT 1) AS image
            FROM {source.rows} ORDER BY {best_first} LIMIT 8
        """),
        source.values,
    )
    words = asked.q.casefold().split()
    return Suggestions(
        products=tuple(
            ProductHint(
                row.name,
                row.slug,
                row.price_from_minor,
                image_of(row.image) if row.image else None,
            )
            for row in rows
        ),
        categories=tuple(
            Breadcrumb(view.name, view.path)
            for view in tree.read().by_id.values()
            if all(word in view.name.casefold() for word in words)
        )[:4],
    )


# ── the counts of a listing ──────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Counts:
    total: int
    in_stock: int | None
    price_range: tuple[int, int] | None
    facets: tuple[Facet, ...]
    is_guess: bool


_kept: TTLCache[str, _Counts] = TTLCache(maxsize=512, ttl=tree.KEPT_SECONDS)
_lock = Lock()


def clear_cache() -> None:
    """Drop what this process keeps of the catalogue (tree and counts): it is read again."""
    tree.clear_cache()
    with _lock:
        _kept.clear()


def _counts(asked: Filters, place: CategoryView | None) -> _Counts:
    """The numbers beside a listing; kept as long as the tree, for they cost most of its time."""
    key = repr((replace(asked, page=1, per_page=1, sort=None), place and place.id))
    with _lock:
        counts = _kept.get(key)
    if counts is None:
        counts = _count(asked, place)
        with _lock:
            _kept[key] = counts
    return counts


def _count(asked: Filters, place: CategoryView | None) -> _Counts:
    source = _source(asked, place, ranked=False)
    conditions = _variant_conditions(asked)
    names = {f"o{n}": name for n, name in enumerate(asked.options)}
    flags = "".join(f", {sql} AS {flag}" for flag, sql in conditions.items())
    others = {flag: " AND ".join(c for c in conditions if c != flag) for flag in conditions}
    every = " AND ".join(conditions) or "true"
    cases = "".join(f" WHEN :{flag} THEN {others[flag] or 'true'}" for flag in names)
    facet_match = f"CASE o.name{cases} ELSE {every} END" if names else every
    # Only "f" rows carry names; ``total`` is exact even where facets are given up.
    rows = session.execute(
        statement_of(f"""
            WITH {source.ctes} all_found AS MATERIALIZED (SELECT p.id FROM {source.rows}),
            goods AS MATERIALIZED (
                SELECT v.product_id, v.id, v.price_minor,
                       v.backorder_allowed OR {AVAILABLE} > 0 AS buyable{flags}
                FROM all_found f JOIN variant v ON v.product_id = f.id
                WHERE v.archived_at IS NULL AND (SELECT count(*) FROM all_found) <= {MAX_FACETED}
            )
            SELECT 'size' AS kind, NULL AS name, NULL AS value, NULL AS swatch,
                   (SELECT count(*) FROM all_found) AS a, {_direct_count(asked)} AS b,
                   NULL::bigint AS first_product, NULL::bigint AS last_product,
                   NULL::bigint AS products
            UNION ALL SELECT 'total', NULL, NULL, NULL, count(DISTINCT product_id), NULL, NULL,
                   NULL, NULL FROM goods WHERE {every}
            UNION ALL SELECT 'stock', NULL, NULL, NULL, count(DISTINCT product_id), NULL, NULL,
                   NULL, NULL FROM goods WHERE buyable AND {others.get("stock", every) or "true"}
            UNION ALL SELECT 'price', NULL, NULL, NULL, min(price_minor), max(price_minor), NULL,
                   NULL, NULL FROM goods WHERE {others.get("price", every) or "true"}
            UNION ALL (
                SELECT 'facet', o.name, ov.name, min(ov.swatch),
                       count(DISTINCT g.product_id) FILTER (WHERE {facet_match}),
                       min(o.position * 1000 + ov.position), min(g.product_id), max(g.product_id),
                       count(DISTINCT g.product_id)
                FROM goods g JOIN variant_value vv ON vv.variant_id = g.id
                JOIN option_value ov ON ov.id = vv.option_value_id
                JOIN "option" o ON o.id = ov.option_id
                GROUP BY o.name, ov.name)
        """),
        source.values,
    ).all()
    by_kind = {row.kind: row for row in rows if row.kind != "facet"}
    size = by_kind["size"]
    is_guess = bool(asked.q) and size.b == 0 and size.a > 0
    if size.a > MAX_FACETED:
        total = _large_total(asked, place) if conditions else size.a
        return _Counts(total, None, None, (), is_guess)
    price = by_kind["price"]
    return _Counts(
        total=by_kind["total"].a,
        in_stock=by_kind["stock"].a,
        price_range=None if price.a is None else (price.a, price.b),
        facets=_facets([row for row in rows if row.kind == "facet"], asked),
        is_guess=is_guess,
    )


def _large_total(asked: Filters, place: CategoryView | None) -> int:
    """How many, for lists without facets."""
    source = _source(asked, place, ranked=False)
    total = session.scalar(
        statement_of(
            f"WITH {source.ctes} hits AS (SELECT FROM {source.rows}{_has_variant(asked)})"
            " SELECT count(*) FROM hits"
        ),
        source.values,
    )
    return int(total or 0)


def _direct_count(asked: Filters) -> str:
    return "(SELECT count(*) FROM direct)" if asked.q else "NULL::bigint"


def _facets(rows: Sequence[Row[Any]], asked: Filters) -> tuple[Facet, ...]:
    """Facets of more than one product, the most useful first; what is chosen is always shown.

    Values that would leave nothing stay, with 0, so that a list of filters does not jump about.
    """
    by_name: dict[str, list[Row[Any]]] = {name: [] for name in asked.options}
    for row in rows:
        by_name.setdefault(row.name, []).append(row)
    facets = []
    for name, entries in by_name.items():
        chosen = set(asked.options.get(name, ()))
        ends = {end for row in entries for end in (row.first_product, row.last_product)}
        if len(ends) < 2 and not chosen:
            continue
        ordered = sorted(entries, key=lambda row: (row.b, row.value))
        values = [FacetValue(r.value, r.a, r.swatch, r.value in chosen) for r in ordered]
        known = {value.value for value in values}
        values += [FacetValue(value, 0, None, True) for value in sorted(chosen - known)]
        weight = sum(row.products for row in entries)
        facets.append((-weight, Facet(name, tuple(values))))
    return tuple(facet for _, facet in sorted(facets, key=lambda pair: (pair[0], pair[1].name)))


# ── the parts of a search ────────────────────────────────────────────────────────────────────────


def _bounded(filters: Filters) -> Filters:
    """The same wishes in sizes that a statement can take."""
    options = {
        clean(name, 60): tuple(dict.fromkeys(clean(value, 100) for value in chosen[:20]))
        for name, chosen in list(filters.options.items())[:8]
        if chosen
    }

    def price(value: int | None) -> int | None:
        return None if value is None else max(0, min(value, MAX_INT))

    return replace(
        filters,
        q=clean(filters.q, MAX_QUERY_LENGTH),
        category_path=clean(filters.category_path, 1_000).strip("/"),
        sort=filters.sort if filters.sort in ORDERS else None,
        per_page=max(1, min(filters.per_page, 100)),
        min_price_minor=price(filters.min_price_minor),
        max_price_minor=price(filters.max_price_minor),
        options=options,
    )


@dataclass(frozen=True, slots=True)
class _Source:
    """Which products are meant: ``FROM rows`` has them as ``p``; a search has ``found.rank``."""

    ctes: str
    rows: str
    values: dict[str, Any]


def _source(asked: Filters, place: CategoryView | None, *, ranked: bool = True) -> _Source:
    """Visible products by category and words.

    Ranking reads every hit, so whoever only counts leaves it out.
    """
    values: dict[str, Any] = {"now": clock.now()}
    where = ON_SALE
    if place is not None:
        where += (
            " AND EXISTS (SELECT FROM product_category pc"
            " WHERE pc.product_id = p.id AND pc.category_id = ANY(:categories))"
        )
        values["categories"] = list(tree.read().below[place.id])
    values |= _condition_values(asked)
    if not asked.q:
        return _Source("", f"product p WHERE {where}", values)
    head, last = _prefix(asked.q)
    values |= {"q": asked.q, "head": head, "last": last, "sku": asked.q.upper()}
    rank = "ts_rank_cd(p.search, (SELECT query FROM asked))" if ranked else "0"
    return _Source(
        f"""
        asked AS MATERIALIZED (SELECT {SEARCHED} AS query),
        direct AS MATERIALIZED (
            SELECT p.id, {rank} AS rank FROM product p
            WHERE p.search @@ (SELECT query FROM asked) AND {where}
            UNION ALL
            SELECT p.id, 10 FROM product p JOIN variant v ON v.product_id = p.id
            WHERE v.sku = :sku AND {where}
        ),
        found AS MATERIALIZED (
            SELECT id, max(rank) AS rank FROM (
                SELECT id, rank FROM direct
                UNION ALL (
                    SELECT p.id, word_similarity(:q, p.name) - 1 FROM product p
                    WHERE {FEW} AND :q <% p.name AND {where}
                    ORDER BY 2 DESC, p.id LIMIT {MAX_SIMILAR})
            ) hits GROUP BY id
        ),""",
        "found JOIN product p ON p.id = found.id WHERE true",
        values,
    )


def _prefix(q: str) -> tuple[str, str]:
    """The finished words and the last one as a prefix, for people who are still typing.

    Quotes, ``-`` and ``or`` are the searcher's own grammar: then nothing is added.
    """
    words = re.findall(r"\w+", q)
    has_grammar = '"' in q or re.search(r"(^|\s)(-|or\s)", q, re.IGNORECASE)
    if not words or has_grammar:
        return "", ""
    return " ".join(words[:-1]), f"'{words[-1]}':*"


def _variant_conditions(asked: Filters) -> dict[str, str]:
    """What a variant must satisfy, by flag name; its values come from ``_condition_values``."""
    conditions: dict[str, str] = {}
    if asked.min_price_minor is not None or asked.max_price_minor is not None:
        conditions["price"] = "v.price_minor BETWEEN :min_price AND :max_price"
    if asked.in_stock:
        conditions["stock"] = f"(v.backorder_allowed OR {AVAILABLE} > 0)"
    for n in range(len(asked.options)):
        conditions[f"o{n}"] = (
            "EXISTS (SELECT FROM variant_value vv"
            " JOIN option_value ov ON ov.id = vv.option_value_id"
            ' JOIN "option" o ON o.id = ov.option_id'
            f" WHERE vv.variant_id = v.id AND o.name = :o{n} AND ov.name = ANY(:v{n}))"
        )
    return conditions


def _condition_values(asked: Filters) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if asked.min_price_minor is not None or asked.max_price_minor is not None:
        values["min_price"] = asked.min_price_minor or 0
        values["max_price"] = MAX_INT if asked.max_price_minor is None else asked.max_price_minor
    for n, (name, chosen) in enumerate(asked.options.items()):
        values |= {f"o{n}": name, f"v{n}": list(chosen)}
    return values


def _has_variant(asked: Filters) -> str:
    """The condition that one variant of ``p`` passes all filters; empty without filters."""
    conditions = " AND ".join(_variant_conditions(asked).values())
    if not conditions:
        return ""
    return (
        " AND EXISTS (SELECT FROM variant v"
        f" WHERE v.product_id = p.id AND v.archived_at IS NULL AND {conditions})"
    )
