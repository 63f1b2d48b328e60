"""Deleting what nobody needs any more, from tables whose ids grow with time.

It begins at the oldest row and stops at the first thousand of which none is over, so that neither
an index on the time nor a look at the whole table is needed. A turn ends after a hundred thousand
rows; the next one goes on.
"""

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import InstrumentedAttribute

from shop.core.db import session, transaction

BATCH = 1000
MAX_BATCHES = 100


def forget(key: InstrumentedAttribute[int], *, is_over: ColumnElement[bool]) -> int:
    """Delete the rows that are over, each batch in a transaction of its own; gives how many."""
    after = forgotten = 0
    for _ in range(MAX_BATCHES):
        with transaction():
            rows = session.execute(
                select(key, is_over).where(key > after).order_by(key).limit(BATCH)
            ).all()
            over = [row[0] for row in rows if row[1]]
            if not over:
                break
            session.execute(delete(key.class_).where(key.in_(over)))
        after = rows[-1][0]
        forgotten += len(over)
    return forgotten
