"""The HTTP side: a thread for each connection, keep-alive, one log line for each request."""

import json
import logging
import socket
import sys
import time
from collections.abc import Collection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tools.stripe.api import PUBLIC_HEADERS, Answer, Api, Request
from tools.stripe.browser import Browser
from tools.stripe.chores import Chores
from tools.stripe.control import Control
from tools.stripe.dashboard import Dashboard
from tools.stripe.faults import Faults
from tools.stripe.ledger import Ledger
from tools.stripe.payments import Payments
from tools.stripe.refunds import Disputes, Refunds
from tools.stripe.webhooks import Courier

MAX_BODY = 1_000_000
IDLE_S = 120.0
PREFLIGHT = {
    **PUBLIC_HEADERS,
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, Stripe-Version",
    "Access-Control-Max-Age": "300",
}

log = logging.getLogger("stripe-stand-in")


class StandIn:
    """The whole stand-in without its socket: give it a request, get an answer."""

    def __init__(
        self,
        *,
        webhook_url: str | None = None,
        secret: str = "",
        wanted: Collection[str] = (),
        state_file: Path | None = None,
    ) -> None:
        self.ledger = Ledger(state_file)
        self.faults = Faults()
        payments, refunds, disputes = (
            Payments(self.faults),
            Refunds(self.faults),
            Disputes(self.faults),
        )
        self.courier = Courier(
            self.ledger, self.faults, url=webhook_url, secret=secret, wanted=wanted
        )
        self._chores = Chores(
            self.ledger,
            {
                "conclude": payments.attempts.conclude,
                "settle": payments.settle,
                "dispute": disputes.by_itself,
                "finish_refund": refunds.finish,
                "expire_authorisation": payments.attempts.expire_authorisation,
            },
        )
        self._api = Api(self.ledger, self.faults, payments, refunds, disputes)
        self._browser = Browser(self.ledger, payments)
        dashboard = Dashboard(self.ledger, payments, refunds, disputes)
        self._control = Control(self.ledger, self.faults, self.courier, dashboard)

    def start(self) -> None:
        """Start the threads that send webhooks and do what is due later."""
        self.courier.start()
        self._chores.start()

    def answer(self, request: Request) -> Answer:
        """Answer one request."""
        if request.path.startswith("/v1/"):
            if request.method == "OPTIONS":
                return Answer(204, b"", headers=PREFLIGHT)
            return self._api.answer(request)
        if request.path == "/healthz":
            return Answer(200, b'{"status": "ok"}')
        if request.path.startswith("/_control"):
            return self._control.answer(request)
        return self._browser.answer(request)


class Server(ThreadingHTTPServer):
    """The listening socket."""

    daemon_threads = True
    request_queue_size = 256
    allow_reuse_address = True

    def __init__(self, host: str, port: int, stand_in: StandIn) -> None:
        super().__init__((host, port), Handler)
        self.stand_in = stand_in

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; anything else is."""
        if not isinstance(sys.exception(), OSError):
            log.exception('{"event":"bug","path":null}')


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "stripe-stand-in"
    sys_version = ""
    # Small answers must not wait for the peer's delayed acknowledgement.
    disable_nagle_algorithm = True
    wbufsize = 65536
    timeout = IDLE_S
    server: Server

    def do_GET(self) -> None:
        """Any GET."""
        self._serve()

    def do_HEAD(self) -> None:
        """Any HEAD, answered as its GET without the body."""
        self._serve()

    def do_POST(self) -> None:
        """Any POST."""
        self._serve()

    def do_OPTIONS(self) -> None:
        """A browser's preflight."""
        self._serve()

    def do_DELETE(self) -> None:
        """Any DELETE."""
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are logged once, by `_serve`; broken ones by their status."""

    def _serve(self) -> None:
        began = time.monotonic()
        target = urlsplit(self.path)
        answer = self._read_and_answer(target.path, target.query)
        if answer.lost:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self._send(answer)
        if target.path != "/healthz":
            note = {
                "event": "request",
                "method": self.command,
                # Without the query: it may hold a client secret.
                "path": target.path,
                "status": answer.status,
                "ms": round((time.monotonic() - began) * 1000, 1),
                "request_id": answer.headers.get("Request-Id"),
                "replayed": "Idempotent-Replayed" in answer.headers,
                "lost": answer.lost,
            }
            log.info(json.dumps(note))

    def _read_and_answer(self, path: str, query: str) -> Answer:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            self.close_connection = True
            return Answer(
                411,
                b'{"error": {"message": "Send a Content-Length.", '
                b'"type": "invalid_request_error"}}',
            )
        if int(length) > MAX_BODY:
            self.close_connection = True
            self.rfile.read(min(int(length), 4 * MAX_BODY))  # or its sender hears no answer
            return Answer(
                413,
                b'{"error": {"message": "The request body is too large.", '
                b'"type": "invalid_request_error"}}',
            )
        host = self.headers.get("Host") or "{}:{}".format(*self.server.server_address[:2])
        request = Request(
            method="GET" if self.command == "HEAD" else self.command,
            path=path,
            query=query,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(length)),
            origin=f"http://{host}",
        )
        try:
            return self.server.stand_in.answer(request)
        except Exception:
            log.exception('{"event":"bug","path":"%s"}', path)
            return Answer(
                500,
                b'{"error": {"message": "The stand-in has a bug; see its log.", '
                b'"type": "api_error"}}',
            )

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        if answer.status != 204:
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        self.wfile.flush()
