"""The forms of a record: one way to save, whatever the form.

What was sent is checked, then written under the record's lock in one transaction, merged with what
somebody else saved since the form was opened (conflicts.py). A refusal is shown at its field, with
everything that was typed, and answers 422, so that a script can tell it from a page that was saved.
Afterwards one is on the record's page, or in the list as it was left.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from flask import Response, abort, flash, g, redirect, request
from flask_appbuilder import expose
from flask_appbuilder.security.decorators import has_access
from sqlalchemy.exc import DBAPIError
from werkzeug.wrappers import Response as WerkzeugResponse

from shop.admin.framework import conflicts, errors
from shop.admin.framework.conflicts import Conflicts
from shop.admin.framework.errors import Stale
from shop.admin.framework.list_pages import ListPages
from shop.admin.framework.parts import Attempt, Part
from shop.admin.framework.screens import Page
from shop.core.db import transaction
from shop.core.errors import DomainError
from shop.core.i18n import gettext as _


class FormPages(ListPages):
    """The forms for the records of a table."""

    # Where a form shows the refusals of fields that it has under another name.
    shown_at: ClassVar[dict[str, str]] = {}

    # -- hooks: the form -------------------------------------------------------------------------

    def make_form(self, item: Any = None, *, sent: bool = False) -> Any:
        """The form for ``item``, or for a new record: as it was sent, else as the record is.
        Override it for a form that is written by hand."""
        kind = self.add_form if item is None else self.edit_form
        form = kind() if sent else kind(formdata=None, obj=item)
        if item is not None:
            form._id = self.key(item)
            if not sent:
                self.prefill_form(form, item)
        return form

    def form_extra(self, form: Any, item: Any) -> dict[str, Any]:
        """Further values for the page of a form, beside those of ``extra``."""
        return {}

    def form_back(self, item: Any) -> str:
        """Where “Cancel” leads: to the record's page, else to the list as it was left."""
        if item is not None and self.allows("show"):
            return self.record_address("show", item)
        return self.list_address() if self.allows("list") else "/admin/"

    def refused_field(self, form: Any, name: str) -> str | None:
        """The field of ``form`` at which a refusal of the field ``name`` is shown."""
        known = self.shown_at.get(name, name)
        likely = (known, f"{name}_minor", f"is_{name}", name.removesuffix("_id"))
        return next((one for one in likely if one in form), None)

    # -- hooks: what is written, inside one transaction ------------------------------------------

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

    # -- hooks: afterwards -----------------------------------------------------------------------

    def said(self, kind: str, item: Any) -> str:
        """What is said once a record was added or saved; ``kind`` is add or edit."""
        record = self.show_title.capitalize()
        return (
            _("%(record)s added.", record=record)
            if kind == "add"
            else _("%(record)s saved.", record=record)
        )

    def post_add_redirect(self) -> WerkzeugResponse:
        """After adding: the new row's page, else the list."""
        item = g.get("saved_row")
        href = self.row_href(item) if item is not None and self.allows("show") else None
        return redirect(href or self.list_address(), code=303)

    def post_edit_redirect(self) -> WerkzeugResponse:
        """After editing: the row's page, else the list."""
        return self.post_add_redirect()

    # -- pages -----------------------------------------------------------------------------------

    @expose("/add", methods=["GET", "POST"])
    @has_access
    def add(self) -> Page:
        """The form for a new record."""
        form = self.make_form(sent=request.method == "POST")
        if request.method == "POST" and form.validate():
            saved = self._try(form, lambda: self.create(form))
            if saved is not REFUSED:
                return self._saved("add", saved)
        return self.form_page("add", form)

    @expose("/edit/<pk>", methods=["GET", "POST"])
    @has_access
    def edit(self, pk: str) -> Page:
        """The form for an existing record."""
        item = self._find(pk)
        if not self.may_edit(item):
            abort(403)
        if request.method != "POST":
            return self.form_page("edit", self.make_form(item), item)
        form = self.make_form(item, sent=True)
        seen = request.form.get("seen", "")
        if form.validate():
            if self._try(form, lambda: self._merge_and_change(item, form)) is not REFUSED:
                return self._saved("edit", item)
            if g.get("was_stale"):
                # Now the person knows: saving once more replaces what is there.
                seen = conflicts.fingerprint(self.make_form(item))
        return self.form_page("edit", form, item, seen=seen)

    def form_page(
        self,
        kind: str,
        form: Any,
        item: Any = None,
        *,
        seen: str | None = None,
        attempt: Attempt | None = None,
    ) -> Page:
        """The page of a form. ``seen`` is what the form was made from, if that is not what it
        shows; ``attempt`` says which part of the page was refused."""
        is_new = kind == "add"
        title = self.add_title if is_new else self.edit_title
        values = {
            "title": title
            if item is None
            else _("%(title)s: %(record)s", title=title, record=item),
            "form": form,
            "sections": self._sections(kind, form),
            "kind": kind,
            "item": item,
            "back": self.form_back(item),
            "seen": conflicts.fingerprint(form) if seen is None and item is not None else seen,
            "attempt": attempt or Attempt(),
        }
        more = self.extra(kind, item) | self.form_extra(form, item)
        page = self.page(self.add_template if is_new else self.edit_template, **values | more)
        return Response(page, 422) if request.method == "POST" else page

    def save_part(self, pk: Any, part: Part) -> Page:
        """Save one part of a record's page, and open the page there; a refusal shows there, and
        what was typed stays."""
        item = self._find(pk)
        try:
            with transaction():
                self.hold(item)
                shown = part.shown(item)
                conflicts.check_merged(shown, request.form, noun=self.noun)
                part.save(item, conflicts.merged(shown, request.form))
        except (DomainError, DBAPIError) as error:
            refusal = error if isinstance(error, DomainError) else errors.explain(error)
            if errors.wants_json():
                raise refusal from None
            return self._part_refused(self._find(pk), part, refusal)
        flash(_("Saved."), "success")
        address = self.record_address("edit", item)
        return redirect(f"{address}#{part.anchor}" if part.anchor else address, code=303)

    # -- inside ----------------------------------------------------------------------------------

    def _saved(self, kind: str, item: Any) -> WerkzeugResponse:
        g.saved_row = item
        flash(self.said(kind, item), "success")
        return self.post_add_redirect() if kind == "add" else self.post_edit_redirect()

    def _merge_and_change(self, item: Any, form: Any) -> None:
        self.hold(item)
        now, seen = self.make_form(item), request.form.get("seen", "")
        conflicts.merge(form, now, seen=seen, noun=self.noun or _("record"))
        self.change(item, form)

    def _part_refused(self, item: Any, part: Part, refusal: DomainError) -> Page:
        flaws = {refusal.field: refusal.sentence} if refusal.field else {}
        if isinstance(refusal, Conflicts):
            flaws |= refusal.fields
        typed = conflicts.merged(part.shown(item), request.form)
        attempt = Attempt(part.name, refusal.sentence, typed, flaws)
        return self.form_page("edit", self.make_form(item), item, attempt=attempt)

    def _try(self, form: Any, work: Callable[[], Any]) -> Any:
        """Run ``work`` in a transaction; a refusal becomes words at its field, or above the form,
        or a message where there is no form."""
        try:
            with transaction():
                return work()
        except DBAPIError as error:
            refusal = errors.explain(error)
        except DomainError as error:
            refusal = error
        if form is None:
            flash(refusal.sentence, "danger")
            return REFUSED
        name = self.refused_field(form, refusal.field) if refusal.field else None
        if name:
            form[name].errors = [*form[name].errors, refusal.sentence]
        else:
            form.form_errors.append(refusal.sentence)
        if isinstance(refusal, Conflicts):
            for marked, sentence in refusal.fields.items():
                form[marked].errors = [*form[marked].errors, sentence]
        g.was_stale = isinstance(refusal, Stale)
        return REFUSED

    def _sections(self, kind: str, form: Any) -> list[tuple[str, list[Any]]]:
        columns, fieldsets = (
            (self.add_columns, self.add_fieldsets)
            if kind == "add"
            else (self.edit_columns, self.edit_fieldsets)
        )
        return [
            (heading, [form[name] for name in options["fields"] if name in form])
            for heading, options in (fieldsets or [("", {"fields": columns})])
        ]


class _Refused:
    """Stands for “the operation said no”, which None cannot."""


REFUSED = _Refused()
