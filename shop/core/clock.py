"""The one clock. Time zone: always UTC; screens convert. Tests set it with ``freeze``."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from shop.core.errors import Invalid
from shop.core.i18n import gettext as _

# Near the years 1 and 9999 a date cannot be shown on another zone's clock, nor read back.
YEARS = range(2000, 3000)
_frozen: ContextVar[datetime | None] = ContextVar("frozen_clock", default=None)


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return _frozen.get() or datetime.now(UTC)


def epoch_s() -> float:
    """Seconds since 1970, by the clock that other programs stamp their things with: files, Stripe's
    signatures, limits in Redis. ``freeze`` does not stop it."""
    return time.time()


def check_year(moment: datetime | None, field: str) -> None:
    """Raise ``Invalid`` for a date that somebody typed and that no shop can mean."""
    if moment is not None and moment.year not in YEARS:
        sentence = _("A date lies between %(first)s and %(last)s.", first=YEARS[0], last=YEARS[-1])
        raise Invalid(sentence, field=field)


@contextmanager
def freeze(moment: datetime) -> Iterator[None]:
    """Let ``now()`` answer ``moment`` inside the block; for tests and for telling old stories."""
    token = _frozen.set(moment)
    try:
        yield
    finally:
        _frozen.reset(token)
