"""The history of a record: who changed what and when, and the way back to what a field was.

Every view whose table is audited has it without a word, for whoever has ``can_history``. A value is
restored by the form that edits the record and the operation behind it, so that the same rules hold
as for typing it.
"""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

from flask import abort, flash, redirect, request
from flask_appbuilder import expose
from flask_appbuilder.security.decorators import has_access, permission_name
from flask_appbuilder.security.sqla import models as fab
from sqlalchemy import Numeric, inspect

from shop import audit
from shop.admin.framework import conflicts, entries
from shop.admin.framework.form_pages import REFUSED, FormPages
from shop.admin.framework.screens import Page
from shop.audit import AuditAction, AuditEntry, Change
from shop.core.db import Base
from shop.core.i18n import gettext as _

METADATA = (Base.metadata, fab.Model.metadata)


class HistoryPages(FormPages):
    """The history of a table's records."""

    @expose("/history/<pk>", methods=["GET"])
    @has_access
    def history(self, pk: str) -> Page:
        """Who changed this record and its parts, newest first."""
        item = self._find(pk)
        below = request.args.get("below", "")
        if below and not (below.isascii() and below.isdecimal() and len(below) < 19):
            abort(400)
        found = audit.history(self._table, pk, before=int(below) if below else None)
        newest = found[: audit.PAGE]
        return self.page(
            "admin/framework/history.html",
            title=_("History of %(record)s", record=item),
            item=item,
            pk=pk,
            shown=list(self._as_shown(newest, item)),
            older=newest[-1].id if len(found) > len(newest) else None,
            start="" if not below else self.address("history", pk=pk, **self.list_arguments()),
            back=self._way_back(item),
        )

    @expose("/history/<pk>/restore", methods=["POST"])
    @has_access
    @permission_name("history")
    def restore(self, pk: str) -> Page:
        """Set one field back to what it was before an entry, for whoever may edit the record."""
        item = self._find(pk)
        if not self.allows("edit") or not self.may_edit(item):
            abort(403)
        field, number = request.form.get("field", ""), request.form.get("entry", "")
        back = redirect(self.address("history", pk=pk, **self.list_arguments()), code=303)
        form = self.make_form(item)
        is_number = number.isascii() and number.isdecimal() and len(number) < 19
        entry = audit.entry(int(number)) if is_number else None
        change = next((one for one in self._changes(entry) if one.field == field), None)
        if entry is None or change is None or not self._restores(entry, change, item, form):
            flash(_("This value cannot be restored."), "danger")
            return back
        if self._try(None, lambda: self._set_back(item, change)) is not REFUSED:
            label = self._label(entry.record_type, field, form)
            flash(_("%(field)s is restored.", field=label), "success")
        return back

    # -- inside ----------------------------------------------------------------------------------

    @property
    def _table(self) -> str:
        return str(self.datamodel.obj.__tablename__)

    def _way_back(self, item: Any) -> str:
        method = "show" if self.allows("show") else "edit"
        return self.record_address(method, item) if self.allows(method) else self.list_address()

    def _changes(self, entry: AuditEntry | None) -> list[Change]:
        if entry is None:
            return []
        return audit.changes([entry], METADATA)[entry.id]

    def _as_shown(self, found: list[AuditEntry], item: Any) -> Iterator[entries.Shown]:
        changes = audit.changes(found, METADATA)
        form = self.make_form(item)
        for entry in found:
            yield entries.shown(
                entry,
                changes[entry.id],
                label=partial(self._label, entry.record_type, form=form),
                restores=partial(self._restores, entry, item=item, form=form),
                currency=getattr(item, "currency", None),
                is_part=entry.record_type != self._table,
            )

    def _label(self, record_type: str, field: str, form: Any) -> str:
        """What the form calls the field, else its name as words."""
        if record_type == self._table and field in form:
            return str(form[field].label.text)
        return entries.words_of(field)

    def _restores(self, entry: AuditEntry, change: Change, item: Any, form: Any) -> bool:
        """Whether a person may set this field back: by the form, and only to another value."""
        is_own = (entry.record_type, entry.record_id) == (self._table, str(self.key(item)))
        if not is_own or entry.action is not AuditAction.UPDATE or change.is_secret:
            return False
        known = inspect(self.datamodel.obj).column_attrs  # a column may be gone since
        if change.field not in form or change.field not in known:
            return False
        if change.is_erased or not isinstance(change.before, str | int | float | None):
            return False
        if not self.allows("edit") or not self.may_edit(item):
            return False
        now = getattr(item, change.field, None)
        return not isinstance(now, datetime | date) and now != self._typed(change)

    def _typed(self, change: Change) -> Any:
        """The value before a change, as the model holds it: JSON knows no decimals."""
        column = inspect(self.datamodel.obj).column_attrs[change.field].columns[0]
        if isinstance(column.type, Numeric) and change.before is not None:
            return Decimal(str(change.before))
        return change.before

    def _set_back(self, item: Any, change: Change) -> None:
        self.hold(item)
        form = self.make_form(item)
        conflicts.put(form[change.field], self._typed(change))
        self.change(item, form)
