"""The category tree, changed only through the catalogue's operations."""

from typing import Any

from markupsafe import Markup
from sqlalchemy import select
from wtforms import IntegerField, SelectField, StringField
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from shop import catalog
from shop.admin.base import CrudView
from shop.admin.fields import number_widget, select_widget, text_widget
from shop.admin.formatters import number
from shop.admin.interface import Table
from shop.catalog.models import Category
from shop.core.db import session


class ParentField(SelectField):
    """Where a category hangs in the tree: a list in the tree's order, “Top level” first."""

    widget = select_widget

    def iter_choices(self) -> Any:
        rows = session.execute(
            select(Category.id, Category.name, Category.path).order_by(Category.path)
        )
        yield "", "Top level", not self.data, {}
        for id_, name, path in rows:
            yield str(id_), "– " * path.count("/") + name, str(id_) == str(self.data or ""), {}

    def process_data(self, value: Any) -> None:
        self.data = str(value.id) if value is not None else ""

    def pre_validate(self, form: Any) -> None:
        if self.data and not str(self.data).isdecimal():
            raise ValueError("Choose one of the categories.")

    def category(self) -> Category | None:
        """The chosen category; None is the top level. Raises ``NotFound``."""
        return catalog.get_category(int(self.data)) if self.data else None


def _indented(name: str, row: Category) -> Markup:
    depth = min(row.path.count("/"), 6)
    return Markup('<span class="tree-{}">{}</span>').format(depth, name)


def _address(path: str, row: Category) -> Markup:
    return Markup('<a class="link mono" href="/c/{0}">/c/{0}</a>').format(path)


FIELDS = {
    "name": StringField(
        "Name", [InputRequired("Fill in a name."), Length(max=120)], widget=text_widget
    ),
    "slug": StringField(
        "Address part",
        [Optional(), Length(max=80)],
        description="Small letters, digits and hyphens. Old addresses keep leading here.",
        widget=text_widget,
    ),
    "parent": ParentField("Inside of"),
}
PLACE = IntegerField(
    "Place among its neighbours",
    [Optional(), NumberRange(1, 1000, "Type a number from 1.")],
    description="1 is first. Leave empty to keep its place.",
    widget=number_widget,
)


class CategoriesView(CrudView):
    """The tree that customers browse."""

    route_base = "/admin/categories"
    datamodel = Table(Category)
    noun = "category"
    plural = "Categories"
    exclude_route_methods = {"show", "download", "lookup"}
    list_columns = ["name", "path", "position"]
    add_columns = ["name", "slug", "parent", "description"]
    edit_columns = ["name", "slug", "parent", "place", "description"]
    add_form_extra_fields = FIELDS
    edit_form_extra_fields = FIELDS | {"place": PLACE}
    label_columns = {"path": "Address", "position": "Place"}
    formatters_columns = {
        "name": _indented,
        "path": _address,
        "position": lambda value, row: number(value + 1),
    }
    hints = {"description": "Shown above the products of the category."}
    order_columns = ["name", "path"]
    base_order = ("path", "asc")
    search_by = ("name", "path")
    page_size = 100
    main_columns = ("name", "position")

    def create(self, form: Any) -> Category:
        return catalog.create_category(
            form.name.data,
            slug=form.slug.data or "",
            parent=form.parent.category(),
            description=form.description.data or "",
        )

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
