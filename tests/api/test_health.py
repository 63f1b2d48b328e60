"""What operators ask, and what Stripe tells."""

import hmac
import json
import socket
import time
from typing import Any

import pytest
import stripe
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from shop.api import health
from shop.core import db, redis
from shop.payments.models import WebhookDelivery
from tests.api.conftest import Program

SECRET = "whsec_tests"


def signed(payload: bytes, *, secret: str = SECRET, at: int | None = None) -> dict[str, str]:
    """Stripe's header for a body."""
    at = at or int(time.time())
    signature = stripe.WebhookSignature._compute_signature(f"{at}.{payload.decode()}", secret)
    return {"Stripe-Signature": f"t={at},v1={signature}", "Content-Type": "application/json"}


def message(kind: str = "payment_intent.succeeded", event_id: str = "evt_1") -> bytes:
    return json.dumps({"id": event_id, "type": kind, "data": {"object": {"id": "pi_1"}}}).encode()


def stored(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(WebhookDelivery)) or 0


def test_liveness_asks_no_other_server(client: FlaskClient, statements: list[str]) -> None:
    assert client.get("/healthz").json == {"status": "alive"}
    assert statements == []


def test_the_shop_is_ready(client: FlaskClient) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json == {
        "database": "up",
        "redis": "up",
        "migrations": "current",
        "relay_lag_s": answer.json["relay_lag_s"],
    }


def test_tables_of_another_version_are_not_ready(client: FlaskClient, session: Session) -> None:
    session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["migrations"]) == (503, "not current")
    assert answer.headers["Retry-After"]


def test_without_redis_the_shop_still_serves(app: Flask, client: FlaskClient) -> None:
    redis.configure("redis://127.0.0.1:1/0")
    try:
        answer = client.get("/readyz")
    finally:
        redis.configure(app.config["SETTINGS"].redis_url)
    assert (answer.status_code, answer.json["redis"]) == (200, "down")


def test_shop_without_its_database_reports_not_ready(
    app: Flask, client: FlaskClient, live_database: str
) -> None:
    db.configure("postgresql+psycopg://nobody@127.0.0.1:1/none")
    try:
        ready = client.get("/readyz")
        program = Program(client)
        answers = [
            program.get("products"),
            program.post("auth/token", json={"email": "a@example.com", "password": "x"}),
            program.post("webhooks/stripe", data=message(), headers=signed(message())),
        ]
        alive = client.get("/healthz")
    finally:
        db.configure(live_database)
    assert (ready.status_code, ready.json["database"]) == (503, "down")
    assert alive.status_code == 200
    for answer in answers:
        assert (answer.status_code, answer.json["code"]) == (503, "unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        assert "127.0.0.1" not in answer.text


def test_stalled_database_is_reported_down_and_up_again(
    client: FlaskClient, live_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PATIENCE_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        db.configure(f"postgresql+psycopg://nobody@127.0.0.1:{silent.getsockname()[1]}/none")
        began = time.monotonic()
        answers = [client.get("/readyz") for _ in range(3)]
        took_s = time.monotonic() - began
    db.configure(live_database)
    monkeypatch.undo()
    deadline = time.monotonic() + 20
    while client.get("/readyz").status_code != 200:
        assert time.monotonic() < deadline

    assert {answer.status_code for answer in answers} == {503}
    assert {answer.json["database"] for answer in answers} == {"down"}
    assert 0.8 < took_s < 4


def test_metrics_are_for_loopback_or_the_token(app: Flask, client: FlaskClient) -> None:
    client.get("/healthz")
    page = client.get("/metrics")
    assert page.mimetype == "text/plain"
    for line in page.text.splitlines():
        assert (
            line.startswith("#")
            or line.rpartition(" ")[2].replace(".", "").lstrip("-e+0123456789") == ""
        )
    assert 'shop_http_requests_total{process="' in page.text
    assert 'endpoint="health.alive",method="GET",status="200"' in page.text
    assert 'le="+Inf"' in page.text
    for name in ("shop_relay_lag_seconds", "shop_deliveries", "shop_orders", "shop_queue_jobs"):
        assert f"\n{name}" in page.text
    far = {"REMOTE_ADDR": "203.0.113.9"}
    assert client.get("/metrics", environ_base=far).status_code == 403
    behind = {"X-Forwarded-For": "203.0.113.9"}
    assert client.get("/metrics", headers=behind).status_code == 403
    wrong = {"Authorization": "Bearer "}
    assert client.get("/metrics", environ_base=far, headers=wrong).status_code == 403


def test_a_signed_message_is_stored_once(guest: Program, session: Session) -> None:
    body = message()
    answers = [guest.post("webhooks/stripe", data=body, headers=signed(body)) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert [answer.json["new"] for answer in answers] == [True, False, False, False, False]
    assert stored(session) == 1


def test_unknown_types_are_taken_too(guest: Program, session: Session) -> None:
    body = message("radar.early_fraud_warning.created")
    assert guest.post("webhooks/stripe", data=body, headers=signed(body)).status_code == 200
    assert stored(session) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Stripe-Signature": ""},
        {"Stripe-Signature": "t=1,v1=00"},
        {"Stripe-Signature": "nonsense"},
        signed(message(), secret="whsec_other"),
        signed(message(), at=int(time.time()) - 301),
        signed(message() + b" "),
    ],
)
def test_message_that_stripe_did_not_sign_is_400(
    guest: Program, session: Session, headers: dict[str, str]
) -> None:
    answer = guest.post("webhooks/stripe", data=message(), headers=headers)
    assert (answer.status_code, answer.json["code"]) == (400, "bad_signature")
    assert stored(session) == 0


def test_a_huge_message_is_not_read(guest: Program, session: Session) -> None:
    body = b"x" * (1024 * 1024 + 1)
    assert guest.post("webhooks/stripe", data=body, headers=signed(body)).status_code == 413
    assert stored(session) == 0


def test_a_failure_is_a_number_and_no_stack(app: Flask, guest: Program, monkeypatch: Any) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("SELECT secret FROM /etc/passwd")

    monkeypatch.setitem(app.view_functions, "Catalogue.tree", broken)
    answer = guest.get("categories/tree")
    assert (answer.status_code, answer.json["code"]) == (500, "internal")
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]
    assert "secret" not in answer.text and "RuntimeError" not in answer.text


@pytest.mark.parametrize("ahead_s", [61 + 30, 3600, 10**9, 10**15])
def test_webhook_signed_in_the_future_is_refused(
    guest: Program, session: Session, ahead_s: int
) -> None:
    headers = signed(message(), at=int(time.time()) + ahead_s)

    answer = guest.post("webhooks/stripe", data=message(), headers=headers)

    assert (answer.status_code, answer.json["code"]) == (400, "bad_signature")
    assert stored(session) == 0


def test_clock_that_is_a_little_ahead_is_accepted(guest: Program, session: Session) -> None:
    headers = signed(message(), at=int(time.time()) + 20)

    assert guest.post("webhooks/stripe", data=message(), headers=headers).status_code == 200


@pytest.mark.parametrize(
    "header", ["t=1,v1=é", "t=", "t=1", "v1=00", "t=" + "9" * 5000 + ",v1=00", "t=now,v1=00", "=,="]
)
def test_odd_webhook_signatures_are_400(guest: Program, session: Session, header: str) -> None:
    sent = {"Stripe-Signature": header}

    assert guest.post("webhooks/stripe", data=message(), headers=sent).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 500_000,
        b'{"a":' * 100_000,
        b'{"id": "evt_1", "type": "x", "data": {"object": ' + b"[" * 900 + b"]" * 900 + b"}}",
        b'{"id": "evt_1", "type": "x", "data": {"object": '
        + b'{"a":' * 65
        + b"1"
        + b"}" * 65
        + b"}}",
        b'{"id": "evt_1", "type": "x", "n": 1e999}',
        b'{"id": "evt_1", "type": "x", "n": NaN}',
        b'{"id": "evt_1", "n": ' + b"9" * 5000 + b"}",
        b'{"id": "evt_1", "type": "x", "text": "\\u0000"}',
        b'{"id": "evt_1", "type": "x", "text": "\\ud800"}',
        b'{"id": 5, "type": {}, "data": []}',
        b'{"id": "evt_1", "type": "x", "data": []}',
        b'{"id": "evt_1", "type": "x", "data": {"object": [1]}}',
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe",
    ],
    ids=range(16),
)
def test_signed_nonsense_is_never_a_500(guest: Program, session: Session, body: bytes) -> None:
    at = int(time.time())
    mac = hmac.new(SECRET.encode(), f"{at}.".encode() + body, "sha256").hexdigest()
    headers = {"Stripe-Signature": f"t={at},v1={mac}", "Content-Type": "application/json"}

    answer = guest.post("webhooks/stripe", data=body, headers=headers)

    assert answer.status_code == 400, answer.text
    assert stored(session) == 0
