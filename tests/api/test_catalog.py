"""The catalogue through the API: read by everybody, written by staff."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from shop import catalog, inventory
from shop.api import catalog_schemas as schemas
from shop.core import db
from tests import cast as making
from tests.api.conftest import Program
from tests.cast import Cast


@pytest.fixture
def desk(hire: Callable[[str], Program]) -> Program:
    """Somebody who may write the catalogue and its stock."""
    return hire("Manager")


def png(size: tuple[int, int] = (40, 30)) -> BytesIO:
    """An image."""
    file = BytesIO()
    Image.new("RGB", size, "teal").save(file, "PNG")
    file.seek(0)
    return file


def test_a_listing_has_cards_and_pages(guest: Program, cast: Cast) -> None:
    assert cast.mug and cast.lamp
    answer = guest.get("products?per_page=1&sort=price_desc")
    assert [one["name"] for one in answer.json] == ["Pebble lamp"]
    assert answer.headers["X-Pagination"] == '{"page": 1, "pages": 2, "per_page": 1, "total": 2}'
    assert [one["name"] for one in guest.get("products?q=mug").json] == ["Tidal mug"]
    assert [one["name"] for one in guest.get("products?max_price=20").json] == ["Tidal mug"]
    assert guest.get("products?category=nowhere").status_code == 404
    for query in (
        "page=0",
        "page=-1",
        "per_page=101",
        "page=x",
        "sort=price",
        "min_price=cheap",
        "max_price=1.250",
    ):
        assert guest.get(f"products?{query}").status_code == 422, query


def test_product_is_found_by_number_and_by_slug(guest: Program, cast: Cast) -> None:
    number = cast.mug.product_id
    by_slug = guest.get("products/tidal-mug")
    assert by_slug.json == guest.get(f"products/{number}").json
    assert by_slug.json["variants"][0]["sku"] == "TIDAL-MUG"
    assert by_slug.json["variants"][0]["left"] is None, "how many there are is not for everybody"
    again = guest.get("products/tidal-mug", headers={"If-None-Match": by_slug.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    for key in ("unknown", "0", "9" * 19, "9" * 40, "%00", "Tidal Mug"):
        answer = guest.get(f"products/{key}")
        assert answer.status_code in {400, 404}, key
        assert answer.mimetype == "application/problem+json"


def test_a_slug_that_moved_leads_on(guest: Program, cast: Cast) -> None:
    number = cast.mug.product_id
    with db.transaction():
        catalog.update_product(catalog.get_product(number), slug="wave-mug")
    answer = guest.get("products/tidal-mug")
    assert (answer.status_code, answer.headers["Location"]) == (301, "/api/v1/products/wave-mug")


def test_drafts_are_for_staff(guest: Program, desk: Program) -> None:
    made = desk.post("products", json={"name": "Secret bowl"})
    assert made.status_code == 201, made.json
    assert made.json["status"] == "draft"
    path = f"products/{made.json['id']}"
    assert guest.get(path).status_code == guest.get("products/secret-bowl").status_code == 404
    assert guest.get(f"{path}/variants").status_code == 404
    assert desk.get(path).json["name"] == "Secret bowl"


def test_product_is_built_published_changed_and_put_away(guest: Program, desk: Program) -> None:
    branch = desk.post("categories", json={"name": "Kitchen"}).json
    leaf = desk.post("categories", json={"name": "Bowls", "parent_id": branch["id"]}).json
    assert leaf["path"] == "kitchen/bowls"
    colours = [{"name": "Sand", "swatch": "#d8c8b0"}, {"name": "Ink"}]
    product = desk.post(
        "products",
        json={
            "name": "Low bowl",
            "category_ids": [leaf["id"]],
            "options": [{"name": "Colour", "values": colours}],
            "attributes": {"Material": "Stoneware"},
        },
    ).json
    path = f"products/{product['id']}"
    assert product["primary_category_id"] == leaf["id"]
    early = desk.patch(path, json={"status": "active"})
    assert (early.status_code, early.json["code"]) == (409, "not_ready")

    sand = product["options"][0]["values"][0]["id"]
    one = {"sku": "bowl-s", "price_minor": 2400, "option_value_ids": [sand]}
    variant = desk.post(f"{path}/variants", json=one).json
    assert (variant["sku"], variant["title"]) == ("BOWL-S", "Sand")
    twice = desk.post(f"{path}/variants", json=one | {"sku": "OTHER"})
    assert (twice.status_code, twice.json["code"]) == (409, "taken")
    assert desk.patch(path, json={"status": "active"}).json["status"] == "active"

    shown = guest.get("products/low-bowl").json
    assert shown["category_path"] == "kitchen/bowls"
    assert shown["attributes"] == {"Material": "Stoneware"}
    assert [one["name"] for one in guest.get("products?category=kitchen&option.Colour=Sand").json]

    replaced = desk.put(path, json={"name": "Flat bowl"}).json
    assert (replaced["name"], replaced["attributes"], replaced["status"]) == (
        "Flat bowl",
        {},
        "active",
    )
    assert desk.delete(f"categories/{branch['id']}").json["code"] == "not_empty"
    assert desk.patch(path, json={"status": "archived"}).json["status"] == "archived"
    assert guest.get("products/low-bowl").status_code == 404
    assert desk.delete(path).status_code == 204
    assert desk.get(path).status_code == 404


def test_what_was_ordered_is_archived_and_not_deleted(desk: Program, cast: Cast) -> None:
    assert cast.unpaid_order
    answer = desk.delete(f"products/{cast.mug.product_id}")
    assert (answer.status_code, answer.json["code"]) == (409, "has_history")


def test_nobody_overwrites_what_they_have_not_seen(desk: Program, ada: Program, cast: Cast) -> None:
    category = desk.post("categories", json={"name": "Light"}).json
    address = ada.post("addresses", json=making.ADDRESS).json
    for program, path, change in (
        (desk, f"products/{cast.mug.product_id}", {"tagline": "New"}),
        (desk, f"variants/{cast.mug.id}", {"price_minor": 2000}),
        (desk, f"categories/{category['id']}", {"description": "New"}),
        (ada, f"addresses/{address['id']}", {"city": "Hamburg"}),
    ):
        seen = program.get(path).headers["ETag"]
        packed = seen[:-1] + ':br"'
        first = program.patch(path, json=change, headers={"If-Match": packed})
        assert first.status_code == 200, first.json
        late = program.patch(path, json=change, headers={"If-Match": seen})
        assert (late.status_code, late.json["code"]) == (412, "stale")
        assert program.delete(path, headers={"If-Match": seen}).status_code == 412
        fresh = first.headers["ETag"]
        assert program.patch(path, json=change, headers={"If-Match": fresh}).status_code == 200
        assert program.patch(path, json=change, headers={"If-Match": "*"}).status_code == 200


def test_sale_does_not_make_variants_tag_stale(desk: Program, cast: Cast) -> None:
    path = f"variants/{cast.mug.id}"
    seen = desk.get(path).headers["ETag"]
    making.order(cast.mug, 1)
    answer = desk.patch(path, json={"price_minor": 2100}, headers={"If-Match": seen})
    assert answer.status_code == 200


def test_stock_is_corrected_with_reason_and_explains_itself(desk: Program, cast: Cast) -> None:
    path = f"variants/{cast.mug.id}"
    less = desk.patch(
        f"{path}/inventory", json={"delta": -2, "reason": "damage", "note": "Dropped"}
    )
    assert less.status_code == 200, less.json
    assert less.json == {
        "variant_id": cast.mug.id,
        "on_hand": 8,
        "reserved": 0,
        "committed": 0,
        "available": 8,
    }
    assert (
        desk.patch(f"{path}/inventory", json={"set": 47, "reason": "count"}).json["on_hand"] == 47
    )
    ledger = desk.get(f"{path}/movements?per_page=2").json
    assert [(one["kind"], one["on_hand_after"], one["actor_name"]) for one in ledger] == [
        ("count", 47, "Manager Person"),
        ("write_off", 8, "Manager Person"),
    ]
    older = desk.get(f"{path}/movements?before={ledger[-1]['id']}").json
    assert [one["kind"] for one in older] == ["receive"]
    for wrong in (
        {"delta": 1, "set": 2, "reason": "count"},
        {"reason": "count"},
        {"delta": 1},
        {"delta": 0, "reason": "count"},
        {"delta": -48, "reason": "loss"},
        {"delta": 1, "reason": "because"},
    ):
        assert desk.patch(f"{path}/inventory", json=wrong).status_code == 422, wrong
    assert inventory.levels([cast.mug.id])[cast.mug.id].on_hand == 47
    assert (
        desk.patch("variants/999999/inventory", json={"delta": 1, "reason": "count"}).status_code
        == 404
    )
    assert desk.get("variants/999999/movements").status_code == 404


@pytest.mark.parametrize(
    ("field", "moment"),
    [
        ("published_at", "0001-01-01T00:00:00+02:00"),
        ("published_at", "9999-12-31T23:59:59-02:00"),
        ("unpublish_at", "9999-12-31T23:59:59-02:00"),
    ],
)
def test_impossible_date_is_refused(desk: Program, cast: Cast, field: str, moment: str) -> None:
    path = f"products/{cast.mug.product_id}"

    answer = desk.patch(path, json={"status": "active", field: moment})

    assert (answer.status_code, answer.json["errors"]) == (
        422,
        [{"field": field, "message": "A date lies between 2000 and 2999."}],
    )
    assert desk.get(path).status_code == 200
    assert [one["name"] for one in desk.get("products").json] == ["Tidal mug"]


def test_image_is_added_described_moved_and_removed(desk: Program, cast: Cast) -> None:
    path = f"products/{cast.mug.product_id}"
    made = []
    for words in ("Front", "Back"):
        form = {"picture": (png(), "mug.png"), "alt": words}
        answer = desk.post(f"{path}/images", data=form, content_type="multipart/form-data")
        assert answer.status_code == 201, answer.json
        made.append(answer.json)
    assert made[0]["url"].startswith("http://localhost/media/")
    moved = desk.patch(f"images/{made[1]['id']}", json={"position": 0, "alt": "Behind"})
    assert moved.json["alt"] == "Behind"
    assert [one["alt"] for one in desk.get(path).json["images"]] == ["Behind", "Front"]
    assert desk.delete(f"images/{made[0]['id']}").status_code == 204
    assert desk.delete(f"images/{made[0]['id']}").status_code == 404


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({}, 422),
        ({"alt": "no picture"}, 422),
        ({"picture": (BytesIO(b"GIF89a"), "a.png")}, 422),
        ({"picture": (BytesIO(b""), "a.png")}, 422),
        ({"picture": (BytesIO(b"x" * (11 * 1024 * 1024)), "a.png")}, 413),
        ({"picture": (png(), "a.png"), "option_value_id": "999999"}, 422),
        ({"picture": (png(), "a.png"), "option_value_id": "x"}, 422),
        ({"picture": (png(), "a.png"), "price": "1"}, 422),
        ({"picture": (png(), "a.png"), "other": (png(), "b.png")}, 422),
    ],
)
def test_invalid_image_is_refused(
    desk: Program, cast: Cast, form: dict[str, Any], status: int
) -> None:
    path = f"products/{cast.mug.product_id}"
    answer = desk.post(f"{path}/images", data=form, content_type="multipart/form-data")
    assert answer.status_code == status, answer.json
    assert answer.json["errors"] or status == 413
    assert desk.get(path).json["images"] == []


def test_categories_are_a_list_and_a_tree(guest: Program, desk: Program) -> None:
    top = desk.post("categories", json={"name": "Home"}).json
    desk.post("categories", json={"name": "Light", "parent_id": top["id"]})
    desk.post("categories", json={"name": "Rugs", "parent_id": top["id"], "position": 0})
    assert [one["path"] for one in guest.get("categories").json] == [
        "home",
        "home/light",
        "home/rugs",
    ]
    (branch,) = guest.get("categories/tree").get_json()
    assert [one["name"] for one in branch["children"]] == ["Rugs", "Light"]
    circle = desk.patch(f"categories/{top['id']}", json={"parent_id": branch["children"][0]["id"]})
    assert (circle.status_code, circle.json["code"]) == (409, "would_circle")
    unknown = desk.post("categories", json={"name": "Lost", "parent_id": 999999})
    assert unknown.json["errors"][0]["field"] == "parent_id"


def test_answers_are_as_described(guest: Program, desk: Program, cast: Cast) -> None:
    path = f"products/{cast.mug.product_id}"
    desk.patch(path, json={"options": [{"name": "Colour", "values": [{"name": "Sand"}]}]})
    form = {"picture": (png(), "mug.png")}
    image = desk.post(f"{path}/images", data=form, content_type="multipart/form-data")
    category = desk.post("categories", json={"name": "Cups"})
    for schema, answer in (
        (schemas.ProductSchema(), desk.get(path)),
        (schemas.ProductSchema(), guest.get(path)),
        (schemas.VariantSchema(), desk.get(f"variants/{cast.mug.id}")),
        (schemas.ImageSchema(), image),
        (schemas.CategorySchema(), category),
        (schemas.CardSchema(many=True), guest.get("products")),
        (schemas.VariantSchema(many=True), desk.get(f"{path}/variants")),
        (schemas.VariantSchema(many=True), guest.get(f"{path}/variants")),
    ):
        assert schema.validate(answer.get_json()) == {}, schema
