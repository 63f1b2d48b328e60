"""Discount codes as a customer meets them: in the cart and at checkout."""

import re

import pytest
from flask.testing import FlaskClient

from shop import discounts
from shop.cart.models import Cart as CartRow
from shop.core import db
from shop.core.db import transaction
from shop.orders.models import Order
from tests.cast import ADDRESS, Cast
from tests.discounts.offers import offer

SCRIPT = {"X-Requested-With": "fetch"}


def fill(browser: FlaskClient, cast: Cast, quantity: int = 2) -> None:
    form = {"variant_id": cast.mug.id, "quantity": quantity}
    assert browser.post("/cart/add", data=form).status_code == 303


def page(browser: FlaskClient, path: str) -> str:
    answer = browser.get(path)
    assert answer.status_code == 200, path
    return answer.text


def test_a_code_shows_what_it_saves(browser: FlaskClient, cast: Cast) -> None:
    offer("Welcome", code="WELCOME10")
    fill(browser, cast)

    answer = browser.post("/cart/discount", data={"code": "welcome10"})

    assert (answer.status_code, answer.location) == (303, "/cart")
    shown = page(browser, "/cart")
    for words in ("WELCOME10", "saves €3.80", "(WELCOME10)", "\N{MINUS SIGN}€3.80", "€39.10"):
        assert words in shown
    browser.post("/cart/discount/remove", data={"code": "WELCOME10"})
    assert "WELCOME10" not in page(browser, "/cart")


def test_a_refusal_stands_beside_the_field(browser: FlaskClient, cast: Cast) -> None:
    offer(code="BIG", min_subtotal_minor=10_000, countries=["AT"])
    fill(browser, cast)

    plain = browser.post("/cart/discount", data={"code": "big"})
    script = browser.post("/cart/discount", data={"code": "big"}, headers=SCRIPT)

    for answer in (plain, script):
        assert answer.status_code == 422
        assert 'id="code-error-cart"' in answer.text
        assert "€62.00 is missing." in answer.text
        assert "This offer is for orders to Austria: it counts once" in answer.text
        assert 'value="big"' in answer.text
    assert browser.post("/cart/discount", data={"code": "NOPE"}).status_code == 404
    assert browser.post("/cart/discount", data={}).status_code == 422


def test_code_for_another_country_waits_for_address(browser: FlaskClient, cast: Cast) -> None:
    offer("Servus", code="SERVUS", countries=["AT"])
    fill(browser, cast)

    answer = browser.post("/cart/discount", data={"code": "servus"})

    assert (answer.status_code, answer.location) == (303, "/cart")
    shown = page(browser, "/cart")
    assert "SERVUS" in shown and "€42.90" in shown
    assert "This offer is for orders to Austria: it counts once your address is there." in shown
    assert "Germany" not in shown
    vienna = {**ADDRESS, "city": "Wien", "postal_code": "1010", "country": "AT"}
    browser.post("/checkout", data={"email": "ada@example.com", **vienna})
    assert "saves €3.80" in page(browser, "/checkout/delivery")
    browser.post("/checkout", data={"email": "ada@example.com", **ADDRESS})
    assert "orders to Austria, not to Germany." in page(browser, "/checkout/delivery")


def test_code_for_another_country_than_address_is_refused(browser: FlaskClient, cast: Cast) -> None:
    offer("Servus", code="SERVUS", countries=["AT"])
    fill(browser, cast)
    browser.post("/checkout", data={"email": "ada@example.com", **ADDRESS})

    answer = browser.post("/cart/discount", data={"code": "servus"})

    assert answer.status_code == 422
    assert "orders to Austria, not to Germany." in answer.text
    assert "SERVUS" not in page(browser, "/cart")


def test_home_country_code_counts_before_the_address(browser: FlaskClient, cast: Cast) -> None:
    offer("Moin", code="MOIN", countries=["DE"])
    fill(browser, cast)

    browser.post("/cart/discount", data={"code": "moin"})

    assert "saves €3.80" in page(browser, "/cart")


TYPED = {"email": "ada@example.com", **ADDRESS, "line1": "Elsewhere 7", "phone": "030 12"}


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("welcome10", 200, "saves €3.80"),
        ("NOPE", 404, "Discount code “NOPE” not found"),
        ("", 422, ""),
    ],
)
def test_code_on_contact_step_keeps_what_is_typed(
    browser: FlaskClient, cast: Cast, code: str, status: int, words: str
) -> None:
    offer("Welcome", code="WELCOME10")
    fill(browser, cast)
    assert 'name="code.aside"' in page(browser, "/checkout")

    asked = {"use_code": "aside", "code.aside": code, "code.bar": ""}
    answer = browser.post("/checkout", data=TYPED | asked)

    assert answer.status_code == status
    assert words in answer.text and ('id="code-error-aside"' in answer.text) == (status != 200)
    for typed in ("ada@example.com", "Elsewhere 7", "030 12"):
        assert f'value="{typed}"' in answer.text
    assert "Please look at" not in answer.text
    assert db.session.query(CartRow).one().shipping_address is None


def test_removing_a_code_at_checkout_keeps_the_input(browser: FlaskClient, cast: Cast) -> None:
    offer("Welcome", code="WELCOME10")
    fill(browser, cast)
    browser.post("/cart/discount", data={"code": "WELCOME10"})
    assert 'name="remove_code" value="WELCOME10"' in page(browser, "/checkout")

    answer = browser.post("/checkout", data=TYPED | {"remove_code": "WELCOME10"})

    assert answer.status_code == 200
    assert 'value="Elsewhere 7"' in answer.text and "WELCOME10" not in answer.text


def test_code_at_shipping_step_keeps_method_and_billing(browser: FlaskClient, cast: Cast) -> None:
    offer("Welcome", code="WELCOME10")
    fill(browser, cast)
    browser.post("/checkout", data={"email": "ada@example.com", **ADDRESS})
    chosen = {"shipping_method": "express", "billing-name": "Analytical Ltd"}
    ticked = re.compile(r'checked [^>]*name="billing-same"')
    assert ticked.search(page(browser, "/checkout/delivery"))

    for asked in (
        {"use_code": "bar", "code.bar": "welcome10"},
        {"remove_code": "WELCOME10"},
        {"action": "show"},
    ):
        answer = browser.post("/checkout/delivery", data=chosen | asked)

        assert answer.status_code == 200
        assert ("saves €3.80" in answer.text) == ("use_code" in asked)
        assert 'value="express" required checked' in answer.text
        assert 'value="Analytical Ltd"' in answer.text
        assert not ticked.search(answer.text)
        version = db.session.query(CartRow).one().version
        assert f'name="version" value="{version}"' in answer.text
    assert db.session.query(Order).count() == 0


def test_enter_applies_the_code(browser: FlaskClient, cast: Cast) -> None:
    offer("Welcome", code="WELCOME10")
    fill(browser, cast)
    boxes = {"code.bar": "", "code.aside": "NOPE"}

    first = browser.post("/checkout", data=TYPED | boxes)
    assert first.status_code == 404 and 'name="code_refused" value="NOPE"' in first.text

    boxes = {"code.bar": "NOPE", "code.aside": "WELCOME10", "code_refused": "NOPE"}
    second = browser.post("/checkout", data=TYPED | boxes)
    assert second.status_code == 200 and "saves €3.80" in second.text

    boxes = {"code.bar": "NOPE", "code.aside": "NOPE", "code_refused": "NOPE"}
    third = browser.post("/checkout", data=TYPED | boxes)
    assert (third.status_code, third.location) == (303, "/checkout/delivery")


def test_code_without_address_leads_to_address(browser: FlaskClient, cast: Cast) -> None:
    fill(browser, cast)

    for asked in ({"use_code": "bar", "code.bar": "NOPE"}, {"shipping_method": "standard"}):
        answer = browser.post("/checkout/delivery", data=asked)
        assert (answer.status_code, answer.location) == (303, "/checkout")


def test_every_shipping_method_shows_its_total(browser: FlaskClient, cast: Cast) -> None:
    offer("Delivery on us", code="SHIP", kind="free_shipping", value=0)
    fill(browser, cast)
    browser.post("/cart/discount", data={"code": "SHIP"})
    browser.post("/checkout", data={"email": "ada@example.com", **ADDRESS})

    shown = page(browser, "/checkout/delivery")

    assert 'name="total.standard" value="3800"' in shown
    assert 'name="total.express" value="3800"' in shown


def test_every_shipping_method_has_its_own_totals(browser: FlaskClient, cast: Cast) -> None:
    offer("Less to carry", code="SHIP", kind="free_shipping", value=500)
    fill(browser, cast)
    browser.post("/cart/discount", data={"code": "SHIP"})
    browser.post("/checkout", data={"email": "ada@example.com", **ADDRESS})

    shown = page(browser, "/checkout/delivery")

    ways = [way.split("</template>")[0] for way in shown.split("<template data-way=")[1:]]
    standard, express = ways
    assert standard.startswith('"standard"') and express.startswith('"express"')
    for words in ("saves €4.90", "Standard delivery", "€38.00", "Including €6.07 VAT"):
        assert words in standard
    for words in ("saves €5.00", "Express delivery", "€7.90", "€45.90", "Including €7.33 VAT"):
        assert words in express


def test_free_shipping_bar_follows_the_chosen_method(browser: FlaskClient, cast: Cast) -> None:
    fill(browser, cast, quantity=4)
    assert "Shipping is free" in page(browser, "/cart")
    browser.post("/checkout", data={"email": "ada@example.com", **ADDRESS})

    form = {"shipping_method": "express", "action": "show"}
    browser.post("/checkout/delivery", data=form)

    shown = page(browser, "/cart")
    assert "Express delivery" in shown and "€12.90" in shown
    assert "Shipping is free" not in shown and "more and shipping" not in shown


def test_order_for_nothing_is_confirmed_without_payment(browser: FlaskClient, cast: Cast) -> None:
    offer("All of it", code="ALL", value=10_000)
    offer("Delivery on us", code="SHIP", kind="free_shipping", value=0)
    fill(browser, cast)
    browser.post("/cart/discount", data={"code": "ALL"})
    browser.post("/cart/discount", data={"code": "SHIP"})
    browser.post("/checkout", data={"email": "ada@example.com", **ADDRESS})
    seen = page(browser, "/checkout/delivery")
    version = seen.split('name="version" value="')[1].split('"')[0]

    answer = browser.post(
        "/checkout/delivery",
        data={
            "version": version, "shipping_method": "standard", "total.standard": "0",
            "billing-same": "y",
        },
    )  # fmt: skip

    order = db.session.query(Order).one()
    assert (order.status, order.payment_status, order.total_minor) == ("confirmed", "paid", 0)
    assert answer.location.startswith(f"/orders/{order.number}")
    shown = page(browser, answer.location)
    assert "Thank you" in shown and "All of it (ALL)" in shown
    assert "Your cart is empty" in page(browser, "/cart")


def test_expired_code_stops_the_order(browser: FlaskClient, cast: Cast) -> None:
    ten = offer("Welcome", code="WELCOME10")
    fill(browser, cast)
    browser.post("/cart/discount", data={"code": "WELCOME10"})
    browser.post("/checkout", data={"email": "ada@example.com", **ADDRESS})
    seen = page(browser, "/checkout/delivery")
    version = seen.split('name="version" value="')[1].split('"')[0]
    with transaction():
        discounts.set_active(discounts.get_discount(ten.id), False)

    answer = browser.post(
        "/checkout/delivery",
        data={
            "version": version, "shipping_method": "standard", "total.standard": "3910",
            "billing-same": "y",
        },
    )  # fmt: skip

    assert answer.status_code == 409
    assert "WELCOME10: This offer has ended." in answer.text
    assert "It was €39.10 when you looked and is €42.90 now." in answer.text
    assert db.session.query(Order).count() == 0


def test_cart_with_automatic_offer_costs_no_further_statement(
    browser: FlaskClient, cast: Cast, statements: list[str]
) -> None:
    fill(browser, cast)
    browser.get("/cart")
    statements.clear()
    browser.get("/cart")
    without = len(statements)
    offer("Sale")
    browser.get("/cart")
    statements.clear()

    assert "Sale" in page(browser, "/cart")
    assert len(statements) == without
