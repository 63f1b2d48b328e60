"""The database: one engine, one session per thread (or greenlet), one way to commit.

Promise: whatever happens inside ``transaction()`` is committed as a whole or not at all.
Doors, jobs and procedures open it; operations never do.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, ClassVar, TypeVar, cast

from sqlalchemy import Connection, DateTime, Engine, MetaData, Table, Text, event
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Session, scoped_session, sessionmaker

from shop.core import connections, failpoints

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
# Worth another try: serialisation failure, deadlock, lock not available in time.
RETRYABLE = {"40001", "40P01", "55P03"}


class Base(DeclarativeBase):
    """Parent of every table of ours; text is ``text``, times carry their zone."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar = {
        str: Text(),
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB(),
        list[dict[str, Any]]: JSONB(),
        dict[str, str]: JSONB(),
    }


T = TypeVar("T")


def table(model: type[Base]) -> Table:
    """The table of a model: an insert that makes no object takes a quarter of the CPU."""
    return cast(Table, model.__table__)


_only_reads: ContextVar[bool] = ContextVar("only_reads", default=False)


class _Session(Session):
    """Reads of a page that only shows go without BEGIN and ROLLBACK, each statement by itself."""

    def get_bind(self, *args: Any, **options: Any) -> Engine | Connection:
        chosen = super().get_bind(*args, **options)
        if _reader is not None and chosen is _engine and self._just_reads():
            return _reader
        return chosen

    def _just_reads(self) -> bool:
        return _only_reads.get() and not self.info.get("open")


_factory = sessionmaker(class_=_Session, expire_on_commit=False, autoflush=True)
session: scoped_session[_Session] = scoped_session(_factory)
_listeners: list[Callable[[Engine], None]] = []
_engine: Engine | None = None
_reader: Engine | None = None


def listen(listener: Callable[[Engine], None]) -> None:
    """Show every engine to ``listener`` before it is used; saying so twice is once."""
    if listener not in _listeners:
        _listeners.append(listener)


def configure(url: str, *, pool_size: int = 10, name: str = "shop") -> Engine:
    """Point the session at ``url`` (``postgresql+psycopg://…``); called once per process."""
    made = connections.make_engine(url, pool_size=pool_size, name=name)
    use(made)
    return made


def use(chosen: Engine) -> None:
    """Make ``chosen`` the engine of this process."""
    global _engine, _reader
    for listener in _listeners:
        listener(chosen)
    _engine, _reader = chosen, chosen.execution_options(isolation_level="AUTOCOMMIT")
    bind(chosen)


def bind(target: Engine | Connection) -> None:
    """Let sessions work on ``target``. On a connection that is inside a transaction, commits become
    savepoints: that is how tests roll everything back."""
    session.remove()
    _factory.configure(bind=target, join_transaction_mode="create_savepoint")


def engine() -> Engine:
    """The engine of this process. Raises ``RuntimeError`` before ``configure``."""
    if _engine is None:
        raise RuntimeError("core.db.configure() has not been called")
    return _engine


@contextmanager
def transaction(step: str = "") -> Iterator[Session]:
    """Commit on success, roll back on any error. Nesting raises ``RuntimeError``.

    ``step`` names the commit for those who test what a crash before or after it leaves.
    """
    current = session()
    if current.info.get("open"):
        raise RuntimeError("a transaction is already open: operations must not open their own")
    if current._just_reads():
        current.commit()
    current.info["open"] = True
    try:
        yield current
        if step:
            failpoints.before(step)
        current.commit()
        if step:
            failpoints.after(step)
    except BaseException:
        current.rollback()
        raise
    finally:
        current.info.pop("open", None)


def only_reads(whether: bool) -> None:
    """Say whether this request or job only shows; ``transaction()`` may change things all the same.

    A change outside of it is then refused with ``RuntimeError``. psycopg forgets its prepared
    statements with every rollback, so reading without one saves planning too.
    """
    _only_reads.set(whether)


@event.listens_for(_Session, "before_flush")
def _refuse_change(current: _Session, *_: object) -> None:
    if current._just_reads():
        raise RuntimeError("this request only shows: changes need transaction()")


def end_read() -> None:
    """Give the connection back after a read, so that nothing is open while we wait outside.

    What was loaded stays usable: only a rollback would expire it.
    """
    current = session()
    if current.info.get("open"):
        raise RuntimeError("a transaction is open: nothing outside may be called now")
    current.commit()


def retrying(work: Callable[[], T], *, attempts: int = 5) -> T:
    """Run ``work`` (which opens its own transaction) again after a lost lock or deadlock.

    Only for work that may safely run twice. The last failure is raised as it is.
    """
    for attempt in range(1, attempts + 1):
        try:
            return work()
        except DBAPIError as error:
            if sqlstate(error) not in RETRYABLE or attempt == attempts:
                raise
            time.sleep(random.uniform(0.01, 0.05) * 2**attempt)
    raise AssertionError("unreachable")


def sqlstate(error: DBAPIError) -> str:
    """The five-character SQLSTATE of a database error, or an empty string."""
    return getattr(error.orig, "sqlstate", None) or ""


def violated(error: DBAPIError) -> str:
    """The name of the constraint that a statement violated, or an empty string."""
    diagnostics = getattr(error.orig, "diag", None)
    return getattr(diagnostics, "constraint_name", None) or ""
