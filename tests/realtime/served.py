"""The realtime application with other limits than the shop's, for tests that cannot wait."""

from flask import Flask

from shop.config import Settings
from shop.core import db, log, redis
from shop.realtime.app import create_app
from shop.realtime.limits import Limits


def hasty() -> Flask:
    """A heartbeat and a recheck each second, and room for few sockets."""
    settings = Settings.from_env()
    log.configure()
    db.configure(settings.database_url, name="realtime", pool_size=2)
    redis.configure(settings.redis_url)
    return create_app(
        secret_key=settings.secret_key,
        cookie_name="shop",
        origins={settings.base_url},
        limits=Limits(connections=8, per_address=4, per_person=2),
        heartbeat_s=1,
        recheck_s=1,
    )
