"""What a person has to look at. Open until somebody, or the event that ends it, closes it."""

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from shop.core import actor, clock
from shop.core.db import session
from shop.core.errors import NotFound
from shop.core.events import emit
from shop.core.i18n import gettext as _
from shop.payments.events import TaskClosed, TaskOpened
from shop.payments.models import Task


def open_task(
    kind: str, reference: str, sentence: str, *, order_id: int | None, again: bool = False
) -> None:
    """Ask a person to look at something; once per kind and reference, unless it is ``again``
    something to look at, in other words. ``sentence`` is stored, so it is in English whoever
    reads it: not from gettext."""
    asked = insert(Task).values(
        kind=kind, reference=reference, sentence=sentence, order_id=order_id
    )
    reopened = {"sentence": sentence, "opened_at": clock.now(), "closed_at": None, "closed_by": ""}
    task_id = session.scalar(
        (
            asked.on_conflict_do_update(index_elements=["kind", "reference"], set_=reopened)
            if again
            else asked.on_conflict_do_nothing()
        ).returning(Task.id)
    )
    if task_id is not None:
        emit(TaskOpened(task_id=task_id, order_id=order_id, sentence=sentence))


def close_task(task_id: int) -> None:
    """Somebody looked at it. Raises ``NotFound``."""
    task = session.get(Task, task_id, with_for_update=True)
    if task is None:
        raise NotFound(_("Task not found."))
    _close(task)


def close_about(kind: str, reference: str) -> None:
    """What it asked for has happened by itself."""
    task = session.scalar(
        select(Task).where(Task.kind == kind, Task.reference == reference).with_for_update()
    )
    if task is not None:
        _close(task)


def _close(task: Task) -> None:
    if task.closed_at is None:
        task.closed_at, task.closed_by = clock.now(), actor.current().name
        emit(TaskClosed(task_id=task.id, order_id=task.order_id))
