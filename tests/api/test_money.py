"""Refunds, capturing and releasing through the API; what cannot be is refused and named."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select, update

from shop import inventory, orders, payments
from shop.api import money as door
from shop.api.order_schemas import RefundSchema, StaffOrderSchema
from shop.core import clock
from shop.core.db import session, transaction
from shop.core.errors import Unavailable
from shop.core.idempotency import IdempotencyKey
from shop.payments import intents, refund_news, stripe_objects
from shop.payments import stripe_gateway as gateway
from shop.payments.models import Payment, Refund
from shop.payments.refusals import SENTENCES, RefusalReason
from tests import cast as people
from tests.api.conftest import Program
from tests.cast import Cast
from tests.discounts.offers import offer


@pytest.fixture
def finance(hire: Callable[[str], Program]) -> Program:
    return hire("Finance")


def authorised(cast: Cast) -> tuple[orders.Order, Payment]:
    """An order whose money is authorised."""
    order = cast.unpaid_order
    payment = people.attempt(order, capture="manual")
    with transaction():
        intents.apply_intent(payment.id, people.intent(payment, "requires_capture"))
    return order, payment


def is_untouched(order: orders.Order, version: int) -> bool:
    session.expire_all()
    made = session.scalar(select(func.count()).select_from(Refund))
    return made == 0 and orders.by_id(order.id).version == version


def test_units_and_shipping_are_refunded(finance: Program, cast: Cast) -> None:
    order = cast.paid_order
    line_id = order.lines[0].id
    path = f"orders/{order.number}"
    body = {
        "lines": [{"line_id": line_id, "quantity": 1}],
        "shipping_minor": 100,
        "reason": "returned",
        "restock": True,
    }

    made = finance.post(f"{path}/refunds", json=body)

    assert made.status_code == 201, made.json
    assert RefundSchema().validate(made.get_json()) == {}
    assert (made.json["status"], made.json["amount_minor"]) == ("requested", 2000)
    assert made.json["requested_by"] == "Finance Person"
    assert made.json["lines"][0] | {"tax_minor": 0} == {
        "line_id": line_id, "quantity": 1, "amount_minor": 1900, "tax_minor": 0, "restock": True,
    }  # fmt: skip
    shown = finance.get(path).json
    assert shown["refunds"] == [made.json]
    assert shown["lines"][0]["refunded"] == shown["lines"][0]["cancelled"] == 1
    assert shown["money"] == {
        "authorised_minor": 0, "capture_before": None, "captured_minor": order.total_minor,
        "refunded_minor": 0, "on_its_way_minor": 2000, "disputed_minor": 0, "lost_minor": 0,
        "fees_minor": 0, "balance_minor": order.total_minor - 2000,
    }  # fmt: skip
    described = {name: said for name, said in shown.items() if name != "status_label"}
    assert StaffOrderSchema().validate(described) == {}
    assert inventory.levels([cast.mug.id])[cast.mug.id].committed == 1


def test_all_that_is_left_is_refunded_and_restocked(finance: Program, cast: Cast) -> None:
    order = cast.paid_order
    line_id = order.lines[0].id
    finance.post(f"orders/{order.number}/refunds", json={"amount_minor": 500, "reason": "goodwill"})

    made = finance.post(
        f"orders/{order.number}/refunds",
        json={"all": True, "restock": True, "reason": "cancelled"},
    )

    assert made.status_code == 201, made.json
    assert made.json["amount_minor"] == order.total_minor - 500
    assert made.json["return_id"] is None
    assert [(one["line_id"], one["quantity"], one["restock"]) for one in made.json["lines"]] == [
        (line_id, 2, True)
    ]
    assert inventory.levels([cast.mug.id])[cast.mug.id].committed == 0
    again = finance.post(
        f"orders/{order.number}/refunds", json={"all": True, "reason": "cancelled"}
    )
    assert again.status_code == 409


@pytest.mark.parametrize(
    "besides",
    [
        {"amount_minor": 5},
        {"shipping_minor": 5},
        {"lines": [{"line_id": 1, "quantity": 1}]},
        {"restock": [2**40]},
    ],
)
def test_all_takes_nothing_besides(finance: Program, cast: Cast, besides: dict[str, Any]) -> None:
    order = cast.paid_order
    version = order.version

    refused = finance.post(
        f"orders/{order.number}/refunds", json={"all": True, "reason": "other"} | besides
    )

    assert refused.status_code == 422
    assert is_untouched(order, version)


def test_free_order_is_returned_without_money(finance: Program, cast: Cast) -> None:
    offer("All free", value=10_000)
    offer("Free delivery", kind="free_shipping", value=0)
    order = people.order(cast.mug, 2)
    with transaction():
        orders.ship(orders.lock(order.id))
    path = f"orders/{order.number}"

    made = finance.post(
        f"{path}/refunds", json={"all": True, "restock": True, "reason": "returned"}
    )

    assert made.status_code == 201, made.json
    assert RefundSchema().validate(made.get_json()) == {}
    assert (made.json["id"], made.json["status"], made.json["amount_minor"]) == (None, "done", 0)
    assert made.json["return_id"]
    shown = finance.get(path).json
    assert shown["refunds"] == [made.json]
    assert shown["lines"][0]["refunded"] == 2
    assert inventory.levels([cast.mug.id])[cast.mug.id].on_hand == 10
    again = finance.post(f"{path}/refunds", json={"all": True, "reason": "returned"})
    assert again.status_code == 409


def test_amount_refund_hides_bookkeeping_from_the_customer(
    finance: Program, guest: Program, cast: Cast
) -> None:
    order = cast.paid_order
    body = {"amount_minor": 123, "reason": "goodwill"}

    made = finance.post(f"orders/{order.number}/refunds", json=body)

    assert (made.status_code, made.json["amount_minor"], made.json["lines"]) == (201, 123, [])
    mine = guest.get(f"orders/{order.number}?token={order.token}").get_json()
    assert not {"money", "refunds", "disputes"} & set(mine)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "amount_minor"),
        ({"amount_minor": 0}, "amount_minor"),
        ({"amount_minor": -1}, "amount_minor"),
        ({"amount_minor": 1.5}, "amount_minor"),
        ({"amount_minor": "100"}, "amount_minor"),
        ({"amount_minor": True}, "amount_minor"),
        ({"amount_minor": 10**12}, "amount_minor"),
        ({"amount_minor": 1_000_000}, "amount_minor"),
        ({"amount_minor": 100, "currency": "USD"}, "currency"),
        ({"amount_minor": 100, "reason": "because"}, "reason"),
        ({"amount_minor": 100, "reason": None}, "reason"),
        ({"amount_minor": 100, "restock": True}, "amount_minor"),
        ({"amount_minor": 100, "shipping_minor": 100}, "amount_minor"),
        ({"shipping_minor": -1}, "shipping_minor"),
        ({"shipping_minor": 1_000_000}, "shipping_minor"),
        ({"shipping_minor": 100, "restock": [1]}, "restock"),
        ({"shipping_minor": 100, "restock": "all"}, "restock"),
        ({"shipping_minor": 100, "restock": [True]}, "restock"),
        ({"shipping_minor": 100, "restock": [10**30]}, "restock"),
        ({"lines": []}, "lines"),
        ({"lines": [{"line_id": 1}]}, "lines.0.quantity"),
        ({"units": 0}, "lines.0.quantity"),
        ({"units": -1}, "lines.0.quantity"),
        ({"units": 3}, "lines"),
        ({"units": 10**9}, "lines.0.quantity"),
        ({"units": 1.0}, "lines.0.quantity"),
        ({"foreign": 1}, "lines"),
        ({"twice": 1}, "lines"),
    ],
)
def test_refused_refund_names_the_reason(
    finance: Program, cast: Cast, body: dict[str, Any], field: str
) -> None:
    order = cast.paid_order
    line_id, version = order.lines[0].id, order.version
    other_line = people.order(cast.lamp).lines[0].id
    written: dict[str, Any] = {
        "units": {"lines": [{"line_id": line_id, "quantity": body.get("units")}]},
        "foreign": {"lines": [{"line_id": other_line, "quantity": 1}]},
        "twice": {"lines": [{"line_id": line_id, "quantity": 1}] * 2},
    }
    short = next(iter(body), "")

    answer = finance.post(
        f"orders/{order.number}/refunds", json={"reason": "returned"} | written.get(short, body)
    )

    assert answer.status_code == 422, answer.json
    assert field in {fault["field"] for fault in answer.json["errors"]}, answer.json
    assert is_untouched(order, version)


def test_unpaid_order_cannot_be_refunded(finance: Program, cast: Cast) -> None:
    order = cast.unpaid_order
    body = {"amount_minor": 100, "reason": "goodwill"}

    answer = finance.post(f"orders/{order.number}/refunds", json=body)

    assert (answer.status_code, answer.json["code"]) == (409, "wrong_state")
    assert answer.json["detail"].startswith("Nothing was captured")
    assert finance.post("orders/EO-0/refunds", json=body).status_code == 404


def test_a_failed_refund_is_tried_again_once(finance: Program, cast: Cast) -> None:
    order = cast.paid_order
    body = {"amount_minor": 100, "reason": "goodwill"}
    made = finance.post(f"orders/{order.number}/refunds", json=body).json
    path = f"refunds/{made['id']}/retry"
    assert finance.post(path).status_code == 409
    refund = session.get_one(Refund, made["id"])
    with transaction():
        refund_news.apply_refund(refund.id, people.sent(refund, "failed", failure="lost card"))

    again = finance.post(path)

    assert (again.status_code, again.json["status"]) == (200, "requested")
    assert finance.post(path).status_code == 409
    assert finance.post("refunds/999999/retry").status_code == 404


@pytest.mark.parametrize(
    "body",
    [{"amount_minor": 0}, {"amount_minor": -1}, {"amount_minor": 1.5}, {"amount_minor": 10**7},
     {"amount_minor": 10**12}, {"currency": "USD"}],
)  # fmt: skip
def test_only_authorised_money_can_be_captured(
    finance: Program, cast: Cast, body: dict[str, Any]
) -> None:
    order, _ = authorised(cast)

    answer = finance.post(f"orders/{order.number}/capture", json=body)

    assert answer.status_code == 422, answer.json
    assert answer.json["errors"][0]["field"] in body
    assert orders.by_id(order.id).payment_status == "authorised"


def test_capture_and_release_need_authorised_money(finance: Program, cast: Cast) -> None:
    path = f"orders/{cast.paid_order.number}"

    for what in ("capture", "void"):
        answer = finance.post(f"{path}/{what}")
        assert (answer.status_code, answer.json["code"]) == (409, "wrong_state")
        assert finance.post(f"orders/EO-0/{what}").status_code == 404


def test_money_is_captured_in_part_and_rest_released(
    finance: Program, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, payment = authorised(cast)
    assert finance.get(f"orders/{order.number}").json["money"]["capture_before"]

    def capture(intent_id: str, *, key: str, amount_minor: int) -> stripe_objects.Intent:
        return people.intent(payment, received_minor=amount_minor)

    monkeypatch.setattr(gateway, "capture_intent", capture)

    answer = finance.post(f"orders/{order.number}/capture", json={"amount_minor": 1000})

    assert answer.status_code == 200, answer.json
    assert answer.json["payment_status"] == "partly_paid"
    assert answer.json["money"]["captured_minor"] == 1000


def test_refused_capture_answers_with_the_reason(
    finance: Program, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, payment = authorised(cast)
    as_it_is = people.intent(payment, "requires_capture")
    monkeypatch.setattr(gateway, "fetch_intent", lambda _: as_it_is)

    def refused(intent_id: str, *, key: str, amount_minor: int) -> stripe_objects.Intent:
        reason = RefusalReason.AUTHORISATION_EXPIRED
        raise payments.Refused(SENTENCES[reason], reason=reason)

    monkeypatch.setattr(gateway, "capture_intent", refused)

    answer = finance.post(
        f"orders/{order.number}/capture", json={}, headers={"Idempotency-Key": "one"}
    )

    assert answer.content_type == "application/problem+json"
    assert (answer.status_code, answer.json["code"]) == (409, "authorisation_expired")
    assert "authorisation has expired" in answer.json["detail"]
    assert [task.kind for task in payments.open_tasks()] == ["capture_failed"]

    def taken(intent_id: str, *, key: str, amount_minor: int) -> stripe_objects.Intent:
        return people.intent(payment)

    monkeypatch.setattr(gateway, "capture_intent", taken)
    again = finance.post(
        f"orders/{order.number}/capture", json={}, headers={"Idempotency-Key": "one"}
    )
    assert (again.status_code, again.json["payment_status"]) == (200, "paid")


def test_release_of_captured_money_is_refused(
    finance: Program, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, payment = authorised(cast)
    captured = people.intent(payment)
    monkeypatch.setattr(gateway, "cancel_intent", lambda _: captured)

    answer = finance.post(f"orders/{order.number}/void")

    assert (answer.status_code, answer.json["code"]) == (409, "wrong_state")
    assert "was captured at the same time" in answer.json["detail"]
    assert orders.by_id(order.id).payment_status == "paid"


def test_only_who_may_refund_cancels_and_keeps_money(
    cast: Cast, hire: Callable[[str], Program]
) -> None:
    support, manager = hire("Support"), hire("Manager")
    path, body = f"orders/{cast.paid_order.number}/cancel", {"reason": "fraud", "refund": False}

    refused = support.post(path, json=body)
    done = manager.post(path, json=body)

    assert (refused.status_code, refused.json["code"]) == (403, "forbidden")
    assert (done.status_code, done.json["status"], done.json["refunds"]) == (200, "cancelled", [])


@pytest.mark.parametrize(("quantity", "status"), [(3, 422), (0, 422), (-1, 422), (1, 200)])
def test_staff_cancel_units(
    cast: Cast, hire: Callable[[str], Program], quantity: int, status: int
) -> None:
    order = cast.paid_order
    lines = [{"line_id": order.lines[0].id, "quantity": quantity}]

    answer = hire("Support").post(
        f"orders/{order.number}/cancel", json={"reason": "out of stock", "lines": lines}
    )

    assert answer.status_code == status, answer.json
    given = payments.of_order(order.id)[0].refunding_minor
    assert given == (1900 if status == 200 else 0)


@pytest.mark.parametrize(("what", "status"), [("capture", "paid"), ("void", "unpaid")])
def test_repeat_answers_for_a_process_that_died(
    finance: Program, cast: Cast, monkeypatch: pytest.MonkeyPatch, what: str, status: str
) -> None:
    order, payment = authorised(cast)

    def taken(_: str, *, key: str, amount_minor: int) -> stripe_objects.Intent:
        return people.intent(payment, received_minor=amount_minor)

    def released(_: str) -> stripe_objects.Intent:
        return people.intent(payment, "canceled")

    monkeypatch.setattr(gateway, "capture_intent", taken)
    monkeypatch.setattr(gateway, "cancel_intent", released)
    path, key = f"orders/{order.number}/{what}", {"Idempotency-Key": "once"}

    def dies(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as killed, pytest.raises(SystemExit):
        killed.setattr(door, "_remembered", dies)
        finance.post(path, json={}, headers=key)
    session.rollback()
    with transaction():
        session.execute(update(IdempotencyKey).values(locked_until=clock.now()))

    again = finance.post(path, json={}, headers=key)
    other = finance.post(path, json={}, headers={"Idempotency-Key": "another"})

    assert (again.status_code, again.json["payment_status"]) == (200, status)
    assert (other.status_code, other.json["code"]) == (409, "wrong_state")


@pytest.mark.parametrize(
    ("what", "status", "intent_status"),
    [("capture", "paid", "succeeded"), ("void", "unpaid", "canceled")],
)
def test_repeat_answers_what_stripe_did_before_the_loss(
    finance: Program,
    cast: Cast,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    status: str,
    intent_status: str,
) -> None:
    order, payment = authorised(cast)

    def lost(*_: object, **__: object) -> stripe_objects.Intent:
        raise Unavailable("The payment service does not answer. Please try again.")

    monkeypatch.setattr(gateway, "capture_intent", lost)
    monkeypatch.setattr(gateway, "cancel_intent", lost)
    path, key = f"orders/{order.number}/{what}", {"Idempotency-Key": "once"}

    first = finance.post(path, json={}, headers=key)
    with transaction():  # Stripe's message comes
        intents.apply_intent(payment.id, people.intent(payment, intent_status))
    again = finance.post(path, json={}, headers=key)
    other = finance.post(path, json={"amount_minor": 1}, headers=key)

    assert first.status_code == 503
    assert (again.status_code, again.json["payment_status"]) == (200, status)
    assert other.status_code == 422 or what == "void"
