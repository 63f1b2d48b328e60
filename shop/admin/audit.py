"""The audit: everything that people of the staff, programs and the shop itself have changed."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, ClassVar

from flask_appbuilder import expose
from flask_appbuilder.security.decorators import has_access
from flask_appbuilder.security.sqla.models import User
from markupsafe import Markup, escape
from sqlalchemy import ColumnElement, and_, func, select

from shop import audit
from shop.admin.framework import (
    Choice,
    DateRange,
    Listed,
    Moment,
    Page,
    Relation,
    Status,
    Table,
    Text,
    TextIs,
    View,
)
from shop.admin.framework.entries import ACTIONS, SOURCES, record_words, shown, words_of
from shop.admin.framework.history_pages import METADATA
from shop.audit import AuditEntry
from shop.core.i18n import lazy_gettext, ngettext

MAX_NAMED = 4
SLACK = timedelta(minutes=1)


class Changed(TextIs):
    """Entries in which this field changed."""

    def condition(self, value: str) -> Any:
        return AuditEntry.fields.contains([value.strip().lower().replace(" ", "_")])


class Days(DateRange):
    """Entries of some days. Their numbers grow with time: by the first and the last of them,
    Postgres need not look at other days. Number and time are given at once, give or take a little.
    """

    def condition(self, value: tuple[date | None, date | None]) -> ColumnElement[bool]:
        first, last = value
        ends = [super().condition(value)]
        if first is not None:
            ends.append(AuditEntry.id >= _number_at(self._midnight(first) - SLACK, is_first=True))
        if last is not None:
            end = self._midnight(last + timedelta(days=1)) + SLACK
            ends.append(AuditEntry.id <= _number_at(end, is_first=False))
        return and_(*ends)


def _number_at(moment: datetime, *, is_first: bool) -> Any:
    """The number of the first entry since then, or the last one until then; 0 if there is none."""
    at = AuditEntry.at
    found = select(AuditEntry.id).where(at >= moment if is_first else at <= moment)
    found = found.order_by(at if is_first else at.desc()).limit(1)
    return func.coalesce(found.scalar_subquery(), 0)


def _who(name: Any, row: Listed) -> str:
    return str(name or row.item.actor_kind.capitalize())


def _where(row: Listed) -> str:
    source = str(SOURCES.get(row.item.source, row.item.source))
    return f"{source} · {row.item.address}" if row.item.address else source


def _record(_value: Any, row: Listed) -> str:
    if not row.item.record_type:
        return str(row.item.details.get("path", ""))
    return f"{record_words(row.item.record_type)} {row.item.label or row.item.record_id}".strip()


def _fields(fields: Sequence[str], _row: Listed) -> Markup:
    more = len(fields) - MAX_NAMED
    words = ", ".join(words_of(field) for field in sorted(fields)[:MAX_NAMED])
    if more <= 0:
        return escape(words)
    return escape(words) + " " + escape(ngettext("and %(num)s more", "and %(num)s more", more))


class AuditView(View):
    """All audit entries, newest first."""

    route_base = "/admin/audit"
    datamodel = Table(AuditEntry)
    noun = lazy_gettext("audit entry")
    plural = lazy_gettext("Audit log")
    intro = lazy_gettext(
        "Who changed what, when and from where. Entries cannot be edited or deleted."
    )
    pages = ()
    columns = (
        Moment("at", lazy_gettext("Time"), sorts=AuditEntry.id),
        Text("actor_name", lazy_gettext("Who"), show=_who, aside=_where, sorts=False),
        Status("action", words=ACTIONS, card="end", sorts=False),
        Text("label", lazy_gettext("Record"), show=_record, card="title", sorts=False),
        Text("fields", lazy_gettext("What changed"), show=_fields, sorts=False),
        Text("request_id", lazy_gettext("Request"), shown=False, sorts=False),
    )
    sort = "-at"
    more_filters = (
        Relation(
            "person",
            lazy_gettext("Staff member"),
            model=User,
            searched=(User.first_name, User.last_name, User.email),
            matches=lambda pk: and_(AuditEntry.actor_kind == "staff", AuditEntry.actor_id == pk),
        ),
        TextIs("record_id", lazy_gettext("Record number"), sql=AuditEntry.record_id),
        Days("at", lazy_gettext("Time"), sql=AuditEntry.at),
        Changed("field", lazy_gettext("Field"), sql=AuditEntry.fields),
        Choice("source", lazy_gettext("From"), sql=AuditEntry.source, options=SOURCES),
    )
    empty_words: ClassVar[tuple[str, str]] = (
        lazy_gettext("No entries yet"),
        lazy_gettext("Entries appear when something is changed, or somebody signs in."),
    )

    def __init__(self, **kwargs: Any) -> None:
        # Only now is every table known.
        kinds = {one.table: record_words(one.table) for one in audit.covered(*METADATA)}
        kind = Choice(
            "record_type",
            lazy_gettext("Kind of record"),
            sql=AuditEntry.record_type,
            options=dict(sorted(kinds.items(), key=lambda one: one[1])),
        )
        self.more_filters = (*type(self).more_filters, kind)  # type: ignore[assignment, misc]
        super().__init__(**kwargs)

    @expose("/show/<int:pk>", methods=["GET"])
    @has_access
    def show(self, pk: int) -> Page:
        """One entry, field by field."""
        entry = self._find(str(pk))
        changes = audit.changes([entry], METADATA)[entry.id]
        return self.page(
            "admin/audit/show.html",
            title=_record(None, Listed(entry, {})) or self.show_title.capitalize(),
            one=shown(entry, changes, label=words_of),
            where=_where(Listed(entry, {})),
            history=self._history_of(entry),
        )

    def _history_of(self, entry: AuditEntry) -> str:
        """The history of the entry's record, or of what it is a part of; empty where none is."""
        views = [view for view in self.appbuilder.baseviews if isinstance(view, View)]
        about = (entry.record_type, entry.record_id), (entry.parent_type, entry.parent_id)
        for table, pk in about:
            for view in views:
                of_it = view.datamodel.obj.__tablename__ == table
                if of_it and view.datamodel.may_exist(pk) and view.allows("history"):
                    return view.address("history", pk=pk)
        return ""
