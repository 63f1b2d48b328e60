"""Who is here: the customer who is signed in, and the cart of this browser.

Both are looked up once per request and only when asked for; a visitor with neither costs nothing.
Staff sign in elsewhere: nothing here knows them.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import ParamSpec
from urllib.parse import urlsplit

from flask import (
    Flask,
    Response,
    after_this_request,
    current_app,
    g,
    redirect,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError

from shop import cart, checkout, customers
from shop.core import actor, devices, tokens
from shop.core.db import transaction
from shop.core.errors import Invalid, NotFound
from shop.core.i18n import gettext as _
from shop.core.network import network_of
from shop.customers.models import Customer
from shop.store import errors
from shop.store.blueprint import bp

P = ParamSpec("P")

CART_COOKIE = "cart"
CART_KEPT = timedelta(days=60)
CUSTOMER_TOKEN = "customer_token"
PERSONAL = ("/cart", "/checkout", "/orders", "/account")
MAX_ID = 2**63 - 1
_SECRET = re.compile(r"[A-Za-z0-9_-]{16,128}")
# Per network address, and per e-mail address that somebody there tries: slow enough for guessing,
# and nobody elsewhere is locked out of their own account by it. Nor is anybody here: a device that
# has signed in to the account before is not counted with its network.
LIMITS: dict[str, tuple[str, str]] = {
    "store.login_save": ("20 per minute; 200 per hour", "10 per 15 minutes"),
    "store.register_save": ("10 per minute; 60 per hour", "3 per 5 minutes"),
    "store.forgot_save": ("10 per minute; 60 per hour", "3 per 5 minutes"),
    "store.reset_save": ("20 per minute", ""),
    "store.confirm_save": ("20 per minute", ""),
    "store.find_orders": ("10 per minute; 60 per hour", ""),
    "store.claim_save": ("20 per minute", ""),
    "store.place": ("30 per minute; 200 per hour", ""),
    "store.express_order": ("30 per minute; 200 per hour", ""),
    "store.express_quote": ("120 per minute", ""),
}
# Per network address, in the cart and on all steps of checkout together.
CODES = "20 per minute; 200 per hour"
TAKES_CODES = ("store.code_add", "store.contact_save", "store.place")
# Per browser or customer, wherever they come from. Each order holds goods that others cannot buy.
PER_VISITOR = {
    "store.place": "10 per minute; 60 per hour",
    "store.find_orders": "3 per 5 minutes; 10 per day",
    "store.express_order": "10 per minute; 60 per hour",
    "store.password_save": "10 per minute; 60 per hour",
}


def init_app(app: Flask) -> None:
    """Put the rate limits on the pages that need one; call after the blueprint is registered."""
    limiter = next(iter(app.extensions["limiter"]))
    for endpoint, (per_network, per_email) in LIMITS.items():
        view = app.view_functions[endpoint]
        view = limiter.limit(per_network, key_func=_network, exempt_when=_is_known_device)(view)
        if per_email:
            view = limiter.limit(
                per_email,
                key_func=_tried_from_here,
                deduct_when=_counts,
                exempt_when=_is_signing_in,
            )(view)
        app.view_functions[endpoint] = view
    for endpoint, per_visitor in PER_VISITOR.items():
        asked = limiter.limit(per_visitor, key_func=_visitor, exempt_when=lambda: not _known())
        app.view_functions[endpoint] = asked(app.view_functions[endpoint])
    codes = limiter.shared_limit(
        CODES, scope="codes", key_func=_network, exempt_when=lambda: not _tries_code()
    )
    for endpoint in TAKES_CODES:
        app.view_functions[endpoint] = codes(app.view_functions[endpoint])


def customer() -> Customer | None:
    """Who is signed in, if anybody. One statement at most; events then name this customer."""
    if "customer" not in g:
        token = session.get(CUSTOMER_TOKEN)
        g.customer = customers.by_session(token) if isinstance(token, str) else None
        if g.customer is not None:
            name = g.customer.name or g.customer.email
            actor.set_current(actor.Actor("customer", g.customer.id, name))
    found: Customer | None = g.customer
    return found


def signed_in() -> Customer:
    """The customer of a page that ``customers_only`` guards."""
    found = customer()
    if found is None:
        raise RuntimeError("this page must be guarded by customers_only")
    return found


def customers_only(view: Callable[P, ResponseReturnValue]) -> Callable[P, ResponseReturnValue]:
    """Send guests to the sign-in page, and back here afterwards."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        if customer() is not None:
            return view(*args, **kwargs)
        back = (
            request.full_path.rstrip("?") if request.method == "GET" else url_for("store.account")
        )
        return redirect(url_for("store.login", next=back), code=303)

    return guarded


def sign_in(who: Customer) -> list[str]:
    """Start a session for this browser and bring its cart along. Returns notes on what changed.

    Call inside a transaction. What the browser held before sign-in (form secrets too) is renewed.
    """
    guest = cart.find(cart_token())
    customers.sign_out(session.get(CUSTOMER_TOKEN))
    token = customers.sign_in(who)
    _renew_session()
    session[CUSTOMER_TOKEN] = token
    session.permanent = True
    _, notes = checkout.merge_carts(guest, who.id)
    g.customer = who
    g.pop("basket", None)
    g.pop("cart_count", None)
    _delete_cart_cookie()
    _remember_device(who)
    return notes


def sign_out() -> None:
    """End this browser's session here and in the database. Opens its own transaction."""
    with transaction():
        customers.sign_out(session.get(CUSTOMER_TOKEN))
    _renew_session()
    for known in ("customer", "basket", "cart_count"):
        g.pop(known, None)


def cart_token() -> str:
    """The secret of this browser's cart, or nothing if there is none that could be one of ours."""
    return secret(request.cookies.get(CART_COOKIE))


def basket() -> cart.Cart | None:
    """The open cart of this customer or browser. One statement (and one for who is signed in)."""
    if "basket" not in g:
        who = customer()
        g.basket = cart.find(cart_token(), who.id if who else None)
    found: cart.Cart | None = g.basket
    return found


def cart_view() -> cart.CartView | None:
    """The open cart with its lines, as it is now; of a cart that was looked up, that one's."""
    if "basket" in g:
        return cart.view(g.basket) if g.basket else None
    who = customer()
    return cart.open_view(cart_token(), who.id if who else None)


def open_basket() -> cart.Cart:
    """The cart, made if there is none; then the browser keeps its secret. Inside a transaction."""
    found = basket()
    if found is None:
        who = customer()
        found = g.basket = cart.open_cart(who.id if who else None)
        if who is None:
            _keep_cart_cookie(found.token)
    return found


def cart_count() -> int:
    """Units in the cart, for the header; who has loaded the cart sets ``g.cart_count`` first."""
    if "cart_count" not in g:
        who = customer()
        g.cart_count = cart.count_of(cart_token(), who.id if who else None)
    return int(g.cart_count)


def follows_cart() -> bool:
    """Whether another device could change what the header shows."""
    return customer() is not None or bool(cart_token() and cart_count())


def secret(given: str | None) -> str:
    """A secret of a link or cookie, or nothing if it cannot be one of ours."""
    return given if given and _SECRET.fullmatch(given) else ""


def row_id(given: str | int | None) -> int:
    """A row's number out of an address or a form. Raises ``NotFound`` for what can be none."""
    text = str(given or "")
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= MAX_ID):
        raise NotFound(_("Not found."))
    return int(text)


def quantity(given: str | None) -> int:
    """How many of something, out of a form. Raises ``Invalid`` with the rule in words."""
    text = (given or "").strip()
    if (
        text.isascii()
        and text.isdecimal()
        and len(text) <= 9
        and 1 <= int(text) <= cart.MAX_QUANTITY
    ):
        return int(text)
    limit = cart.max_per_variant()
    raise Invalid(_("Please choose a quantity from 1 to %(limit)s.", limit=limit), field="quantity")


def local_path(given: str | None, default: str) -> str:
    """Where to go next, if that is a page of this shop; ``default`` for anything else."""
    path = given or ""
    fits = path.startswith("/") and not path.startswith("//") and "\\" not in path
    if not fits or not path.isascii() or not path.isprintable() or len(path) > 500:
        return default
    parts = urlsplit(path)
    return default if parts.scheme or parts.netloc else path


def wants_fragment() -> bool:
    """Whether a script asks and will put the answer into the page it has."""
    return request.headers.get("X-Requested-With") == "fetch"


@bp.after_request
def keep_private(response: Response) -> Response:
    """Nobody else's machine keeps a personal page, and no other site learns its address."""
    if request.path.startswith(PERSONAL):
        response.headers["Cache-Control"] = "no-store"
        response.headers.setdefault("Referrer-Policy", "same-origin")
    return response


@bp.errorhandler(CSRFError)
def form_too_old(_error: CSRFError) -> ResponseReturnValue:
    """The form's secret is missing or from another session."""
    return errors.plain(
        400,
        "This form has been open for too long, or cookies are switched off. Nothing was changed. "
        "Go back, reload the page and try again.",
    )


def known_device(email: str) -> str:
    """The id of this browser if it has signed in to this account before, else nothing."""
    return devices.known(request.cookies.get(devices.COOKIE), "customer", email[:254])


def _is_known_device() -> bool:
    """Whether this browser signs in to an account, or asks for its password, not for the first
    time. Looked up once a request, since a failure is counted meanwhile."""
    if request.endpoint not in {"store.login_save", "store.forgot_save"}:
        return False
    if "known_device" not in g:
        g.known_device = known_device(request.form.get("email", ""))
    return bool(g.known_device)


def _tried_email() -> str:
    return f"email:{request.form.get('email', '').strip().lower()[:254]}"


def _tries_code() -> bool:
    """Whether a discount code is sent along: in the cart's own form or in a box of a step."""
    boxes = [name for name in request.form if name == "code" or name.startswith("code.")]
    return any(request.form[name].strip() for name in boxes)


def _network() -> str:
    return network_of(request.remote_addr or "")


def _is_signing_in() -> bool:
    """Whether a known device signs in: it counts its own failures."""
    return request.endpoint == "store.login_save" and _is_known_device()


def _tried_from_here() -> str:
    """The address that is tried, for each network; a known device has a count of its own."""
    where = g.known_device if _is_known_device() else _network()
    return f"{_tried_email()}|{where}"


def _counts(response: Response) -> bool:
    """Signing in counts when it failed; mails count whatever came of them."""
    return request.endpoint != "store.login_save" or response.status_code == 422


def _known() -> str:
    """What this visitor is known by: the customer's sign-in, else the browser's cart."""
    return str(session.get(CUSTOMER_TOKEN) or cart_token())


def _visitor() -> str:
    return f"visitor:{tokens.digest(_known())}"


def _remember_device(who: Customer) -> None:
    """Let this browser in again whatever strangers do to the limits of its network."""
    kept = devices.remember(request.cookies.get(devices.COOKIE), "customer", who.email)

    @after_this_request
    def keep(response: Response) -> Response:
        response.set_cookie(
            devices.COOKIE,
            kept,
            max_age=devices.KEPT,
            secure=current_app.config["SESSION_COOKIE_SECURE"],
            httponly=True,
            samesite="Lax",
        )
        return response


def _renew_session() -> None:
    """Delete what belonged to the customer before; a staff sign-in in the same browser stays."""
    for key in [
        key for key in session if key in {CUSTOMER_TOKEN, "csrf_token", "removed", "reset"}
    ]:
        session.pop(key)
    g.pop("csrf_token", None)


def _keep_cart_cookie(token: str) -> None:
    secure = current_app.config["SESSION_COOKIE_SECURE"]

    @after_this_request
    def keep(response: Response) -> Response:
        response.set_cookie(
            CART_COOKIE, token, max_age=CART_KEPT, secure=secure, httponly=True, samesite="Lax"
        )
        return response


def _delete_cart_cookie() -> None:
    if CART_COOKIE not in request.cookies:
        return

    @after_this_request
    def delete(response: Response) -> Response:
        response.delete_cookie(
            CART_COOKIE,
            secure=current_app.config["SESSION_COOKIE_SECURE"],
            httponly=True,
            samesite="Lax",
        )
        return response
