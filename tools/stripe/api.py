"""Stripe's API over the ledger: routes, keys, idempotency, faults on request.

Promise: the answer that an idempotency key brings back is stored in the same unit as the work it
reports, so a retry after any crash finds both or neither.
"""

import hashlib
import json
import logging
import time
from base64 import b64decode
from dataclasses import dataclass, field
from secrets import compare_digest
from threading import Lock
from typing import Any

import stripe

from tools.stripe import parameters, reading, versions
from tools.stripe.faults import Faults
from tools.stripe.ledger import Json, Ledger, Unit, new_id, now
from tools.stripe.params import Params, decode
from tools.stripe.payments import Payments
from tools.stripe.planned import KINDS, PlannedError, Stage
from tools.stripe.refunds import Disputes, Refunds
from tools.stripe.refusals import (
    Forbidden,
    Invalid,
    KeyInUse,
    KeyReused,
    Locked,
    Refusal,
    Unauthorised,
)
from tools.stripe.routes import Route, routes

KEY_LIFE_S = 24 * 3600
MAX_KEY_LENGTH = 255
SECRET, PUBLISHABLE = "secret", "publishable"
PUBLIC_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Request-Id, Stripe-Should-Retry",
}
PUBLIC_PARAMS = (
    "billing_details card client_context client_secret expected_payment_method_type mandate_data "
    "payment_method payment_method_data payment_method_options radar_options receipt_email "
    "return_url setup_future_usage shipping type use_stripe_sdk sepa_debit ideal bancontact klarna "
    "multibanco konbini oxxo"
).split()
OUTAGES = ("api_error", "unavailable", "rate_limit")

log = logging.getLogger("stripe-stand-in")


@dataclass(frozen=True)
class Request:
    """One HTTP request; header names in lower case."""

    method: str
    path: str
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    origin: str = ""


@dataclass
class Answer:
    """One HTTP answer. `lost` means: done, but the connection breaks before a byte is sent."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    lost: bool = False


@dataclass(frozen=True)
class _Call:
    """What is known of a request once it is accepted."""

    request_id: str
    role: str
    route: Route
    ids: tuple[str, ...]
    values: dict[str, Any]
    expand: list[str]


class Api:
    """Answers everything under /v1."""

    def __init__(
        self,
        ledger: Ledger,
        faults: Faults,
        payments: Payments,
        refunds: Refunds,
        disputes: Disputes,
    ) -> None:
        self._ledger = ledger
        self._faults = faults
        self._routes = routes(payments, refunds, disputes)
        self._running: set[str] = set()
        self._mutex = Lock()

    def answer(self, request: Request) -> Answer:
        """Do what a request asks for, or refuse it in Stripe's words."""
        settings = self._faults.settings
        request_id = new_id("req")
        pause = self._faults.between(settings.latency_s)
        if pause:
            time.sleep(pause)
        headers = {"Request-Id": request_id, "Stripe-Version": stripe.api_version, **PUBLIC_HEADERS}
        try:
            outage = self._outage(request)
            if outage is not None and outage.kind.stage is Stage.BEFORE:
                time.sleep(outage.delay_s)
                raise outage.refusal()
            versions.check(request.headers.get("stripe-version"))
            call = self._accept(request, request_id)
            answer = self._carry_out(request, call, outage)
        except Refusal as refusal:
            answer = _refused(refusal)
        answer.headers = {**headers, **answer.headers}
        answer.lost = answer.lost or self._faults.happens(settings.lose_response)
        return answer

    def _outage(self, request: Request) -> PlannedError | None:
        """What goes wrong before the endpoint by order; or by chance, then anywhere."""
        settings = self._faults.settings
        planned = self._faults.next_error(request.method, request.path, Stage.BEFORE)
        if planned is not None or not self._faults.happens(settings.error_rate):
            return planned
        name = OUTAGES[self._faults.pick(len(OUTAGES))]
        is_done = name == "api_error" and self._faults.happens(settings.error_created)
        return PlannedError(request.path, request.method, 1, name, KINDS[name], is_done)

    def _accept(self, request: Request, request_id: str) -> _Call:
        try:
            text = request.body.decode() if request.method == "POST" else ""
        except UnicodeDecodeError as problem:
            raise Invalid("The request body is not UTF-8.") from problem
        values = decode("&".join(part for part in (request.query, text) if part))
        role = _role(request, values.pop("key", None))
        route, ids = self._route(request)
        expand = Params({"expand": values.pop("expand", {})}).words("expand") or []
        if role == PUBLISHABLE:
            if not route.public:
                raise Forbidden(
                    "This API call cannot be made with a publishable API key. Please use a secret "
                    "API key.",
                    code="secret_key_required",
                )
            self._check_client_secret(ids, values)
            _refuse_private(values, expand)
        values.pop("client_secret", None)
        if role == SECRET and route.taken is not None:
            parameters.check(values, route.taken)
        return _Call(request_id, role, route, ids, values, expand)

    def _route(self, request: Request) -> tuple[Route, tuple[str, ...]]:
        for route in self._routes:
            if route.method == request.method and (found := route.path.fullmatch(request.path)):
                return route, found.groups()
        raise Invalid(
            f"Unrecognized request URL ({request.method}: {request.path}). This stand-in speaks "
            "only the part of Stripe's API that the shop uses.",
            status=404,
        )

    def _check_client_secret(self, ids: tuple[str, ...], values: dict[str, Any]) -> None:
        if not ids:
            return
        given = values.get("client_secret")
        if not isinstance(given, str) or not given:
            raise Invalid(
                "Missing required param: client_secret.",
                code="parameter_missing",
                param="client_secret",
            )
        intent = Unit(self._ledger).find("payment_intent", ids[0], param="intent")
        if not compare_digest(given.encode(), str(intent["client_secret"]).encode()):
            raise Invalid(
                "The client_secret provided does not match the client_secret associated with the "
                "PaymentIntent.",
                code="payment_intent_invalid_parameter",
                param="client_secret",
            )
        if "shipping" in values and intent["shipping"] is not None:
            # As if the shop had set it, which is the case that matters:
            # https://github.com/stripe/react-stripe-js/issues/504
            raise Invalid(
                "The shipping information on this PaymentIntent was last set with a secret key and "
                "therefore cannot be changed with a publishable key. Please use your secret key "
                "instead.",
                code="payment_intent_invalid_parameter",
                param="shipping",
            )

    def _carry_out(self, request: Request, call: _Call, outage: PlannedError | None) -> Answer:
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        if key is None:
            return self._work(request, call, outage, None, "")
        if not 1 <= len(key) <= MAX_KEY_LENGTH:
            raise Invalid(f"Idempotency keys must be 1 to {MAX_KEY_LENGTH} characters long.")
        with self._mutex:
            if key in self._running:
                raise KeyInUse(
                    "There is currently another in-progress request using this Idempotent Key "
                    f"(that probably means you submitted twice, and the other request is still "
                    f"going through): {key}. Please try again later.",
                    code="idempotency_key_in_use",
                )
            self._running.add(key)
        try:
            stored = self._ledger.get("answer", key)
            if stored is not None and stored["created"] > now() - KEY_LIFE_S:
                return _replayed(stored, request, call)
            return self._work(request, call, outage, key, _fingerprint(request, call))
        finally:
            with self._mutex:
                self._running.discard(key)

    def _work(
        self,
        request: Request,
        call: _Call,
        outage: PlannedError | None,
        key: str | None,
        fingerprint: str,
    ) -> Answer:
        outage = self._faults.next_error(request.method, request.path, Stage.ENDPOINT) or outage
        unit = Unit(
            self._ledger,
            origin=request.origin,
            request_id=call.request_id,
            idempotency_key=key,
        )
        with unit:
            try:
                if outage is not None and not outage.is_done:
                    raise outage.refusal()
                value = call.route.handler(unit, Params(call.values), *call.ids)
                value = reading.expand(unit, value, call.expand)
                answer = _json(200, _as_seen_by(call.role, value))
                if outage is not None and outage.kind.is_error and not outage.kind.loses_answer:
                    answer = _refused(outage.refusal())
            except Refusal as refusal:
                if not refusal.keeps_changes:
                    unit.discard()
                answer = _refused(refusal, role=call.role)
                if isinstance(refusal, Locked):
                    return answer
            answer.lost = outage is not None and outage.kind.loses_answer
            if key is not None:
                answer.headers["Idempotency-Key"] = key
                if unit.began or outage is not None:
                    unit.put(
                        "answer",
                        {
                            "id": key,
                            "created": now(),
                            "path": request.path,
                            "fingerprint": fingerprint,
                            "status": answer.status,
                            "request_id": call.request_id,
                            "body": answer.body.decode(),
                        },
                    )
            unit.commit()
        if outage is not None:
            time.sleep(outage.delay_s)
        return answer


def _role(request: Request, key_param: Any) -> str:
    """Whether the caller holds a secret or a publishable key. Raises Unauthorised."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            credentials = b64decode(credentials).decode().partition(":")[0]
        except ValueError:
            credentials = ""
    key = credentials.strip() or (key_param if isinstance(key_param, str) else "")
    if not key:
        raise Unauthorised(
            "You did not provide an API key. You need to provide your API key in the Authorization "
            "header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        )
    if key.startswith("sk_test_") and len(key) > len("sk_test_"):
        return SECRET
    if key.startswith("pk_test_") and len(key) > len("pk_test_"):
        return PUBLISHABLE
    raise Unauthorised(
        f"Invalid API Key provided: {key[:8]}{'*' * 8}. This stand-in takes sk_test_… and "
        "pk_test_… only; give live keys to Stripe alone."
    )


def _refuse_private(values: dict[str, Any], expand: list[str]) -> None:
    """A browser may say how it pays, not what it pays or what the shop notes. Raises Forbidden."""
    for name in values:
        if name not in PUBLIC_PARAMS:
            raise Forbidden(
                f"The parameter {name} cannot be passed with a publishable API key.", param=name
            )
    if any(path != "payment_method" for path in expand):
        raise Forbidden("A publishable API key can expand payment_method only.", param="expand")


def _fingerprint(request: Request, call: _Call) -> str:
    sent = json.dumps([call.role, call.values, call.expand], sort_keys=True)
    # Hashed, so that a card number in the parameters is never kept.
    return hashlib.sha256(f"{request.path}\n{sent}".encode()).hexdigest()


def _replayed(stored: Json, request: Request, call: _Call) -> Answer:
    if stored["path"] != request.path:
        raise KeyReused(
            "Keys for idempotent requests can only be used for the same endpoint they were first "
            f"used for ('{request.path}' vs '{stored['path']}'). Try using a key other than "
            f"'{stored['id']}' if you meant to execute a different request.",
        )
    if stored["fingerprint"] != _fingerprint(request, call):
        raise KeyReused(
            "Keys for idempotent requests can only be used with the same parameters they were "
            f"first used with. Try using a key other than '{stored['id']}' if you meant to execute "
            "a different request.",
        )
    headers = {
        "Idempotent-Replayed": "true",
        "Idempotency-Key": stored["id"],
        "Original-Request": stored["request_id"],
    }
    if stored["status"] >= 500:
        headers["Stripe-Should-Retry"] = "false"
    return Answer(stored["status"], stored["body"].encode(), headers=headers)


def _as_seen_by(role: str, value: Json) -> Json:
    if role == PUBLISHABLE and value.get("object") == "payment_intent":
        return reading.public_view(value)
    return value


def _refused(refusal: Refusal, *, role: str = SECRET) -> Answer:
    body = refusal.body()
    if "payment_intent" in body["error"]:
        body["error"]["payment_intent"] = _as_seen_by(role, body["error"]["payment_intent"])
    answer = _json(refusal.status, body)
    answer.headers.update(refusal.headers)
    if isinstance(refusal, Locked | KeyInUse):
        answer.headers["Stripe-Should-Retry"] = "true"
    return answer


def _json(status: int, value: Json) -> Answer:
    return Answer(status, json.dumps(value, indent=2).encode())
