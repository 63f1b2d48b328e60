"""Filters of lists, readable in the address: ``?status=paid&placed_at.from=2026-11-01``.

A filter reads its part of the address into a value, makes a condition of it and says it in words
on a chip. ``None`` is a filter that is off. A value that makes no sense raises ``ValueError`` with
a sentence: a list that quietly ignores a filter shows what nobody asked for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, or_, select

from shop.admin.framework.formatters import shop_currency
from shop.admin.framework.interface import BIGINT_MAX, INT_MAX
from shop.core import search
from shop.core.db import session
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
from shop.core.money import AmountError, Money, parse_amount

Arguments = Mapping[str, str]
MAX_TEXT = 200


@dataclass(frozen=True)
class Filter:
    """One thing that a list can be narrowed by. ``sql`` is what is compared."""

    name: str
    label: str
    sql: Any = field(default=None, kw_only=True)

    kind: ClassVar[str] = "text"

    def parameters(self) -> tuple[str, ...]:
        """The names it uses in the address."""
        return (self.name,)

    def read(self, arguments: Arguments) -> Any | None:
        """The value asked for, None when the filter is off. Raises ``ValueError``."""
        return arguments.get(self.name, "").strip()[:MAX_TEXT] or None

    def condition(self, value: Any) -> ColumnElement[bool]:
        """Which rows fit."""
        condition: ColumnElement[bool] = self.sql == value
        return condition

    def words(self, value: Any) -> str:
        """What the chip says."""
        return str(value)


class TextIs(Filter):
    """Exactly this text."""


@dataclass(frozen=True)
class Choice(Filter):
    """One of a few values: ``options`` maps what stands in the address to its words.

    ``conditions`` maps an option to its condition where that is more than being equal.
    """

    options: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    conditions: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    kind = "choice"

    def read(self, arguments: Arguments) -> str | None:
        value = arguments.get(self.name) or None
        if value is not None and value not in self.options:
            raise ValueError(
                _(
                    "“%(value)s” is not a choice of the filter %(name)s.",
                    value=value[:40],
                    name=self.label,
                )
            )
        return value

    def condition(self, value: str) -> ColumnElement[bool]:
        if value in self.conditions:
            condition: ColumnElement[bool] = self.conditions[value]
            return condition
        return super().condition(value)

    def words(self, value: str) -> str:
        return self.options[value]


@dataclass(frozen=True)
class Flag(Choice):
    """Yes or no, in words."""

    yes: str = field(default_factory=lambda: lazy_gettext("Yes"), kw_only=True)
    no: str = field(default_factory=lambda: lazy_gettext("No"), kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", {"yes": self.yes, "no": self.no})

    def condition(self, value: str) -> ColumnElement[bool]:
        condition: ColumnElement[bool] = self.sql.is_(value == "yes")
        return condition


@dataclass(frozen=True)
class Missing(Choice):
    """Whether anything is there at all: null and the empty text are nothing."""

    there: str = field(default_factory=lambda: lazy_gettext("Filled in"), kw_only=True)
    nothing: str = field(default_factory=lambda: lazy_gettext("Empty"), kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", {"yes": self.there, "no": self.nothing})

    def condition(self, value: str) -> ColumnElement[bool]:
        is_text = self.sql.type.python_type is str
        empty = or_(self.sql.is_(None), self.sql == "") if is_text else self.sql.is_(None)
        return ~empty if value == "yes" else empty


class _Range(Filter):
    """From one value to another, both included."""

    kind = "range"
    input_type: ClassVar[str] = "text"
    names: ClassVar[tuple[str, str]] = (lazy_gettext("From"), lazy_gettext("To"))

    def parameters(self) -> tuple[str, ...]:
        return f"{self.name}.from", f"{self.name}.to"

    def read(self, arguments: Arguments) -> tuple[Any, Any] | None:
        low, high = (
            self.parse(text) if (text := arguments.get(name, "").strip()) else None
            for name in self.parameters()
        )
        return None if low is None and high is None else (low, high)

    def parse(self, text: str) -> Any:
        """One end of the range. Raises ``ValueError``."""
        raise NotImplementedError

    def condition(self, value: tuple[Any, Any]) -> ColumnElement[bool]:
        low, high = value
        ends = [] if low is None else [self.sql >= low]
        return and_(*ends, *([] if high is None else [self.sql <= high]))

    def words(self, value: tuple[Any, Any]) -> str:
        low, high = (None if end is None else self.name_of(end) for end in value)
        if low is not None and high is not None:
            return low if low == high else f"{low} – {high}"
        return _("from %(low)s", low=low) if high is None else _("up to %(high)s", high=high)

    def name_of(self, end: Any) -> str:
        """One end of the range in words."""
        return f"{end:,}"


class NumberRange(_Range):
    """Whole numbers."""

    def parse(self, text: str) -> int:
        sign, digits = (-1, text[1:]) if text[0] in "-−" else (1, text)
        if not (digits.isascii() and digits.isdecimal() and len(digits) < 11):
            raise ValueError(
                _("%(name)s: “%(value)s” is not a whole number.", name=self.label, value=text[:40])
            )
        number = sign * int(digits)
        if abs(number) > INT_MAX:
            raise ValueError(
                _("%(name)s: %(value)s is too large.", name=self.label, value=f"{number:,}")
            )
        return number


class AmountRange(_Range):
    """Amounts in the shop's currency, typed as people write them."""

    def parse(self, text: str) -> int:
        try:
            return parse_amount(text, shop_currency())
        except AmountError as error:
            raise ValueError(f"{self.label}: {error}") from None

    def name_of(self, end: int) -> str:
        return Money(end, shop_currency()).format()


@dataclass(frozen=True)
class DateRange(_Range):
    """From one day to another, both included, in ``zone()``, which is UTC unless given."""

    zone: Callable[[], ZoneInfo] | None = field(default=None, kw_only=True)

    input_type = "date"

    def parse(self, text: str) -> date:
        try:
            day = date.fromisoformat(text)
        except ValueError:
            day = date.min
        if not 1970 <= day.year <= 2999:
            raise ValueError(
                _(
                    "%(name)s: “%(value)s” is not a day such as 2026-11-30.",
                    name=self.label,
                    value=text[:40],
                )
            )
        return day

    def condition(self, value: tuple[date | None, date | None]) -> ColumnElement[bool]:
        first, last = value
        ends = [] if first is None else [self.sql >= self._midnight(first)]
        if last is not None:
            ends.append(self.sql < self._midnight(last + timedelta(days=1)))
        return and_(*ends)

    def name_of(self, end: date) -> str:
        return f"{end:%-d %b %Y}"

    def words(self, value: tuple[date | None, date | None]) -> str:
        first, last = value
        if first and last:
            return super().words(value)
        return (
            _("since %(day)s", day=f"{first:%-d %b %Y}")
            if first
            else _("until %(day)s", day=f"{last:%-d %b %Y}")
        )

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), tzinfo=self.zone() if self.zone else UTC)


@dataclass(frozen=True)
class Relation(Filter):
    """A record of another table, found while one types.

    ``model`` is that table, ``searched`` its columns that are looked through, ``matches`` makes
    the condition from the record's key.
    """

    model: type[Any] = field(kw_only=True)
    searched: Sequence[Any] = field(kw_only=True)
    matches: Callable[[int], ColumnElement[bool]] = field(kw_only=True)

    kind = "relation"

    def read(self, arguments: Arguments) -> int | None:
        text = arguments.get(self.name, "").strip()
        if not text:
            return None
        fits = text.isascii() and text.isdecimal() and len(text) < 19 and int(text) <= BIGINT_MAX
        if not fits or session.get(self.model, int(text)) is None:
            raise ValueError(_("%(name)s: choose one of the suggestions.", name=self.label))
        return int(text)

    def condition(self, value: int) -> ColumnElement[bool]:
        return self.matches(value)

    def words(self, value: int) -> str:
        return str(session.get(self.model, value))

    def find(self, text: str, limit: int = 20) -> list[tuple[int, str]]:
        """(key, words) of the records whose searched columns contain ``text``."""
        found = select(self.model).order_by(self.searched[0]).limit(limit)
        if text:
            found = found.where(or_(*(search.contains(one, text) for one in self.searched)))
        return [(row.id, str(row)) for row in session.scalars(found)]
