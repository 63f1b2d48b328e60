"""The two kinds of page of the admin; the front page of this folder says how they are used."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from flask import (
    Blueprint,
    Response,
    abort,
    flash,
    g,
    jsonify,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_appbuilder import ModelView, expose
from flask_appbuilder.baseviews import BaseView
from flask_appbuilder.security.decorators import has_access, permission_name
from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.exc import DBAPIError
from werkzeug.wrappers import Response as WerkzeugResponse

from shop.admin.framework import actions, conflicts, errors, formatters, listing, shown
from shop.admin.framework.actions import Action
from shop.admin.framework.columns import Column, Listed
from shop.admin.framework.errors import Stale
from shop.admin.framework.fields import FormMaker
from shop.admin.framework.filters import Filter, Relation
from shop.admin.framework.interface import Table
from shop.admin.framework.listing import ListPage, ListState, Tab
from shop.core import search
from shop.core.db import transaction
from shop.core.errors import DomainError, NotFound
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext

Page = str | WerkzeugResponse
# Inside View the name ``list`` is the page; annotations there use this.
Items = list[Any]
# The pages that a View has unless its ``pages`` leave them out.
STANDARD = ("show", "add", "edit", "delete")
OLD_ARGUMENTS = ("_oc_", "_od_", "page_", "psize_", "_flt_")


class _InTheAdmin:
    """What all pages share: our templates only, our errors, our addresses."""

    template_folder = None  # so that no stock template can ever be found
    route_base: Any
    blueprint: Any
    endpoint: Any
    extra_args: Any
    appbuilder: Any
    class_permission_name: Any

    def create_blueprint(
        self, appbuilder: Any, endpoint: str | None = None, static_folder: str | None = None
    ) -> Blueprint:
        """Register the view and let its refusals and failures speak in the admin's look."""
        blueprint: Blueprint = super().create_blueprint(  # type: ignore[misc]
            appbuilder, endpoint=endpoint, static_folder=static_folder
        )
        errors.handle(blueprint)
        return blueprint

    def page(self, template: str, **values: Any) -> str:
        """Render a template of ours, which may format money, moments and numbers."""
        return render_template(template, view=self, **formatters.FOR_TEMPLATES, **values)

    def render_template(self, template: str, **values: Any) -> str:
        """What Flask-AppBuilder calls; the same as ``page``."""
        return self.page(template, **(values | (self.extra_args or {})))

    def address(self, method: str, **values: Any) -> str:
        """The address of one of this view's own pages."""
        return url_for(f"{self.endpoint}.{method}", **values)

    def may(self, permission: str) -> bool:
        """Whether the person signed in has this permission here."""
        return bool(self.appbuilder.sm.has_access(permission, self.class_permission_name))

    def update_redirect(self) -> None:
        """Flask-AppBuilder's history of pages is shared by all tabs and misleads: never used."""

    def get_redirect(self) -> str:
        """Where a stock method would go “back” to: this view's own first page."""
        return self.address(getattr(self, "default_view", "list"))


class Screen(_InTheAdmin, BaseView):
    """A page without a table behind it, such as the dashboard or the sign-in page."""


@dataclass(frozen=True)
class Through:
    """A search through another table: rows whose ``key`` is among the ``target`` of the rows of
    that table in which ``column`` contains the word."""

    column: Any
    key: Any
    target: Any


class View(_InTheAdmin, ModelView):
    """A table in the admin: its list, and the pages of its records."""

    # -- the declaration ---------------------------------------------------------------------------

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
    live: ClassVar[str] = ""
    empty_words: ClassVar[tuple[str, str]] = (lazy_gettext("Nothing here yet"), "")
    old_filters: ClassVar[dict[str, str]] = {}
    old_sorts: ClassVar[dict[str, str]] = {}
    hints: ClassVar[dict[str, str]] = {}

    list_template = "admin/framework/list.html"
    show_template = "admin/framework/show.html"
    add_template = "admin/framework/form.html"
    edit_template = "admin/framework/form.html"
    page_size = 25

    # Set by ``_init_properties`` from the declaration.
    filters: Sequence[Filter]
    sortable: dict[str, Any]

    label_columns: Any
    list_title: Any
    show_title: Any
    add_title: Any
    edit_title: Any
    search_form: Any
    add_form: Any
    edit_form: Any

    # -- set-up: Flask-AppBuilder calls these once, when the view is registered ------------------

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
        cls = type(self)
        absent = {
            name
            for name in STANDARD
            if name not in self.pages and getattr(cls, name) is getattr(View, name)
        }
        if not self.row_actions:
            absent |= {"action", "action_post"}
        if not any(isinstance(own, Relation) for own in self.more_filters):
            absent.add("lookup")
        return absent

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
        cls, absent = type(self), self._absent()
        adds = "add" not in absent and cls.add is View.add
        edits = "edit" not in absent and cls.edit is View.edit
        self.add_form = self.add_form or maker.create_form(
            labels, self.add_columns if adds else [], hints, checks, self.add_form_extra_fields
        )
        self.edit_form = self.edit_form or maker.create_form(
            labels, self.edit_columns if edits else [], hints, checks, self.edit_form_extra_fields
        )

    # -- hooks: the list -------------------------------------------------------------------------

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

    def load(self, state: ListState) -> ListPage:
        """One page of the list."""
        return listing.load(self, state)

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

    def row_attributes(self, row: Listed) -> dict[str, Any]:
        """``data-`` attributes of a row, for scripts; None leaves one out."""
        return {}

    def row_href(self, item: Any) -> str | None:
        """Where the row's name leads: its page, else its form, else nowhere; with the list's
        address, so that the record's page knows where the person came from."""
        pk = self.key(item)
        if self.allows("show"):
            return self.address("show", pk=pk, **self.list_arguments())
        if self.allows("edit") and self.may_edit(item):
            return self.address("edit", pk=pk, **self.list_arguments())
        return None

    # -- hooks: the records ----------------------------------------------------------------------

    def create(self, form: Any) -> Any:
        """Make a row from a valid form, inside the transaction; gives the row."""
        item = self.datamodel.obj()
        form.populate_obj(item)
        self.datamodel.add(item)
        return item

    def hold(self, item: Any) -> None:
        """Lock ``item`` until the transaction ends and read it anew. Raises ``NotFound``."""
        self.datamodel.hold(item)

    def locked(self, pk: Any) -> Any:
        """The record with this key, locked, for an action. Raises ``NotFound``."""
        item = self.datamodel.get(pk, conditions=self.scope())
        if item is None:
            raise NotFound(_("%(record)s not found.", record=self.noun.capitalize()))
        self.hold(item)
        return item

    def change(self, item: Any, form: Any) -> None:
        """Write a valid form to ``item``, inside the transaction."""
        form.populate_obj(item)
        self.datamodel.edit(item)

    def remove(self, item: Any) -> None:
        """Delete ``item``, inside the transaction."""
        self.datamodel.delete(item)

    def may_edit(self, item: Any) -> bool:
        """Whether this row can be edited by whoever may edit rows."""
        return True

    def may_delete(self, item: Any) -> bool:
        """Whether this row can be deleted by whoever may delete rows."""
        return True

    def extra(self, kind: str, item: Any = None) -> dict[str, Any]:
        """Further values for a template; ``kind`` is list, row, show, add or edit."""
        return {}

    # -- what pages and templates use ------------------------------------------------------------

    def allows(self, method: str) -> bool:
        """Whether the person signed in may use this method, and it exists at all."""
        return f"can_{method}" in self.base_permissions and self.may(f"can_{method}")

    def bulk_actions(self) -> Items:
        """The actions for a selection that the person may use."""
        return [one for one in self.row_actions if one.many and self.may(one.needs)]

    def actions_for(self, item: Any) -> Items:
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

    def list_arguments(self) -> dict[str, str]:
        """What of the present address belongs to the list: it is kept to a record and back."""
        known = {"tab", "q", "sort", "cols", "size", *listing.PLACE}
        for own in self.filters:
            known.update(own.parameters())
        return {name: text for name, text in request.args.items() if name in known and text}

    def list_address(self) -> str:
        """The list as the person left it."""
        return self.address("list", **self.list_arguments())

    def neighbours(self, pk: Any) -> tuple[str | None, str | None]:
        """The addresses of the records above and below this one in the list it was opened from."""
        try:
            state = listing.read(self, self.list_arguments())
        except listing.BadAddress:
            return None, None
        above, below = (
            None if key is None else self.address("show", pk=key, **self.list_arguments())
            for key in listing.neighbours(self, state, pk)
        )
        return above, below

    def to_list(self, message: str = "", tone: str = "success") -> WerkzeugResponse:
        """Back to the list the person came from (with its filters), with a message."""
        if message:
            flash(message, tone)
        return redirect(errors.back(self.list_address()), code=303)

    def post_add_redirect(self) -> WerkzeugResponse:
        """After adding: the new row's page, else the list."""
        item = g.get("saved_row")
        href = self.row_href(item) if item is not None and self.allows("show") else None
        return redirect(href or self.list_address(), code=303)

    def post_edit_redirect(self) -> WerkzeugResponse:
        """After editing: the row's page, else the list."""
        return self.post_add_redirect()

    def post_delete_redirect(self) -> WerkzeugResponse:
        """After deleting: the list."""
        return redirect(self.list_address(), code=303)

    # -- pages: the list -------------------------------------------------------------------------

    @expose("/")
    @has_access
    @permission_name("list")
    def index(self) -> Page:
        """The short address leads to the list."""
        return redirect(self.address("list"))

    @expose("/list/")
    @has_access
    def list(self) -> Page:
        """The list: two statements, see listing.py."""
        if moved := self._moved():
            return redirect(moved, code=301)
        state = listing.read(self, request.args)
        found = self.load(state)
        return self.page(
            self.list_template,
            title=self.list_title,
            state=state,
            found=found,
            rows=shown.rows(self, state, found.rows),
            shown_columns=[self.column(name) for name in state.columns],
            tab_links=shown.tab_links(self, state, found),
            chips=shown.chips(self, state),
            pager=shown.pager(state, found),
            sort_links=shown.sort_links(self, state),
            bulk=self.bulk_actions(),
            max_at_once=actions.MAX_AT_ONCE,
            here=listing.here,
            kept_arguments=listing.kept_arguments,
            **self.extra("list"),
        )

    @expose("/row/<pk>")
    @has_access
    @permission_name("list")
    def row(self, pk: str) -> Page:
        """One line of the list, for a list that is live: empty when the record is not in it."""
        state = listing.read(self, request.args)
        found = listing.one(self, state, self._key(pk))
        if found is None:
            return Response("", 204)
        return self.page(
            "admin/framework/_row.html",
            row=shown.rows(self, state, [found])[0],
            bulk=self.bulk_actions(),
            **self.extra("row"),
        )

    @expose("/lookup/<name>")
    @has_access
    @permission_name("list")
    def lookup(self, name: str) -> Response:
        """Suggestions for a filter by a record of another table: ``[{"id", "text"}]``."""
        own = next((one for one in self.filters if one.name == name), None)
        if not isinstance(own, Relation):
            abort(404)
        found = own.find(request.args.get("q", "").strip()[:100])
        return jsonify([{"id": key, "text": text} for key, text in found])

    @expose("/action_post", methods=["POST"])
    def action_post(self) -> Page:
        """An action on the selected rows, or on all that match; says what became of each."""
        action = self._allowed_action(request.form.get("action", ""), many=True)
        results = actions.run(self, action, self._selected())
        done = sum(result.ok for result in results)
        if errors.wants_json():
            return jsonify(
                done=done,
                results=[
                    {"id": one.id, "name": one.name, "ok": one.ok, "sentence": one.sentence}
                    for one in results
                ],
            )
        if not results:
            return self.to_list(_("Select at least one row first."), "warning")
        if done:
            noun = self.noun if done == 1 else self.list_title.lower()
            said = _(
                "%(action)s: %(count)s %(noun)s.", action=action.label, count=f"{done:,}", noun=noun
            )
            flash(said, "success")
        for result in results:
            if not result.ok:
                flash(
                    _("%(name)s: %(sentence)s", name=result.name, sentence=result.sentence),
                    "warning",
                )
        return self.to_list()

    # -- pages: a record -------------------------------------------------------------------------

    @expose("/show/<pk>", methods=["GET"])
    @has_access
    def show(self, pk: str) -> Page:
        """One record with its related lists."""
        item = self._find(pk)
        return self.page(
            self.show_template,
            title=str(item),
            item=item,
            pk=pk,
            facts=shown.facts(self, item),
            related=shown.related(self, item),
            **self.extra("show", item),
        )

    @expose("/add", methods=["GET", "POST"])
    @has_access
    def add(self) -> Page:
        """The form for a new record."""
        form = self.add_form.refresh()
        if request.method == "POST" and form.validate():
            saved = self._try(form, lambda: self.create(form))
            if saved is not _REFUSED:
                g.saved_row = saved
                flash(_("%(record)s added.", record=self.show_title.capitalize()), "success")
                return self.post_add_redirect()
        return self._form_page(self.add_template, self.add_title, form, "add")

    @expose("/edit/<pk>", methods=["GET", "POST"])
    @has_access
    def edit(self, pk: str) -> Page:
        """The form for an existing record."""
        item = self._find(pk)
        if not self.may_edit(item):
            abort(403)
        if request.method == "POST":
            seen = request.form.get("seen", "")
            form = self.edit_form.refresh(request.form)
            form._id = self.datamodel.get_pk_value(item)
            if form.validate():
                if self._try(form, lambda: self._merge(item, form, seen)) is not _REFUSED:
                    g.saved_row = item
                    flash(_("%(record)s saved.", record=self.show_title.capitalize()), "success")
                    return self.post_edit_redirect()
                if g.get("was_stale"):
                    # Now the person knows: saving once more replaces what is there.
                    seen = self._fingerprint(item)
        else:
            seen = self._fingerprint(item)
            form = self.edit_form.refresh(obj=item)
            self.prefill_form(form, item)
        return self._form_page(self.edit_template, self.edit_title, form, "edit", item, seen)

    @expose("/delete/<pk>", methods=["POST"])
    @has_access
    def delete(self, pk: str) -> Page:
        """Delete a record, after the dialog."""
        item = self._find(pk)
        if not self.may_delete(item):
            abort(403)
        name = str(item)
        if self._try(None, lambda: self.remove(item)) is _REFUSED:
            return redirect(errors.back(self.list_address()), code=303)
        flash(_("“%(name)s” is deleted.", name=name), "success")
        return self.post_delete_redirect()

    @expose("/action/<string:name>/<pk>", methods=["POST"])
    def action(self, name: str, pk: str) -> Page:
        """An action on one record."""
        action = self._allowed_action(name, many=False)
        (result,) = actions.run(self, action, [self._key(pk)])
        sentence = f"{result.name} {result.sentence}" if result.ok else result.sentence
        if errors.wants_json():
            return Response(
                jsonify(message=sentence).data,
                200 if result.ok else 409,
                mimetype="application/json",
            )
        flash(sentence, "success" if result.ok else "danger")
        return redirect(errors.back(self.list_address()), code=303)

    # -- inside ----------------------------------------------------------------------------------

    def _moved(self) -> str:
        """Where an address of an older version leads today, or one with a parameter for each
        ticked column; empty for one that is as it should be."""
        old = [name for name in request.args if name.startswith(OLD_ARGUMENTS)]
        renamed = {
            name: self.old_filters[name] for name in request.args if name in self.old_filters
        }
        if "page" in request.args and not any("page" in own.parameters() for own in self.filters):
            old.append("page")
        boxes, sort = request.args.getlist("cols"), request.args.get("sort", "")
        if not old and not renamed and len(boxes) < 2 and sort not in self.old_sorts:
            return ""
        kept = {
            renamed.get(name, name): text
            for name, text in request.args.items()
            if text and name not in old
        }
        if boxes:
            kept["cols"] = ",".join(boxes)
        if sort in self.old_sorts:
            kept["sort"] = self.old_sorts[sort]
        kept = {name: text for name, text in kept.items() if text}
        return self.address("list", **kept)

    def _selected(self) -> Items:
        """The keys that were ticked, or all that match the list's address."""
        if request.form.get("all"):
            return listing.keys(self, listing.read(self, request.args), actions.MAX_AT_ONCE)
        return [self._key(pk) for pk in request.form.getlist("rowid")[: actions.MAX_AT_ONCE]]

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

    def _try(self, form: Any, work: Callable[[], Any]) -> Any:
        """Run ``work`` in a transaction; a refusal becomes words at its field or a message."""
        try:
            with transaction():
                return work()
        except DBAPIError as error:
            refusal = errors.explain(error)
        except DomainError as error:
            refusal = error
        field = self._refused_field(form, refusal.field)
        if field is not None:
            field.errors = [*field.errors, refusal.sentence]
        elif form is not None and isinstance(refusal, Stale):
            g.was_stale = True
            form.form_errors.append(refusal.sentence)  # above the form: a message could cover it
        else:
            flash(refusal.sentence, "danger")
        return _REFUSED

    def _merge(self, item: Any, form: Any, seen: str) -> None:
        self.hold(item)
        conflicts.merge(form, item, self.edit_columns, seen=seen, noun=self.noun or _("record"))
        self.change(item, form)

    def _fingerprint(self, item: Any) -> str:
        return conflicts.fingerprint(item, self.edit_columns)

    def _refused_field(self, form: Any, name: str | None) -> Any | None:
        if form is None or not name:
            return None
        for candidate in (name, f"{name}_minor", f"is_{name}", name.removesuffix("_id")):
            if candidate in form:
                return form[candidate]
        return None

    def _allowed_action(self, name: str, *, many: bool) -> Action:
        chosen = next(
            (
                one
                for one in self.row_actions
                if one.name == name and (one.many if many else one.single)
            ),
            None,
        )
        if chosen is None:
            abort(404)
        if not self.may(chosen.needs):
            abort(403)
        return chosen

    def _form_page(
        self, template: str, title: str, form: Any, kind: str, item: Any = None, seen: str = ""
    ) -> Page:
        columns, fieldsets = (
            (self.add_columns, self.add_fieldsets)
            if kind == "add"
            else (self.edit_columns, self.edit_fieldsets)
        )
        sections = [
            (heading, [form[name] for name in options["fields"]])
            for heading, options in (fieldsets or [("", {"fields": columns})])
        ]
        back = self.list_address() if self.allows("list") else "/admin/"
        if item is not None and self.allows("show"):
            back = self.address("show", pk=self.key(item), **self.list_arguments())
        return self.page(
            template,
            title=title if item is None else _("%(title)s: %(record)s", title=title, record=item),
            form=form,
            sections=sections,
            kind=kind,
            item=item,
            back=back,
            seen=seen,
            **self.extra(kind, item),
        )


class _Refused:
    """Stands for “the operation said no”, which None cannot."""


_REFUSED = _Refused()
