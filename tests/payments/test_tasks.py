"""What a person has to look at."""

from sqlalchemy import func, select

from shop.core.db import transaction
from shop.payments.models import Task
from shop.payments.tasks import open_task
from tests.cast import Cast


def test_a_task_is_opened_once(cast: Cast) -> None:
    with transaction() as session:
        for _ in range(2):
            open_task("kind", "1", "Look.", order_id=None)
        assert session.scalar(select(func.count()).select_from(Task)) == 1
