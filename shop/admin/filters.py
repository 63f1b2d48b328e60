"""Filters of lists, readable in the address: ``?status=paid&placed_at.from=2026-11-01``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from flask_appbuilder.models.filters import BaseFilter
from sqlalchemy import or_
from sqlalchemy.orm import Query

Arguments = Mapping[str, str]


@dataclass(frozen=True)
class Filter:
    """One thing a list can be narrowed by; ``column`` is an attribute of the model."""

    column: str
    label: str
    kind: str = field(default="", init=False)

    def parameters(self) -> tuple[str, ...]:
        """The names it uses in the address."""
        return (self.column,)

    def read(self, arguments: Arguments) -> Any | None:
        """The value asked for, or None when the filter is off or the value makes no sense."""
        return arguments.get(self.column, "").strip() or None

    def narrow(self, query: Query[Any], model: Any, value: Any) -> Query[Any]:
        """The query with only the rows that fit."""
        return query.filter(getattr(model, self.column) == value)

    def words(self, value: Any) -> str:
        """What the chip says."""
        return str(value)


@dataclass(frozen=True)
class Choice(Filter):
    """One of a few values: ``options`` maps the stored value to its words."""

    options: Mapping[str, str] = field(default_factory=dict)
    kind: str = field(default="choice", init=False)

    def read(self, arguments: Arguments) -> str | None:
        value = arguments.get(self.column)
        return value if value in self.options else None

    def words(self, value: str) -> str:
        return self.options[value]


@dataclass(frozen=True)
class Flag(Filter):
    """Yes or no, in words."""

    yes: str = "Yes"
    no: str = "No"
    kind: str = field(default="choice", init=False)

    @property
    def options(self) -> dict[str, str]:
        return {"yes": self.yes, "no": self.no}

    def read(self, arguments: Arguments) -> str | None:
        value = arguments.get(self.column)
        return value if value in self.options else None

    def narrow(self, query: Query[Any], model: Any, value: str) -> Query[Any]:
        return query.filter(getattr(model, self.column).is_(value == "yes"))

    def words(self, value: str) -> str:
        return self.options[value]


@dataclass(frozen=True)
class Dates(Filter):
    """From one day to another, both included, in UTC."""

    kind: str = field(default="dates", init=False)

    def parameters(self) -> tuple[str, ...]:
        return (f"{self.column}.from", f"{self.column}.to")

    def read(self, arguments: Arguments) -> tuple[date | None, date | None] | None:
        first, last = (_day(arguments.get(name)) for name in self.parameters())
        return (first, last) if first or last else None

    def narrow(
        self, query: Query[Any], model: Any, value: tuple[date | None, date | None]
    ) -> Query[Any]:
        column = getattr(model, self.column)
        first, last = value
        if first:
            query = query.filter(column >= _midnight(first))
        if last:
            query = query.filter(column < _midnight(last + timedelta(days=1)))
        return query

    def words(self, value: tuple[date | None, date | None]) -> str:
        first, last = value
        if first and last:
            return f"{first:%-d %b %Y} – {last:%-d %b %Y}"
        return f"since {first:%-d %b %Y}" if first else f"until {last:%-d %b %Y}"


class Narrow(BaseFilter):
    """A filter of ours in the shape that Flask-AppBuilder's query layer applies."""

    name = "is"
    arg_name = "is"

    def __init__(self, own: Filter, datamodel: Any) -> None:
        super().__init__(own.column, datamodel)
        self.own = own

    def apply(self, query: Query[Any], value: Any) -> Query[Any]:
        return self.own.narrow(query, self.model, value)


class Quick(BaseFilter):
    """The search box above a list: any of the columns contains the text."""

    name = "contains"
    arg_name = "q"

    def __init__(self, columns: Sequence[str], datamodel: Any) -> None:
        super().__init__(columns[0], datamodel)
        self.columns = columns

    def apply(self, query: Query[Any], value: str) -> Query[Any]:
        columns = (getattr(self.model, name) for name in self.columns)
        return query.filter(or_(*(one.icontains(value, autoescape=True) for one in columns)))


class Condition(BaseFilter):
    """A condition that a saved view (tab) stands for; the value is the condition itself."""

    name = "is"
    arg_name = "tab"

    def __init__(self, datamodel: Any) -> None:
        super().__init__("tab", datamodel)

    def apply(self, query: Query[Any], value: Any) -> Query[Any]:
        return query.filter(value)


def _day(text: str | None) -> date | None:
    try:
        day = date.fromisoformat(text or "")
    except ValueError:
        return None
    return day if 1970 <= day.year <= 2999 else None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)
