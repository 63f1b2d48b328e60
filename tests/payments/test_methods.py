"""Ways to pay: which are offered for an order, and what Stripe is asked for."""

from collections.abc import Iterator
from urllib.request import urlopen

import pytest
import stripe as sdk
from flask import Flask

from shop.config import METHOD_CURRENCIES, Settings, SettingsError
from shop.core.errors import Invalid
from shop.core.money import Money
from shop.payments import methods, stripe_client
from shop.payments import stripe_gateway as gateway
from shop.payments.methods import FACTS, PaymentMethod, offered_methods
from tests.test_config import GIVEN
from tests.tools import stripe_rig

EVERY = tuple(PaymentMethod)


@pytest.mark.parametrize(
    ("currency", "country", "names"),
    [
        ("EUR", "DE", "card link ideal bancontact klarna sepa_debit multibanco"),
        ("EUR", "", "card link ideal bancontact klarna sepa_debit multibanco"),
        ("EUR", "CH", "card link ideal bancontact sepa_debit multibanco"),
        ("JPY", "JP", "card link konbini"),
        ("MXN", "MX", "card link oxxo"),
        ("GBP", "GB", "card link klarna"),
        ("GBP", "DE", "card link"),
        ("SGD", "SG", "card link"),
    ],
)
def test_currency_and_country_choose_the_methods(currency: str, country: str, names: str) -> None:
    offered = offered_methods(EVERY, Money(5_000, currency), country=country)

    assert offered == tuple(names.split())


@pytest.mark.parametrize(
    ("method", "currency", "least", "most"),
    [("konbini", "JPY", 120, 300_000), ("oxxo", "MXN", 1_000, 1_000_000)],
)
def test_amount_limits_are_kept(method: str, currency: str, least: int, most: int) -> None:
    one = (PaymentMethod(method),)

    for amount, fits in ((least - 1, False), (least, True), (most, True), (most + 1, False)):
        offered = offered_methods(one, Money(amount, currency), country="")
        assert offered == (one if fits else ())


def test_manual_capture_leaves_out_immediate_methods() -> None:
    offered = offered_methods(EVERY, Money(5_000, "EUR"), country="DE", capture="manual")

    assert offered == ("card", "link", "klarna")


def test_setting_and_facts_know_the_same_methods() -> None:
    assert {kind: FACTS[PaymentMethod(kind)].currencies for kind in METHOD_CURRENCIES} == dict(
        METHOD_CURRENCIES
    )
    assert set(METHOD_CURRENCIES) == set(PaymentMethod)


def test_setting_defaults_to_card() -> None:
    assert Settings.from_env(GIVEN).payment_methods == ("card",)


def test_setting_lists_methods_in_order() -> None:
    given = Settings.from_env(GIVEN | {"PAYMENT_METHODS": "SEPA_debit, card,,card"})

    assert given.payment_methods == ("sepa_debit", "card")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"PAYMENT_METHODS": "card,paypal"}, "PAYMENT_METHODS must name some of .* not 'paypal'"),
        ({"PAYMENT_METHODS": ","}, "PAYMENT_METHODS must name some of .* not nothing"),
        ({"PAYMENT_METHODS": "oxxo"}, r"PAYMENT_METHODS \(oxxo\) has none that takes EUR"),
        (
            {"PAYMENT_METHODS": "ideal,sepa_debit", "PAYMENT_CAPTURE": "manual"},
            "PAYMENT_CAPTURE=manual needs one of card",
        ),
    ],
)
def test_unusable_methods_stop_the_start(wrong: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Settings.from_env(GIVEN | wrong)


@pytest.fixture
def only_konbini() -> Iterator[None]:
    methods.configure(["konbini"])
    yield
    methods.configure(["card"])


@pytest.mark.parametrize(
    ("total", "words"),
    [
        (Money(119, "JPY"), "The least that can be paid by Konbini is JP¥120"),
        (Money(300_001, "JPY"), "At most JP¥300,000 can be paid by Konbini"),
        (Money(5_000, "EUR"), "cannot pay for this order"),
    ],
)
def test_order_without_any_method_is_refused(only_konbini: None, total: Money, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        methods.check_can_be_paid(total, country="JP", capture="automatic")


def test_intent_allows_the_offered_methods(stripe: stripe_rig.Rig) -> None:
    intent = gateway.create_intent(
        key="order:1:pay:1",
        amount_minor=5_000,
        currency="EUR",
        capture="automatic",
        methods=["card", "konbini"],
        description="Order EO-1",
        shipping={"name": "Ada", "address": {"line1": "Linden 1"}},
        metadata={},
    )

    made = stripe.client.v1.payment_intents.retrieve(intent.id)
    assert made.payment_method_types == ["card"]
    assert made.automatic_payment_methods is None


def test_script_belongs_to_the_api_version(stripe: stripe_rig.Rig) -> None:
    address = stripe_client.script_url()

    assert address == f"{stripe.url}/endive/stripe.js"
    assert sdk.api_version == "2026-10-28.endive"
    with urlopen(address) as answer:
        assert answer.headers.get_content_type() == "text/javascript"


def test_script_comes_from_stripe_without_stand_in(app: Flask) -> None:
    settings = app.config["SETTINGS"]
    stripe_client.configure(secret_key="", publishable_key="", webhook_secrets=(), api_base="")

    assert stripe_client.script_url() == "https://js.stripe.com/endive/stripe.js"

    stripe_client.configure(
        secret_key=settings.stripe_secret_key,
        publishable_key=settings.stripe_publishable_key,
        webhook_secrets=settings.stripe_webhook_secrets,
        api_base=settings.stripe_api_base,
    )
