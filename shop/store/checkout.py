"""Checkout: contact and address, then the way it is sent, then the money.

Arriving at the payment means that the order is placed and its goods are held, in one transaction;
then, with none open, the payment is begun. All of it may be repeated: pressed twice, reloaded, gone
back.
"""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from flask import current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from shop import cart, catalog, checkout, customers, orders, payments
from shop.core import clock
from shop.core.db import end_read, retrying, transaction
from shop.core.errors import DomainError, NotFound, Unavailable, WrongState
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
from shop.core.network import digest_of
from shop.customers.models import Address
from shop.orders import OrderStatus, PaymentStatus
from shop.payments import AttemptStatus
from shop.store import visitors
from shop.store.blueprint import bp
from shop.store.cart import (
    Basket,
    asks_for_code,
    discount_words,
    for_country,
    load,
    serve_code,
    status_of,
)
from shop.store.forms import BillingForm, ContactForm, tell
from shop.store.frame import money

log = logging.getLogger(__name__)

NEW_ADDRESS = "new"
UNFIT_SAVED = lazy_gettext(
    "Your saved address needs a detail before we can send to it. Complete it below."
)
THUMB_WIDTH, THUMB_HEIGHT = 320, 400


@bp.get("/checkout", endpoint="checkout")
def contact() -> ResponseReturnValue:
    """Who orders and where it goes. Guests first; who is signed in chooses a saved address."""
    basket = _ready(load())
    if isinstance(basket, Response):
        return basket
    who = visitors.customer()
    given = basket.view.shipping_address or {}
    known = {"name": who.name if who else "", "country": checkout.terms().country}
    email = basket.view.email or (who.email if who else "")
    form = ContactForm(data={**known, **given, "email": email})
    above = _address_faults(form, given) if given else []
    return _contact_page(basket, form, chosen=_saved_choice(given), above=above)


@bp.post("/checkout")
def contact_save() -> ResponseReturnValue:
    """Keep contact and address, or show what is wrong with them.

    Who only changed the country sees the form for it, and the total there; who sent a code stays
    here too.
    """
    form, chosen = ContactForm(), request.form.get("address_id", NEW_ADDRESS)
    found = visitors.basket()
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
    basket = _ready_to_send(load())
    if isinstance(basket, Response):
        return basket
    return _delivery_page(basket, BillingForm(prefix="billing-"))


@bp.post("/checkout/delivery")
def place() -> ResponseReturnValue:
    """Order what was shown, at the total that was shown, and begin the payment.

    Anything else than what was shown stops here: nothing is ordered, the page says what differs. So
    does who only asks for a code, or for the total with another delivery.
    """
    basket = visitors.basket()
    if basket is None:
        return _to_cart(_("Your cart is empty."))
    billing, method = BillingForm(prefix="billing-"), request.form.get("shipping_method", "")
    if "update" in request.form:
        if isinstance(ready := _ready_to_send(load(), keep_problems=True), Response):
            return ready
        return _delivery_page(ready, billing)
    if request.form.get("action") == "show" or asks_for_code():
        with transaction(), suppress(checkout.NoDelivery):
            checkout.set_method(basket, method)
        shown, status = serve_code()
        if isinstance(ready := _ready_to_send(shown, keep_problems=True), Response):
            return ready
        return _delivery_page(ready, billing), status
    seen = _seen(method)
    try:
        order = retrying(lambda: _place(basket, method, billing, seen))
    except DomainError as error:
        return _not_placed(error, billing, seen)
    if not order.total_minor:
        return redirect(order_url(order, thanks=1), code=303)
    _begin(order)
    return redirect(payment_url(order), code=303)


@bp.get("/checkout/payment")
def payment() -> ResponseReturnValue:
    """The card form for an order whose goods are held."""
    order = _own_order(with_lines=True)
    attempt = payments.latest(order.id)
    if order.status != OrderStatus.PENDING or (
        attempt and (attempt.is_on_its_way or attempt.has_money)
    ):
        return redirect(order_url(order), code=303)
    settings = current_app.config["SETTINGS"]
    can_pay = order.expires_at > clock.now()
    is_over = attempt is not None and (
        attempt.status == AttemptStatus.CANCELLED or payments.has_ended_voucher(order, attempt)
    )
    started = can_pay and attempt and attempt.status == AttemptStatus.STARTED and not is_over
    found = visitors.basket()
    return render_template(
        "store/checkout/payment.html",
        order=order,
        to=order.shipping_address,
        lines=order_lines(order),
        rows=order_rows(order),
        held_until=order.expires_at.astimezone(checkout.terms().zone),
        seconds_left=int((order.expires_at - clock.now()).total_seconds()),
        can_pay=can_pay,
        has_cart=found is not None and found.order_id == order.id,
        is_over=is_over,
        client_secret=(attempt.client_secret if attempt and started else None),
        failure=failure_words(attempt.failure) if attempt else "",
        publishable_key=settings.stripe_publishable_key,
        billing=_billing_details(order),
        stripe_js=payments.script_url(),
        return_url=settings.base_url + return_url(order),
    )


@bp.post("/checkout/payment")
def payment_start() -> ResponseReturnValue:
    """Try again to begin a payment that could not be begun."""
    order = _own_order()
    _begin(order)
    return redirect(payment_url(order), code=303)


@bp.post("/checkout/payment/another-way")
def payment_another_way() -> ResponseReturnValue:
    """Cancel the voucher that an order waits for, and choose another way to pay."""
    order = _own_order()
    end_read()
    try:
        outcome = payments.cancel_voucher(order.id)
    except DomainError as error:
        flash(error.sentence, "error" if isinstance(error, Unavailable) else "warning")
        return redirect(order_url(order), code=303)
    if outcome == payments.SyncOutcome.CANCELLED:
        flash(_("The voucher is cancelled. Please do not pay it any more."), "success")
    # A voucher that was paid at this moment leads on to the order.
    _begin(order)
    return redirect(payment_url(order), code=303)


@bp.get("/checkout/return")
def payment_return() -> ResponseReturnValue:
    """Where the browser lands after paying: ask how the payment stands, and go on from there.

    Stripe's own parameters in the address are not believed.
    """
    order = _own_order()
    end_read()
    try:
        outcome = payments.settle_order(order.id)
    except Unavailable:
        flash(
            _("The payment service has not answered yet. This page shows when it has."), "warning"
        )
        return redirect(order_url(order), code=303)
    except DomainError as error:  # what Stripe has there is not this order's payment
        log.warning("return page", extra={"order_id": order.id, "reason": error.sentence})
        flash(
            _(
                "We could not find this payment. If you have paid, we will email you as soon as it"
                " arrives; you don't need to pay again."
            ),
            "warning",
        )
        return redirect(order_url(order), code=303)
    # Settling has locked and refreshed this very order.
    if order.payment_status != PaymentStatus.UNPAID:
        return redirect(order_url(order, thanks=1), code=303)
    attempt = payments.latest(order.id)
    if attempt and attempt.is_on_its_way and order.status == OrderStatus.PENDING:
        return redirect(order_url(order, thanks=1), code=303)
    if order.status != OrderStatus.PENDING or outcome == payments.SyncOutcome.LATE:
        return redirect(order_url(order), code=303)
    if not (attempt and attempt.failure):
        flash(_("The payment was not finished. Nothing was charged; you can try again."), "warning")
    return redirect(payment_url(order), code=303)


def order_lines(order: orders.Order) -> list[tuple[orders.OrderLine, catalog.ImageView | None]]:
    """The lines of an order with their pictures, as the components show them."""
    return [(line, _thumb(line.image_key)) for line in order.lines]


def _billing_details(order: orders.Order) -> dict[str, Any]:
    """What the payment form need not ask for again, in Stripe's words.

    https://docs.stripe.com/js/elements_object/create_payment_element
    """
    given = order.billing_address or order.shipping_address
    fields = {"line1": "line1", "line2": "line2", "city": "city", "state": "region"}
    fields |= {"postal_code": "postal_code", "country": "country"}
    address = {name: given[field] for name, field in fields.items() if given.get(field)}
    return {"name": given["name"], "email": order.email, "address": address}


def failure_words(reason: str) -> str:
    """Why a payment did not work, for people; Stripe words some reasons for programmers."""
    return payments.failure_for_customer(reason)


def shown_address(saved: Address) -> dict[str, Any]:
    """A saved address as the components show it."""
    fields = (*customers.ADDRESS_FIELDS, "id", "is_default")
    return {field: getattr(saved, field) for field in fields}


def order_rows(order: orders.Order) -> list[tuple[str, int | str]]:
    """What the total of an order is made of, for people."""
    rows: list[tuple[str, int | str]] = [(_("Subtotal"), order.subtotal_minor)]
    redeemed = orders.redeemed(order)
    rows += [
        (discount_words(one.name, one.code), -one.amount_minor)
        for one in redeemed
        if one.amount_minor
    ]
    rows.append((order.shipping_method_name, order.shipping_minor or _("Free")))
    rows += [
        (
            _("%(discount)s: off shipping", discount=discount_words(one.name, one.code)),
            _("included"),
        )
        for one in redeemed
        if one.shipping_minor
    ]
    if not order.prices_include_tax:
        rows.append((_("Tax"), order.tax_minor))
    return rows


def _faults(form: ContactForm, *, is_new: bool) -> list[str]:
    """Everything that is wrong at once, so that nobody mends a form twice."""
    above = []
    try:
        customers.clean_email(form.email.data)
    except DomainError as error:
        above += tell(form, error)
    return above + (_address_faults(form, form.address()) if is_new else [])


def _address_faults(form: ContactForm, address: Mapping[str, Any]) -> list[str]:
    """Put what is wrong with an address beside its fields; gives what belongs to none."""
    try:
        customers.clean_address(address)
    except customers.InvalidAddress as error:
        return tell(form, error)
    return []


def _form_of_saved(form: ContactForm, chosen: str) -> ContactForm:
    """The form filled with a saved address that lacks something, so that it can be completed."""
    saved = _saved(visitors.signed_in().id, visitors.row_id(chosen))
    return ContactForm(formdata=None, data={**saved, "email": form.email.data})


def _keep_contact(found: cart.Cart, form: ContactForm, chosen: str) -> None:
    who = visitors.customer()
    address = form.address()
    if who is not None and chosen != NEW_ADDRESS:
        address = _saved(who.id, visitors.row_id(chosen))
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
    basket: Basket, form: ContactForm, *, chosen: str, above: list[str] | None = None
) -> str:
    who = visitors.customer()
    form.offer(checkout.countries(), checkout.terms().country)
    saved = [shown_address(one) for one in customers.own_addresses(who.id)] if who else []
    return render_template(
        "store/checkout/contact.html",
        basket=_priced_there(basket, form, chosen, saved),
        form=form,
        chosen=chosen,
        new_address=NEW_ADDRESS,
        saved=saved,
        above=above or [],
    )


def _priced_there(
    basket: Basket, form: ContactForm, chosen: str, saved: list[dict[str, Any]]
) -> Basket:
    """The cart at its prices for the address that is chosen or begun on this page.

    The country that a fresh form begins with is nobody's choice yet.
    """
    country = next((one["country"] for one in saved if str(one["id"]) == chosen), "")
    if not country and (request.method == "POST" or basket.view.shipping_address):
        country = (form.country.data or "").upper()
    return for_country(basket, country) if country in customers.country_names() else basket


def _delivery_page(
    basket: Basket, billing: BillingForm, *, above: list[str] | None = None, stopped: str = ""
) -> str:
    if not billing.country.data:
        billing.country.data = (basket.view.shipping_address or {}).get("country")
    billing.offer(checkout.countries(), checkout.terms().country)
    now = clock.now()
    return render_template(
        "store/checkout/delivery.html",
        basket=basket,
        to=basket.view.shipping_address or {},
        billing=billing,
        hold_minutes=checkout.terms().hold_minutes,
        offers=[
            (replace(basket, quote=priced, chosen=option), option.arrives(now))
            for option, priced in checkout.quotes(basket.view)
        ],
        above=above or [],
        stopped=stopped,
    )


def _seen(method: str) -> tuple[int, int]:
    """Version and total that the customer had in front of them; −1, which is none, if unusable."""
    version, total = request.form.get("version", ""), request.form.get(f"total.{method[:40]}", "")
    return _whole(version), _whole(total)


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else -1


def _place(
    basket: cart.Cart, method: str, billing: BillingForm, seen: tuple[int, int]
) -> orders.Order:
    with transaction("place-order"):
        return checkout.place_order(
            basket.id,
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
    basket = _ready_to_send(load(), keep_problems=True)
    if isinstance(basket, Response):
        return basket
    if isinstance(error, customers.InvalidAddress) or error.field == "shipping_method":
        return _delivery_page(basket, billing, above=tell(billing, error)), 422
    stopped = error.sentence
    now = basket.quote.total_minor
    if error.code == "cart_changed" and seen[1] not in {-1, now}:
        changed = _(
            "It was %(before)s when you looked and is %(now)s now.",
            before=money(seen[1]),
            now=money(now),
        )
        stopped = f"{stopped} {changed}"
    return _delivery_page(basket, billing, stopped=stopped), status_of(error)


def _begin(order: orders.Order) -> None:
    """Begin the payment; when Stripe is away the payment page offers to try again."""
    end_read()
    try:
        payments.start(order.id)
    except (Unavailable, payments.Refused) as error:
        flash(error.sentence, "error")
    except WrongState as error:
        if order.status == OrderStatus.PENDING:
            flash(error.sentence, "warning")


def _ready(basket: Basket, *, keep_problems: bool = False) -> Basket | Response:
    """The cart to be ordered, or the way back to it when it cannot be."""
    if not basket.lines:
        return _to_cart(_("Your cart is empty."))
    if basket.view.problems and not keep_problems:
        return _to_cart(_("Something in your cart needs a look before you can order."))
    return basket


def _ready_to_send(basket: Basket, *, keep_problems: bool = False) -> Basket | Response:
    """As ``_ready``, or the way back to contact and address when they are missing."""
    ready = _ready(basket, keep_problems=keep_problems)
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


def _own_order(*, with_lines: bool = False) -> orders.Order:
    """The order of the secret link in this request. Raises ``NotFound`` for any other."""
    number, token = request.values.get("order", ""), request.values.get("token")
    return order_by_link(number, token, whole=False, with_lines=with_lines)


def order_by_link(
    number: str, token: str | None, *, whole: bool = True, with_lines: bool = False
) -> orders.Order:
    """The order with this number and secret, read as ``orders.by_token`` does. Raises
    ``NotFound``, also for what is no number."""
    if not (number.isascii() and number.replace("-", "").isalnum() and len(number) <= 32):
        raise NotFound(_("Order not found."))
    return orders.by_token(number, visitors.secret(token), whole=whole, with_lines=with_lines)


def payment_url(order: orders.Order) -> str:
    """The address of the page to pay an order."""
    return url_for("store.payment", order=order.number, token=order.token)


def return_url(order: orders.Order) -> str:
    """The path to which the browser comes back after paying."""
    return url_for("store.payment_return", order=order.number, token=order.token)


def order_url(order: orders.Order, *, thanks: int | None = None) -> str:
    """The address of an order's own page."""
    return url_for("store.order", number=order.number, token=order.token, thanks=thanks)


def _thumb(key: str) -> catalog.ImageView | None:
    if not key:
        return None
    return catalog.ImageView(key, "", THUMB_WIDTH, THUMB_HEIGHT, "", (THUMB_WIDTH,), None)
