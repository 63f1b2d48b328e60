"""Placing, reading and cancelling orders through the API."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from shop import catalog, checkout, discounts, inventory, orders
from shop.api.order_schemas import OrderSchema
from shop.checkout.models import ShippingMethod, TaxRate
from shop.core.db import transaction
from shop.core.network import digest_of
from shop.orders.models import Order
from tests import cast as making
from tests.api.conftest import Program
from tests.api.test_sale import wish
from tests.cast import Cast
from tests.discounts.offers import offer


def placed(program: Program, variant_id: int, quantity: int = 1, **headers: str) -> dict[str, Any]:
    """An order of this program's."""
    cart = program.post("cart/items", json={"variant_id": variant_id, "quantity": quantity}).json
    answer = program.post("orders", json=wish(cart), headers=headers)
    assert answer.status_code == 201, answer.json
    order: dict[str, Any] = answer.get_json()
    return order


def count(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(Order)) or 0


def test_same_key_gives_same_answer_and_one_order(
    guest: Program, cast: Cast, session: Session
) -> None:
    cart = guest.post("cart/items", json={"variant_id": cast.mug.id}).json
    first = guest.post("orders", json=wish(cart), headers={"Idempotency-Key": "k"})
    second = guest.post("orders", json=wish(cart), headers={"Idempotency-Key": "k"})
    assert first.status_code == second.status_code == 201
    assert first.json == second.json
    assert second.headers["Idempotent-Replayed"] == "true"
    assert count(session) == 1


def test_the_same_key_for_another_body_is_refused(
    guest: Program, cast: Cast, session: Session
) -> None:
    cart = guest.post("cart/items", json={"variant_id": cast.mug.id}).json
    guest.post("orders", json=wish(cart), headers={"Idempotency-Key": "k"})
    other = wish(cart, email="else@example.com")
    answer = guest.post("orders", json=other, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json["code"]) == (422, "idempotency_key_reused")
    assert count(session) == 1


def test_a_refusal_gives_the_key_back(guest: Program, cast: Cast) -> None:
    cart = guest.post("cart/items", json={"variant_id": cast.mug.id}).json
    stale = wish(cart, cart_version=cart["version"] + 1)
    answer = guest.post("orders", json=stale, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json["code"]) == (409, "cart_changed")
    answer = guest.post("orders", json=wish(cart), headers={"Idempotency-Key": "k"})
    assert answer.status_code == 201


def test_without_key_second_press_still_orders_once(
    guest: Program, cast: Cast, session: Session
) -> None:
    cart = guest.post("cart/items", json={"variant_id": cast.mug.id}).json
    numbers = {guest.post("orders", json=wish(cart)).json["number"] for _ in range(3)}
    assert len(numbers) == count(session) == 1
    assert inventory.available([cast.mug.id]) == {cast.mug.id: 9}


@pytest.mark.parametrize("key", ["", "x" * 256, "ümlaut", "tab\there"])
def test_a_key_that_cannot_be_one_is_named(guest: Program, cast: Cast, key: str) -> None:
    cart = guest.post("cart/items", json={"variant_id": cast.mug.id}).json
    answer = guest.post("orders", json=wish(cart), headers={"Idempotency-Key": key})
    assert answer.status_code == 422
    assert answer.json["errors"][0]["field"] == "Idempotency-Key"


def test_sold_out_goods_answer_409_without_an_order(
    guest: Program, cast: Cast, session: Session
) -> None:
    cart = guest.post("cart/items", json={"variant_id": cast.lamp.id, "quantity": 2}).json
    making.order(cast.lamp, 1)
    before = count(session)
    answer = guest.post("orders", json=wish(cart), headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json["code"]) == (409, "out_of_stock")
    assert answer.json["errors"]
    assert count(session) == before


def test_faults_in_addresses_are_named_where_they_are(guest: Program, cast: Cast) -> None:
    cart = guest.post("cart/items", json={"variant_id": cast.mug.id}).json
    bad = making.ADDRESS | {"country": "XX", "city": " "}
    answer = guest.post("orders", json=wish(cart, billing_address=bad))
    assert answer.status_code == 422
    named = {fault["field"] for fault in answer.json["errors"]}
    assert named == {"billing_address.country", "billing_address.city"}
    answer = guest.post(
        "orders", json=wish(cart, shipping_address=making.ADDRESS | {"country": "US"})
    )
    assert answer.status_code == 422, answer.json
    assert guest.post("orders", json=wish(cart, shipping_method="teleport")).status_code == 422
    assert guest.post("orders", json=wish(cart, email="not one")).status_code == 422


def test_order_is_visible_to_owner_token_and_staff(
    guest: Program, ada: Program, bruno: Program, cast: Cast, hire: Callable[[str], Program]
) -> None:
    order = placed(ada, cast.mug.id)
    path = f"orders/{order['number']}"
    assert ada.get(path).json == order
    described = {name: said for name, said in order.items() if name != "status_label"}
    assert OrderSchema().validate(described) == {}
    assert guest.get(f"{path}?token={order['token']}").json["number"] == order["number"]
    staff_view = hire("Viewer").get(path).get_json()
    assert staff_view["number"] == order["number"]
    assert "token" not in staff_view
    for answer in (
        bruno.get(path),
        guest.get(path),
        guest.get(f"{path}?token="),
        guest.get(f"{path}?token=null"),
        guest.get(f"{path}?token={order['token'][:-1]}"),
        guest.get("orders/EO-0"),
        bruno.post(f"{path}/payment-intent"),
        guest.post(f"{path}/payment-intent"),
        bruno.post(f"{path}/cancel"),
        guest.post(f"{path}/cancel"),
    ):
        assert (answer.status_code, answer.json["code"]) == (404, "not_found")
    assert ada.get(path).json["status"] == "pending"


def test_customers_list_their_own_and_staff_all_orders(
    ada: Program, bruno: Program, cast: Cast, hire: Callable[[str], Program]
) -> None:
    mine = placed(ada, cast.mug.id)
    theirs = placed(bruno, cast.mug.id)
    assert [one["number"] for one in ada.get("orders").json] == [mine["number"]]
    answer = hire("Support").get("orders?per_page=1&page=2&sort=oldest")
    assert answer.headers["X-Pagination"] == '{"page": 2, "pages": 2, "per_page": 1, "total": 2}'
    assert [one["number"] for one in answer.json] == [theirs["number"]]
    found = Program(ada.client)
    found.sign_in("support@staff.example.com", audience="staff")
    assert len(found.get("orders?tab=unpaid&q=ada@example.com").get_json()) == 2
    assert found.get("orders?tab=nonsense").status_code == 422


def test_order_filter_takes_no_day_after_the_last(
    cast: Cast, guest: Program, hire: Callable[[str], Program]
) -> None:
    number = placed(guest, cast.mug.id)["number"]
    desk = hire("Support")

    answer = desk.get("orders?placed_to=9999-12-31")

    assert (answer.status_code, "between 2000 and 2999" in answer.text) == (422, True)
    found = desk.get("orders?placed_from=2000-01-01&placed_to=2999-12-31").json
    assert [one["number"] for one in found] == [number]


def test_customer_calls_order_off_until_it_is_packed(
    ada: Program, guest: Program, cast: Cast
) -> None:
    order = placed(ada, cast.mug.id)
    answer = ada.post(f"orders/{order['number']}/cancel", json={"reason": "changed my mind"})
    assert (answer.status_code, answer.json["status"]) == (200, "cancelled")
    assert inventory.available([cast.mug.id]) == {cast.mug.id: 10}
    again = ada.post(f"orders/{order['number']}/cancel")
    assert (again.status_code, again.json["code"]) == (409, "wrong_state")

    paid = cast.paid_order
    path, order_id = f"orders/{paid.number}/cancel?token={paid.token}", paid.id
    units = [{"line_id": paid.lines[0].id, "quantity": 1}]
    keep = guest.post(path, json={"refund": False})
    assert (keep.status_code, keep.json["code"]) == (403, "forbidden")
    answer = guest.post(path, json={"lines": units})
    assert (answer.status_code, answer.json["lines"][0]["cancelled"]) == (200, 1), answer.json
    assert "refunds" not in answer.get_json()
    with transaction():
        orders.start_processing(orders.lock(order_id))
    answer = guest.post(path)
    assert (answer.status_code, answer.json["code"]) == (409, "wrong_state")
    answer = guest.post(f"orders/{paid.number}/payment-intent?token={paid.token}")
    assert (answer.status_code, answer.json["code"]) == (409, "wrong_state")


def test_absent_payment_service_is_503_and_order_stays(guest: Program, cast: Cast) -> None:
    order = placed(guest, cast.mug.id)
    path = f"orders/{order['number']}"
    answer = guest.post(f"{path}/payment-intent?token={order['token']}")
    assert (answer.status_code, answer.json["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert guest.get(f"{path}?token={order['token']}").json["status"] == "pending"


def test_staff_send_shipments_until_all_are_delivered(
    cast: Cast, hire: Callable[[str], Program]
) -> None:
    order = cast.paid_order
    warehouse = hire("Warehouse")
    path = f"orders/{order.number}"
    assert warehouse.post(f"{path}/processing").status_code == 200
    assert warehouse.post(f"{path}/processing").status_code == 409
    line_id = warehouse.get(path).json["lines"][0]["id"]
    first = warehouse.post(
        f"{path}/fulfilments",
        json={
            "lines": [{"line_id": line_id, "quantity": 1}],
            "carrier": "DHL",
            "tracking_number": "T1",
            "notify": True,
        },
    )
    assert first.status_code == 201, first.json
    assert first.json["lines"] == [{"line_id": line_id, "quantity": 1}]
    assert (first.json["status"], first.json["carrier"]) == ("shipped", "DHL")
    too_many = {"lines": [{"line_id": line_id, "quantity": 2}]}
    assert warehouse.post(f"{path}/fulfilments", json=too_many).status_code == 422
    second = warehouse.post(f"{path}/fulfilments")
    assert second.status_code == 201
    assert warehouse.post(f"{path}/fulfilments").status_code == 409

    assert warehouse.post(f"fulfilments/{first.json['id']}/shipped").status_code == 200
    for fulfilment in (first, second):
        answer = warehouse.post(f"fulfilments/{fulfilment.json['id']}/delivered")
        assert (answer.status_code, answer.json["status"]) == (200, "delivered")
    assert warehouse.post(f"fulfilments/{first.json['id']}/delivered").status_code == 409
    assert warehouse.post(f"fulfilments/{first.json['id']}/shipped").status_code == 409
    assert warehouse.post("fulfilments/999999/shipped").status_code == 404
    done = warehouse.get(path).json
    assert (done["status"], done["fulfilment_status"]) == ("completed", "delivered")


def test_staff_add_a_note_and_cancel(cast: Cast, hire: Callable[[str], Program]) -> None:
    support = hire("Support")
    path = f"orders/{cast.paid_order.number}"
    noted = support.post(f"{path}/notes", json={"text": " Rang the bell. "})
    assert (noted.status_code, noted.json["text"]) == (201, "Rang the bell.")
    assert noted.json["author"] == "Support Person"
    assert support.post(f"{path}/cancel", json={"reason": "because"}).status_code == 422
    answer = support.post(f"{path}/cancel", json={"reason": "out of stock"})
    assert (answer.status_code, answer.json["status"]) == (200, "cancelled")


def test_changed_price_orders_nothing(guest: Program, cast: Cast, session: Session) -> None:
    cart = guest.post("cart/items", json={"variant_id": cast.mug.id}).json
    seen = wish(cart)
    with transaction():
        catalog.update_variant(cast.mug, price_minor=90000)

    answer = guest.post("orders", json=seen)

    assert (answer.status_code, answer.json["code"]) == (409, "cart_changed")
    assert answer.json["totals"]["total_minor"] == 90000 + answer.json["totals"]["shipping_minor"]
    assert count(session) == 0
    again = wish(cart, seen_total_minor=answer.json["totals"]["total_minor"])
    assert guest.post("orders", json=again).json["total_minor"] == again["seen_total_minor"]


def test_order_needs_the_seen_total(guest: Program, cast: Cast, session: Session) -> None:
    cart = guest.post("cart/items", json={"variant_id": cast.mug.id}).json
    without = wish(cart)
    del without["seen_total_minor"]

    answer = guest.post("orders", json=without)

    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json["errors"]] == ["seen_total_minor"]
    assert count(session) == 0


@pytest.fixture
def net_prices() -> Iterator[None]:
    """A shop whose prices are without tax, and which reads its tariffs when they are asked for."""
    terms = checkout.terms()
    checkout.configure(replace(terms, prices_include_tax=False))
    checkout.clear_cache()
    yield
    checkout.configure(terms)
    checkout.clear_cache()
    discounts.clear_cache()


@pytest.mark.parametrize("change", ["shipping price", "tax", "discount"])
def test_any_change_of_the_total_is_named(
    guest: Program, cast: Cast, session: Session, net_prices: None, change: str
) -> None:
    cart = guest.post("cart/items", json={"variant_id": cast.mug.id}).json
    if change == "discount":
        offer("Everybody", value=500)
    else:
        with transaction():
            shipping = update(ShippingMethod).values(price_minor=4000)
            tax = update(TaxRate).values(rate=Decimal("0.5"))
            session.execute(shipping if change == "shipping price" else tax)
    checkout.clear_cache()
    discounts.clear_cache()

    answer = guest.post("orders", json=wish(cart))

    assert (answer.status_code, answer.json["code"]) == (409, "cart_changed")
    now = guest.get("cart", headers={"X-Cart-Token": cart["token"]}).json
    assert answer.json["totals"] == {name: now[name] for name in answer.json["totals"]}
    assert answer.json["totals"]["total_minor"] != cart["total_minor"]
    assert count(session) == 0


def test_shipping_methods_tell_the_total_of_each(guest: Program, cast: Cast) -> None:
    cart = guest.post("cart/items", json={"variant_id": cast.mug.id}).json
    methods = guest.get(f"shipping-methods?country=FR&cart_token={cart['token']}").json

    assert methods and all(
        one["total_minor"] == cart["subtotal_minor"] + one["price_minor"] for one in methods
    )
    address = {**wish(cart)["shipping_address"], "country": "FR", "postal_code": "75001"}
    chosen = methods[-1]
    placed = guest.post(
        "orders",
        json=wish(
            cart,
            seen_total_minor=chosen["total_minor"],
            shipping_method=chosen["code"],
            shipping_address=address,
        ),
    )
    assert (placed.status_code, placed.json["total_minor"]) == (201, chosen["total_minor"])
    assert {one["total_minor"] for one in Program(guest.client).get("shipping-methods").json} == {
        None
    }


def test_too_many_unpaid_orders_are_refused(app: Flask, cast: Cast, session: Session) -> None:
    many = making.product("Many", stock=100)
    for _ in range(checkout.terms().max_unpaid_orders):
        placed(Program(app.test_client(use_cookies=False)), many.id)
    visitor = Program(app.test_client(use_cookies=False))
    cart = visitor.post("cart/items", json={"variant_id": many.id}).json

    answer = visitor.post("orders", json=wish(cart))

    assert (answer.status_code, answer.json["code"]) == (409, "unpaid_limit")
    assert "Pay for one of them or cancel it" in answer.json["detail"]
    assert count(session) == checkout.terms().max_unpaid_orders


def test_order_keeps_a_digest_of_its_network(guest: Program, cast: Cast) -> None:
    number = placed(guest, cast.mug.id)["number"]

    kept = orders.by_number(number).placed_from

    assert kept == digest_of("127.0.0.1") != digest_of("127.0.0.2")
