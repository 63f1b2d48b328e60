"""What follows events, in workers: what waits, what failed for good, and another try."""

from typing import Any

from sqlalchemy import Select, select

from shop.admin.framework import Action, Code, LinkTo, Moment, Number, Tab, Table, Text, View
from shop.core import queue, reaction_runs, relay
from shop.core.events import EventRecord
from shop.core.reaction_runs import ReactionRun, ReactionState

REFUSED_SHOWN = 20


class JobsView(View):
    """Reactions to events as rows: due, dead or done."""

    route_base = "/admin/jobs"
    datamodel = Table(ReactionRun)
    noun = "job"
    pages = ()
    intro = (
        "What follows an event: emails, refunds, image sizes. A job is tried"
        f" {reaction_runs.MAX_ATTEMPTS} times."
    )
    columns = (
        Text("reaction", "Job", show=lambda value, row: value.replace("_", " ").capitalize()),
        LinkTo(
            "type",
            "Because of",
            sql=EventRecord.type,
            endpoint="OrdersView.show",
            key="order_id",
            card="end",
        ),
        Number("attempts", "Tries"),
        Moment("occurred_at", "Happened", sql=EventRecord.occurred_at),
        Text("error", "Last error"),
        Moment("due_at", "Due", shown=False),
        Moment("done_at", "Done", shown=False),
        Code("order_id", "Order", sql=EventRecord.order_id, shown=False),
    )
    needed = ("order_id",)
    search = ("reaction", "error")
    search_hint = "Job or error"
    sort = "due_at"
    tabs = (
        Tab("due", "Waiting", ReactionRun.state == ReactionState.DUE),
        Tab("dead", "Failed for good", ReactionRun.state == ReactionState.DEAD),
        Tab("done", "Done", ReactionRun.state == ReactionState.DONE),
    )
    row_actions = (
        Action(
            "retry",
            "Try again",
            lambda run: reaction_runs.retry(run.id),
            "is due again.",
            icon="refresh-cw",
            in_row=True,
            applies=lambda run: run.state == ReactionState.DEAD,
        ),
    )
    empty_words = ("Nothing here", "Jobs come and go within a second.")
    list_template = "admin/jobs/list.html"

    def query(self) -> Select[Any]:
        return select(ReactionRun).join(EventRecord, EventRecord.id == ReactionRun.event_id)

    def extra(self, kind: str, item: Any = None) -> dict[str, Any]:
        if kind != "list":
            return {}
        return {"refused": queue.refused_jobs(limit=REFUSED_SHOWN), "lag_s": relay.lag_s()}
