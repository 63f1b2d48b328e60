"""What a browser loads: the stand-in for Stripe.js, its iframes, pages of banks and vouchers."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import stripe
from jinja2 import Environment, FileSystemLoader

from tools.stripe.api import Answer, Request
from tools.stripe.asked import readable_return_url
from tools.stripe.ledger import Json, Ledger, Unit
from tools.stripe.methods import TYPES
from tools.stripe.payments import Payments, redirect_after
from tools.stripe.refusals import Refusal
from tools.stripe.shapes import spoken

HERE = Path(__file__).parent / "static"
TYPES_OF = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
}
MODULES = ("frame", "card", "methods", "payment", "express", "wallet")
# https://docs.stripe.com/sdks/stripejs-versioning: a major version of the API has one of Stripe.js.
RELEASES = ("acacia", "basil", "clover", "dahlia", stripe.api_version.rpartition(".")[2])
SCRIPT = re.compile(rf"/(v3/?|(v3|{'|'.join(RELEASES)})/stripe\.js)")
FILES = {
    "/elements/payment": "elements/payment.html",
    "/elements/express": "elements/express.html",
    "/elements/wallet": "elements/wallet.html",
    "/elements/element.css": "elements/element.css",
    **{f"/elements/{name}.js": f"elements/{name}.js" for name in MODULES},
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


@dataclass(frozen=True)
class Words:
    """What a bank's page says."""

    title: str
    question: str
    yes: str
    no: str
    note: str


BANK_PAGES = {
    "3ds": Words(
        "Confirm your payment",
        "Your bank asks whether this payment is yours.",
        "Complete",
        "Fail",
        "Test mode: no money moves. Complete passes 3-D Secure, Fail does not.",
    ),
    "redirect": Words(
        "{method} test payment page",
        "Here a buyer would sign in and confirm the payment.",
        "Authorize test payment",
        "Fail test payment",
        "Test mode: no money moves.",
    ),
}


class Browser:
    """Answers everything that is neither API nor control."""

    def __init__(self, ledger: Ledger, payments: Payments) -> None:
        self._ledger = ledger
        self._payments = payments
        self._pages = Environment(loader=FileSystemLoader(HERE), autoescape=True)
        self._pages.filters["amount"] = lambda intent: spoken(intent["amount"], intent["currency"])

    def answer(self, request: Request) -> Answer:
        """A file, one of the pages of banks and vouchers, or a short 404."""
        if request.method == "GET" and SCRIPT.fullmatch(request.path):
            return _script()
        if request.method == "GET" and request.path in FILES:
            return _file(FILES[request.path])
        if request.method == "GET" and request.path == "/elements/offered":
            return self._offered(request)
        page = re.fullmatch(r"/(3ds|redirect|voucher)/([A-Za-z0-9_]{1,100})", request.path)
        if page and request.method in ("GET", "POST"):
            if page[1] == "voucher":
                return self._voucher(request, page[2])
            return self._bank(request, page[2], BANK_PAGES[page[1]])
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

    def _offered(self, request: Request) -> Answer:
        """What an Element without an intent shows, as the dashboard says for its currency."""
        asked = {name: values[0] for name, values in parse_qs(request.query).items()}
        try:
            types = self._payments.offered_types(
                Unit(self._ledger),
                currency=asked.get("currency", "").lower(),
                manual=asked.get("capture_method") == "manual",
                configuration=asked.get("payment_method_configuration"),
            )
        except Refusal as refusal:
            return Answer(refusal.status, json.dumps(refusal.body()).encode())
        return Answer(200, json.dumps({"payment_method_types": types}).encode())

    def _bank(self, request: Request, intent_id: str, words: Words) -> Answer:
        """A bank's question; answered once, then back to the shop."""
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
            choice = _answer_of(request)
            if choice not in ("complete", "fail"):
                return self._page(
                    400,
                    title="Please choose",
                    intent=intent,
                    text=("Use one of the two buttons."),
                    words=words,
                )
            with Unit(self._ledger) as unit:
                intent = self._payments.authenticate(unit, intent_id, passed=choice == "complete")
                unit.commit()
            if return_url:
                return _redirect(redirect_after(intent, return_url))
        back = redirect_after(intent, return_url) if return_url else None
        title = words.title.format(method=self._method_title(intent))
        return self._page(200, title=title, intent=intent, back=back, text="", words=words)

    def _voucher(self, request: Request, intent_id: str) -> Answer:
        """What a buyer takes to the shop or the cash machine, and two buttons to play the end."""
        intent = self._ledger.get("payment_intent", intent_id)
        if intent is None:
            return self._page(
                404, title="No such voucher", intent=None, text="There is no voucher here."
            )
        status = 200
        if request.method == "POST":
            choice = _answer_of(request)
            with Unit(self._ledger) as unit:
                try:
                    if choice == "pay":
                        self._payments.attempts.succeed(unit, intent_id)
                    elif choice == "expire":
                        self._payments.attempts.expire(unit, intent_id)
                    unit.commit()
                    return _redirect(request.path)
                except Refusal:
                    status = 409
        action = intent["next_action"] or {}
        name = str(action.get("type", "")).removesuffix("_display_details")
        html = self._pages.get_template("voucher.html").render(
            intent=intent,
            method=TYPES[name].title if name in TYPES else "",
            facts=_voucher_facts(action.get(f"{name}_display_details") or {}),
        )
        return Answer(status, html.encode(), content_type=TYPES_OF[".html"], headers=PAGE_HEADERS)

    def _method_title(self, intent: Json) -> str:
        method = self._ledger.get("payment_method", intent["payment_method"] or "") or {}
        return TYPES[method.get("type", "card")].title

    def _page(self, status: int, **fields: object) -> Answer:
        fields.setdefault("words", BANK_PAGES["3ds"])
        html = self._pages.get_template("challenge.html").render(**fields)
        return Answer(status, html.encode(), content_type=TYPES_OF[".html"], headers=PAGE_HEADERS)


def _script() -> Answer:
    """Stripe.js: the files of its folder in the order of their names, as one script."""
    parts = [part.read_text() for part in sorted((HERE / "stripe_js").glob("*.js"))]
    text = '(() => {\n"use strict";\n' + "\n".join(parts) + "\n})();\n"
    return Answer(200, text.encode(), content_type=TYPES_OF[".js"], headers=PAGE_HEADERS)


def _file(name: str) -> Answer:
    path = HERE / name
    return Answer(200, path.read_bytes(), content_type=TYPES_OF[path.suffix], headers=PAGE_HEADERS)


def _redirect(location: str) -> Answer:
    headers = {"Location": location, **PAGE_HEADERS}
    return Answer(303, b"", content_type=TYPES_OF[".html"], headers=headers)


def _answer_of(request: Request) -> str:
    return parse_qs(request.body.decode(errors="replace")).get("answer", [""])[0]


def _voucher_facts(shown: Json) -> list[tuple[str, str]]:
    facts = [
        (title, str(shown[name]))
        for name, title in (("entity", "Entity"), ("reference", "Reference"), ("number", "Number"))
        if shown.get(name)
    ]
    for store, codes in (shown.get("stores") or {}).items():
        facts.append((store.capitalize(), f"{codes['payment_code']}"))
    until = shown.get("expires_at") or shown.get("expires_after")
    if until:
        facts.append(("Expires", f"{datetime.fromtimestamp(until, UTC):%d %B %Y, %H:%M} UTC"))
    return facts
