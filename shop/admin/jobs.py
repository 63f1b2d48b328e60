"""What follows events, in workers: what waits, what failed for good, and another try."""

from typing import Any

from sqlalchemy import Select, select

from shop.admin.framework import Action, Code, LinkTo, Moment, Number, Tab, Table, Text, View
from shop.core import queue, reaction_runs, relay
from shop.core.events import EventRecord
from shop.core.i18n import lazy_gettext, lazy_ngettext
from shop.core.reaction_runs import ReactionRun, ReactionState

REFUSED_SHOWN = 20


class JobsView(View):
    """Reactions to events as rows: due, dead or done."""

    route_base = "/admin/jobs"
    datamodel = Table(ReactionRun)
    noun = lazy_gettext("job")
    plural = lazy_gettext("Jobs")
    pages = ()
    intro = lazy_gettext(
        "What follows an event: emails, refunds, image sizes. A job is tried %(count)s times.",
        count=reaction_runs.MAX_ATTEMPTS,
    )
    columns = (
        Text(
            "reaction",
            lazy_gettext("Job"),
            show=lambda value, row: value.replace("_", " ").capitalize(),
        ),
        LinkTo(
            "type",
            lazy_gettext("Event"),
            sql=EventRecord.type,
            endpoint="OrdersView.show",
            key="order_id",
            card="end",
        ),
        Number("attempts", lazy_gettext("Attempts")),
        Moment("occurred_at", lazy_gettext("Happened"), sql=EventRecord.occurred_at),
        Text("error", lazy_gettext("Last error")),
        Moment("due_at", lazy_gettext("Due"), shown=False),
        Moment("done_at", lazy_gettext("Done"), shown=False),
        Code("order_id", lazy_gettext("Order"), sql=EventRecord.order_id, shown=False),
    )
    needed = ("order_id",)
    search = ("reaction", "error")
    search_hint = lazy_gettext("Job or error")
    sort = "due_at"
    tabs = (
        Tab("due", lazy_gettext("Waiting"), ReactionRun.state == ReactionState.DUE),
        Tab("dead", lazy_gettext("Failed"), ReactionRun.state == ReactionState.DEAD),
        Tab("done", lazy_gettext("Done"), ReactionRun.state == ReactionState.DONE),
    )
    row_actions = (
        Action(
            "retry",
            lazy_gettext("Retry"),
            lambda run: reaction_runs.retry(run.id),
            lazy_gettext("%(name)s will be retried."),
            lazy_ngettext("%(num)s job will be retried.", "%(num)s jobs will be retried."),
            icon="refresh-cw",
            in_row=True,
            applies=lambda run: run.state == ReactionState.DEAD,
        ),
    )
    empty_words = (lazy_gettext("Nothing here"), lazy_gettext("Most jobs finish within a second."))
    list_template = "admin/jobs/list.html"

    def query(self) -> Select[Any]:
        return select(ReactionRun).join(EventRecord, EventRecord.id == ReactionRun.event_id)

    def extra(self, kind: str, item: Any = None) -> dict[str, Any]:
        if kind != "list":
            return {}
        lag_s = relay.lag_s()
        return {
            "refused": queue.refused_jobs(limit=REFUSED_SHOWN),
            "lag_s": lag_s,
            "lag_minutes": int(lag_s // 60),
        }
