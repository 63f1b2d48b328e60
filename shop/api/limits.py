"""Limits on guessing: per network of the caller, and per account that is tried from there.

Counted in Redis by the application's limiter; while Redis is away, in this process's memory. After
a failure Redis is left alone for a few seconds, so that requests do not wait for it one by one.
"""

import hashlib
import time
from typing import Any

from flask import current_app, request
from flask_limiter import Limiter
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from redis.exceptions import RedisError

from shop.api.errors import Refused
from shop.core import clock
from shop.core.network import network_of

REST_S = 5.0

_at_home = FixedWindowRateLimiter(MemoryStorage())
_rests_until = 0.0


def count(
    what: str, *, per_caller: str, per_account: str = "", account: str = "", device: str = ""
) -> None:
    """Count one try of ``what``. Raises 429 with ``Retry-After`` beyond ``"30 per minute"``.

    ``account`` is counted for each network that tries it, so that nobody locks its owner out from
    elsewhere; only its hash is kept. A known ``device`` has counts of its own, which nobody else in
    its network can use up.
    """
    limiter = _limiter()
    if not limiter.enabled:
        return
    where = f"device {device}" if device else network_of(request.remote_addr or "")
    _hit(limiter, parse(per_caller), what, "from", where)
    if per_account and account:
        name = hashlib.sha256(account.strip().casefold().encode()).hexdigest()
        _hit(limiter, parse(per_account), what, "for", name, where)


def _hit(limiter: Limiter, item: RateLimitItem, *names: str) -> None:
    global _rests_until
    counted: Any = _at_home if time.monotonic() < _rests_until else limiter.limiter
    try:
        within = counted.hit(item, "api", *names)
    except RedisError:
        _rests_until = time.monotonic() + REST_S
        counted = _at_home
        within = counted.hit(item, "api", *names)
    if not within:
        reset_at, _ = counted.get_window_stats(item, "api", *names)
        wait_s = max(1, int(reset_at - clock.epoch_s()) + 1)
        raise Refused(429, headers={"Retry-After": str(wait_s)})


def _limiter() -> Limiter:
    found: set[Limiter] = current_app.extensions["limiter"]
    return next(iter(found))
