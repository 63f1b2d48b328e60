"""Deleting what nobody needs any more, from tables whose ids grow with time.

It begins at the oldest row and stops at the first thousand of which none is expired, so that
neither an index on the time nor a scan of the whole table is needed. A call ends after a hundred
thousand rows; the next one goes on.
"""

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import InstrumentedAttribute

from shop.core.db import session, transaction

BATCH = 1000
MAX_BATCHES = 100


def delete_expired(key: InstrumentedAttribute[int], *, is_expired: ColumnElement[bool]) -> int:
    """Delete expired rows, each batch in a transaction of its own. Returns how many."""
    after = deleted = 0
    for _ in range(MAX_BATCHES):
        with transaction():
            rows = session.execute(
                select(key, is_expired).where(key > after).order_by(key).limit(BATCH)
            ).all()
            expired = [row[0] for row in rows if row[1]]
            if not expired:
                break
            session.execute(delete(key.class_).where(key.in_(expired)))
        after = rows[-1][0]
        deleted += len(expired)
    return deleted
