"""The category tree as a whole: read in one statement, kept a few seconds in this process.

A menu may be ten seconds old on another worker; rules about the tree never read it from here.
"""

from dataclasses import dataclass
from threading import Lock

from cachetools import TTLCache
from sqlalchemy import select

from shop.catalog.models import Category
from shop.catalog.pages import Breadcrumb, CategoryView, MenuCategory
from shop.core.db import session

KEPT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Tree:
    """The tree in the forms that pages need. ``below`` has a category's ids, itself included."""

    roots: tuple[MenuCategory, ...]
    by_path: dict[str, CategoryView]
    by_id: dict[int, CategoryView]
    below: dict[int, tuple[int, ...]]


_kept: TTLCache[str, Tree] = TTLCache(maxsize=1, ttl=KEPT_SECONDS)
_lock = Lock()


def read() -> Tree:
    """The tree: no statement while it is kept, one otherwise."""
    with _lock:
        tree = _kept.get("tree")
    if tree is None:
        tree = _load()
        with _lock:
            _kept["tree"] = tree
    return tree


def clear_cache() -> None:
    """Have it read again next time; operations on categories call this."""
    with _lock:
        _kept.clear()


def _load() -> Tree:
    rows = session.execute(
        select(
            Category.id,
            Category.parent_id,
            Category.name,
            Category.slug,
            Category.path,
            Category.description,
        ).order_by(Category.position, Category.id)
    ).all()
    ids_below: dict[int | None, list[int]] = {}
    for row in rows:
        ids_below.setdefault(row.parent_id, []).append(row.id)
    by_row = {row.id: row for row in rows}
    entries: dict[int, MenuCategory] = {}
    below: dict[int, tuple[int, ...]] = {}
    views: dict[int, CategoryView] = {}

    def collect(category_id: int, way: tuple[Breadcrumb, ...]) -> None:
        row = by_row[category_id]
        way = (*way, Breadcrumb(row.name, row.path))
        children = ids_below.get(category_id, [])
        for child in children:
            collect(child, way)
        entry = MenuCategory(row.name, row.slug, row.path, tuple(entries[c] for c in children))
        entries[category_id] = entry
        below[category_id] = (category_id, *(i for c in children for i in below[c]))
        views[category_id] = CategoryView(
            row.id, row.name, row.slug, row.path, row.description, entry.children, way
        )

    for root in ids_below.get(None, []):
        collect(root, ())
    return Tree(
        roots=tuple(entries[root] for root in ids_below.get(None, [])),
        by_path={view.path: view for view in views.values()},
        by_id=views,
        below=below,
    )
