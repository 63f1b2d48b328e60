"""The one clock. Time zone: always UTC; screens convert. Tests set it with ``freeze``."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_frozen: ContextVar[datetime | None] = ContextVar("frozen_clock", default=None)


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return _frozen.get() or datetime.now(UTC)


@contextmanager
def freeze(moment: datetime) -> Iterator[None]:
    """Let ``now()`` answer ``moment`` inside the block; for tests and for telling old stories."""
    token = _frozen.set(moment)
    try:
        yield
    finally:
        _frozen.reset(token)
