"""What the browser may do with a page of the store: content policy, caching, prefetching."""

from functools import lru_cache

from flask import Flask, Response, current_app, request

from shop import payments
from shop.core.csp import origin, page_policy

PAYMENT_PAGES = {"store.payment"}
# Where the buttons of wallets are, when they are on, and what answers with such a page.
WALLET_PAGES = {
    "store.cart", "store.cart_add", "store.cart_update", "store.cart_remove", "store.code_add",
    "store.code_remove", "store.checkout", "store.contact_save",
}  # fmt: skip
# https://docs.stripe.com/security/guide#content-security-policy
STRIPE = {
    "script-src": ("https://js.stripe.com", "https://*.js.stripe.com"),
    "frame-src": ("https://js.stripe.com", "https://*.js.stripe.com", "https://hooks.stripe.com"),
    "connect-src": ("https://api.stripe.com",),
    "img-src": ("https://*.stripe.com",),
}
OTHER_DOORS = ("/admin", "/api", "/healthz", "/readyz", "/metrics")


def is_store(path: str) -> bool:
    """Whether an address belongs to the storefront, known page or not."""
    return not any(path == door or path.startswith(door + "/") for door in OTHER_DOORS)


def init_app(app: Flask) -> None:
    """Add the headers to every answer of the store."""
    app.after_request(_add)


def _add(response: Response) -> Response:
    if not is_store(request.path):
        return response
    with_stripe = _shows_stripe(request.endpoint)
    response.headers.setdefault("Content-Security-Policy", _policy(with_stripe=with_stripe))
    if with_stripe:
        # Wallets ask for payment inside frames of Stripe.js and may open a window of their own.
        response.headers["Permissions-Policy"] = _permissions(payments.script_origin())
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin-allow-popups"
    response.headers.setdefault("X-Frame-Options", "DENY")
    if response.mimetype == "text/html":
        response.headers.setdefault("Cache-Control", "private, no-cache")
        response.headers.setdefault("Speculation-Rules", '"/speculation-rules.json"')
    return response


def _shows_stripe(endpoint: str | None) -> bool:
    if endpoint in PAYMENT_PAGES:
        return True
    return endpoint in WALLET_PAGES and bool(current_app.config["SETTINGS"].wallets)


@lru_cache(maxsize=4)
def _permissions(script_origin: str) -> str:
    """Payment requests for this page and for the frames that Stripe.js loads, for nobody else.

    The frames: https://docs.stripe.com/security/guide#content-security-policy; the syntax:
    https://www.w3.org/TR/permissions-policy/#permissions-policy-http-header-field.
    """
    frames = STRIPE["script-src"]
    if script_origin not in frames:
        frames = (*frames, origin(script_origin))
    allowed = " ".join(f'"{origin}"' for origin in frames)
    return f"camera=(), microphone=(), geolocation=(), payment=(self {allowed})"


def _policy(*, with_stripe: bool) -> str:
    settings = current_app.config["SETTINGS"]
    return _composed(settings.realtime_url, settings.stripe_api_base, with_stripe)


@lru_cache(maxsize=16)
def _composed(realtime_url: str, stripe_api_base: str, with_stripe: bool) -> str:
    if not with_stripe:
        return page_policy(realtime_url)
    stand_in = (origin(stripe_api_base),) if stripe_api_base else ()
    more = {directive: (*sources, *stand_in) for directive, sources in STRIPE.items()}
    return page_policy(realtime_url, more)
