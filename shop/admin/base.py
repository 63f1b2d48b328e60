"""What every page of the staff side is made of. Read this before you write one.

Two kinds of page

``Screen``: a page of our own. ``route_base``, methods with ``@expose`` + ``@has_access``, and
``self.page("admin/orders/show.html", title=…, …)``. Writing: ``with transaction():
orders.ship(…)``, ``flash("…", "success")``, ``return redirect(self.address("show", pk=…),
code=303)``. A ``DomainError`` needs no ``try``: the person returns to the page they came from and
reads its sentence; a script that sends ``Accept: application/json`` gets ``{"error", "code",
"field"}``.

``CrudView``: list, show, add, edit, delete of a table, as a declaration. It edits descriptive
columns only; whatever has a verb is an ``@action`` or a Screen that calls an operation.

The class name is the name in the permission table (roles.py), in the menu (menu.py) and of the
endpoint: ``OrdersView.list``. ``@has_access`` asks for ``can_<method>``; with
``@permission_name("ship")`` below it, for ``can_ship``. Add the class to ``VIEWS`` in
``__init__.py``, an ``Entry`` to ``MENU``, its permissions to ``ROLES``; then ``flask shop init``.

A list in ten lines

    class CouriersView(CrudView):
        route_base = "/admin/couriers"
        datamodel = Table(Courier)
        noun = "courier"                                   # “Add courier”, “Courier saved.”
        list_columns = ["name", "price_minor", "is_active"]
        search_by = ("name", "code")                       # the box above the list
        filters = (Flag("is_active", "State", "In use", "Off"), Dates("created_at", "Created"))
        tabs = (Tab("all", "All"), Tab("used", "In use", lambda: Courier.is_active.is_(True)))
        formatters_columns = {"price_minor": money, "is_active": yes_no("In use", "Off")}
        hints = {"code": "Printed on the label."}
        edit_columns = add_columns = ["name", "code", "price_minor"]

More of CrudView

- ``formatters_columns``: functions of (value, row), see formatters.py. ``label_columns`` names
  columns; ``*_minor`` columns are typed and shown as money.
- ``create(form)``, ``change(item, form)``, ``remove(item)`` run inside one transaction; override
  them to call operations. A ``DomainError`` with ``field`` shows at that field; what was typed
  stays.
- Two people at one form: who saves second is told which fields the first one changed, and nothing
  is lost or overwritten. ``hold(item)`` takes the lock for that; override it where operations lock
  something else first.
- ``@action("publish", "Publish", "Publish these products?", icon="eye")`` gets one row or a list:
  use ``self.rows(items)``, and return ``self.to_list("3 products published.")``. With
  ``base_filters`` the rows are already within them.
- ``lookups = {"product": ("name", "slug")}``: search-select for a relation with many rows.
- ``may_delete(item)``, ``may_edit(item)``: per row; ``row_href(item)``: where a row leads.
- ``main_columns``: (title, end of line) of the cards on a phone; default: first and last column.
- Templates: ``list_template`` etc. extend ``admin/crud/list.html``, ``show.html``, ``form.html``;
  blocks ``page_actions``, ``before_list``, ``show_main``, ``aside``, ``before_form``,
  ``after_form``. ``extra(kind, item)`` gives them further values.

Templates extend ``admin/layout.html`` (blocks ``content``, ``head``, ``scripts``). Macros stand
in ``admin/components/page.html`` (``icon``, ``pill``, ``page_head``, ``confirm_button``,
``empty``) and ``forms.html`` (``field``, ``save_bar``, ``error_note``), the pager in
``admin/crud/_pager.html``. What is the same everywhere is in ``shell`` (shell.py):
``shell.may("can_ship", "OrdersView")``, ``shell.link("OrdersView.show", pk=1)``,
``shell.static("js/x.js")``. No inline scripts or styles: the policy forbids them. Behaviour comes
from modules by attribute: ``data-confirm`` (asks first), ``data-guard`` (unsaved changes,
Ctrl+S), ``data-search-select``, ``data-local`` (times). Live events arrive on ``document`` as
``live:staff:orders`` with detail {type, data, at}: static/js/live-admin.js.
"""

from collections.abc import Callable, Sequence
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
from flask_appbuilder.actions import ActionItem
from flask_appbuilder.baseviews import BaseView
from flask_appbuilder.security.decorators import has_access, permission_name
from sqlalchemy.exc import DBAPIError
from werkzeug.wrappers import Response as WerkzeugResponse

from shop.admin import errors, shown, stale
from shop.admin.errors import Stale
from shop.admin.fields import FormMaker
from shop.admin.formatters import money
from shop.admin.interface import Table
from shop.admin.narrowing import PAGE_SIZES, Narrowed
from shop.core import strict_json
from shop.core.db import transaction
from shop.core.errors import DomainError

Page = str | WerkzeugResponse
# Inside CrudView the name ``list`` is the page; annotations there use these.
Items = list[Any]
Actions = list[ActionItem]


class _InTheAdmin:
    """What screens and tables share: our templates only, our errors, our addresses."""

    template_folder = None  # so that no stock template can ever be found
    route_base: Any
    blueprint: Any
    endpoint: Any
    extra_args: Any

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
        """Render a template of ours."""
        return render_template(template, view=self, **values)

    def render_template(self, template: str, **values: Any) -> str:
        """What Flask-AppBuilder calls; the same as ``page``."""
        return self.page(template, **(values | (self.extra_args or {})))

    def address(self, method: str, **values: Any) -> str:
        """The address of one of this view's own pages."""
        return url_for(f"{self.endpoint}.{method}", **values)

    def update_redirect(self) -> None:
        """Flask-AppBuilder's history of pages is shared by all tabs and misleads: never used."""

    def get_redirect(self) -> str:
        """Where a stock method would go “back” to: this view's own list."""
        return self.address(getattr(self, "default_view", "list"))


class Screen(_InTheAdmin, BaseView):
    """A page of our own."""


class CrudView(_InTheAdmin, Narrowed, ModelView):
    """A table of ours on the staff side; see the top of this file."""

    noun: ClassVar[str] = ""
    plural: ClassVar[str] = ""
    intro: ClassVar[str] = ""
    search_hint: ClassVar[str] = ""
    hints: ClassVar[dict[str, str]] = {}
    lookups: ClassVar[dict[str, Sequence[str]]] = {}
    main_columns: ClassVar[tuple[str, ...]] = ()
    empty_words: ClassVar[str] = ""

    datamodel: Table
    list_template = "admin/crud/list.html"
    show_template = "admin/crud/show.html"
    add_template = "admin/crud/form.html"
    edit_template = "admin/crud/form.html"
    list_widget = shown.ListWidget
    show_widget = shown.ShowWidget
    add_widget = edit_widget = shown.FormWidget
    search_widget = shown.NoSearch
    exclude_route_methods = {"download"}
    list_title: Any
    show_title: Any
    add_title: Any
    edit_title: Any
    search_form: Any
    add_form: Any
    edit_form: Any
    page_size = 25

    # -- set-up: Flask-AppBuilder calls these once, when the view is registered ------------------

    def __init__(self, **kwargs: Any) -> None:
        # Flask-AppBuilder fills these in place; without a copy views would share them.
        for name in ("label_columns", "formatters_columns", "validators_columns"):
            setattr(self, name, dict(getattr(self, name) or {}))
        self.description_columns = dict(self.hints)
        if not self.lookups:
            self.exclude_route_methods = {*self.exclude_route_methods, "lookup"}
        super().__init__(**kwargs)

    def _init_properties(self) -> None:
        super()._init_properties()
        for name in (*self.datamodel.list_columns, *self.list_columns, *self.show_columns):
            if name.endswith("_minor"):
                self.formatters_columns.setdefault(name, money)
        self.datamodel.eager = tuple(
            name for name in self.list_columns if self.datamodel.is_relation(name)
        )

    def _prettify_column(self, name: str) -> str:
        words = name.removesuffix("_minor").removeprefix("is_").removesuffix("_at")
        return words.replace(".", " ").replace("_", " ").capitalize()

    def _init_titles(self) -> None:
        noun = self.noun or self.datamodel.model_name.lower()
        self.list_title = self.list_title or (self.plural or f"{noun}s").capitalize()
        self.add_title = self.add_title or f"Add {noun}"
        self.edit_title = self.edit_title or f"Edit {noun}"
        self.show_title = self.show_title or noun.capitalize()
        self.title = self.list_title

    def _init_forms(self) -> None:
        maker = FormMaker(
            self.datamodel, {name: f"{self.route_base}/lookup/{name}" for name in self.lookups}
        )
        shared = self.label_columns, self.description_columns, self.validators_columns
        labels, hints, checks = shared
        self.search_form = self.search_form or maker.create_form(labels, [])
        self.add_form = self.add_form or maker.create_form(
            labels, self.add_columns, hints, checks, self.add_form_extra_fields
        )
        self.edit_form = self.edit_form or maker.create_form(
            labels, self.edit_columns, hints, checks, self.edit_form_extra_fields
        )

    # -- hooks -----------------------------------------------------------------------------------

    def create(self, form: Any) -> Any:
        """Make a row from a valid form, inside the transaction; gives the row."""
        item = self.datamodel.obj()
        form.populate_obj(item)
        self.datamodel.add(item)
        return item

    def hold(self, item: Any) -> None:
        """Lock ``item`` until the transaction ends and read it anew. Raises ``NotFound``."""
        self.datamodel.hold(item)

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

    def row_href(self, item: Any) -> str | None:
        """Where the row's name leads: its page, else its form, else nowhere."""
        pk = self.key(item)
        if self.allows("show"):
            return self.address("show", pk=pk)
        return self.address("edit", pk=pk) if self.allows("edit") and self.may_edit(item) else None

    def extra(self, kind: str, item: Any = None) -> dict[str, Any]:
        """Further values for a template; ``kind`` is list, show, add or edit."""
        return {}

    # -- what pages and actions use ---------------------------------------------------------------

    def allows(self, method: str) -> bool:
        """Whether the person signed in may use this method, and it exists at all."""
        permission = f"can_{method}"
        exists = permission in self.base_permissions
        return exists and self.appbuilder.sm.has_access(permission, self.class_permission_name)

    def usable_actions(self, *, many: bool) -> Actions:
        """The actions for a selection (or for one row) that the person may use."""
        may = self.appbuilder.sm.has_access
        return [
            item
            for item in (self.actions or {}).values()
            if (item.multiple if many else item.single)
            and may(self.get_action_permission_name(item.name), self.class_permission_name)
        ]

    def key(self, item: Any) -> Any:
        """The row's key as it stands in an address."""
        return self._serialize_pk_if_composite(self.datamodel.get_pk_value(item))

    def rows(self, items: Any) -> Items:
        """What an action got, always as a list."""
        return list(items) if isinstance(items, (list, tuple)) else [items]

    def card_role(self, column: str) -> str:
        """The place of a column on a phone's card: title, end or line."""
        title, end = (*self.main_columns, "", "")[:2]
        if column == (title or self.list_columns[0]):
            return "title"
        return "end" if column == (end or self.list_columns[-1]) else "line"

    def to_list(self, message: str = "", tone: str = "success") -> WerkzeugResponse:
        """Back to the list the person came from (with its filters), with a message."""
        if message:
            flash(message, tone)
        return redirect(errors.back(self.address("list")), code=303)

    def post_add_redirect(self) -> WerkzeugResponse:
        """After adding: the new row's page, else the list."""
        item = g.get("saved_row")
        href = self.row_href(item) if item is not None and self.allows("show") else None
        return redirect(href or self.address("list"), code=303)

    def post_edit_redirect(self) -> WerkzeugResponse:
        """After editing: the row's page, else the list."""
        return self.post_add_redirect()

    def post_delete_redirect(self) -> WerkzeugResponse:
        """After deleting: the list."""
        return redirect(self.address("list"), code=303)

    # -- pages -----------------------------------------------------------------------------------

    @expose("/list/")
    @has_access
    def list(self) -> Page:
        """The list, narrowed by tab, search box and filters."""
        self._check_arguments()
        filters = self._asked_filters()
        column, direction = self._asked_order()
        widgets = self._get_list_widget(
            filters=filters,
            order_column=column,
            order_direction=direction,
            page=request.args.get(f"page_{self.endpoint}", 0, int),
            page_size=request.args.get(f"psize_{self.endpoint}", self.page_size, int),
        )
        return self.page(
            self.list_template,
            title=self.list_title,
            listing=widgets["list"],
            tabs=self._counted_tabs(),
            chips=self._chips(),
            **self.extra("list"),
        )

    @expose("/show/<pk>", methods=["GET"])
    @has_access
    def show(self, pk: str) -> Page:
        """One row with its related lists."""
        self._check_arguments()
        item = self._find(pk)
        return self.page(
            self.show_template,
            title=str(item),
            item=item,
            pk=pk,
            facts=self._get_show_widget(pk, item)["show"],
            related=shown.related(self, item),
            **self.extra("show", item),
        )

    @expose("/add", methods=["GET", "POST"])
    @has_access
    def add(self) -> Page:
        """The form for a new row."""
        form = self.add_form.refresh()
        if request.method == "POST" and form.validate():
            saved = self._try(form, lambda: self.create(form))
            if saved is not _REFUSED:
                g.saved_row = saved
                flash(f"{self.show_title} added.", "success")
                return self.post_add_redirect()
        return self._form_page(self.add_template, self.add_title, form, "add")

    @expose("/edit/<pk>", methods=["GET", "POST"])
    @has_access
    def edit(self, pk: str) -> Page:
        """The form for an existing row."""
        item = self._find(pk)
        if not self.may_edit(item):
            abort(403)
        if request.method == "POST":
            seen = request.form.get("seen", "")
            form = self.edit_form.refresh(request.form)
            form._id = self.datamodel.get_pk_value(item)
            if form.validate():
                if self._try(form, lambda: self._change(item, form, seen)) is not _REFUSED:
                    g.saved_row = item
                    flash(f"{self.show_title} saved.", "success")
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
        """Delete a row, after the dialog."""
        item = self._find(pk)
        if not self.may_delete(item):
            abort(403)
        name = str(item)
        if self._try(None, lambda: self.remove(item)) is _REFUSED:
            return redirect(errors.back(self.address("list")), code=303)
        flash(f"“{name}” is deleted.", "success")
        return self.post_delete_redirect()

    @expose("/action/<string:name>/<pk>", methods=["POST"])
    def action(self, name: str, pk: str) -> Page:
        """An action on one row."""
        chosen = self._allowed_action(name)
        if not chosen.single:
            abort(404)
        return self._run(chosen, self._find(pk))

    @expose("/action_post", methods=["POST"])
    def action_post(self) -> Page:
        """An action on the selected rows."""
        chosen = self._allowed_action(request.form.get("action", ""))
        if not chosen.multiple:
            abort(404)
        keys = request.form.getlist("rowid")[: max(PAGE_SIZES)]
        if not keys:
            return self.to_list("Select at least one row first.", "warning")
        return self._run(chosen, [self._find(pk) for pk in keys])

    @expose("/lookup/<name>", methods=["GET"])
    @has_access
    @permission_name("list")
    def lookup(self, name: str) -> Response:
        """Suggestions for a search-select: ``[{"id", "text"}]``."""
        if name not in self.lookups:
            abort(404)
        related = self.datamodel.get_related_interface(name)
        found = related.matching(self.lookups[name], request.args.get("q", "").strip()[:100], 20)
        return jsonify([{"id": related.get_pk_value(row), "text": str(row)} for row in found])

    # -- inside ----------------------------------------------------------------------------------

    def _find(self, pk: str) -> Any:
        try:
            key = strict_json.parse(pk) if self.datamodel.is_pk_composite() else pk
        except ValueError:
            abort(404)
        item = self.datamodel.get(key, self._base_filters)
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

    def _change(self, item: Any, form: Any, seen: str) -> None:
        self.hold(item)
        now = self._fingerprint(item)
        stale.check(form, self.edit_columns, seen=seen, now=now, noun=self.noun or "record")
        self.change(item, form)

    def _fingerprint(self, item: Any) -> str:
        return stale.fingerprint(item, self.edit_columns)

    def _refused_field(self, form: Any, name: str | None) -> Any | None:
        if form is None or not name:
            return None
        for candidate in (name, f"{name}_minor", f"is_{name}", name.removesuffix("_id")):
            if candidate in form:
                return form[candidate]
        return None

    def _allowed_action(self, name: str) -> ActionItem:
        chosen = (self.actions or {}).get(name)
        if chosen is None:
            abort(404)
        permission = self.get_action_permission_name(name)
        if not self.appbuilder.sm.has_access(permission, self.class_permission_name):
            abort(403)
        return chosen

    def _run(self, chosen: ActionItem, items: Any) -> Page:
        answer: Page = chosen.func(items)
        return answer

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
        back = self.address("list") if self.allows("list") else "/admin/"
        if item is not None and self.allows("show"):
            back = self.address("show", pk=self.key(item))
        return self.page(
            template,
            title=title if item is None else f"{title}: {item}",
            form=form,
            sections=sections,
            kind=kind,
            item=item,
            back=back,
            seen=seen,
            **self.extra(kind, item),
        )

    def _get_list_widget(
        self,
        filters: Any,
        actions: Any = None,
        order_column: str = "",
        order_direction: str = "",
        page: int | None = None,
        page_size: int | None = None,
        widgets: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        page, page_size = page or 0, page_size or self.page_size
        if not order_column and self.base_order:
            order_column, order_direction = self.base_order
        joined = filters.get_joined_filters(self._base_filters)
        count, items = self.datamodel.query(
            joined, order_column, order_direction, page=page, page_size=page_size
        )
        listing = self.list_widget(
            view=self,
            columns=[(name, self.label_columns[name]) for name in self.list_columns],
            rows=shown.rows(self, items),
            order=(order_column, order_direction),
            order_links=self._order_links(order_column, order_direction),
            page=page,
            page_size=page_size,
            pages=max(1, -(-count // page_size)),
            count=count,
            narrowed=bool(filters.filters),
            page_links=self._page_links(page, max(1, -(-count // page_size))),
            **kwargs,
        )
        return (widgets or {}) | {"list": listing}

    def _get_show_widget(
        self,
        pk: Any,
        item: Any,
        widgets: dict[str, Any] | None = None,
        actions: Any = None,
        show_fieldsets: Any = None,
    ) -> dict[str, Any]:
        declared = show_fieldsets or self.show_fieldsets or [("", {"fields": self.show_columns})]
        sections = shown.facts(self, item, declared)
        return (widgets or {}) | {"show": self.show_widget(view=self, sections=sections)}


class _Refused:
    """Stands for “the operation said no”, which None cannot."""


_REFUSED = _Refused()
