"""The web application: edges first, then what every request gets, then the doors."""

import getpass
import os
import secrets
from typing import Any

from flask import Flask, Response, g, request
from flask.templating import Environment
from flask_compress import Compress
from flask_limiter import Limiter
from flask_wtf import CSRFProtect
from jinja2 import StrictUndefined
from werkzeug.middleware.proxy_fix import ProxyFix

from shop import admin, api, audit, cli, customers, edges, statics, store
from shop.config import Settings
from shop.core import actor, db, i18n, money, pages
from shop.core.network import network_of

MAX_UPLOAD = 64 * 1024 * 1024


class _Environment(pages.PageEnvironment, Environment):
    """Flask's, which finds the templates of blueprints, with our sentences."""


def create_app(settings: Settings | None = None) -> Flask:
    """The whole shop as one WSGI application. Raises ``SettingsError`` on a bad environment."""
    settings = settings or Settings.from_env()
    edges.configure(settings, name="web")
    app = Flask("shop", template_folder="../templates", static_folder=None)
    app.config.update(_flask_config(settings))
    app.jinja_environment = _Environment
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.globals["number_locale"] = money.number_locale
    app.jinja_env.filters["address_lines"] = customers.address_lines
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, hops, hops, hops)  # type: ignore[method-assign]
    Compress(app)
    CSRFProtect(app)
    limiter = Limiter(lambda: network_of(request.remote_addr or ""), app=app)
    app.extensions.setdefault("limiter", {limiter})  # which it leaves out when switched off
    _requests(app, settings)
    store.init_app(app)
    api.init_app(app)
    admin.init_app(app)
    doors = (store.FILES, admin.FILES)
    secure = settings.is_production
    statics.init_app(app, doors, folder=settings.var / "static", is_secure=secure)
    pages.install(app.jinja_env)  # after Flask-AppBuilder, whose own functions are slower
    if os.environ.get("FLASK_RUN_FROM_CLI"):  # set by the flask command; servers need none of it
        actor.configure("command", address=getpass.getuser())
        cli.init_app(app)
    return app


def _flask_config(settings: Settings) -> dict[str, Any]:
    secure = settings.base_url.startswith("https://")
    host = settings.base_url.partition("://")[2]
    return {
        "SETTINGS": settings,
        "SECRET_KEY": settings.secret_key,
        "SESSION_COOKIE_NAME": "__Host-shop" if secure else "shop",
        "SESSION_COOKIE_SECURE": secure,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "TRUSTED_HOSTS": _trusted_hosts(settings, host.partition(":")[0]),
        "MAX_CONTENT_LENGTH": MAX_UPLOAD,
        "MAX_FORM_MEMORY_SIZE": 1024 * 1024,
        "SEND_FILE_MAX_AGE_DEFAULT": 31536000,
        "WTF_CSRF_TIME_LIMIT": None,
        "COMPRESS_ALGORITHM": ["br", "gzip"],
        "COMPRESS_BR_LEVEL": 4,
        "PROPAGATE_EXCEPTIONS": False,
        "RATELIMIT_ENABLED": settings.rate_limits,
        "RATELIMIT_STORAGE_URI": settings.redis_url,
        "RATELIMIT_STORAGE_OPTIONS": {"socket_timeout": 0.25, "socket_connect_timeout": 0.25},
        "RATELIMIT_IN_MEMORY_FALLBACK_ENABLED": True,
    }


def _trusted_hosts(settings: Settings, own: str) -> list[str]:
    """The host names that count; this machine's own only where no customer comes by."""
    return [own] if settings.is_production else [own, "127.0.0.1", "localhost"]


def _requests(app: Flask, settings: Settings) -> None:
    """What every request gets: an id, an actor, security headers, and a closed session."""

    @app.before_request
    def begin() -> None:
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if given.isalnum() and len(given) <= 64 else secrets.token_hex(8)
        actor.set_request_id(g.request_id)
        actor.set_current(actor.GUEST)
        actor.set_origin(actor.Origin(_door(), request.remote_addr or ""))
        i18n.set_locale(i18n.SOURCE)
        db.only_reads(request.method in {"GET", "HEAD"})

    @app.after_request
    def finish(response: Response) -> Response:
        if response.status_code == 403 and actor.current().kind == "staff":
            _record_refusal()
        response.headers["X-Request-Id"] = g.get("request_id", "")
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Referrer-Policy", "strict-origin-when-cross-origin")
        response.headers.setdefault(
            "Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=()"
        )
        response.headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        if settings.is_production:
            response.headers.setdefault(
                "Strict-Transport-Security", "max-age=31536000; includeSubDomains"
            )
        return response

    @app.teardown_appcontext
    def close(_error: BaseException | None) -> None:
        db.session.remove()
        db.only_reads(False)
        actor.set_current(actor.SYSTEM)
        actor.set_origin(None)
        actor.set_request_id("")


def _door() -> str:
    """Which of the shop's doors this request came through."""
    first = request.path.split("/", 2)[1]
    return first if first in ("admin", "api") else "store"


def _record_refusal() -> None:
    """Somebody of the staff asked for what their role does not include."""
    if db.session.new or db.session.dirty or db.session.deleted:
        db.session.rollback()
    with db.transaction():
        audit.record(
            audit.AuditAction.REFUSED,
            details={"method": request.method, "path": request.path[:200]},
        )
