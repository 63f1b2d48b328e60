"""How rows are shown: as lines of a list, as the facts of one row, and as lists beside it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import request
from flask_appbuilder.widgets import RenderTemplateWidget

from shop.admin.formatters import Formatter, plain

if TYPE_CHECKING:
    from shop.admin.base import CrudView

Fieldsets = list[tuple[str, dict[str, Any]]]


class ListWidget(RenderTemplateWidget):
    """A page of a list."""

    template = "admin/crud/_list.html"


class FormWidget(RenderTemplateWidget):
    """A form; its page puts the fields where they belong."""

    template = "admin/crud/_form.html"


class ShowWidget(RenderTemplateWidget):
    """The facts of one row."""

    template = "admin/crud/_facts.html"


class NoSearch(RenderTemplateWidget):
    """Instead of Flask-AppBuilder's search panel: ours stands above the list."""

    template = ""


@dataclass(frozen=True)
class Cell:
    """One shown value: the column's name, its heading and safe HTML."""

    column: str
    label: str
    html: Any


@dataclass(frozen=True)
class Row:
    """One line of a list."""

    pk: Any
    name: str
    href: str | None
    cells: tuple[Cell, ...]
    may_edit: bool
    may_delete: bool


def rows(view: "CrudView", items: list[Any]) -> list[Row]:
    """The lines of a list, with what the person signed in may do to each."""
    may_edit, may_delete = view.allows("edit"), view.allows("delete")
    return [
        Row(
            pk=view.key(item),
            name=str(item),
            href=view.row_href(item),
            cells=tuple(_cell(view, item, name) for name in view.list_columns),
            may_edit=may_edit and view.may_edit(item),
            may_delete=may_delete and view.may_delete(item),
        )
        for item in items
    ]


def facts(view: "CrudView", item: Any, fieldsets: Fieldsets) -> list[tuple[str, list[Cell]]]:
    """What is shown of one row: cells under the headings of its sections."""
    return [
        (heading, [_cell(view, item, name) for name in options["fields"]])
        for heading, options in fieldsets
    ]


def related(view: "CrudView", item: Any) -> list[tuple[str, Any]]:
    """The lists that belong to a row, (heading, widget), of those that the person may see."""
    return [
        (
            other.list_title,
            view._get_related_view_widget(
                item, other, page=request.args.get(f"page_{other.endpoint}", 0, int)
            ),
        )
        for other in view._related_views
        if other.allows("list")
    ]


def _cell(view: "CrudView", item: Any, name: str) -> Cell:
    value = view.datamodel._get_attr_value(item, name)
    show: Formatter = view.formatters_columns.get(name, plain)
    label = view.label_columns.get(name) or view._prettify_column(name)
    return Cell(name, str(label), show(value, item))
