"""Carts of guests and customers, through the API."""

from tests import cast as making
from tests.api.conftest import Program
from tests.cast import Cast


def test_a_cart_is_named_on_its_first_write(guest: Program, cast: Cast) -> None:
    empty = guest.get("cart")
    assert (empty.status_code, empty.json["token"], empty.json["items"]) == (200, None, [])

    made = guest.post("cart/items", json={"variant_id": cast.mug.id, "quantity": 2})

    assert made.status_code == 201
    assert made.headers["X-Cart-Token"] == made.json["token"]
    assert made.get_json() | {"token": "", "items": []} == {
        "token": "",
        "version": 2,
        "currency": "EUR",
        "items": [],
        "subtotal_minor": 3800,
        "discount_minor": 0,
        "discounts": [],
        "shipping_minor": 490,
        "tax_minor": made.json["tax_minor"],
        "total_minor": 4290,
        "problems": [],
    }
    item = made.json["items"][0]
    assert {
        "id",
        "variant_id",
        "sku",
        "name",
        "quantity",
        "unit_price_minor",
        "total_minor",
    } <= set(item)
    assert item["problem"] is None


def test_items_are_changed_and_taken_out(guest: Program, cast: Cast) -> None:
    first = guest.post("cart/items", json={"variant_id": cast.mug.id}).json["items"][0]
    changed = guest.patch(f"cart/items/{first['id']}", json={"quantity": 3}).json
    assert changed["items"][0]["quantity"] == 3
    emptied = guest.delete(f"cart/items/{first['id']}")
    assert (emptied.status_code, emptied.json["items"], emptied.json["total_minor"]) == (200, [], 0)


def test_more_than_there_is_is_refused_in_words(guest: Program, cast: Cast) -> None:
    answer = guest.post("cart/items", json={"variant_id": cast.lamp.id, "quantity": 3})
    assert (answer.status_code, answer.json["code"]) == (409, "out_of_stock")
    assert answer.json["errors"] == [{"field": "quantity", "message": "Only 2 are left of this."}]


def test_more_than_an_order_takes_is_refused(guest: Program) -> None:
    pin = making.product("Pin", price_minor=100, stock=100)

    answer = guest.post("cart/items", json={"variant_id": pin.id, "quantity": 21})

    assert answer.status_code == 422
    words = "You can order up to 20 of this item."
    assert answer.json["errors"] == [{"field": "quantity", "message": words}]
    added = guest.post("cart/items", json={"variant_id": pin.id, "quantity": 20})
    assert added.status_code == 201
    more = guest.post("cart/items", json={"variant_id": pin.id})
    assert (more.status_code, more.json["detail"]) == (422, words)


def test_nobody_reaches_another_persons_cart(guest: Program, ada: Program, cast: Cast) -> None:
    theirs = ada.post("cart/items", json={"variant_id": cast.mug.id}).json
    item = theirs["items"][0]["id"]
    stranger = Program(guest.client, cart=theirs["token"])
    for answer in (
        stranger.get("cart"),
        stranger.post("cart/items", json={"variant_id": cast.mug.id}),
        stranger.patch(f"cart/items/{item}", json={"quantity": 5}),
        stranger.delete(f"cart/items/{item}"),
        stranger.get(f"shipping-methods?cart_token={theirs['token']}"),
    ):
        assert (answer.status_code, answer.json["code"]) == (404, "not_found")
    own = Program(guest.client)
    own.post("cart/items", json={"variant_id": cast.lamp.id})
    assert own.patch(f"cart/items/{item}", json={"quantity": 5}).status_code == 404
    assert ada.get("cart").json == theirs


def test_a_customer_has_one_cart_on_all_devices(ada: Program, bruno: Program, cast: Cast) -> None:
    ada.post("cart/items", json={"variant_id": cast.mug.id})
    phone = Program(ada.client)
    phone.sign_in("ada@example.com")
    assert phone.get("cart").json["items"][0]["variant_id"] == cast.mug.id
    assert bruno.get("cart").json["items"] == []


def test_shipping_is_free_above_its_limit(guest: Program, cast: Cast) -> None:
    lamp = making.product("Big lamp", price_minor=7000)
    guest.post("cart/items", json={"variant_id": lamp.id})
    methods = {one["code"]: one for one in guest.get("shipping-methods?country=de").json}
    assert methods["standard"]["price_minor"] == 0
    assert methods["express"]["price_minor"] == 1290
    assert guest.get("shipping-methods?country=US").json == []
    assert guest.get("shipping-methods?country=Germany").status_code == 422
