"""What was written down as having happened."""

from sqlalchemy import func, select

from shop.core.db import session
from shop.core.events import EventRecord


def count_events(kind: str) -> int:
    """How many events of this type there are."""
    return session.scalar(select(func.count()).where(EventRecord.type == kind)) or 0
