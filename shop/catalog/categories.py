"""Operations on the category tree. An address that a category leaves keeps answering with 301."""

from collections.abc import Sequence
from typing import TypedDict, Unpack

from sqlalchemy import delete, exists, func, or_, select, text
from sqlalchemy.dialects.postgresql import insert

from shop.catalog import tree
from shop.catalog.errors import NotEmpty, WouldCircle, readable, refusing
from shop.catalog.events import CategoryChanged
from shop.catalog.models import Category, OldPath, Product, product_category
from shop.catalog.wording import checked_slug, slug_of
from shop.core.db import session
from shop.core.errors import Invalid, NotFound
from shop.core.events import emit
from shop.core.i18n import gettext as _
from shop.core.i18n import ngettext

MAX_DEPTH = 6
# Any number, only ours: two people who move categories at once take turns.
TREE_LOCK = 7_360_001


class CategoryFields(TypedDict, total=False):
    """What can be written about a category; what is left out stays as it is."""

    name: str
    slug: str
    description: str


def get_category(category_id: int) -> Category:
    """The category, for editing. Raises ``NotFound``."""
    found = session.get(Category, category_id)
    if found is None:
        raise NotFound(_("Category not found."))
    return found


def create_category(
    name: str, *, slug: str = "", parent: Category | None = None, description: str = ""
) -> Category:
    """A new category, last below ``parent`` or last of all. ``slug`` may come from the name.

    Raises ``Invalid``, or ``Taken`` when a neighbour has the same address.
    """
    lock_tree()
    name = readable(name, field="name", what=_("The name"), most=120, least=1)
    description = readable(description, field="description", what=_("The description"), most=5_000)
    slug = checked_slug(slug or slug_of(name))
    path = _path_below(parent, slug)
    position = _last_position(parent)
    with refusing():
        made = Category(
            name=name,
            slug=slug,
            path=path,
            description=description,
            parent=parent,
            position=position,
        )
        session.add(made)
    free_address(f"/c/{made.path}")
    return _changed(made, "created")


def update_category(category: Category, **fields: Unpack[CategoryFields]) -> Category:
    """Change what is written about a category; a new slug moves its whole subtree's addresses."""
    lock_tree()
    name = readable(fields.get("name", category.name), field="name", what=_("The name"), most=120,
                    least=1)  # fmt: skip
    text_below = readable(fields.get("description", category.description), field="description",
                          what=_("The description"), most=5_000)  # fmt: skip
    slug = checked_slug(fields["slug"]) if "slug" in fields else category.slug
    with refusing():
        category.name = name
        category.description = text_below
        if slug != category.slug:
            category.slug = slug
            _move_addresses(category, _path_below(category.parent, slug))
    return _changed(category, "updated")


def move_category(
    category: Category, *, parent: Category | None, position: int | None = None
) -> Category:
    """Put a category with its subtree below ``parent`` (None: on top), at ``position`` from 0.

    Raises ``WouldCircle`` below itself, ``Taken`` if the address is used there.
    """
    lock_tree()
    above = parent
    while above is not None:
        if above is category:
            raise WouldCircle(category.name)
        above = above.parent
    with refusing():
        if parent is not category.parent:
            category.parent = parent
            _move_addresses(category, _path_below(parent, category.slug))
        neighbours = [c for c in _children(parent) if c is not category]
        place = len(neighbours) if position is None else max(0, min(position, len(neighbours)))
        neighbours.insert(place, category)
        for n, neighbour in enumerate(neighbours):
            neighbour.position = n
    return _changed(category, "moved")


def delete_category(category: Category) -> None:
    """Remove an empty category. Raises ``NotEmpty`` while it has categories or products."""
    lock_tree()
    if session.scalar(select(exists().where(Category.parent_id == category.id))):
        raise NotEmpty(
            _(
                "%(category)s still has categories in it: move or delete them first.",
                category=category.name,
            )
        )
    held = session.scalar(
        select(func.count(Product.id.distinct()))
        .outerjoin(product_category, product_category.c.product_id == Product.id)
        .where(
            or_(
                Product.primary_category_id == category.id,
                product_category.c.category_id == category.id,
            )
        )
    )
    if held:
        raise NotEmpty(
            ngettext(
                "%(category)s still has %(num)s product in it: move it first.",
                "%(category)s still has %(num)s products in it: move them first.",
                held,
                category=category.name,
            )
        )
    _changed(category, "deleted")
    session.delete(category)
    session.flush()


def lock_tree() -> None:
    """Wait for whoever changes the tree, then read it again: what was read before may be old."""
    session.flush()
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": TREE_LOCK})
    for known in session().identity_map.values():
        if isinstance(known, Category):
            session.expire(known)


def keep_address(address: str, *, category_id: int | None, product_id: int | None) -> None:
    """Let an address that is being left lead to where the thing is now."""
    values = {"category_id": category_id, "product_id": product_id}
    session.execute(
        insert(OldPath)
        .values(path=address, **values)
        .on_conflict_do_update(index_elements=["path"], set_=values)
    )


def free_address(address: str) -> None:
    """``address`` is in use again, so it no longer leads elsewhere."""
    session.execute(delete(OldPath).where(OldPath.path == address))


def _move_addresses(category: Category, path: str) -> None:
    """Give the category and all below it their new paths; the old ones are kept."""
    old = category.path
    subtree: Sequence[Category] = session.scalars(
        select(Category).where(or_(Category.id == category.id, Category.path.startswith(old + "/")))
    ).all()
    for moved in subtree:
        before, moved.path = moved.path, path + moved.path[len(old) :]
        _check_depth(moved.path)
        keep_address(f"/c/{before}", category_id=moved.id, product_id=None)
        free_address(f"/c/{moved.path}")


def _path_below(parent: Category | None, slug: str) -> str:
    path = f"{parent.path}/{slug}" if parent else slug
    _check_depth(path)
    return path


def _check_depth(path: str) -> None:
    if path.count("/") >= MAX_DEPTH:
        raise Invalid(
            _("Categories can be %(most)s levels deep, not more.", most=MAX_DEPTH), field="parent"
        )


def _children(parent: Category | None) -> list[Category]:
    below = Category.parent_id.is_(None) if parent is None else Category.parent_id == parent.id
    return list(
        session.scalars(select(Category).where(below).order_by(Category.position, Category.id))
    )


def _last_position(parent: Category | None) -> int:
    children = _children(parent)
    return children[-1].position + 1 if children else 0


def _changed(category: Category, what: str) -> Category:
    emit(CategoryChanged(category_id=category.id, what=what))
    tree.clear_cache()
    return category
