"""What a list's address asks for, as rows and counts.

Pages are found by the key of the row before them, never by OFFSET: page 400 costs what page 1
costs. Numbers are exact up to ``COUNT_LIMIT`` and "more than 10,000" above, so that no list has to
count a million rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Select, and_, func, literal, or_, select, tuple_

from shop.admin.framework.columns import Listed
from shop.admin.framework.list_state import BadAddress, ListState
from shop.core.db import session
from shop.core.i18n import gettext as _

if TYPE_CHECKING:
    from shop.admin.framework.declaration import Declaration
    from shop.admin.framework.list_pages import ListPages

COUNT_LIMIT = 10_000


@dataclass(frozen=True)
class ListPage:
    """One page of a list. ``count`` ends at ``COUNT_LIMIT`` + 1, which means "more"."""

    rows: Sequence[Listed]
    count: int
    tab_counts: Mapping[str, int]
    start: int
    has_previous: bool
    has_next: bool

    @property
    def end(self) -> int:
        """The number of the last row."""
        return self.start + len(self.rows) - 1


def load(view: "ListPages", state: ListState) -> ListPage:
    """The rows and counts of a list: two statements, one more for a page after the first, and one
    more per collection that it shows."""
    found, has_previous, has_next = _rows(view, state)
    rows = view.completed(found)
    count, tab_counts = _counts(view, state)
    first = 1 if not has_previous else state.start
    if state.before is not None and has_previous:
        first = max(2, state.start)
    return ListPage(rows, count, tab_counts, first, has_previous, has_next)


def matching(view: "Declaration", state: ListState) -> Select[Any]:
    """The SELECT of all records that match, in no order and on one page."""
    return view.query().where(*_where(view, state))


def one(view: "ListPages", state: ListState, pk: Any) -> Listed | None:
    """The row with this key if the state's list holds it. One statement."""
    key = view.datamodel.key_column
    found = session.execute(_selected(view, state).where(*_where(view, state), key == pk)).unique()
    row = found.first()
    return None if row is None else view.completed([_listed(view, row)])[0]


def some(view: "ListPages", state: ListState, keys: Sequence[Any]) -> list[Listed]:
    """The rows with these keys, in this order; without those that are gone."""
    key = view.datamodel.key_column
    query = _selected(view, state).where(*view.scope(), key.in_(keys))
    found = (_listed(view, row) for row in session.execute(query).unique())
    by_key = {view.key(row.item): row for row in found}
    return view.completed([by_key[one] for one in keys if one in by_key])


def keys(view: "Declaration", state: ListState, limit: int) -> list[Any]:
    """The keys of at most ``limit`` rows that match, in the list's order, whatever their page."""
    key = view.datamodel.key_column
    query = view.query().with_only_columns(key).where(*_where(view, state))
    return list(session.scalars(query.order_by(*_order(view, state, backwards=False)).limit(limit)))


def neighbours(view: "Declaration", state: ListState, pk: Any) -> tuple[Any | None, Any | None]:
    """The keys of the rows above and below this one in the list. Three statements at most."""
    place = _place(view, state, pk)
    if place is None:
        return None, None
    key = view.datamodel.key_column
    found = []
    for backwards in (True, False):
        query = view.query().with_only_columns(key).where(*_where(view, state))
        query = query.where(_beyond(view, state, place, backwards=backwards))
        ordered = query.order_by(*_order(view, state, backwards=backwards)).limit(1)
        found.append(session.scalar(ordered))
    return found[0], found[1]


def next_one(
    view: "Declaration", state: ListState, pk: Any, condition: ColumnElement[bool]
) -> Any | None:
    """The key of the next row that also fulfils ``condition``: below the row with this key, else
    from the top of the list; None without another one. Three statements at most."""
    key = view.datamodel.key_column
    query = view.query().with_only_columns(key).where(*_where(view, state), condition, key != pk)
    query = query.order_by(*_order(view, state, backwards=False)).limit(1)
    place = _place(view, state, pk)
    below = None
    if place is not None:
        below = session.scalar(query.where(_beyond(view, state, place, backwards=False)))
    return session.scalar(query) if below is None else below


# -- the statements ------------------------------------------------------------------------------


def _where(view: "Declaration", state: ListState) -> list[ColumnElement[bool]]:
    conditions = list(view.scope())
    if state.tab is not None:
        conditions += state.tab.conditions()
    if state.q:
        conditions.append(view.search_condition(state.q))
    by_name = {own.name: own for own in view.filters}
    conditions += [by_name[name].condition(value) for name, value in state.filters.items()]
    return conditions


def _selected(view: "Declaration", state: ListState) -> Select[Any]:
    shown = {*state.columns, *view.needed}
    computed = [c for c in view.columns if c.sql is not None and c.name in shown]
    return view.query().add_columns(*(c.sql.label(c.name) for c in computed))


def _rows(view: "Declaration", state: ListState) -> tuple[list[Listed], bool, bool]:
    """The rows of the page, and whether there are rows before and after them."""
    backwards = state.before is not None
    query = _selected(view, state).where(*_where(view, state))
    place = None
    if not state.is_first:
        place = _place(view, state, state.before if backwards else state.after)
        if place is None:  # the row has been deleted: nobody can tell where the page began
            raise BadAddress(_("This page has moved. Go back to the first one."))
        query = query.where(_beyond(view, state, place, backwards=backwards))
    query = query.order_by(*_order(view, state, backwards=backwards)).limit(state.size + 1)
    found = session.execute(query).unique().all()
    has_more = len(found) > state.size
    rows = [_listed(view, row) for row in found[: state.size]]
    if backwards:
        return rows[::-1], has_more, True
    return rows, place is not None, has_more


def _listed(view: "Declaration", row: Any) -> Listed:
    values = dict(row._mapping)
    item = values.pop(view.datamodel.obj.__name__)
    return Listed(item, values)


def _order(view: "Declaration", state: ListState, *, backwards: bool) -> list[Any]:
    by, key = view.sortable.get(state.sort), view.datamodel.key_column
    downwards = state.is_descending != backwards
    turned = [key.desc() if downwards else key.asc()]
    if by is None:
        return turned
    first = by.desc() if downwards else by.asc()
    if not _is_nullable(by):
        return [first, *turned]
    # What has no value stands last, whichever way the list is sorted.
    return [first.nulls_first() if backwards else first.nulls_last(), *turned]


def _place(view: "Declaration", state: ListState, pk: Any) -> tuple[Any, Any] | None:
    """What the row with this key is sorted by, and its key; None when it is gone."""
    by, key = view.sortable.get(state.sort), view.datamodel.key_column
    query = view.query().with_only_columns(key if by is None else by, key).where(key == pk)
    row = session.execute(query).first()
    return None if row is None else (row[0], row[1])


def _beyond(
    view: "Declaration", state: ListState, place: tuple[Any, Any], *, backwards: bool
) -> ColumnElement[bool]:
    """The rows that come after the place, or before it."""
    by, key = view.sortable.get(state.sort), view.datamodel.key_column
    value, pk = place
    downwards = state.is_descending != backwards
    later_key = key < pk if downwards else key > pk
    if by is None:
        return later_key
    if not _is_nullable(by):
        here_, there = tuple_(by, key), tuple_(literal(value, by.type), literal(pk, key.type))
        condition: ColumnElement[bool] = here_ < there if downwards else here_ > there
        return condition
    if value is None:
        beside = and_(by.is_(None), later_key)
        return or_(by.is_not(None), beside) if backwards else beside
    further = or_(by < value if downwards else by > value, and_(by == value, later_key))
    return further if backwards else or_(further, by.is_(None))


def _is_nullable(expression: Any) -> bool:
    return bool(getattr(expression, "nullable", True))


def _counts(view: "Declaration", state: ListState) -> tuple[int, dict[str, int]]:
    """How many rows match, and how many each tab has; one statement."""
    counted = _tab_counts(view)
    if state.is_narrowed or not view.tabs:
        counted = counted.add_columns(_bounded(view.query(), _where(view, state)))
    numbers = session.execute(counted).one()
    tabs = {tab.key: number for tab, number in zip(view.tabs, numbers, strict=False)}
    if state.tab is not None and not state.is_narrowed:
        return tabs[state.tab.key], tabs
    return numbers[-1], tabs


def _tab_counts(view: "Declaration") -> Select[Any]:
    """The counts of the tabs as one statement; kept where it is the same for every request."""
    if view.tab_counts is not None:
        return view.tab_counts
    scope = list(view.scope())
    counts = (_bounded(view.counted(), [*scope, *tab.conditions()]) for tab in view.tabs)
    statement: Select[Any] = select(*counts)
    if not scope and not any(callable(tab.condition) for tab in view.tabs):
        view.tab_counts = statement
    return statement


def _bounded(query: Select[Any], conditions: Sequence[ColumnElement[bool]]) -> Any:
    some = query.with_only_columns(literal(1), maintain_column_froms=True)
    some = some.where(*conditions).order_by(None)
    return (
        select(func.count()).select_from(some.limit(COUNT_LIMIT + 1).subquery()).scalar_subquery()
    )


def number_words(count: int) -> str:
    """A count in words: exact, or that it is more than can be counted at once."""
    return (
        f"{count:,}" if count <= COUNT_LIMIT else _("more than %(count)s", count=f"{COUNT_LIMIT:,}")
    )


def short_number(count: int) -> str:
    """A count for a tab."""
    return f"{count:,}" if count <= COUNT_LIMIT else f"{COUNT_LIMIT:,}+"
