"""The stand-in's Payment Element on a shop page under a strict content security policy."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import stripe
from playwright.sync_api import Browser, FrameLocator, Page, expect, sync_playwright

from tests.dev.stripe_rig import Rig, running

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Checkout</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/page.css"><link rel="icon" href="/icon.svg">
<script src="{stripe}/v3/"></script><script src="/page.js" defer></script></head>
<body data-secret="{secret}" data-theme="{theme}" data-redirect="{redirect}">
<main><h1>Pay</h1><form><div id="payment"></div>
<p id="message" role="alert"></p><p id="changes"></p><button>Pay now</button></form></main>
</body></html>"""
SCRIPT = """
const { secret, theme, redirect } = document.body.dataset;
const stripe = Stripe("pk_test_page");
const elements = stripe.elements({ clientSecret: secret, appearance: theme ? { theme } : {} });
const element = elements.create("payment", { layout: "tabs" });
const say = (text) => { document.getElementById("message").textContent = text; };
element.on("ready", () => { document.body.dataset.ready = "yes"; });
element.on("loaderror", ({ error }) => say(`load: ${error.message}`));
element.on("change", ({ complete }) => {
  document.getElementById("changes").textContent = complete ? "complete" : "incomplete";
});
element.mount("#payment");
document.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { error: mistake } = await elements.submit();
  if (mistake) return say(mistake.message);
  const result = await stripe.confirmPayment({
    elements, redirect,
    confirmParams: {
      return_url: `${location.origin}/back?order=1`,
      payment_method_data: { billing_details: { name: "Ada", address: { country: "DE" } } },
    },
  });
  say(result.error ? result.error.message : result.paymentIntent.status);
});
"""
STYLE = """
:root { color-scheme: light dark; }
body { margin: 0; font-family: system-ui, sans-serif; }
main { max-width: 30rem; margin: 0 auto; padding: 16px; }
@media (prefers-color-scheme: dark) { body { background: #11161c; color: #eef2f6; } }
"""


class Shop(ThreadingHTTPServer):
    """A checkout page and the page behind `return_url`."""

    daemon_threads = True

    def __init__(self, stripe_url: str) -> None:
        super().__init__(("127.0.0.1", 0), ShopHandler)
        self.stripe_url = stripe_url
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """The shop's address."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class ShopHandler(BaseHTTPRequestHandler):
    """One request."""

    server: Shop

    def do_GET(self) -> None:
        """The checkout page, its files, or the page to return to."""
        path = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(path.query).items()}
        files = {
            "/page.js": ("text/javascript", SCRIPT),
            "/page.css": ("text/css", STYLE),
            "/icon.svg": ("image/svg+xml", "<svg xmlns='http://www.w3.org/2000/svg'/>"),
            "/back": ("text/html", "<!doctype html><title>Back</title><h1>Thank you</h1>"),
        }
        page = PAGE.format(
            stripe=self.server.stripe_url,
            secret=query.get("secret", ""),
            theme=query.get("theme", ""),
            redirect=query.get("redirect", "if_required"),
        )
        kind, text = files.get(path.path, ("text/html", page))
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        stand_in = self.server.stripe_url
        self.send_header(
            "Content-Security-Policy",
            (
                f"default-src 'none'; script-src 'self' {stand_in}; frame-src {stand_in}; "
                f"connect-src 'self' {stand_in}; style-src 'self'; "
                "img-src 'self'; form-action 'self'"
            ),
        )
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


class Checkout:
    """The shop page in a browser, as a buyer sees it."""

    def __init__(self, rig: Rig, shop: Shop, page: Page) -> None:
        self.rig = rig
        self.shop = shop
        self.page = page
        self.complaints: list[str] = []
        page.on(
            "console",
            lambda message: (
                self.complaints.append(message.text)
                if "Content Security Policy" in message.text or "Refused" in message.text
                else None
            ),
        )
        page.on("pageerror", lambda problem: self.complaints.append(str(problem)))

    @property
    def card(self) -> FrameLocator:
        """The iframe with the card's fields."""
        return self.page.frame_locator("#payment iframe")

    def open(self, intent: stripe.PaymentIntent, **query: str) -> None:
        """Load the page for an intent."""
        extra = "".join(f"&{name}={value}" for name, value in query.items())
        self.page.goto(f"{self.shop.url}/pay?secret={intent.client_secret}{extra}")

    def type(self, number: str, expiry: str = "12 / 40", cvc: str = "123") -> None:
        """Fill in the card."""
        self.card.get_by_label("Card number").fill(number)
        self.card.get_by_label("Expiry").fill(expiry)
        self.card.get_by_label("CVC").fill(cvc)

    def pay(self) -> None:
        """Press the shop's button."""
        self.page.get_by_role("button", name="Pay now").click()

    @property
    def message(self) -> Any:
        """What the shop's page says."""
        return self.page.locator("#message")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running(tmp_path_factory.mktemp("stripe")) as (rig, _process):
        yield rig


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def checkout(server: Rig, browser: Browser) -> Iterator[Checkout]:
    server.fresh()
    shop = Shop(server.url)
    context = browser.new_context()
    checkout = Checkout(server, shop, context.new_page())
    yield checkout
    context.close()
    shop.shutdown()
    shop.server_close()
    assert checkout.complaints == []


def test_a_buyer_is_declined_in_words_and_then_pays(checkout: Checkout) -> None:
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


def test_typing_a_card_is_helped_and_mistakes_are_named(checkout: Checkout) -> None:
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


def test_the_page_can_ask_for_a_payment_by_its_secret(checkout: Checkout) -> None:
    intent = checkout.rig.intent()
    checkout.open(intent)

    seen = checkout.page.evaluate(
        "secret => Stripe('pk_test_x').retrievePaymentIntent(secret)", intent.client_secret
    )

    assert seen["paymentIntent"]["id"] == intent.id


def test_the_page_can_lead_to_a_pending_three_d_secure_step(checkout: Checkout) -> None:
    intent = checkout.rig.intent()
    checkout.open(intent)
    checkout.rig.pay(intent, "4000002500003155", return_url=f"{checkout.shop.url}/back")

    checkout.page.evaluate(
        "secret => { Stripe('pk_test_x').handleNextAction({ clientSecret: secret }); }",
        intent.client_secret,
    )

    expect(checkout.page.get_by_role("heading", name="Confirm your payment")).to_be_visible()


def test_a_payment_server_that_is_gone_is_said_in_words(checkout: Checkout) -> None:
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
