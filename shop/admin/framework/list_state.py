"""A list's address, read into what it asks for.

    ?tab=to_pack&q=ada&payment_status=paid&placed_at.from=2026-11-01&sort=-placed_at&cols=number,total
    &size=50&after=<key of the last row above>&start=51

The address says everything, so that a list can be shared, bookmarked and returned to. What it
cannot mean is refused with a sentence (``BadAddress``, status 400), because a list that ignores
half of what was asked looks complete and is not.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from flask import request
from sqlalchemy import ColumnElement

from shop.admin.framework.interface import BIGINT_MAX
from shop.core.errors import DomainError
from shop.core.i18n import gettext as _

if TYPE_CHECKING:
    from shop.admin.framework.declaration import Declaration

SIZES = (25, 50, 100)
MAX_SEARCH = 200
MAX_START = 100_000_000
PLACE = ("after", "before", "start")


class BadAddress(DomainError):
    """The address of a list asks for what there is not."""

    code = "bad_address"


@dataclass(frozen=True)
class Tab:
    """A saved view above a list. ``condition`` is what its rows fulfil, or a function that gives
    it where it depends on the time; None means all rows."""

    key: str
    label: str
    condition: ColumnElement[bool] | Callable[[], ColumnElement[bool]] | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """What the rows fulfil; nothing for all rows."""
        if self.condition is None:
            return []
        return [self.condition() if callable(self.condition) else self.condition]


@dataclass(frozen=True)
class ListState:
    """What the address of a list asks for."""

    tab: Tab | None
    q: str
    filters: Mapping[str, Any]
    sort: str
    is_descending: bool
    columns: tuple[str, ...]
    size: int
    after: int | None
    before: int | None
    start: int

    @property
    def is_narrowed(self) -> bool:
        """Whether search or filters leave rows out (a tab does not count)."""
        return bool(self.q or self.filters)

    @property
    def is_first(self) -> bool:
        """Whether this is the first page."""
        return self.after is None and self.before is None


def read(view: "Declaration", arguments: Mapping[str, str]) -> ListState:
    """The state that the address of ``view``'s list asks for. Raises ``BadAddress``."""
    known = parameters(view)
    for name in arguments:
        if name not in known:
            raise BadAddress(_("This list has no filter “%(name)s”.", name=name[:40]))
    sort, is_descending = _sort(view, arguments.get("sort", ""))
    after, before = (_key(view, arguments, name) for name in ("after", "before"))
    if after is not None and before is not None:
        raise BadAddress(_("A page is after a row or before one, not both."))
    return ListState(
        tab=_tab(view, arguments.get("tab", "")),
        q=arguments.get("q", "").strip()[:MAX_SEARCH] if view.search else "",
        filters=_filters(view, arguments),
        sort=sort,
        is_descending=is_descending,
        columns=_columns(view, arguments.get("cols", "")),
        size=_size(view, arguments.get("size", "")),
        after=after,
        before=before,
        start=_start(arguments.get("start", "")),
    )


def parameters(view: "Declaration") -> set[str]:
    """The names that the address of ``view``'s list may hold."""
    filters = (name for own in view.filters for name in own.parameters())
    return {"tab", "q", "sort", "cols", "size", *PLACE, *filters}


def here(drop: Iterable[str] = (), **changed: object) -> str:
    """This page's address with some arguments changed or dropped; changing anything but the place
    leads to the first page."""
    dropped = {*drop, *changed, *PLACE}
    kept = [(name, value) for name, value in request.args.items() if value and name not in dropped]
    kept += [(name, str(value)) for name, value in changed.items() if value not in (None, "")]
    return f"{request.path}?{urlencode(kept)}" if kept else request.path


def kept_arguments(*without: str) -> list[tuple[str, str]]:
    """The present arguments but these and the place, for forms that must keep them."""
    dropped = {*without, *PLACE}
    return [(name, value) for name, value in request.args.items() if name not in dropped and value]


def _tab(view: "Declaration", asked: str) -> Tab | None:
    if not view.tabs:
        if asked:
            raise BadAddress(_("This list has no tabs."))
        return None
    if not asked:
        return view.tabs[0]
    found = next((tab for tab in view.tabs if tab.key == asked), None)
    if found is None:
        raise BadAddress(_("This list has no tab “%(name)s”.", name=asked[:40]))
    return found


def _filters(view: "Declaration", arguments: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for own in view.filters:
        try:
            value = own.read(arguments)
        except ValueError as error:
            raise BadAddress(str(error)) from None
        if value is not None:
            values[own.name] = value
    return values


def _sort(view: "Declaration", asked: str) -> tuple[str, bool]:
    name = (asked or view.sort).removeprefix("-")
    if asked and name not in view.sortable:
        raise BadAddress(_("This list cannot be sorted by “%(name)s”.", name=name[:40]))
    return name, (asked or view.sort).startswith("-")


def _columns(view: "Declaration", asked: str) -> tuple[str, ...]:
    if not asked:
        return tuple(column.name for column in view.columns if column.shown)
    names = asked.split(",")
    known = {column.name for column in view.columns}
    for name in names:
        if name not in known:
            raise BadAddress(_("This list has no column “%(name)s”.", name=name[:40]))
    always = view.naming_column.name
    return tuple(c.name for c in view.columns if c.name == always or c.name in names)


def _size(view: "Declaration", asked: str) -> int:
    if not asked:
        return view.page_size
    if asked not in {str(size) for size in SIZES}:
        raise BadAddress(_("A page has 25, 50 or 100 rows."))
    return int(asked)


def _key(view: "Declaration", arguments: Mapping[str, str], name: str) -> int | None:
    asked = arguments.get(name, "")
    if not asked:
        return None
    fits = asked.isascii() and asked.isdecimal() and len(asked) < 20
    if not fits or not 0 < int(asked) <= min(BIGINT_MAX, view.datamodel.largest_key):
        raise BadAddress(_("Page not found."))
    return int(asked)


def _start(asked: str) -> int:
    if not asked:
        return 1
    fits = asked.isascii() and asked.isdecimal() and len(asked) < 10
    if not fits or not 0 < int(asked) <= MAX_START:
        raise BadAddress(_("Page not found."))
    return int(asked)
