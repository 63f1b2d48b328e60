"""The category tree, changed only through the catalogue's operations."""

from collections.abc import Iterable
from typing import Any, TypeVar

from markupsafe import Markup
from sqlalchemy import select
from wtforms import SelectField, StringField
from wtforms.validators import InputRequired, Length, NumberRange, Optional, ValidationError

from shop import catalog
from shop.admin.framework import Listed, Number, Table, Text, View, listing
from shop.admin.framework.fields import WholeField, number_widget, select_widget, text_widget
from shop.admin.framework.formatters import number
from shop.admin.framework.list_pages import Items
from shop.admin.framework.list_state import ListState
from shop.admin.framework.listing import ListPage
from shop.catalog.models import Category
from shop.core.db import session
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext

Placed = TypeVar("Placed", bound=Any)
PLACED = (Category.id, Category.parent_id, Category.name, Category.path, Category.position)


def in_tree_order(rows: Iterable[Placed]) -> list[Placed]:
    """Categories as the shop's menu shows them: by place among neighbours, each above its own.

    ``rows`` have at least the columns of ``PLACED``. Where a row's parent is not among them, as in
    a search, the row stands on top.
    """
    found = sorted(rows, key=lambda row: (row.position, row.id))
    known = {row.id for row in found}
    below: dict[int | None, list[Placed]] = {}
    for row in found:
        below.setdefault(row.parent_id if row.parent_id in known else None, []).append(row)
    ordered, waiting = [], below.get(None, [])[::-1]
    while waiting:
        row = waiting.pop()
        ordered.append(row)
        waiting += below.get(row.id, [])[::-1]
    return ordered


class ParentField(SelectField):
    """Where a category hangs in the tree: a list in the tree's order, “Top level” first."""

    widget = select_widget

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("choices", _parents)
        super().__init__(*args, **kwargs)

    def process_data(self, value: Any) -> None:
        self.data = str(value.id) if value is not None else ""

    def pre_validate(self, form: Any) -> None:
        if self.data and not self._may_exist():
            raise ValidationError(_("Choose one of the categories."))

    def _may_exist(self) -> bool:
        text = str(self.data)
        return text.isascii() and text.isdecimal() and len(text) < 19

    def category(self) -> Category | None:
        """The chosen category; None is the top level. Raises ``NotFound``."""
        return catalog.get_category(int(self.data)) if self.data else None


def _parents() -> dict[str, str]:
    rows = in_tree_order(session.execute(select(*PLACED)).all())
    below = {str(row.id): "– " * row.path.count("/") + row.name for row in rows}
    return {"": _("Top level")} | below


def _indented(name: str, row: Listed) -> Markup:
    depth = min(row.item.path.count("/"), 6)
    return Markup('<span class="tree-{}">{}</span>').format(depth, name)


def _address(path: str, row: Listed) -> Markup:
    return Markup('<a class="link mono" href="/c/{0}">/c/{0}</a>').format(path)


FIELDS = {
    "name": StringField(
        lazy_gettext("Name"),
        [InputRequired(lazy_gettext("Fill in a name.")), Length(max=120)],
        widget=text_widget,
    ),
    "slug": StringField(
        lazy_gettext("URL slug"),
        [Optional(), Length(max=80)],
        description=lazy_gettext(
            "Lowercase letters, digits and hyphens. Old addresses redirect here."
        ),
        widget=text_widget,
    ),
    "parent": ParentField(lazy_gettext("Parent category")),
}
PLACE = WholeField(
    lazy_gettext("Position"),
    [Optional(), NumberRange(1, 1000, lazy_gettext("Type a number from 1."))],
    description=lazy_gettext("1 is first. Leave empty to keep the position."),
    widget=number_widget,
)


class CategoriesView(View):
    """The tree that customers browse."""

    route_base = "/admin/categories"
    datamodel = Table(Category)
    noun = lazy_gettext("category")
    plural = lazy_gettext("Categories")
    pages = ("add", "edit", "delete")
    columns = (
        Text("name", sorts=False, show=_indented),
        Text("path", lazy_gettext("URL slug"), show=_address),
        Number(
            "position",
            lazy_gettext("Position"),
            sorts=False,
            show=lambda value, row: number(value + 1),
        ),
    )
    without_filters = ("position",)
    search = ("name", "path")
    add_columns = ["name", "slug", "parent", "description"]
    edit_columns = ["name", "slug", "parent", "place", "description"]
    add_form_extra_fields = FIELDS
    edit_form_extra_fields = FIELDS | {"place": PLACE}
    hints = {"description": lazy_gettext("Shown above the products of the category.")}

    def load(self, state: ListState) -> ListPage:
        """The tree in its own order, unless another order is asked for: then all categories are
        read, as for the shop's menu."""
        if state.sort:
            return super().load(state)
        found = in_tree_order(session.scalars(listing.matching(self, state)).all())
        rows = [Listed(row, {}) for row in found]
        return ListPage(rows, len(rows), {}, 1, False, False)

    def matching_keys(self, state: ListState, limit: int) -> Items:
        if state.sort:
            return super().matching_keys(state, limit)
        found = in_tree_order(session.scalars(listing.matching(self, state)).all())
        return [row.id for row in found[:limit]]

    def create(self, form: Any) -> Category:
        return catalog.create_category(
            form.name.data,
            slug=form.slug.data or "",
            parent=form.parent.category(),
            description=form.description.data or "",
        )

    def hold(self, item: Category) -> None:
        catalog.lock_tree()
        super().hold(item)

    def change(self, item: Category, form: Any) -> None:
        fields: dict[str, str] = {
            "name": form.name.data,
            "description": form.description.data or "",
        }
        if form.slug.data:
            fields["slug"] = form.slug.data
        catalog.update_category(item, **fields)
        parent, place = form.parent.category(), form.place.data
        if parent is not item.parent or place:
            catalog.move_category(item, parent=parent, position=place - 1 if place else None)

    def remove(self, item: Category) -> None:
        catalog.delete_category(item)
