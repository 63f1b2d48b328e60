"""Our tables for Flask-AppBuilder's ModelView: the one place where its SQL layer is mended.

Flask-AppBuilder commits inside its data layer, loads relations row by row and lets odd ids reach
Postgres. Here nothing commits (views open ``core.db.transaction()``), the relations a list shows
come with the list, and an id that cannot exist is simply not found.
"""

from collections.abc import Iterable
from typing import Any

from flask_appbuilder.models.filters import BaseFilterConverter, Filters
from flask_appbuilder.models.sqla.interface import SQLAInterface
from sqlalchemy import ColumnElement, Select, inspect, select
from sqlalchemy.orm import joinedload, selectinload

from shop.core.errors import NotFound
from shop.core.i18n import gettext as _

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

    @property
    def key_column(self) -> Any:
        """The primary key: one whole number in every table of ours."""
        return getattr(self.obj, inspect(self.obj).primary_key[0].key)

    @property
    def largest_key(self) -> int:
        """The largest number that the key's column can hold."""
        return BIGINT_MAX if "BIGINT" in str(self.key_column.type).upper() else INT_MAX

    def may_exist(self, key: Any) -> bool:
        """Whether a row can have this key: others must not reach the database."""
        text = str(key)
        fits = text.isascii() and text.isdecimal() and len(text) <= 19
        return fits and 0 < int(text) <= self.largest_key

    def selected(self) -> Select[Any]:
        """The SELECT of all rows, with the relations in ``eager``."""
        query = select(self.obj)
        relations = inspect(self.obj).relationships
        for name in self.eager:
            load = selectinload if relations[name].uselist else joinedload
            query = query.options(load(getattr(self.obj, name)))
        return query

    def get(
        self,
        id: Any,
        filters: Filters | None = None,
        select_columns: list[str] | None = None,
        outer_default_load: bool = False,
        conditions: Iterable[ColumnElement[bool]] = (),
    ) -> Any | None:
        """The row with this key that fulfils ``conditions``, or None: also for keys that cannot
        exist. Flask-AppBuilder's ``filters`` are not used here."""
        if not self.may_exist(id):
            return None
        row = select(self.obj).where(self.key_column == int(id), *conditions)
        return self.session.scalars(row).one_or_none()

    def get_related_obj(self, col_name: str, value: Any) -> Any | None:
        """The row of a relation with this key, or None."""
        return self.session.get(self.get_related_model(col_name), value)

    def hold(self, item: Any) -> None:
        """Lock the row until the transaction ends and read it again. Raises ``NotFound``."""
        key = self.get_pk_value(item)
        row = select(self.key_column).where(self.key_column == key)
        if self.session.execute(row.with_for_update(key_share=True)).first() is None:
            raise NotFound(_("It has been deleted."))
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
