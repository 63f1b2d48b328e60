"""Our tables for Flask-AppBuilder's ModelView: the one place where its SQL layer is mended.

Flask-AppBuilder commits inside its data layer, loads relations row by row and lets odd ids reach
Postgres. Here nothing commits (views open ``core.db.transaction()``), the relations a list shows
come with the list, and an id that cannot exist is simply not found.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from flask_appbuilder.models.filters import BaseFilterConverter, Filters
from flask_appbuilder.models.sqla.interface import SQLAInterface
from sqlalchemy import func, inspect, or_, select
from sqlalchemy.orm import Query, RelationshipProperty, joinedload, selectinload

from shop.core.errors import NotFound

BIGINT_MAX = 2**63 - 1
INT_MAX = 2**31 - 1
# Columns of plain ``text`` that deserve more than one line in a form.
LONG_TEXT = frozenset({"description", "body", "note", "text"})


class NoStockFilters(BaseFilterConverter):
    """Lists declare their filters (filters.py) instead of getting an operator menu per column."""

    def convert(self, col_name: str) -> None:
        """Nothing for any column."""


class Table(SQLAInterface):
    """A table as the staff side sees it. ``eager`` names the relations a list shows."""

    filter_converter_class = NoStockFilters

    def __init__(self, model: type[Any], *, long_text: Iterable[str] = LONG_TEXT) -> None:
        super().__init__(model)
        self.long_text = frozenset(long_text)
        self.eager: tuple[str, ...] = ()

    def is_text(self, col_name: str) -> bool:
        """Every text column of ours is ``text``; only the named ones want a large box."""
        return self.is_string(col_name) and col_name in self.long_text

    def query(
        self,
        filters: Filters | None = None,
        order_column: str = "",
        order_direction: str = "",
        page: int | None = None,
        page_size: int | None = None,
        select_columns: list[str] | None = None,
        outer_default_load: bool = False,
    ) -> tuple[int, list[Any]]:
        """How many rows match, and those of one page; two statements, one more per collection."""
        matching = self.apply_filters(self.session.query(self.obj), filters)
        count = (
            matching.order_by(None)
            .with_entities(func.count(inspect(self.obj).primary_key[0]))
            .scalar()
        )
        rows = self.apply_order_by(matching, order_column, order_direction, add_pk=True)
        rows = self.apply_pagination(self._with_relations(rows), page, page_size)
        return count, rows.all()

    def get(
        self,
        id: Any,
        filters: Filters | None = None,
        select_columns: list[str] | None = None,
        outer_default_load: bool = False,
    ) -> Any | None:
        """The row with this key inside ``filters``, or None: also for keys that cannot exist."""
        if not self._may_exist(id):
            return None
        return super().get(id, filters)

    def get_related_obj(self, col_name: str, value: Any) -> Any | None:
        """The row of a relation with this key, or None."""
        return self.session.get(self.get_related_model(col_name), value)

    def hold(self, item: Any) -> None:
        """Lock the row until the transaction ends and read it anew. Raises ``NotFound``."""
        mapper = inspect(self.obj)
        key = zip(mapper.primary_key, mapper.primary_key_from_instance(item), strict=True)
        row = select(*mapper.primary_key).where(*(column == value for column, value in key))
        if self.session.execute(row.with_for_update(key_share=True)).first() is None:
            raise NotFound("It has been deleted in the meantime.")
        self.session.expire(item)

    def add(self, item: Any, commit: bool = True) -> None:
        """Insert; the view's transaction commits."""
        self.session.add(item)
        self.session.flush()

    def edit(self, item: Any, commit: bool = True) -> None:
        """Write the changes of ``item``; the view's transaction commits."""
        self.session.flush()

    def delete(self, item: Any, commit: bool = True) -> None:
        """Delete; the view's transaction commits."""
        self.session.delete(item)
        self.session.flush()

    def delete_all(self, items: list[Any]) -> None:
        """Delete several rows; the view's transaction commits."""
        for item in items:
            self.session.delete(item)
        self.session.flush()

    def matching(self, columns: Sequence[str], text: str, limit: int) -> list[Any]:
        """Rows whose ``columns`` contain ``text``, for the search-select of a relation."""
        named = [getattr(self.obj, column) for column in columns]
        found = select(self.obj).order_by(named[0]).limit(limit)
        if text:
            found = found.where(or_(*(one.icontains(text, autoescape=True) for one in named)))
        return list(self.session.scalars(found))

    def _with_relations(self, query: Query[Any]) -> Query[Any]:
        mapper = inspect(self.obj)
        for name in self.eager:
            relation: RelationshipProperty[Any] = mapper.relationships[name]
            load = selectinload if relation.uselist else joinedload
            query = query.options(load(getattr(self.obj, name)))
        return query

    def _may_exist(self, key: Any) -> bool:
        columns = inspect(self.obj).primary_key
        if len(columns) > 1:
            return isinstance(key, list) and len(key) == len(columns)
        if columns[0].type.python_type is not int:
            return True
        largest = BIGINT_MAX if "BIGINT" in str(columns[0].type).upper() else INT_MAX
        return str(key).isdecimal() and len(str(key)) <= 19 and 0 < int(key) <= largest
