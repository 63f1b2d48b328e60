"""What follows events, in workers: what waits, what failed for good, and another try."""

from flask import flash, redirect
from flask_appbuilder import expose
from flask_appbuilder.security.decorators import has_access
from sqlalchemy import func, select

from shop.admin import errors
from shop.admin.base import Page
from shop.admin.desk import PER_PAGE, Desk, existing
from shop.core import queue, reaction_runs, relay
from shop.core.db import session, transaction
from shop.core.events import EventRecord
from shop.core.reaction_runs import ReactionRun

REFUSED_SHOWN = 20
STATES = {"": "Waiting", "dead": "Failed for good", "done": "Done"}


class JobsView(Desk):
    """Reactions to events as rows: due, dead or done."""

    route_base = "/admin/jobs"
    default_view = "list"
    search_by = ()

    @expose("/")
    @expose("/list/")
    @has_access
    def list(self) -> Page:
        """The jobs of one state, the next or latest first."""
        tab, page = self.asked("tab", STATES), self.page_number()
        state = tab or "due"
        order = ReactionRun.due_at if state == "due" else ReactionRun.id.desc()
        rows = session.execute(
            select(
                ReactionRun.id,
                ReactionRun.reaction,
                ReactionRun.attempts,
                ReactionRun.due_at,
                ReactionRun.done_at,
                ReactionRun.error,
                EventRecord.type,
                EventRecord.order_id,
                EventRecord.occurred_at,
            )
            .join(EventRecord, EventRecord.id == ReactionRun.event_id)
            .where(ReactionRun.state == state)
            .order_by(order)
            .limit(PER_PAGE)
            .offset((page - 1) * PER_PAGE)
        ).all()
        counted = select(ReactionRun.state, func.count()).group_by(ReactionRun.state)
        counts: dict[str, int] = {row[0]: row[1] for row in session.execute(counted)}
        total = counts.get(state, 0)
        pages = max(1, -(-total // PER_PAGE))
        return self.page(
            "admin/jobs/list.html",
            title="Jobs",
            rows=rows,
            total=total,
            number_of_page=page,
            per_page=PER_PAGE,
            pages=pages,
            links=self.page_links(pages),
            tabs=self.tab_links(STATES, counts | {"": counts.get("due", 0)}, tab),
            refused=queue.refused_jobs(limit=REFUSED_SHOWN),
            lag_s=relay.lag_s(),
            most=reaction_runs.MAX_ATTEMPTS,
            may_retry=self.may("can_retry") and state == "dead",
        )

    @expose("/<int:pk>/retry", methods=["POST"])
    @has_access
    def retry(self, pk: int) -> Page:
        """Give a job that failed for good another round."""
        with transaction():
            reaction_runs.retry(existing(pk))
        flash("The job is due again; a worker takes it within seconds.", "success")
        return redirect(errors.back(self.address("list")), code=303)
