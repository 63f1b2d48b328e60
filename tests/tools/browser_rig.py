"""A shop's checkout page in a browser, under a strict content security policy."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import stripe
from playwright.sync_api import Browser, FrameLocator, Page, sync_playwright

from tests.tools.stripe_rig import Rig

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
<body data-secret="{secret}" data-theme="{theme}" data-redirect="{redirect}"
  data-express="{express}" data-billing="{billing}">
<main><h1>Pay</h1><form><div id="payment"></div>
<p id="message" role="alert"></p><p id="changes"></p><button>Pay now</button></form></main>
</body></html>"""
SCRIPT = """
const { secret, theme, redirect, express, billing } = document.body.dataset;
const stripe = Stripe("pk_test_page");
const say = (text) => { document.getElementById("message").textContent = text; };
const fields = billing ? { billingDetails: billing } : undefined;
const elements = stripe.elements(express
  ? { mode: "payment", amount: 2500, currency: "eur" }
  : { clientSecret: secret, appearance: theme ? { theme } : {} });
const kind = express ? "expressCheckout" : "payment";
const element = elements.create(kind, { layout: "tabs", fields });
const rates = [
  { id: "post", displayName: "Post", amount: 400 },
  { id: "express", displayName: "Express", amount: 900 },
];
element.on("click", ({ resolve }) => resolve({
  emailRequired: true, shippingAddressRequired: true, shippingRates: rates,
}));
element.on("shippingaddresschange", ({ address, resolve, reject }) => {
  if (address.country === "US") return reject();
  elements.update({ amount: 2900 });
  return resolve({ lineItems: [{ name: "Goods", amount: 2500 }, { name: "Post", amount: 400 }] });
});
element.on("shippingratechange", ({ shippingRate, resolve }) => {
  elements.update({ amount: 2500 + shippingRate.amount });
  resolve({});
});
element.on("cancel", () => say("cancelled"));
element.on("confirm", async (event) => {
  await elements.submit();
  const { shippingAddress, shippingRate, billingDetails } = event;
  document.getElementById("changes").textContent =
    `${shippingAddress.address.city} ${shippingRate.id} ${billingDetails.email}`;
  const { error, paymentIntent } = await stripe.confirmPayment({
    elements, clientSecret: secret, redirect: "if_required",
    confirmParams: { return_url: `${location.origin}/back` },
  });
  say(error ? error.message : paymentIntent.status);
});
element.on("ready", ({ availablePaymentMethods }) => {
  document.body.dataset.ready = "yes";
  document.body.dataset.wallets = JSON.stringify(availablePaymentMethods) || "none";
});
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
            express=query.get("express", ""),
            billing=query.get("billing", ""),
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
        if "policy" in query:
            self.send_header("Permissions-Policy", query["policy"].format(stripe=stand_in))
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


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser for as long as the block runs."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def shopping(server: Rig, browser: Browser) -> Iterator[Checkout]:
    """A checkout page against the stand-in; nothing that the browser complains of is let by."""
    server.fresh()
    shop = Shop(server.url)
    context = browser.new_context()
    checkout = Checkout(server, shop, context.new_page())
    yield checkout
    context.close()
    shop.shutdown()
    shop.server_close()
    assert checkout.complaints == []
