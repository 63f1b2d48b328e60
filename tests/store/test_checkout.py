"""The checkout as a customer meets it: pages, forms, and the payment service at the far edge."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from flask import request
from flask.testing import FlaskClient
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from werkzeug.test import TestResponse

from shop import checkout, customers, inventory
from shop.cart.models import Cart as CartRow
from shop.catalog.models import Variant
from shop.core import clock, db, devices
from shop.core.errors import Unavailable
from shop.core.statements import Statements
from shop.orders.models import Order
from shop.payments import stripe_gateway as gateway
from shop.payments.stripe_errors import NoSuchObject
from shop.payments.stripe_objects import Intent
from shop.store import forms
from tests.cast import ADDRESS, PASSWORD, Cast

SAVEPOINTS = ("SAVEPOINT", "RELEASE", "ROLLBACK")
MAX_STATEMENTS = 50
CONTACT = {"email": "ada@example.com", **ADDRESS}


class FakeStripe:
    """The far side of the gateway: remembers intents, and says of them what the test wants."""

    def __init__(self) -> None:
        self.intents: dict[str, Intent] = {}
        self.is_away = False

    def create_intent(self, *, key: str, amount_minor: int, currency: str, **_: object) -> Intent:
        if self.is_away:
            raise Unavailable("The payment service does not answer. Please try again.")
        return self.intents.setdefault(
            key,
            Intent(
                id=f"pi_{len(self.intents)}{key.replace(':', '')}",
                status="requires_payment_method",
                client_secret=f"pi_{len(self.intents)}_secret_x",
                amount_minor=amount_minor,
                received_minor=0,
                currency=currency,
                capturable_minor=0,
                capture_before=None,
                charge_id="",
                charged_at=clock.now(),
                card_brand="",
                card_last4="",
                failure="",
                failure_reference="",
                email="",
                metadata={},
            ),
        )

    def fetch_intent(self, intent_id: str) -> Intent:
        if self.is_away:
            raise Unavailable("The payment service does not answer. Please try again.")
        return next(intent for intent in self.intents.values() if intent.id == intent_id)

    def become(self, **changes: object) -> None:
        """Change what the only intent is."""
        (key,) = self.intents
        self.intents[key] = replace(self.intents[key], **changes)  # type: ignore[arg-type]

    def pay(self) -> None:
        (intent,) = self.intents.values()
        self.become(status="succeeded", received_minor=intent.amount_minor, charge_id="ch_1")


@pytest.fixture
def stripe(monkeypatch: pytest.MonkeyPatch) -> FakeStripe:
    fake = FakeStripe()
    monkeypatch.setattr(gateway, "create_intent", fake.create_intent)
    monkeypatch.setattr(gateway, "fetch_intent", fake.fetch_intent)
    return fake


def hidden(page: str, name: str) -> str:
    """The value of a hidden field."""
    found = re.search(rf'name="{re.escape(name)}" value="([^"]*)"', page)
    assert found, f"no field {name}"
    return found[1]


def seen_on(page: str, method: str = "standard") -> dict[str, str]:
    """What the delivery form sends back."""
    return {
        "shipping_method": method,
        "version": hidden(page, "version"),
        f"total.{method}": hidden(page, f"total.{method}"),
        "billing-same": "y",
    }


def back_from(payment_page: str) -> str:
    """Where Stripe sends the browser from this payment page."""
    return payment_page.replace("/checkout/payment", "/checkout/return")


def fill(browser: FlaskClient, cast: Cast, quantity: int = 2) -> None:
    """Two mugs in the cart, and where they go."""
    browser.post("/cart/add", data={"variant_id": cast.mug.id, "quantity": quantity})
    assert browser.post("/checkout", data=CONTACT).status_code == 303


def place(browser: FlaskClient) -> str:
    """Continue to the payment. Returns the address of the payment page."""
    answer = browser.post(
        "/checkout/delivery", data=seen_on(browser.get("/checkout/delivery").text)
    )
    assert answer.status_code == 303, answer.text
    return str(answer.location)


def test_a_guest_buys_two_mugs_with_few_statements(
    browser: FlaskClient, cast: Cast, stripe: FakeStripe
) -> None:
    variant_id = cast.mug.id
    counted: dict[str, int] = {}
    browser.get("/")  # what a process keeps for a few seconds: the menu
    checkout.countries()  # and the shipping methods

    def step(name: str, ask: Callable[[], TestResponse], status: int = 303) -> TestResponse:
        db.session.remove()
        with Statements() as seen:
            answer = ask()
        assert answer.status_code == status, answer.text
        counted[name] = sum(not s.startswith(SAVEPOINTS) for s in seen.seen)
        return answer

    step("product", lambda: browser.get("/products/tidal-mug"), 200)
    step("add", lambda: browser.post("/cart/add", data={"variant_id": variant_id, "quantity": 2}))
    step("cart", lambda: browser.get("/cart"), 200)
    step("checkout", lambda: browser.get("/checkout"), 200)
    step("contact", lambda: browser.post("/checkout", data=CONTACT))
    page = step("delivery", lambda: browser.get("/checkout/delivery"), 200).text
    placed = step("place", lambda: browser.post("/checkout/delivery", data=seen_on(page)))
    shown = step("payment", lambda: browser.get(placed.location), 200)
    stripe.pay()
    done = step("return", lambda: browser.get(back_from(placed.location)))

    assert "Reserved for you until" in shown.text
    assert "Thank you, Ada Lovelace" in browser.get(done.location).text
    assert db.session.query(Order).one().payment_status == "paid"
    assert "Your cart is empty" in browser.get("/cart").text
    assert counted["payment"] <= 3, counted
    assert sum(counted.values()) <= MAX_STATEMENTS, counted


def test_draft_input_is_kept_for_one_person_only(browser: FlaskClient, cast: Cast) -> None:
    browser.post("/cart/add", data={"variant_id": cast.mug.id})
    typed = CONTACT | {"line1": "Secret Lane 7", "country": "Secretland", "email": "secret at"}

    refused = browser.post("/checkout", data=typed)

    assert "Secret Lane 7" in refused.text
    kept = str(list(forms._kept.cache.items())).lower()
    assert "line2" in kept
    assert "secret" not in kept


def test_all_address_errors_show_and_input_is_kept(browser: FlaskClient, cast: Cast) -> None:
    browser.post("/cart/add", data={"variant_id": cast.mug.id})

    answer = browser.post("/checkout", data={"email": "no", "name": "Ada", "country": "XX"})

    assert answer.status_code == 422
    assert 'href="#email"' in answer.text and 'href="#line1"' in answer.text
    assert 'aria-describedby="email-hint email-error"' in answer.text
    assert 'value="Ada"' in answer.text
    assert answer.text.index('href="#email"') < answer.text.index('href="#line1"')


def test_country_without_shipping_is_refused(browser: FlaskClient, cast: Cast) -> None:
    browser.post("/cart/add", data={"variant_id": cast.mug.id})

    answer = browser.post("/checkout", data={**CONTACT, "country": "US"})

    assert answer.status_code == 422 and "We do not ship to this country yet." in answer.text


def test_pressing_twice_orders_once(browser: FlaskClient, cast: Cast, stripe: FakeStripe) -> None:
    fill(browser, cast)
    data = seen_on(browser.get("/checkout/delivery").text)

    first, second = (browser.post("/checkout/delivery", data=data) for _ in range(2))

    assert first.location == second.location
    assert db.session.query(Order).count() == 1
    assert len(stripe.intents) == 1


@pytest.mark.parametrize("field", ["version", "total.standard"])
@pytest.mark.parametrize("value", ["1", "", "-5", "abc", "9" * 40])
def test_order_needs_the_cart_and_total_shown(
    browser: FlaskClient, cast: Cast, field: str, value: str
) -> None:
    fill(browser, cast)
    data = seen_on(browser.get("/checkout/delivery").text)

    answer = browser.post("/checkout/delivery", data={**data, field: value})

    assert answer.status_code == 409
    assert "Nothing was ordered and nothing was charged." in answer.text
    assert db.session.query(Order).count() == 0


def test_changed_price_is_shown_before_anything_is_charged(
    browser: FlaskClient, cast: Cast, stripe: FakeStripe
) -> None:
    fill(browser, cast)
    data = seen_on(browser.get("/checkout/delivery").text)
    mug = cast.mug
    with db.transaction():
        db.session.get_one(Variant, mug.id).price_minor = 2100

    answer = browser.post("/checkout/delivery", data=data)

    assert answer.status_code == 409
    assert "It was €42.90 when you looked and is €46.90 now." in answer.text
    assert stripe.intents == {}


def test_a_sold_out_thing_stops_the_order(
    browser: FlaskClient, cast: Cast, stripe: FakeStripe
) -> None:
    fill(browser, cast)
    data = seen_on(browser.get("/checkout/delivery").text)
    with db.transaction():
        inventory.adjust(cast.mug.id, -9, reason="damage")

    answer = browser.post("/checkout/delivery", data=data)

    assert answer.status_code == 409 and "Only 1 left." in answer.text
    assert "Change your cart" in answer.text
    assert db.session.query(Order).count() == 0


def test_unknown_shipping_method_is_refused(browser: FlaskClient, cast: Cast) -> None:
    fill(browser, cast)

    answer = browser.post("/checkout/delivery", data={"shipping_method": "by pigeon"})

    assert answer.status_code == 422 and "Choose a shipping method." in answer.text


def test_when_stripe_is_away_the_order_waits(
    browser: FlaskClient, cast: Cast, stripe: FakeStripe
) -> None:
    fill(browser, cast)
    stripe.is_away = True
    address = place(browser)

    page = browser.get(address).text
    stripe.is_away = False
    fields = {"order": hidden(page, "order"), "token": hidden(page, "token")}
    again = browser.post("/checkout/payment", data=fields)

    assert "Try again" in page and "data-client-secret" not in page
    assert "data-client-secret" in browser.get(again.location).text


def test_a_declined_card_leads_back_with_the_reason(
    browser: FlaskClient, cast: Cast, stripe: FakeStripe
) -> None:
    fill(browser, cast)
    address = place(browser)
    stripe.become(failure="Your card was declined.", failure_reference="ch_no")

    answer = browser.get(back_from(address))

    assert answer.location == address
    page = browser.get(address).text
    assert "Your card was declined.</strong> Nothing was charged." in page
    assert "Tidal mug" in browser.get("/cart").text


def test_return_of_a_payment_not_ours_says_so(
    browser: FlaskClient, cast: Cast, stripe: FakeStripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(browser, cast)
    address = place(browser)

    def unknown(_: str) -> Intent:
        raise NoSuchObject("No such payment_intent.")

    monkeypatch.setattr(gateway, "fetch_intent", unknown)
    answer = browser.get(back_from(address))
    page = browser.get(answer.location, follow_redirects=True)

    assert (answer.status_code, page.status_code) == (303, 200)
    assert "We could not find this payment." in page.text
    assert db.session.query(Order).one().payment_status == "unpaid"


def test_the_return_page_believes_only_the_payment_service(
    browser: FlaskClient, cast: Cast, stripe: FakeStripe
) -> None:
    fill(browser, cast)
    address = place(browser)

    answer = browser.get(back_from(address) + "&redirect_status=succeeded")

    assert answer.location == address
    assert db.session.query(Order).one().payment_status == "unpaid"


def test_expired_reservation_says_so(browser: FlaskClient, cast: Cast, stripe: FakeStripe) -> None:
    fill(browser, cast)
    address = place(browser)

    with clock.freeze(clock.now() + timedelta(minutes=16)):
        page = browser.get(address).text

    assert "The time to pay for this order has run out" in page
    assert "data-client-secret" not in page


def test_only_payment_page_may_load_payment_script(
    browser: FlaskClient, cast: Cast, stripe: FakeStripe
) -> None:
    fill(browser, cast)

    policies = [
        browser.get(address).headers["Content-Security-Policy"]
        for address in ("/checkout/delivery", place(browser))
    ]

    assert ["stripe.com" in policy for policy in policies] == [False, True]


@pytest.fixture
def limited(browser: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """A visitor of the shop with its limits switched on."""
    (limiter,) = browser.application.extensions["limiter"]
    storage = MemoryStorage()
    for name, value in {
        "enabled": True,
        "initialized": True,
        "_storage": storage,
        "_limiter": FixedWindowRateLimiter(storage),
        "_request_identifier": lambda: request.endpoint or "",
    }.items():
        monkeypatch.setattr(limiter, name, value)
    # What it does at the start, when it is on: counting by what was answered.
    hooks = browser.application.after_request_funcs
    counting = limiter._Limiter__inject_headers
    monkeypatch.setitem(hooks, None, [*hooks.get(None, []), counting])
    return browser


def test_orders_are_not_placed_on_and_on(
    limited: FlaskClient, cast: Cast, stripe: FakeStripe
) -> None:
    fill(limited, cast)
    form = seen_on(limited.get("/checkout/delivery").text) | {"version": "0"}

    def press(n: int) -> TestResponse:
        return limited.post(
            "/checkout/delivery", data=form, environ_base={"REMOTE_ADDR": f"203.0.113.{n}"}
        )

    assert [press(n).status_code for n in range(10)] == [409] * 10
    refused = press(11)
    assert refused.status_code == 429
    assert "the last one did nothing" in refused.text
    assert int(refused.headers["Retry-After"]) > 0

    another = limited.application.test_client()
    fill(another, cast)
    assert another.get(place(another)).status_code == 200


def test_nobody_elsewhere_locks_a_customer_out(limited: FlaskClient, cast: Cast) -> None:
    assert cast.ada

    def sign_in(password: str, address: str) -> int:
        form = {"email": "ada@example.com", "password": password}
        visitor = limited.application.test_client()
        far = {"REMOTE_ADDR": address}
        return visitor.post("/account/login", data=form, environ_base=far).status_code

    here = [sign_in("a wrong sentence", f"2001:db8:0:1::{n}") for n in range(11)]

    assert here == [422] * 10 + [429]
    assert [sign_in(PASSWORD, "203.0.113.7") for _ in range(12)] == [303] * 12


def test_known_device_signs_in_past_a_network_limit(limited: FlaskClient, cast: Cast) -> None:
    assert cast.ada and cast.bruno
    app = limited.application
    here = {"REMOTE_ADDR": "198.51.100.7"}

    def sign_in(visitor: FlaskClient, email: str, password: str) -> int:
        form = {"email": email, "password": password}
        return visitor.post("/account/login", data=form, environ_base=here).status_code

    known, others, stranger = (app.test_client() for _ in range(3))
    assert sign_in(known, "ada@example.com", PASSWORD) == 303
    assert sign_in(others, "bruno@example.com", PASSWORD) == 303
    forged = app.test_client()
    forged.set_cookie("device", "WyJ4IixbInkiXV0.abc.def")

    flood = [sign_in(stranger, "ada@example.com", f"guess number {n}") for n in range(25)]

    assert flood[-1] == 429
    for unknown in (stranger, others, forged):
        assert sign_in(unknown, "ada@example.com", PASSWORD) == 429
    assert sign_in(known, "ada@example.com", "a slip of the pen") == 422
    assert sign_in(known, " ADA@example.com", PASSWORD) == 303


def test_known_device_that_guesses_is_known_no_more(limited: FlaskClient, cast: Cast) -> None:
    assert cast.ada
    here = {"REMOTE_ADDR": "198.51.100.8"}

    def sign_in(password: str) -> int:
        form = {"email": "ada@example.com", "password": password}
        return limited.post("/account/login", data=form, environ_base=here).status_code

    assert sign_in(PASSWORD) == 303

    guesses = [sign_in(f"guess number {n}") for n in range(devices.MAX_FAILURES + 11)]

    assert guesses[: devices.MAX_FAILURES] == [422] * devices.MAX_FAILURES
    assert guesses[-1] == 429


def test_one_network_cannot_empty_the_shelves(limited: FlaskClient) -> None:
    visitors = [limited.application.test_client() for _ in range(31)]
    answers = [each.post("/checkout/delivery").status_code for each in visitors]
    assert answers == [303] * 30 + [429]
    assert limited.get("/").status_code == 200


def test_codes_cannot_be_guessed_at_checkout(limited: FlaskClient, cast: Cast) -> None:
    fill(limited, cast)
    boxes = {
        "/cart/discount": {"code": "NOPE"},
        "/checkout": {"code.aside": "NOPE", "use_code": "aside"},
        "/checkout/delivery": {"code.bar": "NOPE", "shipping_method": "standard"},
    }

    guesses = [limited.post(path, data=boxes[path]) for path in [*boxes] * 7]

    assert [answer.status_code for answer in guesses] == [404] * 20 + [429]
    assert limited.post("/checkout", data=CONTACT).status_code == 303


def test_a_foreign_address_cannot_be_chosen(browser: FlaskClient, cast: Cast) -> None:
    ada, bruno = cast.ada.id, cast.bruno
    with db.transaction():
        foreign = customers.save_address(ada, ADDRESS).id
    browser.post("/account/login", data={"email": bruno.email, "password": PASSWORD})
    browser.post("/cart/add", data={"variant_id": cast.mug.id})

    answers = [
        browser.post("/checkout", data={"email": bruno.email, "address_id": address_id})
        for address_id in (str(foreign), "0", "abc", "9" * 30)
    ]

    assert [answer.status_code for answer in answers] == [404] * 4
    assert db.session.query(CartRow).one().shipping_address is None
