"""The pages of a record: what it is, its forms, and its end."""

from collections.abc import Callable
from typing import Any

from flask import abort, flash, g, redirect, request
from flask_appbuilder import expose
from flask_appbuilder.security.decorators import has_access
from sqlalchemy.exc import DBAPIError
from werkzeug.wrappers import Response as WerkzeugResponse

from shop.admin.framework import conflicts, errors, shown
from shop.admin.framework.errors import Stale
from shop.admin.framework.list_pages import ListPages
from shop.admin.framework.screens import Page
from shop.core.db import transaction
from shop.core.errors import DomainError
from shop.core.i18n import gettext as _


class RecordPages(ListPages):
    """The records of a table."""

    # -- hooks: what is written, inside one transaction --------------------------------------------

    def create(self, form: Any) -> Any:
        """Make a row from a valid form, inside the transaction; gives the row."""
        item = self.datamodel.obj()
        form.populate_obj(item)
        self.datamodel.add(item)
        return item

    def change(self, item: Any, form: Any) -> None:
        """Write a valid form to ``item``, inside the transaction."""
        form.populate_obj(item)
        self.datamodel.edit(item)

    def remove(self, item: Any) -> None:
        """Delete ``item``, inside the transaction."""
        self.datamodel.delete(item)

    # -- where one gets to afterwards --------------------------------------------------------------

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

    # -- pages -------------------------------------------------------------------------------------

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

    # -- inside ------------------------------------------------------------------------------------

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
