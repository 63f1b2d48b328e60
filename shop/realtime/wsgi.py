"""Entry point: ``gunicorn -k gevent shop.realtime.wsgi:app``; reads the settings like ``__main__``.

It does without ``shop.factory``, which would load the admin; and without ``--preload``, because
greenlets do not survive a fork.
"""

import signal
from dataclasses import replace

import gevent
from flask import Flask
from gevent.monkey import is_module_patched

from shop.config import Settings, read_or_end
from shop.core import db, log, preflight, redis
from shop.realtime.app import create_app, origin
from shop.realtime.hub import Hub
from shop.realtime.limits import Limits

# Enough for the greenlets that answer, the recheck and some handshakes.
POOL_SIZE = 6


def start(settings: Settings) -> Flask:
    """Configure the edges and build the application. Raises ``RuntimeError`` without gevent."""
    if not is_module_patched("socket"):
        raise RuntimeError("run it with gunicorn -k gevent: sockets must not block each other")
    log.configure()
    db.configure(settings.database_url, name="realtime", pool_size=POOL_SIZE)
    redis.configure(settings.redis_url)
    is_https = settings.base_url.startswith("https://")
    usual = Limits()
    without = replace(usual, per_address=usual.connections, per_person=usual.connections)
    made = create_app(
        secret_key=settings.secret_key,
        cookie_name="__Host-shop" if is_https else "shop",
        origins={origin(settings.base_url)},
        limits=usual if settings.rate_limits else without,
        trusted_proxies=settings.trusted_proxies,
    )
    drain_on_sigterm(made.extensions["hub"])
    return made


def drain_on_sigterm(hub: Hub) -> None:
    """Let peers close with 1012 before gunicorn, whose own signal handler comes second, ends us."""
    then = signal.getsignal(signal.SIGTERM)

    def end() -> None:
        hub.drain()
        if callable(then):
            then(signal.SIGTERM, None)

    gevent.signal_handler(signal.SIGTERM, lambda: gevent.spawn(end))


# 3 tells gunicorn that starting its workers again is of no use.
settings = read_or_end(3)
if settings.is_production:
    preflight.end_if_unsafe(settings.database_url, settings.redis_url, 3)
app = start(settings)
