"""Devices that have signed in before: whoever floods a sign-in page cannot keep their owners out.

A device is known by a signed value that a browser keeps as a cookie and a program keeps itself. It
lets nobody in. It only says that the right password was given here before, for this account, so
that the limits that strangers can exhaust (those of a network) do not count for it. A device that
guesses loses this for an hour.
"""

import hashlib
import hmac
import time
from datetime import timedelta

from itsdangerous import BadSignature, URLSafeTimedSerializer
from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from redis.exceptions import RedisError

from shop.core import redis, tokens
from shop.core.sessions import Audience

COOKIE = "device"
KEPT = timedelta(days=365)
MAX_LENGTH = 1000
MAX_ACCOUNTS = 8
MAX_FAILURES = 30
WINDOW_S = 3600
# How long Redis is left alone after it failed: sign-in must not wait for it with each request.
REST_S = 5.0

_secret = b""
_at_home = FixedWindowRateLimiter(MemoryStorage())
_PER_HOUR = parse(f"{MAX_FAILURES} per hour")
_rests_until = 0.0


def configure(secret_key: str) -> None:
    """Set the key that signs what devices keep."""
    global _secret
    _secret = secret_key.encode()


def known(kept: str | None, audience: Audience, account: str) -> str:
    """Returns the id of the device if it has signed in to this account before and may be trusted.

    ``kept`` is what the device sent, ``account`` what was typed. Empty for any other device, and
    for one that failed 30 times within an hour.
    """
    device, accounts = _read(kept)
    if not device or _account(audience, account) not in accounts:
        return ""
    return device if _failures(device) < MAX_FAILURES else ""


def remember(kept: str | None, audience: Audience, account: str) -> str:
    """Returns what the device keeps from now on, after the right password was given here."""
    device, accounts = _read(kept)
    mine = _account(audience, account)
    others = [one for one in accounts if one != mine]
    newest = [mine, *others][:MAX_ACCOUNTS]
    signed: str = _signer().dumps([device or tokens.new_token(), newest])
    return signed


def note_failure(device: str) -> None:
    """Count a wrong password from a known device."""
    global _rests_until
    name = _key(device)
    if time.monotonic() >= _rests_until:
        try:
            pipe = redis.client().pipeline()
            pipe.incr(name)
            pipe.expire(name, WINDOW_S, nx=True)
            pipe.execute()
            return
        except RedisError:
            _rests_until = time.monotonic() + REST_S
    _at_home.hit(_PER_HOUR, name)


def _failures(device: str) -> int:
    """How often it failed within the hour, as Redis or, while it is away, this process knows."""
    global _rests_until
    name = _key(device)
    here = MAX_FAILURES - _at_home.get_window_stats(_PER_HOUR, name).remaining
    if time.monotonic() < _rests_until:
        return here
    try:
        return here + int(str(redis.client().get(name) or 0))
    except RedisError:
        _rests_until = time.monotonic() + REST_S
        return here


def _read(kept: str | None) -> tuple[str, list[str]]:
    if not kept or len(kept) > MAX_LENGTH:
        return "", []
    try:
        device, accounts = _signer().loads(kept, max_age=int(KEPT.total_seconds()))
    except (BadSignature, ValueError, TypeError):
        return "", []
    return str(device), [str(one) for one in accounts]


def _signer() -> URLSafeTimedSerializer:
    if not _secret:
        raise RuntimeError("core.devices.configure() has not been called")
    return URLSafeTimedSerializer(_secret, salt="known-device")


def _account(audience: str, account: str) -> str:
    """The account as the device keeps it: who finds the value does not learn the address."""
    name = f"{audience}:{account.strip().casefold()}".encode()
    return hmac.new(_secret, name, hashlib.sha256).hexdigest()[:24]


def _key(device: str) -> str:
    return f"device-failures:{tokens.digest(device)[:32]}"
