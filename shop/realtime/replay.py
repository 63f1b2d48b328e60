"""What was said before: the numbers of broadcasts, and those that a returning client missed."""

from dataclasses import dataclass

from sqlalchemy import func, select

from shop.core.broadcasts import Broadcast
from shop.core.db import session
from shop.realtime import limits
from shop.realtime.hub import event_frame

_KEPT = select(
    select(func.min(Broadcast.seq)).scalar_subquery(),
    select(func.max(Broadcast.seq)).scalar_subquery(),
)


@dataclass(frozen=True, slots=True)
class Kept:
    """The first and last number of the broadcasts that are kept; zeros when there are none."""

    first: int
    last: int

    def covers(self, since: int) -> bool:
        """Whether everything after ``since`` is still kept (and ``since`` is a number of ours)."""
        return self.first - 1 <= since <= self.last


def kept() -> Kept:
    """What can be replayed now. One statement, two index look-ups.

    The relay makes numbers visible in their order, so nothing at or below ``last`` appears later.
    """
    row = session.execute(_KEPT).one()
    return Kept(row[0] or 0, row[1] or 0)


def missed(name: str, *, since: int, until: int) -> list[bytes] | None:
    """News of ``name`` after ``since`` up to ``until``, as frames; None if there are too many."""
    rows = session.execute(
        select(Broadcast.seq, Broadcast.topic, Broadcast.type, Broadcast.data, Broadcast.at)
        .where(Broadcast.topic == name, Broadcast.seq > since, Broadcast.seq <= until)
        .order_by(Broadcast.seq)
        .limit(limits.MAX_REPLAY + 1)
    ).mappings()
    news = [event_frame({**row, "at": row["at"].isoformat()}) for row in rows]
    return news if len(news) <= limits.MAX_REPLAY else None
