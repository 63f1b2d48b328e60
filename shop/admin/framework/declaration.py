"""What a view declares, made ready once, and what lists and pages ask of it.

The attributes are the declaration; the hooks below them are for what a declaration cannot say.
``list_pages``, ``action_pages``, ``form_pages`` and ``record_pages`` are the pages that follow.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from flask import abort
from flask_appbuilder import ModelView
from sqlalchemy import ColumnElement, Select, and_, or_, select

from shop import audit
from shop.admin.framework.actions import Action
from shop.admin.framework.columns import Column
from shop.admin.framework.exports import CSV, Exporter
from shop.admin.framework.fields import FormMaker
from shop.admin.framework.filters import Filter, Relation
from shop.admin.framework.interface import Table
from shop.admin.framework.list_state import Tab
from shop.admin.framework.screens import InTheAdmin
from shop.core import search
from shop.core.i18n import lazy_gettext

# The pages that a View has unless its ``pages`` leave them out.
STANDARD = ("show", "add", "edit", "delete")


@dataclass(frozen=True)
class Through:
    """A search through another table: rows whose ``key`` is among the ``target`` of the rows of
    that table in which ``column`` contains the word."""

    column: Any
    key: Any
    target: Any


class Declaration(InTheAdmin, ModelView):
    """A table in the admin, as it is declared."""

    # -- the declaration --------------------------------------------------------------------------

    datamodel: Table
    noun: ClassVar[str] = ""
    plural: ClassVar[str] = ""
    intro: ClassVar[str] = ""
    pages: ClassVar[Sequence[str]] = STANDARD
    columns: ClassVar[Sequence[Column]] = ()
    search: ClassVar[Sequence[Any]] = ()
    search_hint: ClassVar[str] = ""
    more_filters: ClassVar[Sequence[Filter]] = ()
    without_filters: ClassVar[Sequence[str]] = ()
    tabs: ClassVar[Sequence[Tab]] = ()
    sort: ClassVar[str] = ""
    needed: ClassVar[Sequence[str]] = ()
    row_actions: ClassVar[Sequence[Action]] = ()
    row_buttons: ClassVar[str] = ""
    edit_in_rows: ClassVar[bool] = True  # a pencil in each row; False where the name leads there
    live: ClassVar[str] = ""
    empty_words: ClassVar[tuple[str, str]] = (lazy_gettext("Nothing here yet"), "")
    old_filters: ClassVar[dict[str, str]] = {}
    old_sorts: ClassVar[dict[str, str]] = {}
    hints: ClassVar[dict[str, str]] = {}
    exporters: ClassVar[Mapping[str, Exporter]] = {"csv": CSV}

    list_template = "admin/framework/list.html"
    show_template = "admin/framework/show.html"
    add_template = "admin/framework/form.html"
    edit_template = "admin/framework/form.html"
    page_size = 25

    # Set by ``_init_properties`` from the declaration.
    filters: Sequence[Filter]
    sortable: dict[str, Any]
    tab_counts: Select[Any] | None = None  # kept by listing.py

    label_columns: Any
    list_title: Any
    show_title: Any
    add_title: Any
    edit_title: Any
    search_form: Any
    add_form: Any
    edit_form: Any

    # -- set-up: Flask-AppBuilder calls these once, when the view is registered --------------------

    def __init__(self, **kwargs: Any) -> None:
        # Flask-AppBuilder fills these in place; without a copy views would share them.
        for name in ("label_columns", "formatters_columns", "validators_columns"):
            setattr(self, name, dict(getattr(self, name) or {}))
        self.description_columns = dict(self.hints)
        self.exclude_route_methods = {"download", *self._absent()}
        super().__init__(**kwargs)
        for action in self.row_actions:
            if action.needs not in self.base_permissions:
                self.base_permissions.append(action.needs)

    def _absent(self) -> set[str]:
        """The standard pages that this view does not have; what it writes itself, it has."""
        absent = {name for name in STANDARD if name not in self.pages and not self._writes(name)}
        if not self.row_actions:
            absent |= {"action", "action_post"}
        if not any(isinstance(own, Relation) for own in self.more_filters):
            absent.add("lookup")
        if not self.exporters:
            absent.add("export")
        if self.datamodel.obj.__tablename__ in audit.NOT_AUDITED:
            absent |= {"history", "restore"}
        return absent

    def _writes(self, method: str) -> bool:
        """Whether the view has written this method itself, instead of leaving it to this folder."""
        return not getattr(type(self), method).__module__.startswith(f"{__package__}.")

    def _init_properties(self) -> None:
        model = self.datamodel.obj
        self.list_columns = [column.name for column in self.columns]
        self.label_columns = {
            column.name: column.heading for column in self.columns
        } | self.label_columns
        super()._init_properties()
        own = {one.name for one in self.more_filters} | {*self.without_filters}
        brought = (column.filter(model) for column in self.columns if column.name not in own)
        self.filters = (*self.more_filters, *(one for one in brought if one is not None))
        self.sortable = {
            column.name: by for column in self.columns if (by := column.order(model)) is not None
        }
        self.datamodel.eager = tuple(
            name for name in self.list_columns if self.datamodel.is_relation(name)
        )

    def _prettify_column(self, name: str) -> str:
        return Column(name).heading

    def _init_titles(self) -> None:
        noun = self.noun or self.datamodel.model_name.lower()
        self.list_title = self.list_title or self.plural or f"{noun}s".capitalize()
        self.add_title = self.add_title or lazy_gettext("Add %(noun)s", noun=noun)
        self.edit_title = self.edit_title or lazy_gettext("Edit %(noun)s", noun=noun)
        self.show_title = self.show_title or noun
        self.title = self.list_title

    def _init_forms(self) -> None:
        maker = FormMaker(self.datamodel)
        shared = self.label_columns, self.description_columns, self.validators_columns
        labels, hints, checks = shared
        self.search_form = self.search_form or maker.create_form(labels, [])
        absent = self._absent()
        adds = "add" not in absent and not self._writes("add")
        edits = "edit" not in absent and not self._writes("edit")
        self.add_form = self.add_form or maker.create_form(
            labels, self.add_columns if adds else [], hints, checks, self.add_form_extra_fields
        )
        self.edit_form = self.edit_form or maker.create_form(
            labels, self.edit_columns if edits else [], hints, checks, self.edit_form_extra_fields
        )

    # -- hooks -------------------------------------------------------------------------------------

    def query(self) -> Select[Any]:
        """The SELECT of the list: the model, with joins where columns with ``sql`` need them. A
        join may not multiply rows."""
        return self.datamodel.selected()

    def counted(self) -> Select[Any]:
        """The SELECT whose rows the tabs count: without joins that no tab needs."""
        return select(self.datamodel.obj)

    def scope(self) -> Iterable[ColumnElement[bool]]:
        """What all rows of this view fulfil: others are not listed, found or changed."""
        return ()

    def search_condition(self, text: str) -> ColumnElement[bool]:
        """Rows in which every word of ``text`` stands somewhere."""
        return and_(
            *(
                or_(*(self._has(entry, word) for entry in self.search))
                for word in search.words_of(text)
            )
        )

    def _has(self, entry: Any, word: str) -> ColumnElement[bool]:
        if isinstance(entry, Through):
            found = select(entry.target).where(search.contains(entry.column, word))
            condition: ColumnElement[bool] = entry.key.in_(found)
            return condition
        if isinstance(entry, str):
            return search.contains(getattr(self.datamodel.obj, entry), word)
        made: ColumnElement[bool] = entry(word)
        return made

    def hold(self, item: Any) -> None:
        """Lock ``item`` until the transaction ends and read it again. Raises ``NotFound``."""
        self.datamodel.hold(item)

    def may_edit(self, item: Any) -> bool:
        """Whether this row can be edited by whoever may edit rows."""
        return True

    def may_delete(self, item: Any) -> bool:
        """Whether this row can be deleted by whoever may delete rows."""
        return True

    def extra(self, kind: str, item: Any = None) -> dict[str, Any]:
        """Further values for a template; ``kind`` is list, row, show, add or edit."""
        return {}

    # -- what pages and templates ask --------------------------------------------------------------

    def allows(self, method: str) -> bool:
        """Whether the person signed in may use this method, and it exists at all."""
        return f"can_{method}" in self.base_permissions and self.may(f"can_{method}")

    def bulk_actions(self) -> list[Any]:
        """The actions for a selection that the person may use."""
        return [one for one in self.row_actions if one.many and self.may(one.needs)]

    def actions_for(self, item: Any) -> list[Any]:
        """The actions that the person may use on this record."""
        return [
            one
            for one in self.row_actions
            if one.single and (one.applies is None or one.applies(item)) and self.may(one.needs)
        ]

    def key(self, item: Any) -> Any:
        """The row's key as it stands in an address."""
        return self.datamodel.get_pk_value(item)

    @property
    def naming_column(self) -> Column:
        """The column that says what a row is: it leads to the record and is always shown."""
        return next((one for one in self.columns if one.card == "title"), self.columns[0])

    def column(self, name: str) -> Column:
        """The declared column of this name, else one of plain text."""
        found = next((column for column in self.columns if column.name == name), None)
        return found or Column(name, str(self.label_columns.get(name, "")))

    # -- inside ------------------------------------------------------------------------------------

    def _key(self, pk: str) -> Any:
        """The key in an address, if a row can have it; 404 otherwise."""
        if not self.datamodel.may_exist(pk):
            abort(404)
        return int(pk)

    def _find(self, pk: str) -> Any:
        item = self.datamodel.get(pk, conditions=self.scope())
        if item is None:
            abort(404)
        return item
