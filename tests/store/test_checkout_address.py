"""The first step of checkout: fields and total follow the country, also without scripts."""

import re
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from shop import checkout
from shop.cart.models import Cart as CartRow
from shop.checkout.models import ShippingMethod
from shop.core import db
from shop.customers.models import Address
from tests.cast import ADDRESS, PASSWORD, Cast

FAR = ["US", "HK", "JP", "IE"]
IRISH = {"name": "Ada Byrne", "line1": "1 Main Street", "city": "Dublin", "country": "IE"}


@pytest.fixture(autouse=True)
def _far_shipping(browser: FlaskClient) -> Iterator[None]:
    """Shipping in Europe (9.90) goes further; shipping at home costs 4.90."""
    with db.transaction():
        db.session.execute(
            update(ShippingMethod).where(ShippingMethod.code == "europe").values(countries=FAR)
        )
    checkout.clear_cache()
    yield
    checkout.clear_cache()


@pytest.fixture
def guest(browser: FlaskClient, cast: Cast) -> FlaskClient:
    """Somebody with a mug (19.00) in the cart."""
    browser.post("/cart/add", data={"variant_id": cast.mug.id})
    return browser


@pytest.fixture
def ada(browser: FlaskClient, cast: Cast) -> FlaskClient:
    """Ada, signed in, with a mug in the cart."""
    browser.post("/account/login", data={"email": cast.ada.email, "password": PASSWORD})
    browser.post("/cart/add", data={"variant_id": cast.mug.id})
    return browser


def fields(page: str) -> list[str]:
    """The names of the fields of the address, in the page's order."""
    form = page.partition('id="step"')[2].partition("Continue to shipping")[0]
    named = re.findall(r'<(?:input|select)[^>]* name="([a-z_0-9]+)"', form)
    return [name for name in named if name not in {"csrf_token", "email", "address_id"}]


def total(page: str) -> str:
    """What the bar over the form says."""
    found = re.search(r'<strong data-part="total">([^<]+)<', page)
    assert found
    return found[1]


@pytest.mark.parametrize(
    ("country", "expected"),
    [
        ("DE", ["postal_code", "city"]),
        ("US", ["city", "region", "postal_code"]),
        ("IE", ["city", "region", "postal_code"]),
        ("HK", ["city", "region"]),
        ("JP", ["region", "postal_code"]),
    ],
)
def test_update_button_shows_the_fields_of_the_country(
    guest: FlaskClient, country: str, expected: list[str]
) -> None:
    typed = {"email": "ada@example.com", "name": "Ada", "line1": "1 Main Street", "city": "Cork"}

    page = guest.post("/checkout", data={**typed, "country": country, "update": "country"})

    assert page.status_code == 200
    assert fields(page.text) == ["country", "name", "line1", "line2", *expected, "phone"]
    assert 'value="1 Main Street"' in page.text and 'value="ada@example.com"' in page.text
    assert f'value="{country}" ' in page.text or f'selected value="{country}"' in page.text
    assert "error-summary" not in page.text
    assert db.session.query(CartRow).one().shipping_address is None


def test_first_step_total_follows_the_chosen_country(guest: FlaskClient) -> None:
    assert total(guest.get("/checkout").text) == "€23.90"

    abroad = guest.post("/checkout", data={"country": "IE", "update": "country"}).text

    assert total(abroad) == "€28.90"
    assert "Delivery in Europe" in abroad
    assert total(guest.post("/checkout", data={"country": "IE"}).text) == "€28.90"


def test_first_step_total_follows_the_saved_address(ada: FlaskClient) -> None:
    ada.post("/account/addresses", data=IRISH)
    ada.post("/account/addresses", data=ADDRESS)
    irish, german = (row.id for row in db.session.query(Address).order_by(Address.id))

    first = ada.get("/checkout").text
    update = {"email": "ada@example.com", "update": "country", "country": "DE"}
    at_home = ada.post("/checkout", data={**update, "address_id": german}).text

    assert total(first) == "€28.90"
    assert total(at_home) == "€23.90"
    sent = ada.post("/checkout", data={"email": "ada@example.com", "address_id": irish})
    assert sent.status_code == 303
    assert total(ada.get("/checkout/delivery").text) == total(first)


def test_changed_country_is_checked_by_its_rules(guest: FlaskClient) -> None:
    data = {**ADDRESS, "email": "ada@example.com", "country": "US", "postal_code": "!!"}

    refused = guest.post("/checkout", data=data)

    assert refused.status_code == 422
    assert "ZIP code: Enter a ZIP code of this country, such as 95014." in refused.text
    assert '<select class="input" autocomplete="shipping address-level1"' in refused.text or (
        '<option value="CA">California</option>' in refused.text.replace("'", '"')
    )


@pytest.mark.parametrize(
    "address",
    [
        IRISH,
        {**IRISH, "country": "HK", "city": "Hong Kong"},
        {**IRISH, "country": "JP", "city": "", "region": "Tokyo", "postal_code": "100-0001"},
    ],
)
def test_address_abroad_reaches_the_next_step(guest: FlaskClient, address: dict[str, str]) -> None:
    answer = guest.post("/checkout", data={**address, "email": "ada@example.com"})

    assert (answer.status_code, answer.location) == (303, "/checkout/delivery")
    assert "Ada Byrne, 1 Main Street" in guest.get("/checkout/delivery").text


def test_saved_address_that_lacks_something_asks_for_it(ada: FlaskClient, cast: Cast) -> None:
    with db.transaction():
        db.session.add(
            Address(
                customer_id=cast.ada.id, name="Ada", line1="1 Main Street", city="Town",
                postal_code="none", country="US",
            )
        )  # fmt: skip
    (old,) = db.session.query(Address)

    page = ada.post("/checkout", data={"email": "ada@example.com", "address_id": old.id})

    assert page.status_code == 422
    assert "Your saved address needs a detail before we can send to it." in page.text
    assert "ZIP code: Enter a ZIP code of this country" in page.text
    assert re.search(r'name="address_id" value="new" required checked', page.text)
    mended = {"address_id": "new", "name": "Ada", "line1": "1 Main Street", "city": "Boston"}
    mended |= {"country": "US", "postal_code": "02108", "email": "ada@example.com"}
    assert ada.post("/checkout", data=mended).status_code == 303


def test_cart_address_of_before_is_asked_about(guest: FlaskClient) -> None:
    guest.post("/checkout", data={**IRISH, "email": "ada@example.com"})
    with db.transaction():
        row = db.session.query(CartRow).one()
        row.shipping_address = {**(row.shipping_address or {}), "postal_code": "!!"}

    assert guest.get("/checkout/delivery").location == "/checkout"
    page = guest.get("/checkout")

    assert page.status_code == 200
    assert "Eircode: Enter an Eircode of this country, such as A65 F4E2." in page.text
    assert 'value="!!"' in page.text


HERE_AND_THERE = {"city": "Boston", "postal_code": "02108", "region": "MA"}


@pytest.mark.parametrize("other", ["AE", "HK", "JP", "DE", "IN"])
@pytest.mark.parametrize("form", ["checkout", "billing", "account"])
def test_country_and_back_loses_nothing(ada: FlaskClient, form: str, other: str) -> None:
    path, prefix = {
        "checkout": ("/checkout", ""),
        "billing": ("/checkout/delivery", "billing-"),
        "account": ("/account/addresses", ""),
    }[form]
    ada.post("/checkout", data={**IRISH, "address_id": "new", "email": "ada@example.com"})

    def switched(country: str, typed: dict[str, str]) -> dict[str, str]:
        sent = {**typed, prefix + "country": country, "update": "country", "address_id": "new"}
        page = ada.post(path, data=sent)
        assert page.status_code == 200
        return shown(page.text, prefix)

    there = switched(other, {prefix + name: value for name, value in HERE_AND_THERE.items()})
    back = switched("US", there)

    assert {name: back[prefix + name] for name in HERE_AND_THERE} == HERE_AND_THERE
    assert not [name for name in back if name.startswith("kept-")]


def test_town_of_another_country_is_not_stored(guest: FlaskClient) -> None:
    data = {"country": "AE", "name": "Ada", "line1": "1 Main Street", "region": "Dubai"}
    data |= {"kept-city": "Boston", "kept-postal_code": "02108", "email": "ada@example.com"}
    with db.transaction():
        db.session.execute(
            update(ShippingMethod).where(ShippingMethod.code == "europe").values(countries=["AE"])
        )
    checkout.clear_cache()

    assert guest.post("/checkout", data=data).status_code == 303

    stored = db.session.query(CartRow).one().shipping_address or {}
    assert (stored["city"], stored["postal_code"], stored["region"]) == ("", "", "Dubai")


def shown(page: str, prefix: str) -> dict[str, str]:
    """What the fields of an address hold on a page, hidden ones included."""
    found = {}
    for tag in re.findall(r"<input[^>]*>", page):
        name, value = (re.search(rf'\b{a}="([^"]*)"', tag) for a in ("name", "value"))
        if name and name[1].removeprefix("kept-").removeprefix(prefix) in HERE_AND_THERE:
            found[name[1]] = value[1] if value else ""
    for chosen in re.findall(r"<select[^>]*region[^>]*>.*?</select>", page, re.S):
        picked = re.search(r"<option value=['\"]([^'\"]*)['\"] selected", chosen)
        found[prefix + "region"] = picked[1] if picked else ""
    return found


def test_billing_fields_follow_their_country(guest: FlaskClient) -> None:
    guest.post("/checkout", data={**IRISH, "email": "ada@example.com"})

    page = guest.post(
        "/checkout/delivery",
        data={"billing-country": "US", "billing-name": "Ada Ltd", "update": "country"},
    )

    assert page.status_code == 200
    assert "ZIP code" in page.text and 'name="billing-region"' in page.text
    assert 'value="Ada Ltd"' in page.text


def test_account_address_form_follows_the_country(ada: FlaskClient) -> None:
    page = ada.post("/account/addresses", data={"country": "JP", "update": "country"})

    assert page.status_code == 200
    assert "Prefecture" in page.text and "Tokyo (東京都)" in page.text
    assert db.session.query(Address).count() == 0
    wanted = {"country": "JP", "name": "Ada", "line1": "1-1 Chiyoda", "postal_code": "100-0001"}
    assert ada.post("/account/addresses", data=wanted | {"region": "Tokyo"}).status_code == 303
    assert "1-1 Chiyoda, Tokyo" in ada.get("/account/addresses").text
