"""The checkout as a customer meets it: pages, forms, and the payment service at the far edge."""

import re
from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from shop.core import db
from shop.core.errors import Unavailable
from shop.orders.models import Order
from shop.payments import stripe_gateway as gateway
from shop.payments.stripe_gateway import Intent
from tests.cast import ADDRESS, Cast


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
                charge_id="",
                card_brand="",
                card_last4="",
                failure="",
                failure_reference="",
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


CONTACT = {"email": "ada@example.com", **ADDRESS}


def hidden(page: str, name: str) -> str:
    """The value of a hidden field."""
    found = re.search(rf'name="{re.escape(name)}" value="([^"]*)"', page)
    assert found, f"no field {name}"
    return found[1]


def fill(browser: FlaskClient, cast: Cast, quantity: int = 2) -> None:
    assert browser.post(
        "/cart/add", data={"variant_id": cast.mug.id, "quantity": quantity}
    ).status_code == 303
    assert browser.post("/checkout", data=CONTACT).status_code == 303


def place(browser: FlaskClient, method: str = "standard") -> str:
    """Continue to the payment; gives the address of the payment page."""
    page = browser.get("/checkout/delivery").text
    answer = browser.post(
        "/checkout/delivery",
        data={
            "shipping_method": method,
            "version": hidden(page, "version"),
            f"total.{method}": hidden(page, f"total.{method}"),
            "billing-same": "y",
        },
    )
    assert answer.status_code == 303, answer.text
    return answer.location


def test_a_guest_buys_two_mugs_within_fifty_statements(
    browser: FlaskClient, cast: Cast, stripe: FakeStripe
) -> None:
    slug, variant_id = "tidal-mug", cast.mug.id
    counted: list[tuple[str, int]] = []

    def step(name: str, ask) -> object:  # type: ignore[no-untyped-def]
        db.session.remove()
        with db.Statements() as seen:
            answer = ask()
        asked = [s for s in seen.seen if not s.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK"))]
        counted.append((name, len(asked)))
        print(name, len(asked), *[" ".join(s.split())[:150] for s in asked], sep="\n   ")
        return answer

    step("home", lambda: browser.get("/"))
    counted.clear()
    assert step("product", lambda: browser.get(f"/products/{slug}")).status_code == 200
    assert step("add", lambda: browser.post("/cart/add", data={"variant_id": variant_id, "quantity": 2})).status_code == 303
    assert step("cart", lambda: browser.get("/cart")).status_code == 200
    assert step("checkout", lambda: browser.get("/checkout")).status_code == 200
    assert step("contact", lambda: browser.post("/checkout", data=CONTACT)).status_code == 303
    page = step("delivery", lambda: browser.get("/checkout/delivery")).text
    answer = step(
        "place",
        lambda: browser.post(
            "/checkout/delivery",
            data={
                "shipping_method": "standard",
                "version": hidden(page, "version"),
                "total.standard": hidden(page, "total.standard"),
                "billing-same": "y",
            },
        ),
    )
    assert answer.status_code == 303, answer.text
    shown = step("payment", lambda: browser.get(answer.location))
    assert "Held for you until" in shown.text
    stripe.pay()
    back = answer.location.replace("/checkout/payment", "/checkout/return")
    done = step("return", lambda: browser.get(back))
    assert done.location.startswith("/orders/EO-")
    print(counted, sum(n for _, n in counted))
    thanks = browser.get(done.location)
    assert "Thank you, Ada Lovelace" in thanks.text
    assert db.session.query(Order).one().payment_status == "paid"
    assert sum(n for _, n in counted) <= 50
