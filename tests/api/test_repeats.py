"""Every write that costs money or stock takes an Idempotency-Key, and does its work once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from shop import orders, payments
from shop.api import repeats
from shop.core import clock, idempotency
from shop.core.db import session, transaction
from shop.core.idempotency import IdempotencyKey
from shop.discounts.models import DiscountCode
from shop.inventory.models import StockLevel
from shop.payments import intents, refund_news, stripe_objects
from shop.payments import stripe_gateway as gateway
from shop.payments.models import Payment, Refund
from tests import cast as people
from tests.api.conftest import Program
from tests.api.test_sale import wish
from tests.cast import Cast
from tests.discounts.offers import offer

# Writes that change money or stock, and where the repeat of one is safe without a key.
TAKE_A_KEY = {
    ("post", "/api/v1/orders"),
    ("post", "/api/v1/orders/{number}/cancel"),
    ("post", "/api/v1/orders/{number}/fulfilments"),
    ("post", "/api/v1/orders/{number}/refunds"),
    ("post", "/api/v1/refunds/{refund_id}/retry"),
    ("post", "/api/v1/orders/{number}/capture"),
    ("post", "/api/v1/orders/{number}/void"),
    ("patch", "/api/v1/variants/{variant_id}/inventory"),
    ("post", "/api/v1/discounts/{discount_id}/codes"),
}
SAME_BY_ITSELF = {
    ("post", "/api/v1/orders/{number}/payment-intent"),  # the attempt has a key of its own
}
Case = tuple[Program, str, str, dict[str, Any] | None, dict[str, Any] | None]


def test_these_and_no_others_take_a_key(guest: Program) -> None:
    paths = guest.get("openapi.json").json["paths"]
    takes = {
        (method, path)
        for path, operations in paths.items()
        for method, operation in operations.items()
        if method != "parameters"
        and any(one.get("name") == "Idempotency-Key" for one in operation.get("parameters", []))
    }

    assert takes == TAKE_A_KEY
    assert {(method, path) for method, path in SAME_BY_ITSELF if method in paths[path]} == (
        SAME_BY_ITSELF
    )


def state() -> tuple[Any, ...]:
    """What must not change by a repeat: money, stock, orders, codes."""
    session.rollback()
    session.expunge_all()
    counted = [
        session.scalar(select(func.count()).select_from(table))
        for table in (Refund, Payment, orders.Order, orders.Fulfilment, DiscountCode)
    ]
    attempts = session.scalar(select(func.sum(Refund.attempt)))
    versions = session.scalar(select(func.sum(orders.Order.version)))
    stock = session.execute(
        select(func.sum(StockLevel.on_hand), func.sum(StockLevel.reserved))
    ).one()
    return (*counted, attempts, versions, *stock)


def authorised(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> orders.Order:
    """An order whose money is authorised, with a Stripe that answers."""
    order = cast.unpaid_order
    payment = people.attempt(order, capture="manual")
    with transaction():
        intents.apply_intent(payment.id, people.intent(payment, "requires_capture"))

    def capture(intent_id: str, *, key: str, amount_minor: int) -> stripe_objects.Intent:
        return people.intent(payment, received_minor=amount_minor)

    monkeypatch.setattr(gateway, "capture_intent", capture)
    monkeypatch.setattr(
        gateway, "cancel_intent", lambda intent_id: people.intent(payment, "canceled")
    )
    return order


def failed_refund(order: orders.Order) -> Refund:
    with transaction():
        wanted = payments.Wanted(amount_minor=100)
        made = payments.request_refund(orders.lock(order.id), wanted, reason="goodwill")
    with transaction():
        refund_news.apply_refund(made.id, people.sent(made, "failed", failure="no"))
    return made


NAMES = sorted(path for _, path in TAKE_A_KEY)


@pytest.fixture
def case(
    request: pytest.FixtureRequest,
    cast: Cast,
    guest: Program,
    hire: Callable[[str], Program],
    monkeypatch: pytest.MonkeyPatch,
) -> Case:
    """(who, method, path, body, another body) of one of the writes."""
    path = str(request.param).removeprefix("/api/v1/")
    if path == "orders":
        cart = guest.post("cart/items", json={"variant_id": cast.mug.id}).json
        return guest, "POST", path, wish(cart), wish(cart, email="else@example.com")
    owner = hire("Owner")
    if path.startswith("variants"):
        body = {"delta": 3, "reason": "delivery", "note": ""}
        return owner, "PATCH", f"variants/{cast.lamp.id}/inventory", body, body | {"delta": 4}
    if path.startswith("discounts"):
        address = f"discounts/{offer(code='TEN').id}/codes"
        return owner, "POST", address, {"count": 3, "prefix": "A"}, {"count": 4, "prefix": "A"}
    if path.endswith(("capture", "void")):
        address = f"orders/{authorised(cast, monkeypatch).number}/{path.rpartition('/')[2]}"
        if path.endswith("void"):
            return owner, "POST", address, None, None
        return owner, "POST", address, {"amount_minor": 500}, {"amount_minor": 501}
    order = cast.paid_order
    if path.startswith("refunds"):
        return owner, "POST", f"refunds/{failed_refund(order).id}/retry", None, None
    line_id = order.lines[0].id
    body = {"lines": [{"line_id": line_id, "quantity": 1}]}
    if path.endswith("refunds"):
        body |= {"reason": "returned", "restock": True}
    other = body | {"lines": [{"line_id": line_id, "quantity": 2}]}
    return owner, "POST", path.format(number=order.number), body, other


def send(case: Case, *, key: str = "k", body: Any = "same") -> Any:
    program, method, path, usual, _ = case
    given = usual if body == "same" else body
    headers = {"Idempotency-Key": key}
    return program(method, path, headers=headers, **({"json": given} if given else {}))


@pytest.mark.parametrize("case", NAMES, indirect=True)
def test_repeat_gets_same_answer_and_changes_nothing(case: Case) -> None:
    before = state()
    first = send(case)
    after = state()
    again = send(case)

    assert first.status_code in {200, 201}, first.json
    assert (again.status_code, again.json) == (first.status_code, first.json)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert state() == after
    assert before != after


@pytest.mark.parametrize("case", NAMES, indirect=True)
def test_another_body_under_the_same_key_is_refused(case: Case) -> None:
    first = send(case)
    after = state()
    if case[4] is None:  # nothing can be said in the body: another thing is another request
        return
    other = send(case, body=case[4])

    assert first.status_code in {200, 201}
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")
    assert state() == after


@pytest.mark.parametrize("case", NAMES, indirect=True)
def test_while_the_first_is_running_the_second_waits(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state()
    seen: list[Any] = []
    with monkeypatch.context() as dying:
        dying.setattr(repeats, "_end", lambda *_: seen.append("gone"))
        dying.setattr(idempotency, "store", lambda *_: 1 / 0)
        send(case)  # it died on the way: its key stays claimed

    answer = send(case)

    assert seen == ["gone"]
    assert (answer.status_code, answer.json["code"]) == (409, "in_progress")
    assert int(answer.headers["Retry-After"]) > 0
    if not case[2].endswith(("capture", "void")):  # Stripe has the request already
        assert state() == before


@pytest.mark.parametrize("case", NAMES, indirect=True)
def test_a_refusal_gives_the_key_back(case: Case) -> None:
    bad = {"nobody_knows": 1} if case[3] is not None else None
    if bad is None:
        return
    refused = send(case, body=bad)

    assert refused.status_code == 422
    assert session.scalar(select(func.count()).select_from(IdempotencyKey)) == 0
    assert send(case).status_code in {200, 201}


@pytest.mark.parametrize("case", NAMES, indirect=True)
@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there"])
def test_a_key_that_cannot_be_one_is_named(case: Case, key: str) -> None:
    before = state()

    answer = send(case, key=key)

    assert answer.status_code == 422
    assert answer.json["errors"][0]["field"] == "Idempotency-Key"
    assert state() == before


def test_claim_of_a_dead_process_lasts_a_minute(cast: Cast, hire: Callable[[str], Program]) -> None:
    owner, order = hire("Owner"), cast.paid_order
    address, body = f"orders/{order.number}/refunds", {"amount_minor": 100, "reason": "goodwill"}
    made = owner.post(address, json=body, headers={"Idempotency-Key": "k"})
    kept = session.scalars(select(IdempotencyKey)).one()
    with transaction():
        row = session.get_one(IdempotencyKey, (kept.scope, kept.key))
        row.status, row.body = None, None
    assert owner.post(address, json=body, headers={"Idempotency-Key": "k"}).status_code == 409

    with clock.freeze(clock.now() + timedelta(minutes=2)):
        again = owner.post(address, json=body, headers={"Idempotency-Key": "k"})

    assert (made.status_code, again.status_code) == (201, 201)


def test_starting_to_pay_twice_is_one_attempt(
    guest: Program, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = cast.unpaid_order
    keys: list[str] = []

    def create(*, key: str, **_: Any) -> stripe_objects.Intent:
        keys.append(key)
        (payment,) = payments.of_order(order.id)
        return people.intent(payment, "requires_payment_method")

    monkeypatch.setattr(gateway, "create_intent", create)
    path = f"orders/{order.number}/payment-intent?token={order.token}"

    first, second = guest.post(path), guest.post(path)

    assert first.json == second.json and first.status_code == 200, first.json
    assert len(keys) == 1
