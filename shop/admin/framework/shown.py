"""What templates show of lists and records: rows and cells, tabs, chips, pages, facts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup
from sqlalchemy import select

from shop.admin.framework import list_state, listing
from shop.admin.framework.actions import Action
from shop.admin.framework.columns import END, LINE, TITLE, Column, Listed
from shop.admin.framework.list_state import ListState
from shop.admin.framework.listing import ListPage
from shop.core.db import session
from shop.core.i18n import gettext as _

if TYPE_CHECKING:
    from shop.admin.framework.list_pages import ListPages

RELATED_ROWS = 25


class Cell(NamedTuple):
    """One shown value: its column's heading, its safe HTML, its place on a card, and what its
    element in a table says of the column."""

    label: str
    html: Any
    card: str = LINE
    attributes: Markup = Markup()


@dataclass(frozen=True)
class Row:
    """One line of a list."""

    pk: Any
    name: str
    href: str | None
    cells: tuple[Cell, ...]
    may_edit: bool
    may_delete: bool
    actions: tuple[Action, ...]
    attributes: dict[str, Any]
    listed: Listed


@dataclass(frozen=True)
class TabLink:
    """One of the saved views above the list."""

    key: str
    label: str
    href: str
    count: str
    is_current: bool


@dataclass(frozen=True)
class Chip:
    """A filter in force, and the address without it."""

    label: str
    words: str
    without: str


@dataclass(frozen=True)
class Pager:
    """Where in the list the page is, and the way to the pages beside it; no way is empty."""

    words: str
    first: str
    previous: str
    next: str


def rows(view: "ListPages", state: ListState, found: Sequence[Listed]) -> list[Row]:
    """The lines of a list, with what the person signed in may do to each."""
    shown = [view.column(name) for name in state.columns]
    may_edit = view.edit_in_rows and view.allows("edit")
    may_delete = view.allows("delete")
    places = [_place(view, shown, column) for column in shown]
    return [
        Row(
            pk=view.key(row.item),
            name=str(row.item),
            href=view.row_href(row.item),
            cells=tuple(
                Cell(label, column.html(row), card, attributes)
                for column, label, card, attributes in places
            ),
            may_edit=may_edit and view.may_edit(row.item),
            may_delete=may_delete and view.may_delete(row.item),
            actions=tuple(one for one in view.actions_for(row.item) if one.in_row),
            attributes={k: v for k, v in view.row_attributes(row).items() if v is not None},
            listed=row,
        )
        for row in found
    ]


def tab_links(view: "ListPages", state: ListState, found: ListPage) -> list[TabLink]:
    """The tabs with their counts; the first one is what an address without a tab means."""
    return [
        TabLink(
            key=tab.key,
            label=tab.label,
            href=list_state.here(tab="" if tab is view.tabs[0] else tab.key),
            count=listing.short_number(found.tab_counts[tab.key]),
            is_current=tab is state.tab,
        )
        for tab in view.tabs
    ]


def chips(view: "ListPages", state: ListState) -> list[Chip]:
    """The filters in force."""
    return [
        Chip(own.label, own.words(state.filters[own.name]), list_state.here(drop=own.parameters()))
        for own in view.filters
        if own.name in state.filters
    ]


def pager(state: ListState, found: ListPage) -> Pager:
    """The way to the pages beside this one."""
    keys = [row.item.id for row in found.rows]
    if not keys:
        return Pager("", list_state.here(), "", "")
    words = _(
        "%(start)s–%(end)s of %(count)s",
        start=f"{found.start:,}",
        end=f"{found.end:,}",
        count=listing.number_words(found.count),
    )
    back = list_state.here(before=keys[0], start=max(1, found.start - state.size))
    return Pager(
        words=words,
        first=list_state.here() if found.has_previous else "",
        previous=back if found.has_previous else "",
        next=list_state.here(after=keys[-1], start=found.end + 1) if found.has_next else "",
    )


def sort_links(view: "ListPages", state: ListState) -> dict[str, str]:
    """The address that sorts by a column; by the present one the other way."""
    turned = {state.sort: state.sort if state.is_descending else f"-{state.sort}"}
    return {name: list_state.here(sort=turned.get(name, name)) for name in view.sortable}


def facts(view: "ListPages", item: Any) -> list[tuple[str, list[Cell]]]:
    """What is shown of one record: cells under the headings of its sections."""
    declared = view.show_fieldsets or [("", {"fields": view.show_columns})]
    row = Listed(item, {})
    return [
        (heading, [_fact(view.column(name), row) for name in options["fields"]])
        for heading, options in declared
    ]


def related(view: "ListPages", item: Any) -> list[tuple[str, Any, list[Row], list[Column]]]:
    """The lists that belong to a record, (heading, view, rows, columns), of those that the person
    may see; the first 25 rows of each."""
    shown = []
    for other in view._related_views:
        if not other.allows("list"):
            continue
        link = other.datamodel.get_related_fk(view.datamodel.obj)
        query = select(other.datamodel.obj).where(getattr(other.datamodel.obj, link) == item)
        found = [Listed(one, {}) for one in session.scalars(query.limit(RELATED_ROWS))]
        state = list_state.read(other, {})
        columns = [other.column(name) for name in state.columns]
        shown.append((other.list_title, other, rows(other, state, found), columns))
    return shown


def _place(
    view: "ListPages", shown: Sequence[Column], column: Column
) -> tuple[Column, str, str, Markup]:
    """A column with what all of its cells share, worked out once: a page has hundreds of them."""
    label, card = str(column.heading), _card(view, shown, column)
    attributes = Markup('class="col-{} card-{}{}" data-label="{}" data-cell="{}"').format(
        column.name.replace(".", "-"), card, " end num" if column.is_end else "", label, column.name
    )
    return column, label, card, attributes


def _card(view: "ListPages", shown: Sequence[Column], column: Column) -> str:
    """The place of a column on a phone's card: title, end or line."""
    if column == view.naming_column:
        return TITLE
    if column.card:
        return column.card
    return END if column is shown[-1] and not any(one.card == END for one in shown) else LINE


def _fact(column: Column, row: Listed) -> Cell:
    return Cell(str(column.heading), column.html(row))
