"""What a browser loads: the stand-in for Stripe.js, the card's iframe, the 3-D Secure page."""

import re
from pathlib import Path
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader

from shop.dev.stripe.api import Answer, Request
from shop.dev.stripe.asked import readable_return_url
from shop.dev.stripe.ledger import Ledger, Unit
from shop.dev.stripe.payments import Payments, redirect_after
from shop.dev.stripe.refusals import Refusal
from shop.dev.stripe.shapes import spoken

HERE = Path(__file__).parent / "static"
TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
}
SCRIPT = re.compile(r"/(v3/?|(v3/|[a-z]+/)?stripe\.js)")
FILES = {
    "/elements/payment": "element.html",
    "/elements/element.js": "element.js",
    "/elements/element.css": "element.css",
    "/3ds/page.css": "challenge.css",
    "/icon.svg": "icon.svg",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'"
)
PAGE_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Browser:
    """Answers everything that is neither API nor control."""

    def __init__(self, ledger: Ledger, payments: Payments) -> None:
        self._ledger = ledger
        self._payments = payments
        self._pages = Environment(loader=FileSystemLoader(HERE), autoescape=True)
        self._pages.filters["amount"] = lambda intent: spoken(intent["amount"], intent["currency"])

    def answer(self, request: Request) -> Answer:
        """A file, the 3-D Secure page or a short 404."""
        if request.method == "GET" and SCRIPT.fullmatch(request.path):
            return _file("stripe.js")
        if request.method == "GET" and request.path in FILES:
            return _file(FILES[request.path])
        challenge = re.fullmatch(r"/3ds/([A-Za-z0-9_]{1,100})", request.path)
        if challenge and request.method in ("GET", "POST"):
            return self._challenge(request, challenge[1])
        if request.path == "/":
            return self._page(
                200,
                title="Stripe stand-in",
                intent=None,
                text=("This server plays Stripe for the shop. No money moves here."),
            )
        return self._page(
            404,
            title="Nothing here",
            intent=None,
            text=("The Stripe stand-in has no page at this address."),
        )

    def _challenge(self, request: Request, intent_id: str) -> Answer:
        """The bank's question; answered once, then back to the shop."""
        intent = self._ledger.get("payment_intent", intent_id)
        challenge = self._ledger.get("challenge", intent_id)
        if intent is None or challenge is None:
            return self._page(
                404,
                title="Nothing to confirm",
                intent=None,
                text=("There is no payment that waits for a confirmation at this address."),
            )
        try:
            given = parse_qs(request.query).get("return_url", [None])[0]
            return_url = challenge["return_url"] or readable_return_url(given)
        except (Refusal, ValueError):
            return_url = None
        if request.method == "POST":
            choice = parse_qs(request.body.decode(errors="replace")).get("answer", [""])[0]
            if choice not in ("complete", "fail"):
                return self._page(
                    400, title="Please choose", intent=intent, text=("Use one of the two buttons.")
                )
            with Unit(self._ledger) as unit:
                intent = self._payments.authenticate(unit, intent_id, passed=choice == "complete")
                unit.commit()
            if return_url:
                headers = {"Location": redirect_after(intent, return_url), **PAGE_HEADERS}
                return Answer(303, b"", content_type=TYPES[".html"], headers=headers)
        back = redirect_after(intent, return_url) if return_url else None
        return self._page(200, title="Confirm your payment", intent=intent, back=back, text="")

    def _page(self, status: int, **fields: object) -> Answer:
        html = self._pages.get_template("challenge.html").render(**fields)
        return Answer(status, html.encode(), content_type=TYPES[".html"], headers=PAGE_HEADERS)


def _file(name: str) -> Answer:
    path = HERE / name
    return Answer(200, path.read_bytes(), content_type=TYPES[path.suffix], headers=PAGE_HEADERS)
