"""The stand-in's Payment Element on a shop page under a strict content security policy."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, expect

from tests.tools.browser_rig import Checkout, chromium, shopping
from tests.tools.stripe_rig import Rig, running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running(tmp_path_factory.mktemp("stripe")) as (rig, _process):
        yield rig


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def checkout(server: Rig, browser: Browser) -> Iterator[Checkout]:
    with shopping(server, browser) as checkout:
        yield checkout


def test_buyer_is_declined_in_words_and_then_pays(checkout: Checkout) -> None:
    intent = checkout.rig.intent()
    checkout.open(intent)

    checkout.pay()
    expect(checkout.message).to_have_text("Your card number is incomplete.")
    checkout.type("4000 0000 0000 0002")
    expect(checkout.page.locator("#changes")).to_have_text("complete")
    checkout.pay()
    expect(checkout.message).to_have_text("Your card was declined.")
    expect(checkout.card.get_by_role("alert")).to_have_text("Your card was declined.")
    checkout.type("4242424242424242")
    checkout.pay()
    expect(checkout.message).to_have_text("succeeded")

    charge = checkout.rig.state()["charges"][-1]
    assert charge["billing_details"]["name"] == "Ada"
    assert "payment_intent.succeeded" in checkout.rig.received(intent.id)
    assert "4242424242424242" not in checkout.page.content()


def test_typing_card_is_helped_and_mistakes_are_named(checkout: Checkout) -> None:
    checkout.open(checkout.rig.intent())
    number, expiry = checkout.card.get_by_label("Card number"), checkout.card.get_by_label("Expiry")

    number.press_sequentially("4242424242424241")
    expiry.press_sequentially("120")
    expiry.press_sequentially("1")
    checkout.card.get_by_label("CVC").press_sequentially("12x")
    checkout.pay()

    expect(number).to_have_value("4242 4242 4242 4241")
    expect(expiry).to_have_value("12 / 01")
    expect(checkout.card.get_by_text("Your card number is invalid.")).to_be_visible()
    expect(checkout.card.get_by_text("expiration date is in the past")).to_be_visible()
    expect(checkout.card.get_by_text("security code is incomplete")).to_be_visible()
    _fits(checkout)


def test_the_frame_fits_a_small_phone(checkout: Checkout) -> None:
    checkout.page.set_viewport_size({"width": 320, "height": 640})
    checkout.open(checkout.rig.intent())

    expect(checkout.page.locator("body")).to_have_attribute("data-ready", "yes")
    _fits(checkout)
    assert checkout.page.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize(("button", "outcome"), [("Complete", "succeeded"), ("Fail", "failed")])
def test_three_d_secure_leads_back_to_the_shop(
    checkout: Checkout, button: str, outcome: str
) -> None:
    intent = checkout.rig.intent(description="Order 1001")
    checkout.open(intent)
    checkout.type("4000002500003155")
    checkout.pay()

    expect(checkout.page.get_by_role("heading", name="Confirm your payment")).to_be_visible()
    expect(checkout.page.get_by_text("€25.00")).to_be_visible()
    checkout.page.get_by_role("button", name=button).click()

    expect(checkout.page.get_by_role("heading", name="Thank you")).to_be_visible()
    back = parse_qs(urlsplit(checkout.page.url).query)
    assert back == {
        "order": ["1"],
        "payment_intent": [intent.id],
        "redirect_status": [outcome],
        "payment_intent_client_secret": [intent.client_secret],
    }


def test_a_payment_may_always_redirect(checkout: Checkout) -> None:
    intent = checkout.rig.intent()
    checkout.open(intent, redirect="always")
    checkout.type("4242424242424242")
    checkout.pay()

    expect(checkout.page.get_by_role("heading", name="Thank you")).to_be_visible()
    assert "redirect_status=succeeded" in checkout.page.url


def test_a_paid_or_unknown_intent_says_so(checkout: Checkout) -> None:
    paid = checkout.rig.pay(checkout.rig.intent(), "4242424242424242")

    checkout.open(paid)
    expect(checkout.message).to_contain_text("can no longer be paid")
    checkout.page.goto(f"{checkout.shop.url}/pay?secret=pi_123_secret_456")
    expect(checkout.message).to_contain_text("No such payment_intent")


def test_page_can_ask_for_payment_by_its_secret(checkout: Checkout) -> None:
    intent = checkout.rig.intent()
    checkout.open(intent)

    seen = checkout.page.evaluate(
        "secret => Stripe('pk_test_x').retrievePaymentIntent(secret)", intent.client_secret
    )

    assert seen["paymentIntent"]["id"] == intent.id


def test_page_may_lead_to_a_pending_3ds_step(checkout: Checkout) -> None:
    intent = checkout.rig.intent()
    checkout.open(intent)
    checkout.rig.pay(intent, "4000002500003155", return_url=f"{checkout.shop.url}/back")

    checkout.page.evaluate(
        "secret => { Stripe('pk_test_x').handleNextAction({ clientSecret: secret }); }",
        intent.client_secret,
    )

    expect(checkout.page.get_by_role("heading", name="Confirm your payment")).to_be_visible()


def test_unreachable_payment_server_is_explained_in_words(checkout: Checkout) -> None:
    checkout.open(checkout.rig.intent())
    expect(checkout.page.locator("body")).to_have_attribute("data-ready", "yes")
    checkout.type("4242424242424242")
    checkout.rig.control(lose_response=1)

    checkout.pay()

    expect(checkout.message).to_contain_text("could not reach the payment server")


def _fits(checkout: Checkout) -> None:
    """The frame is as high as what is in it, neither cut nor gaping."""
    content = checkout.card.locator("html")
    expect(content).to_have_attribute("data-theme", "stripe")
    inside = content.evaluate("page => page.getBoundingClientRect().height")
    frame = checkout.page.locator("#payment iframe").evaluate("one => one.offsetHeight")
    assert abs(frame - inside) <= 1
