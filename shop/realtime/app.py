"""The realtime application: a slim Flask that sees who comes, shakes hands, and calls the hub.

flask-sock does the handshake; then the socket leaves gunicorn's greenlet, which ends, so that an
idle connection costs a few KiB. TLS belongs to the proxy in front.
"""

import logging
import re
import secrets
from collections.abc import Callable, Collection
from typing import NoReturn
from urllib.parse import urlsplit

import gevent
from flask import Flask, abort, g, jsonify, make_response, request
from flask import session as signed_cookie
from flask.typing import ResponseReturnValue
from flask_sock import Sock
from redis.exceptions import RedisError
from simple_websocket import Server
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from shop.core import db
from shop.core.i18n import gettext as _
from shop.core.network import network_of
from shop.realtime import callers, tickets
from shop.realtime.callers import Caller
from shop.realtime.connection import Connection
from shop.realtime.hub import Full, Hub
from shop.realtime.limits import Limits
from shop.realtime.presence import Presence
from shop.realtime.protocol import RECHECK_S, Protocol
from shop.realtime.subscriber import Subscriber

log = logging.getLogger(__name__)

_CART = re.compile(r"[A-Za-z0-9_-]{1,128}")
_LOOPBACK = {"127.0.0.1", "::1"}


class Unthreaded:
    """Stands in for simple-websocket's reading thread: the event loop reads for all sockets."""

    name = "(_thread)"

    def __init__(self, target: Callable[[], None]) -> None:
        """Takes what a thread takes, and discards it."""

    def start(self) -> None:
        """Does nothing."""


def create_app(
    *,
    secret_key: str,
    cookie_name: str,
    origins: Collection[str],
    limits: Limits | None = None,
    trusted_proxies: int = 0,
    heartbeat_s: int = 25,
    recheck_s: float = RECHECK_S,
) -> Flask:
    """The application of one process; ``app.extensions["hub"]`` is its hub.

    ``secret_key`` and ``cookie_name`` are those of the web process, whose sign-ins count here.
    ``origins`` are the exact values of the ``Origin`` header that browsers may send.
    ``core.db`` and ``core.redis`` must have been configured. Starts greenlets: call it in the
    process that serves, after gevent has patched.
    """
    app = Flask(__name__, static_folder=None, template_folder=None)
    app.config.update(
        SECRET_KEY=secret_key,
        SESSION_COOKIE_NAME=cookie_name,
        SOCK_SERVER_OPTIONS={"thread_class": Unthreaded},
    )
    if trusted_proxies:
        hops = trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, hops, hops, hops)  # type: ignore[method-assign]
    hub = Hub(limits or Limits(), heartbeat_s=heartbeat_s)
    subscriber = Subscriber(hub)
    presence = Presence(hub)
    protocol = Protocol(hub, presence, recheck_s=recheck_s)
    app.extensions["hub"] = hub
    _admission(app, hub, frozenset(origins))
    _socket(app, hub)
    _health(app, hub, subscriber)
    protocol.start()
    gevent.spawn(hub.beat_for_ever)
    gevent.spawn(subscriber.run)
    gevent.spawn(presence.run)
    return app


def origin(base_url: str) -> str:
    """What a browser sends as ``Origin`` from this address: lower case, no default port."""
    parts = urlsplit(base_url.lower())
    host = parts.netloc.removesuffix({"http": ":80", "https": ":443"}[parts.scheme])
    return f"{parts.scheme}://{host}"


def _admission(app: Flask, hub: Hub, origins: frozenset[str]) -> None:
    """Everything that is decided before the handshake, while a refusal can still be plain HTTP."""

    @app.before_request
    def admit() -> None:
        if not request.headers.get("Upgrade"):
            return
        # Compression would cost more memory per socket than all the rest (and every browser asks).
        request.environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
        ticket = request.args.get("ticket")
        if ticket is None and request.headers.get("Origin") not in origins:
            _refuse(403, _("Connections are accepted from the shop's own pages only."))
        try:
            g.caller = _by_ticket(ticket) if ticket is not None else _by_cookies()
            g.place = hub.reserve(network_of(request.remote_addr or ""), g.caller.person)
        except Full as full:
            status = 503 if full.is_ours else 429
            _refuse(status, _("Refused: %(reason)s.", reason=full.reason), retry_after=5)
        except (SQLAlchemyError, RedisError) as error:
            log.warning("nobody can be admitted", extra={"reason": type(error).__name__})
            _refuse(503, _("Try again in a moment."), retry_after=2)

    @app.teardown_request
    def tidy(_error: BaseException | None) -> None:
        # Still here: the handshake failed.
        if place := g.pop("place", None):
            place.release()
        db.session.remove()

    @app.errorhandler(HTTPException)
    def plain(error: HTTPException) -> ResponseReturnValue:
        return error.get_response() if error.response else (f"{error.name}\n", error.code or 500)


def _by_cookies() -> Caller:
    cart_token = request.cookies.get("cart", "")
    return callers.by_cookies(signed_cookie, cart_token if _CART.fullmatch(cart_token) else "")


def _by_ticket(ticket: str) -> Caller:
    redeemed = tickets.redeem_ticket(ticket)
    if redeemed is None:
        _refuse(401, _("The ticket is unknown, used or older than 30 seconds."))
    return callers.by_ticket(redeemed)


def _refuse(status: int, sentence: str, *, retry_after: int = 0) -> NoReturn:
    answer = make_response(f"{sentence}\n", status)
    answer.mimetype = "text/plain"
    if retry_after:
        answer.headers["Retry-After"] = str(retry_after)
    abort(answer)


def _socket(app: Flask, hub: Hub) -> None:
    @Sock(app).route("/ws")  # type: ignore[untyped-decorator]
    def ws(server: Server) -> None:
        """Take the socket away from gunicorn and simple-websocket, and greet the client."""
        connection = Connection(
            server.sock.detach(), caller=g.caller, place=g.pop("place"), hub=hub
        )
        # So that flask-sock does not say goodbye on our behalf.
        server.connected = False
        hub.enter(connection)
        connection.say(
            {
                "op": "hello",
                "connection": secrets.token_urlsafe(9),
                "heartbeat": hub.heartbeat_s,
            }
        )


def _health(app: Flask, hub: Hub, subscriber: Subscriber) -> None:
    @app.get("/healthz")
    def healthz() -> ResponseReturnValue:
        return jsonify(status="ok")

    @app.get("/metricsz")
    def metricsz() -> ResponseReturnValue:
        """Counters for who looks from this machine; there is nothing for others to see."""
        if request.remote_addr not in _LOOPBACK or "X-Forwarded-For" in request.headers:
            abort(404)
        counters = hub.counters
        return jsonify(
            connections=len(hub.connections),
            topics=len(hub.rooms),
            opened=counters.opened,
            delivered=counters.delivered,
            cut=counters.cut,
            lost_redis=counters.lost_redis,
            is_redis_connected=subscriber.is_connected,
        )
