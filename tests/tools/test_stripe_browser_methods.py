"""Bank debits, redirects, vouchers and wallets in the stand-in's Stripe.js."""

from collections.abc import Iterator
from urllib.parse import parse_qs, quote, urlsplit
from urllib.request import urlopen

import pytest
import stripe
from playwright.sync_api import Browser, FrameLocator, expect

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
        server.control(timers=False)
        yield checkout


@pytest.fixture
def sheet(checkout: Checkout) -> FrameLocator:
    return checkout.page.frame_locator("iframe[title='Test wallet']")


def _open(checkout: Checkout, *types: str, **query: str) -> stripe.PaymentIntent:
    intent = checkout.rig.intent(allowed_payment_method_types=list(types))
    checkout.open(intent, **query)
    expect(checkout.page.locator("body")).to_have_attribute("data-ready", "yes")
    return intent


def test_buyer_pays_by_bank_debit(checkout: Checkout) -> None:
    intent = _open(checkout, "card", "sepa_debit")
    checkout.card.get_by_label("SEPA Debit").check()
    expect(checkout.card.get_by_label("Card number")).to_be_hidden()
    checkout.pay()
    expect(checkout.message).to_have_text("Your IBAN is incomplete.")

    checkout.card.get_by_label("IBAN").fill("DE62 3704 0044 0532 0130 01")
    checkout.card.get_by_label("Full name").fill("Ada")
    checkout.card.get_by_label("Email").fill("ada@example.com")
    expect(checkout.page.locator("#changes")).to_have_text("complete")
    checkout.pay()

    expect(checkout.message).to_have_text("processing")
    checkout.rig.control("/payment", payment_intent=intent.id, outcome="fail")
    checkout.page.reload()
    checkout.card.get_by_role("radio", name="Card").check()
    checkout.type("4242424242424242")
    checkout.pay()
    expect(checkout.message).to_have_text("succeeded")


def test_bank_outside_the_eea_asks_for_address(checkout: Checkout) -> None:
    _open(checkout, "sepa_debit")
    expect(checkout.card.get_by_label("Address line 1")).to_be_hidden()
    checkout.card.get_by_label("IBAN").fill("CH93 0076 2011 6238 5295 7")
    checkout.card.get_by_label("Full name").fill("Ada")
    checkout.card.get_by_label("Email").fill("ada@example.com")
    checkout.pay()
    expect(checkout.message).to_have_text("Your address is incomplete.")

    checkout.card.get_by_label("Address line 1").fill("Bahnhofstr. 1")
    checkout.card.get_by_label("Country or region").select_option("CH")
    checkout.pay()

    expect(checkout.message).to_have_text("processing")


def test_wrong_iban_is_said_at_its_field(checkout: Checkout) -> None:
    _open(checkout, "sepa_debit")
    checkout.card.get_by_label("IBAN").fill("DE89370400440532013001")
    checkout.card.get_by_label("Full name").fill("Ada")
    checkout.card.get_by_label("Email").fill("ada@example.com")

    checkout.pay()

    expect(checkout.message).to_have_text("The IBAN you entered is invalid.")
    expect(checkout.card.get_by_text("The IBAN you entered is invalid.")).to_be_visible()


@pytest.mark.parametrize(
    ("button", "outcome"),
    [("Authorize test payment", "succeeded"), ("Fail test payment", "failed")],
)
def test_redirect_method_leads_back_to_shop(checkout: Checkout, button: str, outcome: str) -> None:
    intent = _open(checkout, "card", "ideal", redirect="always")
    checkout.card.get_by_label("iDEAL").check()
    checkout.card.get_by_label("Bank").select_option("rabobank")
    checkout.pay()

    page = checkout.page
    expect(page.get_by_role("heading", name="iDEAL test payment page")).to_be_visible()
    page.get_by_role("button", name=button).click()

    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    back = parse_qs(urlsplit(page.url).query)
    assert back["payment_intent"] == [intent.id] and back["redirect_status"] == [outcome]


def test_voucher_is_shown_until_it_is_closed(checkout: Checkout) -> None:
    intent = _open(checkout, "multibanco", redirect="always")
    checkout.card.get_by_label("Email").fill("ada@example.com")
    checkout.pay()

    page = checkout.page
    voucher = page.frame_locator("iframe[title='Voucher']")
    expect(voucher.get_by_text("Entity")).to_be_visible()
    page.get_by_role("button", name="Close").click()

    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    assert "redirect_status=pending" in page.url
    found = checkout.rig.client.v1.payment_intents.retrieve(intent.id)
    assert found.status == "requires_action"


def test_voucher_can_be_paid_on_its_page(checkout: Checkout) -> None:
    _open(checkout, "multibanco")
    checkout.card.get_by_label("Email").fill("ada@example.com")
    checkout.pay()

    voucher = checkout.page.frame_locator("iframe[title='Voucher']")
    voucher.get_by_role("button", name="Simulate payment").click()
    expect(voucher.get_by_text("has been paid")).to_be_visible()
    checkout.page.get_by_role("button", name="Close").click()

    expect(checkout.message).to_have_text("requires_action")


def test_billing_details_can_be_left_to_shop(checkout: Checkout) -> None:
    _open(checkout, "sepa_debit", billing="never")

    expect(checkout.card.get_by_label("IBAN")).to_be_visible()
    expect(checkout.card.get_by_label("Full name")).to_have_count(0)


def test_methods_fit_a_small_phone(checkout: Checkout) -> None:
    checkout.page.set_viewport_size({"width": 320, "height": 640})
    _open(checkout, "card", "sepa_debit", "ideal", "bancontact", "klarna", "multibanco")

    for name in ("Klarna", "SEPA Debit"):
        checkout.card.get_by_label(name).check()
        html = checkout.card.locator("html")
        assert html.evaluate("page => page.scrollWidth <= page.clientWidth")
    assert checkout.page.evaluate("document.documentElement.scrollWidth") <= 320


def test_methods_can_be_chosen_by_keyboard(checkout: Checkout) -> None:
    _open(checkout, "card", "klarna")
    checkout.card.get_by_label("Card", exact=True).focus()

    checkout.page.keyboard.press("ArrowRight")

    expect(checkout.card.get_by_label("Country or region")).to_be_visible()


# Wallets


@pytest.mark.parametrize(
    ("button", "wallet"),
    [("Pay with Apple Pay", "apple_pay"), ("Pay with Google Pay", "google_pay")],
)
def test_buyer_pays_with_a_wallet(
    checkout: Checkout, sheet: FrameLocator, button: str, wallet: str
) -> None:
    checkout.open(checkout.rig.intent(2900), express="yes")
    checkout.card.get_by_role("button", name=button).click()
    sheet.get_by_label("Shipping address").select_option("Ada Lovelace, Paris")
    expect(sheet.get_by_text("Pay €29.00")).to_be_enabled()

    sheet.get_by_text("Pay €29.00").click()

    expect(checkout.message).to_have_text("succeeded")
    expect(checkout.page.locator("#changes")).to_have_text("Paris post wallet@example.com")
    charge = checkout.rig.state()["charges"][-1]
    assert charge["payment_method_details"]["card"]["wallet"]["type"] == wallet
    assert charge["billing_details"]["email"] == "wallet@example.com"


def test_wallet_prices_follow_shipping_choice(checkout: Checkout, sheet: FrameLocator) -> None:
    checkout.open(checkout.rig.intent(2900), express="yes")
    checkout.card.get_by_role("button", name="Pay with Google Pay").click()

    sheet.get_by_label("Express").check()
    expect(sheet.get_by_text("Pay €34.00")).to_be_enabled()
    sheet.get_by_label("Shipping address").select_option("Ada Lovelace, New York")
    expect(sheet.get_by_role("alert")).to_have_text("This shop does not ship to this address.")
    expect(sheet.get_by_text("Pay €34.00")).to_be_disabled()
    sheet.get_by_role("button", name="Cancel").click()

    expect(checkout.message).to_have_text("cancelled")


def test_wallet_amount_must_match_intent(checkout: Checkout, sheet: FrameLocator) -> None:
    checkout.open(checkout.rig.intent(2500), express="yes")
    checkout.card.get_by_role("button", name="Pay with Apple Pay").click()
    expect(sheet.get_by_text("Pay €29.00")).to_be_enabled()

    sheet.get_by_text("Pay €29.00").click()

    expect(checkout.message).to_contain_text("does not match the amount of Elements (2900)")
    assert checkout.rig.state()["charges"] == []


@pytest.mark.parametrize(
    ("policy", "wallets"),
    [
        ("payment=(self)", "none"),
        ('payment=(self "{stripe}")', '{"applePay":true,"googlePay":true}'),
    ],
)
def test_permissions_policy_decides_about_wallets(
    checkout: Checkout, policy: str, wallets: str
) -> None:
    checkout.open(checkout.rig.intent(2900), express="yes", policy=quote(policy))

    expect(checkout.page.locator("body")).to_have_attribute("data-wallets", wallets)


# The script


@pytest.mark.parametrize("path", ["/v3/", "/v3", "/v3/stripe.js"])
def test_script_is_served_for_its_release(server: Rig, path: str) -> None:
    release = stripe.api_version.rpartition(".")[2]

    assert "window.Stripe" in urlopen(server.url + path, timeout=10).read().decode()
    newest = urlopen(f"{server.url}/{release}/stripe.js", timeout=10)
    assert "window.Stripe" in newest.read().decode()
    with pytest.raises(OSError, match="404"):
        urlopen(f"{server.url}/unknown/stripe.js", timeout=10)
