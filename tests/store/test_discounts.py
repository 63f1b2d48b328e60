"""Discount codes as a customer meets them: in the cart and at checkout."""

from flask.testing import FlaskClient

from shop import discounts
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


def test_a_code_for_another_country_waits_for_the_address(browser: FlaskClient, cast: Cast) -> None:
    offer("Servus", code="SERVUS", countries=["AT"])
    fill(browser, cast)

    answer = browser.post("/cart/discount", data={"code": "servus"})

    assert (answer.status_code, answer.location) == (303, "/cart")
    shown = page(browser, "/cart")
    assert "SERVUS" in shown and "€42.90" in shown
    assert "This offer is for orders to Austria: it counts once your address is there." in shown
    assert "Germany" not in shown
    browser.post("/checkout", data={"email": "ada@example.com", **ADDRESS, "country": "AT"})
    assert "saves €3.80" in page(browser, "/checkout/delivery")
    browser.post("/checkout", data={"email": "ada@example.com", **ADDRESS})
    assert "orders to Austria, not to Germany." in page(browser, "/checkout/delivery")


def test_a_code_for_another_country_than_the_address_is_refused(
    browser: FlaskClient, cast: Cast
) -> None:
    offer("Servus", code="SERVUS", countries=["AT"])
    fill(browser, cast)
    browser.post("/checkout", data={"email": "ada@example.com", **ADDRESS})

    answer = browser.post("/cart/discount", data={"code": "servus"})

    assert answer.status_code == 422
    assert "orders to Austria, not to Germany." in answer.text
    assert "SERVUS" not in page(browser, "/cart")


def test_a_code_for_the_shop_s_own_country_counts_before_there_is_an_address(
    browser: FlaskClient, cast: Cast
) -> None:
    offer("Moin", code="MOIN", countries=["DE"])
    fill(browser, cast)

    browser.post("/cart/discount", data={"code": "moin"})

    assert "saves €3.80" in page(browser, "/cart")


def test_at_checkout_the_answer_comes_back_to_the_same_step(
    browser: FlaskClient, cast: Cast
) -> None:
    offer("Welcome", code="WELCOME10")
    fill(browser, cast)

    answer = browser.post("/cart/discount", data={"code": "NOPE", "next": "/checkout"})
    assert (answer.status_code, answer.location) == (303, "/checkout")
    assert "There is no code “NOPE”" in page(browser, "/checkout")
    assert "There is no code" not in page(browser, "/checkout")

    browser.post("/cart/discount", data={"code": "WELCOME10", "next": "/checkout"})
    assert "saves €3.80" in page(browser, "/checkout")
    away = browser.post(
        "/cart/discount", data={"code": "WELCOME10", "next": "https://evil.example"}
    )
    assert away.location == "/cart"


def test_every_way_of_delivery_shows_its_total(browser: FlaskClient, cast: Cast) -> None:
    offer("Delivery on us", code="SHIP", kind="free_shipping", value=0)
    fill(browser, cast)
    browser.post("/cart/discount", data={"code": "SHIP"})
    browser.post("/checkout", data={"email": "ada@example.com", **ADDRESS})

    shown = page(browser, "/checkout/delivery")

    assert 'name="total.standard" value="3800"' in shown
    assert 'name="total.express" value="3800"' in shown


def test_every_way_of_delivery_brings_its_own_sums(browser: FlaskClient, cast: Cast) -> None:
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


def test_the_bar_of_free_delivery_is_about_the_chosen_way(browser: FlaskClient, cast: Cast) -> None:
    fill(browser, cast, quantity=4)
    assert "Delivery is free" in page(browser, "/cart")
    browser.post("/checkout", data={"email": "ada@example.com", **ADDRESS})

    form = {"shipping_method": "express", "action": "show"}
    browser.post("/checkout/delivery", data=form)

    shown = page(browser, "/cart")
    assert "Express delivery" in shown and "€12.90" in shown
    assert "Delivery is free" not in shown and "more and delivery" not in shown


def test_an_order_for_nothing_is_confirmed_without_a_payment(
    browser: FlaskClient, cast: Cast
) -> None:
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


def test_a_code_that_ended_meanwhile_stops_before_anything_is_ordered(
    browser: FlaskClient, cast: Cast
) -> None:
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
    assert "WELCOME10: This offer is over." in answer.text
    assert "It was €39.10 when you looked and is €42.90 now." in answer.text
    assert db.session.query(Order).count() == 0


def test_the_cart_with_an_automatic_offer_costs_no_further_statement(
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
