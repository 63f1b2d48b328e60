"""How a list is narrowed, ordered and paged, all by its address: tabs, search box, filters, chips.

An address says everything, so that a list can be shared, bookmarked and returned to.
"""

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlencode

from flask import abort, g, has_request_context, request
from sqlalchemy import func, select

from shop.admin.filters import Condition, Filter, Narrow, Quick
from shop.admin.interface import Table
from shop.core.db import session

PAGE_SIZES = (25, 50, 100)
MAX_PAGE = 100_000
Links = list[tuple[str, str, int, bool]]
Chips = list[tuple[str, str, str]]


@dataclass(frozen=True)
class Tab:
    """A saved view above a list; ``condition`` gives the SQL condition, None means all rows."""

    key: str
    label: str
    condition: Callable[[], Any] | None = None


class Narrowed:
    """The part of a ``CrudView`` that reads its list's address and writes the addresses near it."""

    search_by: ClassVar[Sequence[str]] = ()
    filters: ClassVar[Sequence[Filter]] = ()
    tabs: ClassVar[Sequence[Tab]] = ()

    datamodel: Table
    endpoint: Any
    order_columns: Any

    @property
    def _filters(self) -> Any:
        # One view object serves all threads; Flask-AppBuilder would share the filters between them.
        template = self.__dict__["_filter_template"]
        if not has_request_context():
            return template
        own = g.setdefault("crud_filters", {})
        if id(self) not in own:
            own[id(self)] = copy(template)
            own[id(self)].clear_filters()
        return own[id(self)]

    @_filters.setter
    def _filters(self, filters: Any) -> None:
        self.__dict__["_filter_template"] = filters

    def _asked_filters(self) -> Any:
        filters = self._filters
        tab = self._current_tab()
        if tab is not None and tab.condition is not None:
            filters._add_filter(Condition(self.datamodel), tab.condition())
        text = self.quick_text()
        if text:
            filters._add_filter(Quick(self.search_by, self.datamodel), text)
        for own in self.filters:
            value = own.read(request.args)
            if value is not None:
                filters._add_filter(Narrow(own, self.datamodel), value)
        return filters

    def quick_text(self) -> str:
        """What the search box says."""
        return request.args.get("q", "").strip()[:200] if self.search_by else ""

    def _current_tab(self) -> Tab | None:
        if not self.tabs:
            return None
        asked = request.args.get("tab")
        return next((tab for tab in self.tabs if tab.key == asked), self.tabs[0])

    def _counted_tabs(self) -> Links:
        """(label, address, count, is current) of the tabs; one statement."""
        if not self.tabs:
            return []
        counts = [
            func.count() if tab.condition is None else func.count().filter(tab.condition())
            for tab in self.tabs
        ]
        numbers = session.execute(select(*counts).select_from(self.datamodel.obj)).one()
        current = self._current_tab()
        return [
            (tab.label, self.here(tab=tab.key, drop=self._tab_drops()), number, tab is current)
            for tab, number in zip(self.tabs, numbers, strict=True)
        ]

    def _tab_drops(self) -> tuple[str, ...]:
        return (f"page_{self.endpoint}",)

    def _chips(self) -> Chips:
        """(label, words, address without it) of the filters in force."""
        return [
            (
                own.label,
                own.words(value),
                self.here(drop=(*own.parameters(), f"page_{self.endpoint}")),
            )
            for own in self.filters
            if (value := own.read(request.args)) is not None
        ]

    def kept_arguments(self, *without: str) -> Iterable[tuple[str, str]]:
        """The present arguments of the address but these, for forms that must keep them."""
        dropped = {*without, f"page_{self.endpoint}"}
        return [(name, value) for name, value in request.args.items() if name not in dropped]

    def here(self, drop: Sequence[str] = (), **changed: Any) -> str:
        """This page's address with some arguments changed or dropped."""
        kept = {k: v for k, v in request.args.items() if k not in drop} | changed
        return f"{request.path}?{urlencode(kept)}" if kept else request.path

    def _asked_order(self) -> tuple[str, str]:
        column = request.args.get(f"_oc_{self.endpoint}", "")
        direction = request.args.get(f"_od_{self.endpoint}", "asc")
        if column not in self.order_columns or direction not in {"asc", "desc"}:
            return "", ""
        return column, direction

    def _order_links(self, column: str, direction: str) -> dict[str, str]:
        names = f"_oc_{self.endpoint}", f"_od_{self.endpoint}"
        return {
            name: self.here(
                drop=(f"page_{self.endpoint}",),
                **dict(
                    zip(names, (name, _other(direction) if name == column else "asc"), strict=True)
                ),
            )
            for name in self.order_columns
        }

    def _page_links(self, page: int, pages: int) -> dict[int, str]:
        near = range(max(0, page - 2), min(pages, page + 3))
        wanted = {0, pages - 1, page - 1, page + 1, *near}
        name = f"page_{self.endpoint}"
        return {n: self.here(**{name: n}) for n in sorted(wanted) if 0 <= n < pages}

    def _check_arguments(self) -> None:
        """Refuse page numbers that are none: Flask-AppBuilder would fail on them."""
        for name, value in request.args.items():
            if name.startswith("page_") and page_of(value) is None:
                abort(400)
            if name.startswith("psize_") and value not in {str(size) for size in PAGE_SIZES}:
                abort(400)


def page_of(asked: str) -> int | None:
    """Returns the number of a page as an address has it, from 0; None for what can be none."""
    fits = asked.isascii() and asked.isdecimal() and len(asked) < 10 and int(asked) <= MAX_PAGE
    return int(asked) if fits else None


def _other(direction: str) -> str:
    return "desc" if direction == "asc" else "asc"
