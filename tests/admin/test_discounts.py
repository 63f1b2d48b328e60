"""Discounts on the staff side: made, tried, changed, switched off; codes by the thousand."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from shop import catalog, checkout, discounts
from shop.catalog.models import Product
from shop.core import clock
from shop.core.db import transaction
from shop.customers.models import Customer
from shop.discounts.models import Discount, DiscountCode
from tests import cast as people
from tests.admin.desk import Desk, sit
from tests.cast import Cast
from tests.discounts.offers import offer

FORM: dict[str, Any] = {
    "name": "Winter",
    "how": "code",
    "code": "winter15",
    "is_active": "y",
    "kind": "percentage",
    "percent": "15",
    "applies_to": "all",
    "audience": "everyone",
    "lane": "main",
}
BASE = "/admin/discounts"


@pytest.fixture
def owner(app: Flask, session: Session) -> Desk:
    return sit(app, "Owner")


def made(session: Session) -> Discount:
    return session.scalars(select(Discount).order_by(Discount.id.desc()).limit(1)).one()


def test_a_discount_is_made_with_its_code(owner: Desk, session: Session) -> None:
    answer = owner.post(
        f"{BASE}/add",
        FORM | {"min_subtotal": "50", "ends_at": "2030-12-31T00:00", "limit_per_customer": "1"},
    )

    discount = made(session)
    assert answer.location.endswith(f"{BASE}/show/{discount.id}")
    assert (discount.value, discount.min_subtotal_minor) == (1_500, 5_000)
    assert discount.ends_at == datetime(2030, 12, 30, 23, tzinfo=UTC)
    assert session.scalars(select(DiscountCode.code)).all() == ["WINTER15"]
    page = owner.text(f"{BASE}/show/{discount.id}")
    sentence = "15 % off everything, from €50, once per customer, until 31 December 2030, with a"
    assert sentence in page and "WINTER15" in page
    assert sentence in owner.text(f"{BASE}/list/")


def test_a_discount_on_goods_and_people(owner: Desk, session: Session, cast: Cast) -> None:
    ada, mug = cast.ada, cast.mug
    with transaction():
        kitchen = catalog.create_category("Kitchen")
    owner.post(
        f"{BASE}/add",
        FORM
        | {
            "kind": "buy_x_get_y", "percent": "100", "buy_quantity": "2", "get_quantity": "1",
            "applies_to": "chosen", "categories": str(kitchen.id), "products": "TIDAL-MUG",
            "audience": "chosen", "customers": ada.email, "countries": "de, at",
        },
    )  # fmt: skip

    discount = made(session)
    assert (discount.buy_quantity, discount.get_quantity, discount.value) == (2, 1, 10_000)
    assert [row.id for row in discount.products] == [mug.product_id]
    assert [row.id for row in discount.categories] == [kitchen.id]
    assert [row.id for row in discount.customers] == [ada.id]
    assert discount.countries == ["AT", "DE"]


def twins(*names: str) -> list[str]:
    """The addresses of products of which two each have one name."""
    with transaction():
        return [catalog.create_product(name).slug for name in names for _ in range(2)]


def test_slug_means_its_product_whatever_others_are_named(owner: Desk, session: Session) -> None:
    for slug in twins("Vase", "Jug", "Bowl", "Kettle"):
        owner.post(f"{BASE}/add", FORM | {"code": "", "applies_to": "chosen", "products": slug})

        assert [row.slug for row in made(session).products] == [slug]


def test_discount_saved_unchanged_keeps_its_products(owner: Desk, session: Session) -> None:
    twins("Vase", "Jug", "Bowl", "Kettle")
    for product in session.scalars(select(Product)):
        discount = offer(is_targeted=True, product_ids=[product.id])
        page = owner.text(f"{BASE}/edit/{discount.id}")
        shown = re.search(r'<textarea[^>]*name="products"[^>]*>([^<]*)', page)
        assert shown

        owner.post(
            f"{BASE}/edit/{discount.id}", FORM | {"applies_to": "chosen", "products": shown[1]}
        )

        session.expire_all()
        assert [row.id for row in made(session).products] == [product.id]


def test_discount_at_the_api_limits_is_saved(owner: Desk, session: Session) -> None:
    most, now = discounts.MAX_CHOSEN, clock.now()
    bowls: list[dict[str, Any]] = [
        {"name": "Bowl", "slug": f"bowl-{n}", "created_at": now, "updated_at": now}
        for n in range(most + 1)
    ]
    guests = [{"email": f"guest-{n}@example.com", "password_hash": ""} for n in range(most)]
    products = session.scalars(insert(Product).returning(Product.id), bowls).all()
    customers = session.scalars(insert(Customer).returning(Customer.id), guests).all()
    discount = offer(
        is_targeted=True, product_ids=products[:most], audience="chosen", customer_ids=customers
    )
    page = owner.text(f"{BASE}/edit/{discount.id}")
    boxes = dict(re.findall(r'<textarea[^>]*name="(products|customers)"[^>]*>\s*([^<]*)', page))
    form = FORM | {"applies_to": "chosen", "audience": "chosen"} | boxes

    answer = owner.post(f"{BASE}/edit/{discount.id}", form)

    assert answer.status_code == 303
    session.expire_all()
    kept = made(session)
    assert (kept.name, len(kept.products), len(kept.customers)) == ("Winter", most, most)
    slugs = "\n".join(bowl["slug"] for bowl in bowls)
    answer = owner.post(f"{BASE}/edit/{discount.id}", form | {"products": slugs})
    assert (answer.status_code, "At most 500 products." in answer.text) == (422, True)


def test_sku_means_its_product_whatever_others_are_named(owner: Desk, session: Session) -> None:
    with transaction():
        jug, named = catalog.create_product("Jug"), catalog.create_product("Pot-1")
        catalog.update_product(named, slug="a-pot")
        catalog.add_variant(jug, sku="POT-1", price_minor=100)

    owner.post(f"{BASE}/add", FORM | {"applies_to": "chosen", "products": "pot-1"})

    assert [row.slug for row in made(session).products] == ["jug"]


def test_name_that_several_products_share_is_asked_about(owner: Desk, session: Session) -> None:
    twins("Vase")
    chosen = FORM | {"applies_to": "chosen"}

    answer = owner.post(f"{BASE}/add", chosen | {"products": "Vase"})

    assert answer.status_code == 422
    assert (
        "“Vase” is the name of 2 products. Type the URL slug of the right one:"
        " vase, vase-2." in answer.text
    )
    assert session.scalar(select(func.count()).select_from(Discount)) == 0


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"name": ""}, "Fill in a name"),
        ({"name": "x" * 81}, "80 characters"),
        ({"percent": ""}, "Type a percentage such as 10 or 12.5"),
        ({"percent": "0"}, "more than 0 and at most 100"),
        ({"percent": "-5"}, "more than 0 and at most 100"),
        ({"percent": "101"}, "more than 0 and at most 100"),
        ({"percent": "12.345"}, "Type a percentage such as 10 or 12.5"),
        ({"percent": "NaN"}, "Type a number."),
        ({"percent": "ten"}, "Type a number."),
        ({"percent": "1e1"}, "Type a number."),
        ({"percent": "1e999999999"}, "Type a number."),
        ({"kind": "fixed", "amount": ""}, "Type an amount such as 5.00"),
        ({"kind": "fixed", "amount": "0"}, "An amount off is more than 0."),
        ({"kind": "fixed", "amount": "-1"}, "cannot be below zero"),
        ({"kind": "fixed", "amount": "1.250"}, "Write 1250.00 or 1,250.00."),
        ({"kind": "fixed", "amount": "9" * 12}, "The highest amount possible is"),
        ({"kind": "buy_x_get_y", "buy_quantity": "0", "get_quantity": "1"}, "from 1 to 99"),
        (
            {"kind": "buy_x_get_y", "buy_quantity": "2", "get_quantity": "1.5"},
            "Type a whole number.",
        ),
        ({"kind": "gift"}, "Not a valid choice"),
        ({"applies_to": "chosen"}, "Choose at least one category or product"),
        ({"applies_to": "chosen", "categories": "999999"}, "valid choice"),
        ({"applies_to": "chosen", "products": "nothing"}, "Product “nothing” not found"),
        ({"audience": "chosen"}, "Choose at least one customer"),
        ({"audience": "chosen", "customers": "x@y.z"}, "No customer account with the email"),
        ({"countries": "DE, XX"}, "Country “XX” not found"),
        (
            {"starts_at": "2030-01-02T00:00", "ends_at": "2030-01-01T00:00"},
            "It cannot end before it starts",
        ),
        ({"starts_at": "0001-01-01T00:00"}, "A date lies between 2000 and 2999."),
        ({"ends_at": "9999-12-31T23:59"}, "A date lies between 2000 and 2999."),
        ({"limit_total": "0"}, "The limit is a whole number from 1"),
        ({"limit_per_customer": "-1"}, "The limit per customer is a whole number from 1"),
        ({"limit_total": "9" * 12}, "This number is too large"),
        ({"min_subtotal": "-1"}, "cannot be below zero"),
        ({"min_subtotal": "1.000"}, "Write 1000.00 or 1,000.00."),
        (
            {"min_subtotal": "2000000"},
            "The minimum order value must be between €0.01 and €1,000,000.00.",
        ),
        (
            {"kind": "fixed", "amount": "2000000"},
            "The amount off must be between €0.01 and €1,000,000.00.",
        ),
        (
            {"kind": "free_shipping", "amount": "2000000"},
            "The maximum off shipping must be between €0.00 and €1,000,000.00.",
        ),
        ({"code": "x"}, "A code has 3 to 40 letters and digits"),
        ({"code": "no spaces"}, "A code has 3 to 40 letters and digits"),
    ],
)
def test_invalid_fields_are_named_and_nothing_is_saved(
    owner: Desk, session: Session, changed: dict[str, str], words: str
) -> None:
    answer = owner.post(f"{BASE}/add", FORM | changed)

    assert answer.status_code == 422
    assert words in answer.get_data(as_text=True)
    assert session.scalar(select(func.count()).select_from(Discount)) == 0


@pytest.mark.parametrize(
    ("hidden", "typed"),
    [
        ({"amount": "5 euro"}, {}),
        ({"buy_quantity": "two", "get_quantity": "1.5"}, {}),
        ({"percent": "ten"}, {"kind": "fixed", "amount": "5"}),
        ({"categories": "999999", "products": "nothing"}, {}),
        ({"customers": "x@y.z"}, {}),
        ({"code": "x" * 41}, {"how": "automatic"}),
    ],
)
def test_what_stands_in_a_hidden_field_refuses_nothing(
    owner: Desk, session: Session, hidden: dict[str, str], typed: dict[str, str]
) -> None:
    answer = owner.post(f"{BASE}/add", FORM | typed | hidden)

    assert answer.status_code == 303, answer.text
    kept = made(session)
    assert (kept.products, kept.categories, kept.customers) == ([], [], [])
    assert (kept.value, kept.buy_quantity) == (500 if typed.get("amount") else 1_500, 0)


def test_minimum_price_of_zero_selects_all_goods(owner: Desk, session: Session) -> None:
    answer = owner.post(f"{BASE}/add", FORM | {"min_subtotal": "0"})

    assert answer.status_code == 303
    assert made(session).min_subtotal_minor is None


def test_a_code_that_is_taken_makes_no_discount(owner: Desk, session: Session) -> None:
    offer(code="WINTER15")

    answer = owner.post(f"{BASE}/add", FORM)

    assert "The code WINTER15 already exists" in answer.get_data(as_text=True)
    assert session.scalar(select(func.count()).select_from(Discount)) == 1


def opened(owner: Desk, path: str) -> str:
    """What the form at ``path`` says that it was made from."""
    found = re.search(r'name="seen" value="([^"]+)"', owner.text(path))
    assert found
    return found[1]


def test_two_at_one_discount(owner: Desk, session: Session) -> None:
    discount = offer(code="TEN")
    path = f"{BASE}/edit/{discount.id}"
    seen = opened(owner, path)
    owner.post(path, FORM | {"seen": seen})
    discount = made(session)
    assert (discount.name, discount.version) == ("Winter", 2)

    answer = owner.post(path, FORM | {"seen": seen, "percent": "20"})

    assert answer.status_code == 422
    assert "Someone else changed this discount" in answer.text
    assert answer.text.count("Someone else has changed this to “15”.") == 1
    assert made(session).value == 1_500


def test_two_at_different_fields_of_a_discount(owner: Desk, session: Session) -> None:
    discount = offer("Winter", code="TEN", value=1_000)
    path = f"{BASE}/edit/{discount.id}"
    shown = FORM | {"name": "Winter", "percent": "10"}
    first = second = opened(owner, path)

    owner.post(path, shown | {"limit_total": "50", "seen": first})
    answer = owner.post(path, shown | {"percent": "20", "seen": second})

    assert answer.status_code == 303
    kept = made(session)
    assert (kept.value, kept.limit_total) == (2_000, 50)


def test_a_saved_discount_leads_back_to_the_filtered_list(owner: Desk) -> None:
    discount = offer(code="TEN")

    saved = owner.post(f"{BASE}/edit/{discount.id}?tab=active&q=ten", FORM)
    came_from = f"http://localhost{BASE}/show/{discount.id}?tab=active&q=ten"
    off = owner.post(f"{BASE}/{discount.id}/state/off", headers={"Referer": came_from})

    assert off.location.endswith(f"{BASE}/show/{discount.id}?tab=active&q=ten")
    assert saved.location.endswith(f"{BASE}/show/{discount.id}?tab=active&q=ten")
    page = " ".join(owner.text(saved.location).split())
    assert f'<a class="back" href="{BASE}/list/?tab=active&amp;q=ten"' in page


def test_the_form_shows_what_is_kept(owner: Desk) -> None:
    discount = offer("Half of a half", code="TEN", value=1_250, limit_total=7)

    page = owner.text(f"{BASE}/edit/{discount.id}")

    assert re.search(r'name="percent"[^>]*value="12.5"', page)
    assert re.search(r'name="limit_total"[^>]*value="7"', page)


def test_a_limit_below_what_was_used_is_refused(owner: Desk, cast: Cast) -> None:
    discount = offer()
    for _ in range(2):
        people.order(cast.mug)

    answer = owner.post(
        f"{BASE}/edit/{discount.id}", FORM | {"how": "automatic", "limit_total": "1"}
    )

    assert "It was already used 2 times" in answer.get_data(as_text=True)


def test_the_sentence_follows_what_is_typed(owner: Desk, session: Session) -> None:
    status, answer = owner.ask(f"{BASE}/sentence", FORM | {"min_subtotal": "20"})
    assert (status, answer["sentence"]) == (200, "15 % off everything, from €20, with a code")

    status, answer = owner.ask(f"{BASE}/sentence", {"kind": "percentage"})
    assert (status, answer["sentence"][:18]) == (200, "Fill in the fields")
    assert session.scalar(select(func.count()).select_from(Discount)) == 0


def test_switching_off_and_deleting(owner: Desk, session: Session, cast: Cast) -> None:
    used, unused = offer("Used"), offer("Unused", code="UNUSED")
    people.order(cast.mug)
    owner.post(f"{BASE}/{used.id}/state/off")
    assert not discounts.get_discount(used.id).is_active

    owner.post(f"{BASE}/{unused.id}/delete")
    owner.post(f"{BASE}/{used.id}/delete")

    assert "Switch it off instead" in owner.said()
    assert session.scalars(select(Discount.name)).all() == ["Used"]


def test_ten_thousand_codes_at_once(owner: Desk, session: Session) -> None:
    discount = offer(code="FIRST")

    owner.post(
        f"{BASE}/{discount.id}/codes",
        {"mode": "many", "count": "10000", "prefix": "xmas-", "limit": "1"},
    )

    assert "10,000 codes are created" in owner.said()
    lines = owner.text(f"{BASE}/{discount.id}/codes.csv").splitlines()
    assert lines[:2] == ["code,used,limit", "FIRST,0,"]
    made_codes = [line.split(",")[0] for line in lines[2:]]
    assert len(set(made_codes)) == 10_000
    assert all(re.fullmatch(r"XMAS-[A-HJ-NP-Y3-9]{8}", code) for code in made_codes)
    assert not set("".join(code[5:] for code in made_codes)) & set("0O1IL2Z5S8BUV")


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"count": "10001"}, "The number of codes must be a whole number from 1 to 10,000"),
        ({"count": "0"}, "The number of codes must be a whole number from 1 to 10,000"),
        ({"count": "-5"}, "The number of codes must be a whole number from 1 to 10,000"),
        ({"count": "1.5"}, "The number of codes must be a whole number from 1 to 10,000"),
        ({"count": ""}, "The number of codes must be a whole number from 1 to 10,000"),
        ({"count": "5", "prefix": "a b"}, "A prefix has up to 20 letters and digits"),
        ({"count": "5", "prefix": "x" * 21}, "A prefix has up to 20 letters and digits"),
        ({"count": "5", "limit": "0"}, "Uses of each code must be a whole number from 1"),
        ({"mode": "one", "code": "first"}, "The code FIRST already exists"),
        ({"mode": "one", "code": ""}, "A code has 3 to 40 letters and digits"),
    ],
)
def test_impossible_codes_are_refused(
    owner: Desk, session: Session, form: dict[str, str], words: str
) -> None:
    discount = offer(code="FIRST")

    status, answer = owner.ask(f"{BASE}/{discount.id}/codes", form)

    assert (status, words in answer["error"]) == (422, True), answer
    assert discounts.count_codes(discount.id) == 1


def test_refused_codes_keep_what_was_typed(owner: Desk) -> None:
    discount = offer(code="FIRST")
    form = {"mode": "many", "count": "20000", "prefix": "SPRING-", "limit": "3"}

    answer = owner.post(f"{BASE}/{discount.id}/codes", form)

    assert answer.status_code == 422
    assert "The number of codes must be a whole number from 1 to 10,000" in answer.text
    assert all(f'value="{typed}"' in answer.text for typed in ("20000", "SPRING-", "3"))


def test_an_automatic_discount_has_no_codes(owner: Desk) -> None:
    discount = offer()

    status, answer = owner.ask(f"{BASE}/{discount.id}/codes", {"count": "5"})

    assert (status, answer["error"]) == (
        409,
        "This discount applies automatically: it has no codes.",
    )


def test_trying_it_on_a_cart(owner: Desk, cast: Cast) -> None:
    mug = cast.mug
    discount = offer(code="AUSTRIA", countries=["AT"], min_subtotal_minor=3_000)
    here = f"{BASE}/show/{discount.id}?try=1&variant-0={mug.id}"

    page = owner.text(f"{here}&quantity-0=2&country=AT")
    assert "It applies and saves" in page and "€3.80" in page

    page = owner.text(f"{here}&quantity-0=1&country=DE")
    assert "This offer is for orders to Austria, not to Germany." in page
    assert "This offer is for orders from €30.00: €11.00 is missing." in page


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("variant-0=999999", "Variant 999999 not found"),
        ("variant-0=x", "A variant must be a whole number"),
        ("variant-0={mug}&quantity-0=0", "A quantity must be a whole number from 1 to 999"),
        ("variant-0={mug}&quantity-0=1000", "A quantity must be a whole number from 1 to 999"),
        ("variant-0={mug}&country=XX", "Country “XX” not found"),
        ("variant-0={mug}&customer=ada", "Type the full email address"),
        ("", "Your cart is empty"),
    ],
)
def test_a_cart_that_cannot_be_is_said(owner: Desk, cast: Cast, asked: str, words: str) -> None:
    mug = cast.mug
    discount = offer(code="TEN")

    page = owner.text(f"{BASE}/show/{discount.id}?try=1&{asked.format(mug=mug.id)}")

    assert words in page


def test_finding_something_to_try(owner: Desk, cast: Cast) -> None:
    mug = cast.mug
    found = owner.get(f"{BASE}/variants?q=tidal").get_json()

    assert found == [{"id": mug.id, "text": "Tidal mug (TIDAL-MUG)"}]
    assert owner.get(f"{BASE}/variants?q=%25").get_json() == []


@pytest.mark.parametrize("role", ["Support", "Finance", "Viewer"])
def test_who_may_look_changes_nothing(app: Flask, session: Session, role: str) -> None:
    discount = offer(code="SECRET")
    person = sit(app, role)

    assert "SECRET" in person.text(f"{BASE}/show/{discount.id}")
    assert "Add discount" not in person.text(f"{BASE}/list/")
    for path in ("add", f"edit/{discount.id}", f"{discount.id}/codes.csv"):
        assert person.get(f"{BASE}/{path}").status_code == 403
    for path in ("codes", "state/off", "delete"):
        assert person.post(f"{BASE}/{discount.id}/{path}").status_code == 403


def test_the_order_shows_what_applied(owner: Desk, cast: Cast) -> None:
    offer("Winter sale", code="WINTER")
    cart = people.filled_cart(cast.mug)
    with transaction():
        checkout.apply_code(cart, "WINTER")
        order = checkout.place_order(cart.id)

    page = owner.text(f"/admin/orders/show/{order.id}")

    assert "Winter sale" in page and "WINTER" in page and "€1.90" in page


def test_nothing_that_is_not_there_is_shown(owner: Desk) -> None:
    for path in ("show/999999", "edit/999999", "999999/codes.csv"):
        assert owner.get(f"{BASE}/{path}").status_code == 404
