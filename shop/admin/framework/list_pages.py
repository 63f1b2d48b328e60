"""The pages of a list: the list itself, one of its rows, suggestions for its filters."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from flask import Response, abort, flash, jsonify, redirect, request, stream_with_context
from flask_appbuilder import expose
from flask_appbuilder.security.decorators import has_access, permission_name
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as WerkzeugResponse

from shop import audit
from shop.admin.framework import actions, errors, exports, list_state, listing, shown
from shop.admin.framework.columns import Column, Listed
from shop.admin.framework.declaration import Declaration
from shop.admin.framework.filters import Relation
from shop.admin.framework.list_state import ListState
from shop.admin.framework.listing import ListPage
from shop.admin.framework.screens import Page, once_a_request
from shop.core import clock
from shop.core.db import transaction
from shop.core.i18n import gettext as _

# Inside ListPages the name ``list`` is the page; annotations there use this.
Items = list[Any]
OLD_ARGUMENTS = ("_oc_", "_od_", "page_", "psize_", "_flt_")


class ListPages(Declaration):
    """A table's list."""

    # -- hooks -------------------------------------------------------------------------------------

    def load(self, state: ListState) -> ListPage:
        """One page of the list."""
        return listing.load(self, state)

    def completed(self, rows: Items) -> Items:
        """Rows as they were read, with what SQL cannot say of them; ``rows`` are ``Listed``."""
        return rows

    def matching_keys(self, state: ListState, limit: int) -> Items:
        """The keys of all rows that match, whatever their page, in the list's order."""
        return listing.keys(self, state, limit)

    def exported_columns(self, state: ListState) -> Sequence[Column]:
        """The columns of an exported file: those on the screen."""
        return [self.column(name) for name in state.columns]

    def row_attributes(self, row: Listed) -> dict[str, Any]:
        """``data-`` attributes of a row, for scripts; None leaves one out."""
        return {}

    def row_href(self, item: Any) -> str | None:
        """Where the row's name leads: its page, else its form, else nowhere; with the list's
        address, so that the record's page knows where the person came from."""
        if self.allows("show"):
            return self.record_address("show", item)
        if self.allows("edit") and self.may_edit(item):
            return self.record_address("edit", item)
        return None

    # -- the way to a record and back --------------------------------------------------------------

    def list_arguments(self) -> dict[str, str]:
        """What of the present address belongs to the list: it is kept to a record and back, also
        by forms and buttons whose own address says nothing of it."""
        return once_a_request(f"list of {self.endpoint}", self._list_arguments)

    def _list_arguments(self) -> dict[str, str]:
        known, given = list_state.parameters(self), request.args
        came_from = urlsplit(errors.back())
        is_ours = came_from.path.startswith(f"{self.route_base}/")
        if request.method == "POST" and not given and is_ours:
            given = MultiDict(parse_qsl(came_from.query))
        return {name: text for name, text in given.items() if name in known and text}

    def record_address(self, method: str, item: Any) -> str:
        """The address of a record's page, with what belongs to the list; made once a request."""
        before, after = once_a_request(f"{self.endpoint}.{method}", lambda: self._pattern(method))
        return f"{before}{self.key(item)}{after}"

    def _pattern(self, method: str) -> tuple[str, str]:
        anybody = self.datamodel.largest_key  # its first place is in the path
        address = self.address(method, pk=anybody, **self.list_arguments())
        before, _pk, after = address.partition(str(anybody))
        return before, after

    def list_address(self) -> str:
        """The list as the person left it."""
        return self.address("list", **self.list_arguments())

    def neighbours(self, pk: Any) -> tuple[str | None, str | None]:
        """The addresses of the records above and below this one in the list it was opened from."""
        try:
            state = list_state.read(self, self.list_arguments())
        except list_state.BadAddress:
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

    # -- pages -------------------------------------------------------------------------------------

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
        state = list_state.read(self, request.args)
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
            export_links=self._export_links(found),
            max_at_once=actions.MAX_AT_ONCE,
            here=list_state.here,
            kept_arguments=list_state.kept_arguments,
            **self.extra("list"),
        )

    @expose("/row/<pk>")
    @has_access
    @permission_name("list")
    def row(self, pk: str) -> Page:
        """One line of the list, for a list that is live: empty when the record is not in it."""
        state = list_state.read(self, request.args)
        found = listing.one(self, state, self._key(pk))
        if found is None:
            return Response("", 204)
        return self.page(
            "admin/framework/_one_row.html",
            row=shown.rows(self, state, [found])[0],
            bulk=self.bulk_actions(),
            **self.extra("row"),
        )

    @expose("/export/<kind>")
    @has_access
    def export(self, kind: str) -> Page:
        """The list as a file: what is seen, all pages of it up to a limit that the page names."""
        exporter = self.exporters.get(kind) or abort(404)
        state = list_state.read(self, request.args)
        asked = request.query_string.decode(errors="replace")[:500]
        with transaction():
            audit.record(
                audit.AuditAction.EXPORT,
                record_type=self.datamodel.obj.__tablename__,
                label=str(self.list_title),
                details={"kind": kind, "asked for": asked},
            )
        answer = Response(
            stream_with_context(exporter.write(exports.lines(self, state))),
            mimetype=exporter.mimetype,
        )
        name = f"{self.route_base.rpartition('/')[2]}-{clock.now():%Y-%m-%d}.{kind}"
        answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        answer.headers["Cache-Control"] = "no-store"
        return answer

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

    # -- inside ------------------------------------------------------------------------------------

    def _export_links(self, found: ListPage) -> Items:
        """The words and addresses of this list as a file; none for whoever may not export."""
        if not found.rows or not self.allows("export"):
            return []
        asked = dict(list_state.kept_arguments())
        return [
            (
                _("Export %(kind)s", kind=exporter.label)
                if found.count <= exports.MAX_ROWS
                else _(
                    "Export %(kind)s (first %(count)s rows)",
                    kind=exporter.label,
                    count=f"{exports.MAX_ROWS:,}",
                ),
                self.address("export", kind=kind, **asked),
            )
            for kind, exporter in self.exporters.items()
        ]

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
