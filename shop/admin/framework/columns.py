"""The columns of a list: what is shown of a row, how it looks, what it sorts and filters by.

``name`` is an attribute of the model, also through relations (``product.name``), or any word if
``sql`` says what the column holds: an expression that becomes part of the list's SELECT, and must
give one value per row. Columns of the model and those with ``sql`` can be sorted by.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar

from flask import current_app, url_for
from markupsafe import Markup, escape
from sqlalchemy import inspect

from shop.admin.framework import filters, formatters
from shop.core.i18n import lazy_gettext

TITLE, END, LINE = "title", "end", "line"
Bare = str | int | Decimal  # what a cell of a file holds


@dataclass(frozen=True, slots=True)
class Listed:
    """A row of a list: the record, and the values of the columns with ``sql`` by their names."""

    item: Any
    values: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        """The value of a column or attribute; None where a relation on the way leads nowhere."""
        if name in self.values:
            return self.values[name]
        value = self.item
        for part in name.split("."):
            value = getattr(value, part, None)
            if callable(value):
                value = value()
        return value


@dataclass(frozen=True)
class Column:
    """A column of plain text.

    ``shown``: False for one that people add by the column chooser. ``sorts``: False to forbid
    sorting, or an expression to sort by another one. ``card``: its place on a phone's card.
    ``show``: a function of (value, row) that replaces the usual look. ``aside``: a function of
    the row for small words below the value. ``told``: a function of (value, row) for what stands in
    a file; else that is the value itself, or the words that ``show`` gives.
    """

    name: str
    label: str = ""
    sql: Any = field(default=None, kw_only=True)
    shown: bool = field(default=True, kw_only=True)
    sorts: Any = field(default=True, kw_only=True)
    card: str = field(default="", kw_only=True)
    show: Callable[[Any, Listed], Any] | None = field(default=None, kw_only=True)
    aside: Callable[[Listed], Any] | None = field(default=None, kw_only=True)
    told: Callable[[Any, Listed], Bare] | None = field(default=None, kw_only=True)

    is_end: ClassVar[bool] = False  # figures stand at the end of their column

    @property
    def heading(self) -> str:
        """The words above the column."""
        if self.label:
            return self.label
        words = self.name.removesuffix("_minor").removeprefix("is_").removesuffix("_at")
        return words.replace(".", " ").replace("_", " ").capitalize()

    def expression(self, model: type[Any]) -> Any | None:
        """What the column is in SQL; None when it is only known in Python."""
        if self.sql is not None:
            return self.sql
        attributes = inspect(model).column_attrs
        return getattr(model, self.name) if self.name in attributes else None

    def order(self, model: type[Any]) -> Any | None:
        """What the list is sorted by; None when it cannot be sorted by this column."""
        if self.sorts is False:
            return None
        return self.expression(model) if self.sorts is True else self.sorts

    def filter(self, model: type[Any]) -> filters.Filter | None:
        """The filter that this column brings with it; None for no filter."""
        return None

    def look(self, value: Any, row: Listed) -> Any:
        """The value as safe HTML."""
        return formatters.plain(value, row.item)

    def bare(self, value: Any, row: Listed) -> Bare:
        """The value without its look, for a file."""
        return formatters.bare(value)

    def in_file(self, row: Listed) -> Bare:
        """What stands in a file for the cell; nothing of what stands below the value."""
        value = row[self.name]
        if self.told:
            return self.told(value, row)
        if self.show:
            shown = self.show(value, row)
            return shown.striptags() if isinstance(shown, Markup) else formatters.bare(shown)
        return self.bare(value, row)

    def html(self, row: Listed) -> Any:
        """The whole cell as safe HTML."""
        value = row[self.name]
        shown = self.show(value, row) if self.show else self.look(value, row)
        small = self.aside(row) if self.aside else ""
        return Markup(f"{escape(shown)}<small>{escape(small)}</small>") if small else shown


class Text(Column):
    """Words as they are."""


class Code(Column):
    """A code, such as a SKU, in figures of one width."""

    def look(self, value: Any, row: Listed) -> Any:
        if value in (None, ""):
            return formatters.NOTHING
        return Markup(f'<span class="mono">{escape(value)}</span>')


class Number(Column):
    """A whole number."""

    is_end = True

    def filter(self, model: type[Any]) -> filters.Filter | None:
        return _filter_of(self, filters.NumberRange, model)

    def look(self, value: Any, row: Listed) -> Any:
        return formatters.number(value)


class Amount(Column):
    """Minor units in the record's own ``currency``, else the shop's."""

    is_end = True

    def filter(self, model: type[Any]) -> filters.Filter | None:
        return _filter_of(self, filters.AmountRange, model)

    def look(self, value: Any, row: Listed) -> Any:
        return formatters.money(value, row.item)

    def bare(self, value: Any, row: Listed) -> Bare:
        """The amount in major units."""
        return "" if value is None else formatters.in_major_units(value, row.item)


class Percent(Column):
    """A fraction: 0.19 is shown as 19 %."""

    is_end = True

    def look(self, value: Any, row: Listed) -> Any:
        return formatters.percent(value)


class Moment(Column):
    """A point in time, in the reader's own time zone."""

    def filter(self, model: type[Any]) -> filters.Filter | None:
        return _filter_of(self, filters.DateRange, model)

    def look(self, value: Any, row: Listed) -> Any:
        return formatters.moment(value)


@dataclass(frozen=True)
class Status(Column):
    """One of a closed set, as a badge. ``words`` maps each value to its tone and words."""

    words: Mapping[Any, tuple[str, str]] = field(default_factory=dict, kw_only=True)

    def filter(self, model: type[Any]) -> filters.Filter | None:
        options = {str(key): words for key, (_, words) in self.words.items()}
        return _filter_of(self, filters.Choice, model, options=options)

    def look(self, value: Any, row: Listed) -> Any:
        if value is None:
            return formatters.NOTHING
        tone, words = self.words.get(value, ("mute", str(value)))
        return formatters.badge(words, tone)

    def bare(self, value: Any, row: Listed) -> Bare:
        """Its words."""
        return "" if value is None else str(self.words.get(value, ("", value))[1])


@dataclass(frozen=True)
class YesNo(Column):
    """A flag as a badge: green when it is set."""

    yes: str = field(default_factory=lambda: lazy_gettext("Yes"), kw_only=True)
    no: str = field(default_factory=lambda: lazy_gettext("No"), kw_only=True)

    def filter(self, model: type[Any]) -> filters.Filter | None:
        return _filter_of(self, filters.Flag, model, yes=self.yes, no=self.no)

    def look(self, value: Any, row: Listed) -> Any:
        return formatters.badge(self.yes, "good") if value else formatters.badge(self.no, "mute")

    def bare(self, value: Any, row: Listed) -> Bare:
        """Its words."""
        return str(self.yes if value else self.no)


class Email(Column):
    """An email address that opens a message."""

    def look(self, value: Any, row: Listed) -> Any:
        return formatters.mail_link(value)


class Image(Column):
    """The small rendition of an image; the value is its key in the media store."""

    def look(self, value: Any, row: Listed) -> Any:
        if not value:
            return Markup('<span class="thumb" aria-hidden="true"></span>')
        return Markup(
            '<img class="thumb" src="{}" alt="" width="40" height="40" loading="lazy">'
        ).format(formatters.thumb(value))


@dataclass(frozen=True)
class LinkTo(Column):
    """Words that lead to a record of another table, for who may see it.

    ``endpoint`` is a page such as ``OrdersView.show``; ``key`` names the value of the row that
    becomes its ``pk``.
    """

    endpoint: str = field(default="", kw_only=True)
    key: str = field(default="", kw_only=True)

    def look(self, value: Any, row: Listed) -> Any:
        if value in (None, ""):
            return formatters.NOTHING
        pk, view = row[self.key], self.endpoint.partition(".")[0]
        method = self.endpoint.partition(".")[2]
        may = current_app.extensions["appbuilder"].sm.has_access(f"can_{method}", view)
        if pk is None or not may:
            return Markup('<span class="num">{}</span>').format(value)
        href = url_for(self.endpoint, pk=pk)
        return Markup('<a class="link num" href="{}">{}</a>').format(href, value)


def _filter_of(
    column: Column, kind: type[filters.Filter], model: type[Any], **more: Any
) -> filters.Filter | None:
    sql = column.expression(model)
    return None if sql is None else kind(column.name, column.heading, sql=sql, **more)
