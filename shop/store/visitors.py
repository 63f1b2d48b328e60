"""Who is here: the customer who is signed in, and the cart of this browser.

Both are looked up once per request and only when asked for; a visitor with neither costs nothing.
Staff sign in elsewhere: nothing here knows them.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import ParamSpec

from flask import Response, after_this_request, current_app, g, redirect, request, session, url_for
from flask.typing import ResponseReturnValue

from shop import cart as carts
from shop import checkout, customers
from shop.core import actor, devices
from shop.core.db import transaction
from shop.customers.models import Customer
from shop.store.inputs import secret

P = ParamSpec("P")
CART_COOKIE = "cart"
CART_KEPT = timedelta(days=60)
CUSTOMER_TOKEN = "customer_token"


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
    guest = carts.find(cart_token())
    customers.sign_out(session.get(CUSTOMER_TOKEN))
    token = customers.sign_in(who)
    _renew_session()
    session[CUSTOMER_TOKEN] = token
    session.permanent = True
    _, notes = checkout.merge_carts(guest, who.id)
    g.customer = who
    g.pop("cart", None)
    g.pop("cart_count", None)
    _delete_cart_cookie()
    _remember_device(who)
    return notes


def _renew_session() -> None:
    """Delete what belonged to the customer before; a staff sign-in in the same browser stays."""
    for key in [
        key for key in session if key in {CUSTOMER_TOKEN, "csrf_token", "removed", "reset"}
    ]:
        session.pop(key)
    g.pop("csrf_token", None)


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


def known_device(email: str) -> str:
    """The id of this browser if it has signed in to this account before, else nothing."""
    return devices.known(request.cookies.get(devices.COOKIE), "customer", email[:254])


def sign_out() -> None:
    """End this browser's session here and in the database. Opens its own transaction."""
    with transaction():
        customers.sign_out(session.get(CUSTOMER_TOKEN))
    _renew_session()
    for known in ("customer", "cart", "cart_count"):
        g.pop(known, None)


def cart_token() -> str:
    """The secret of this browser's cart, or nothing if there is none that could be one of ours."""
    return secret(request.cookies.get(CART_COOKIE))


def current_cart() -> carts.Cart | None:
    """The open cart of this customer or browser. One statement (and one for who is signed in)."""
    if "cart" not in g:
        who = customer()
        g.cart = carts.find(cart_token(), who.id if who else None)
    found: carts.Cart | None = g.cart
    return found


def cart_view() -> carts.CartView | None:
    """The open cart with its lines, as it is now; of a cart that was looked up, that one's."""
    if "cart" in g:
        return carts.view(g.cart) if g.cart else None
    who = customer()
    return carts.open_view(cart_token(), who.id if who else None)


def open_cart() -> carts.Cart:
    """The cart, made if there is none; then the browser keeps its secret. Inside a transaction."""
    found = current_cart()
    if found is None:
        who = customer()
        found = g.cart = carts.open_cart(who.id if who else None)
        if who is None:
            _keep_cart_cookie(found.token)
    return found


def _keep_cart_cookie(token: str) -> None:
    secure = current_app.config["SESSION_COOKIE_SECURE"]

    @after_this_request
    def keep(response: Response) -> Response:
        response.set_cookie(
            CART_COOKIE, token, max_age=CART_KEPT, secure=secure, httponly=True, samesite="Lax"
        )
        return response


def cart_count() -> int:
    """Units in the cart, for the header; who has loaded the cart sets ``g.cart_count`` first."""
    if "cart_count" not in g:
        who = customer()
        g.cart_count = carts.count_of(cart_token(), who.id if who else None)
    return int(g.cart_count)


def follows_cart() -> bool:
    """Whether another device could change what the header shows."""
    return customer() is not None or bool(cart_token() and cart_count())
