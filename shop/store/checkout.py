"""Checkout: contact and address, then the way it is sent. ``payment`` goes on from there.

Arriving at the payment means that the order is placed and its goods are reserved, in one
transaction. All of it may be repeated: pressed twice, reloaded, gone back.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from shop import cart as carts
from shop import checkout, customers, orders
from shop.core import clock
from shop.core.db import retrying, transaction
from shop.core.errors import DomainError, NotFound
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
from shop.core.network import digest_of
from shop.store import inputs, visitors
from shop.store.blueprint import bp
from shop.store.cart import CartPage, asks_for_code, for_country, load, serve_code, status_of
from shop.store.forms import BillingForm, ContactForm, tell
from shop.store.frame import money
from shop.store.order_links import order_url, payment_url
from shop.store.order_parts import shown_address
from shop.store.payment import begin

NEW_ADDRESS = "new"
UNFIT_SAVED = lazy_gettext(
    "Your saved address needs a detail before we can send to it. Complete it below."
)


@bp.get("/checkout", endpoint="checkout")
def contact() -> ResponseReturnValue:
    """Who orders and where it goes. Guests first; who is signed in chooses a saved address."""
    cart = _ready(load())
    if isinstance(cart, Response):
        return cart
    who = visitors.customer()
    given = cart.view.shipping_address or {}
    known = {"name": who.name if who else "", "country": checkout.terms().country}
    email = cart.view.email or (who.email if who else "")
    form = ContactForm(data={**known, **given, "email": email})
    above = _address_faults(form, given) if given else []
    return _contact_page(cart, form, chosen=_saved_choice(given), above=above)


@bp.post("/checkout")
def contact_save() -> ResponseReturnValue:
    """Keep contact and address, or show what is wrong with them.

    Who only changed the country sees the form for it, and the total there; who sent a code stays
    here too.
    """
    form, chosen = ContactForm(), request.form.get("address_id", NEW_ADDRESS)
    found = visitors.current_cart()
    if found is None:
        return _to_cart(_("Your cart is empty."))
    if "update" in request.form:
        ready = _ready(load())
        return ready if isinstance(ready, Response) else _contact_page(ready, form, chosen=chosen)
    if asks_for_code():
        shown, status = serve_code()
        if isinstance(ready := _ready(shown, keep_problems=True), Response):
            return ready
        return _contact_page(ready, form, chosen=chosen), status
    above = _faults(form, is_new=chosen == NEW_ADDRESS or visitors.customer() is None)
    if not form.errors and not above:
        try:
            with transaction():
                _keep_contact(found, form, chosen)
        except NotFound:
            raise
        except customers.InvalidAddress as error:  # of a saved address: all others were checked
            form, chosen = _form_of_saved(form, chosen), NEW_ADDRESS
            above = [str(UNFIT_SAVED), *tell(form, error)]
        except DomainError as error:
            above = tell(form, error)
    if form.errors or above:
        return _contact_page(load(), form, chosen=chosen, above=above), 422
    return redirect(url_for("store.delivery"), code=303)


@bp.get("/checkout/delivery")
def delivery() -> ResponseReturnValue:
    """How it is sent, and what it all costs."""
    cart = _ready_to_send(load())
    if isinstance(cart, Response):
        return cart
    return _shipping_page(cart, BillingForm(prefix="billing-"))


@bp.post("/checkout/delivery")
def place() -> ResponseReturnValue:
    """Order what was shown, at the total that was shown, and begin the payment.

    Anything else than what was shown stops here: nothing is ordered, the page says what differs. So
    does who only asks for a code, or for the total with another shipping method.
    """
    cart = visitors.current_cart()
    if cart is None:
        return _to_cart(_("Your cart is empty."))
    billing, method = BillingForm(prefix="billing-"), request.form.get("shipping_method", "")
    if "update" in request.form:
        if isinstance(ready := _ready_to_send(load(), keep_problems=True), Response):
            return ready
        return _shipping_page(ready, billing)
    if request.form.get("action") == "show" or asks_for_code():
        with transaction(), suppress(checkout.NoShipping):
            checkout.set_method(cart, method)
        shown, status = serve_code()
        if isinstance(ready := _ready_to_send(shown, keep_problems=True), Response):
            return ready
        return _shipping_page(ready, billing), status
    seen = _seen(method)
    try:
        order = retrying(lambda: _place(cart, method, billing, seen))
    except DomainError as error:
        return _not_placed(error, billing, seen)
    if not order.total_minor:
        return redirect(order_url(order, thanks=1), code=303)
    begin(order)
    return redirect(payment_url(order), code=303)


def _seen(method: str) -> tuple[int, int]:
    """Version and total that the customer had in front of them; −1, which is none, if unusable."""
    version, total = request.form.get("version", ""), request.form.get(f"total.{method[:40]}", "")
    return _whole(version), _whole(total)


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else -1


def _place(
    cart: carts.Cart, method: str, billing: BillingForm, seen: tuple[int, int]
) -> orders.Order:
    with transaction("place-order"):
        return checkout.place_order(
            cart.id,
            shipping_method=method,
            seen_version=seen[0],
            seen_total_minor=seen[1],
            billing_address=None if billing.same.data else billing.address(),
            network=digest_of(request.remote_addr or ""),
        )


def _not_placed(
    error: DomainError, billing: BillingForm, seen: tuple[int, int]
) -> ResponseReturnValue:
    """Show the same step again with what stands in the way."""
    cart = _ready_to_send(load(), keep_problems=True)
    if isinstance(cart, Response):
        return cart
    if isinstance(error, customers.InvalidAddress) or error.field == "shipping_method":
        return _shipping_page(cart, billing, above=tell(billing, error)), 422
    stopped = error.sentence
    now = cart.quote.total_minor
    if error.code == "cart_changed" and seen[1] not in {-1, now}:
        changed = _(
            "It was %(before)s when you looked and is %(now)s now.",
            before=money(seen[1]),
            now=money(now),
        )
        stopped = f"{stopped} {changed}"
    return _shipping_page(cart, billing, stopped=stopped), status_of(error)


def _ready(cart: CartPage, *, keep_problems: bool = False) -> CartPage | Response:
    """The cart to be ordered, or the way back to it when it cannot be."""
    if not cart.lines:
        return _to_cart(_("Your cart is empty."))
    if cart.view.problems and not keep_problems:
        return _to_cart(_("Something in your cart needs a look before you can order."))
    return cart


def _ready_to_send(cart: CartPage, *, keep_problems: bool = False) -> CartPage | Response:
    """As ``_ready``, or the way back to contact and address when they are missing."""
    ready = _ready(cart, keep_problems=keep_problems)
    if isinstance(ready, Response):
        return ready
    try:
        customers.clean_address(ready.view.shipping_address or {})
    except customers.InvalidAddress:
        return redirect(url_for("store.checkout"), code=303)
    return ready if ready.view.email else redirect(url_for("store.checkout"), code=303)


def _to_cart(words: str) -> Response:
    flash(words, "warning")
    return redirect(url_for("store.cart"), code=303)


def _faults(form: ContactForm, *, is_new: bool) -> list[str]:
    """Everything that is wrong at once, so that nobody mends a form twice."""
    above = []
    try:
        customers.clean_email(form.email.data)
    except DomainError as error:
        above += tell(form, error)
    return above + (_address_faults(form, form.address()) if is_new else [])


def _address_faults(form: ContactForm, address: Mapping[str, Any]) -> list[str]:
    """Put what is wrong with an address beside its fields. Returns what belongs to none."""
    try:
        customers.clean_address(address)
    except customers.InvalidAddress as error:
        return tell(form, error)
    return []


def _form_of_saved(form: ContactForm, chosen: str) -> ContactForm:
    """The form filled with a saved address that lacks something, so that it can be completed."""
    saved = _saved(visitors.signed_in().id, inputs.row_id(chosen))
    return ContactForm(formdata=None, data={**saved, "email": form.email.data})


def _keep_contact(found: carts.Cart, form: ContactForm, chosen: str) -> None:
    who = visitors.customer()
    address = form.address()
    if who is not None and chosen != NEW_ADDRESS:
        address = _saved(who.id, inputs.row_id(chosen))
    checkout.set_contact(found, email=form.email.data or "", address=address)
    if who is not None and chosen == NEW_ADDRESS and form.save_address.data:
        customers.save_address(who.id, address)


def _saved(customer_id: int, address_id: int) -> dict[str, str]:
    for saved in customers.own_addresses(customer_id):
        if saved.id == address_id:
            return {field: getattr(saved, field) for field in customers.ADDRESS_FIELDS}
    raise NotFound(_("Address not found."))


def _saved_choice(given: dict[str, str]) -> str:
    """The saved address that was chosen before, else the first, else a new one."""
    who = visitors.customer()
    saved = customers.own_addresses(who.id) if who else []
    for address in saved:
        if given and all(getattr(address, f) == given.get(f, "") for f in customers.ADDRESS_FIELDS):
            return str(address.id)
    return str(saved[0].id) if saved and not given else NEW_ADDRESS


def _contact_page(
    cart: CartPage, form: ContactForm, *, chosen: str, above: list[str] | None = None
) -> str:
    who = visitors.customer()
    form.offer(checkout.countries(), checkout.terms().country)
    saved = [shown_address(one) for one in customers.own_addresses(who.id)] if who else []
    return render_template(
        "store/checkout/contact.html",
        cart=_priced_there(cart, form, chosen, saved),
        form=form,
        chosen=chosen,
        new_address=NEW_ADDRESS,
        saved=saved,
        above=above or [],
    )


def _priced_there(
    cart: CartPage, form: ContactForm, chosen: str, saved: list[dict[str, Any]]
) -> CartPage:
    """The cart at its prices for the address that is chosen or begun on this page.

    The country that a fresh form begins with is nobody's choice yet.
    """
    country = next((one["country"] for one in saved if str(one["id"]) == chosen), "")
    if not country and (request.method == "POST" or cart.view.shipping_address):
        country = (form.country.data or "").upper()
    return for_country(cart, country) if country in customers.country_names() else cart


def _shipping_page(
    cart: CartPage, billing: BillingForm, *, above: list[str] | None = None, stopped: str = ""
) -> str:
    if not billing.country.data:
        billing.country.data = (cart.view.shipping_address or {}).get("country")
    billing.offer(checkout.countries(), checkout.terms().country)
    now = clock.now()
    return render_template(
        "store/checkout/delivery.html",
        cart=cart,
        to=cart.view.shipping_address or {},
        billing=billing,
        hold_minutes=checkout.terms().hold_minutes,
        offers=[
            (replace(cart, quote=priced, chosen=option), option.arrives(now))
            for option, priced in checkout.quotes(cart.view)
        ],
        above=above or [],
        stopped=stopped,
    )
