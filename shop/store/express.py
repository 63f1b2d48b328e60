"""Buying with a wallet (Apple Pay, Google Pay, Link) from the cart or the first checkout step.

The browser's wallet knows who buys and where it goes; we say what that costs and place the order
through the same ``checkout.place_order`` as everybody else. Until the customer confirms in the
wallet nothing is written; pressing twice gives the same order and the same PaymentIntent.

https://docs.stripe.com/elements/express-checkout-element/accept-a-payment
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import current_app, jsonify, request
from flask.typing import ResponseReturnValue

from shop import cart as carts
from shop import checkout, customers, orders, payments
from shop.cart import CartStatus
from shop.checkout import NoShipping, ShippingOption
from shop.core import clock
from shop.core.db import end_read, retrying, transaction
from shop.core.errors import DomainError, Invalid, Unavailable
from shop.core.i18n import gettext as _
from shop.core.money import Money
from shop.core.network import digest_of
from shop.discounts import Quote
from shop.orders import OrderStatus, PaymentStatus
from shop.store import visitors
from shop.store.blueprint import bp
from shop.store.cart import sum_rows
from shop.store.order_links import order_url, payment_url, return_url

MAX_TEXT = 200


@dataclass(frozen=True, slots=True)
class WalletQuote:
    """What the cart costs when it is sent to a country, as the wallet has to know it."""

    version: int
    quote: Quote
    rates: list[tuple[ShippingOption, int]]
    methods: tuple[payments.PaymentMethod, ...]

    def as_json(self) -> dict[str, Any]:
        """Amounts are in minor units, as Stripe's Elements take them."""
        now = clock.now()
        return {
            "can_buy": True,
            "version": self.version,
            "amount_minor": self.quote.total_minor,
            "currency": self.quote.currency.lower(),
            "methods": list(self.methods),
            "countries": checkout.countries(),
            "line_items": [
                {"name": words, "amount": amount}
                for words, amount in sum_rows(self.quote, "")
                if isinstance(amount, int)
            ],
            "shipping_rates": [_rate(option, price, now) for option, price in self.rates],
        }


@bp.post("/checkout/express/quote")
def express_quote() -> ResponseReturnValue:
    """What the cart costs when it goes to ``country`` with ``shipping_method``. Changes nothing.

    Answers ``can_buy`` false, with the reason, for a cart that a wallet cannot buy as it is.
    """
    asked = _asked()
    try:
        return jsonify(_quoted(asked).as_json())
    except DomainError as error:
        return jsonify(_refusal(error) | {"can_buy": False})


@bp.post("/checkout/express")
def express_order() -> ResponseReturnValue:
    """Order what the wallet showed, at the total that it showed, and begin the payment.

    Answers the PaymentIntent's ``client_secret`` with the pages to go on to. A cart, total or
    address that does not fit answers 409 or 422 with a sentence, and nothing is ordered.
    """
    asked = _asked()
    cart = visitors.current_cart()
    if cart is None:
        return jsonify(_refusal(Invalid(_("Your cart is empty.")))), 422
    try:
        order = retrying(lambda: _place(cart.id, asked))
    except DomainError as error:
        status = 409 if error.code in {"out_of_stock", "cart_changed", "wrong_state"} else 422
        return jsonify(_refusal(error)), status
    pages = {"order_url": order_url(order), "payment_url": payment_url(order)}
    if order.payment_status != PaymentStatus.UNPAID or order.status != OrderStatus.PENDING:
        return jsonify({"is_done": True, **pages})
    end_read()
    try:
        started = payments.start(order.id, with_wallet=True)
    except (Unavailable, payments.Refused) as error:
        return jsonify(_refusal(error) | pages), 503
    except DomainError as error:
        return jsonify(_refusal(error) | pages), 409
    return jsonify(
        {
            "client_secret": started.client_secret,
            "amount_minor": started.amount_minor,
            "return_url": current_app.config["SETTINGS"].base_url + return_url(order),
            **pages,
        }
    )


def _asked() -> dict[str, Any]:
    given = request.get_json(silent=True)
    return given if isinstance(given, dict) else {}


def _check_offered() -> None:
    if not (current_app.config["SETTINGS"].wallets and payments.takes_wallets()):
        raise Invalid(_("This shop takes no wallets."))


def _quoted(asked: Mapping[str, Any]) -> WalletQuote:
    """Raises ``Invalid`` or ``NoShipping`` for a cart that cannot be bought or sent there."""
    _check_offered()
    view = visitors.cart_view()
    if view is None or not view.lines:
        raise Invalid(_("Your cart is empty."))
    if view.problems:
        raise Invalid(_("Something in your cart needs a look before you can order."))
    known = (view.shipping_address or {}).get("country") or checkout.terms().country
    country = _text(asked, "country").upper() or known
    quote, options, chosen = checkout.quote(
        view, country=country, method=_text(asked, "shipping_method") or None
    )
    if chosen is None or country not in checkout.countries():
        raise NoShipping(_("We do not ship to this country yet."), field="country")
    total = Money(quote.total_minor, quote.currency)
    payments.check_amount(total, goods=Money(quote.subtotal_minor, quote.currency), country=country)
    methods = payments.offered_methods(
        payments.enabled_methods(), total, country=country, capture=payments.capture_method()
    )
    if not total or not set(methods) & payments.WALLET_METHODS:
        raise Invalid(_("Wallets cannot pay for this cart."))
    # The chosen one in front, because wallets preselect the first.
    ways = [chosen, *(option for option in options if option.code != chosen.code)]
    rates = [
        (way, checkout.quote(view, country=country, method=way.code)[0].shipping_minor)
        for way in ways
    ]
    return WalletQuote(view.version, quote, rates, methods)


def _place(cart_id: int, asked: Mapping[str, Any]) -> orders.Order:
    _check_offered()
    with transaction("place-order"):
        cart = carts.lock(cart_id)
        if cart.status == CartStatus.OPEN:
            if asked.get("version") != cart.version:
                raise carts.CartChanged(
                    _("Your cart has changed. Please look at it again before you pay.")
                )
            checkout.set_contact(cart, email=_text(asked, "email"), address=_address(asked))
            checkout.set_method(cart, _text(asked, "shipping_method"))
        return checkout.place_order(
            cart.id,
            seen_version=cart.version,
            seen_total_minor=_total(asked),
            network=digest_of(request.remote_addr or ""),
        )


def _total(asked: Mapping[str, Any]) -> int:
    """The total that the wallet showed; −1, which is none, if it is no number."""
    total = asked.get("amount_minor")
    return total if isinstance(total, int) and not isinstance(total, bool) else -1


def _address(asked: Mapping[str, Any]) -> dict[str, str]:
    """The wallet's address in our fields; what is wrong with it, ``set_contact`` says.

    https://docs.stripe.com/js/elements_object/express_checkout_element_confirm_event
    """
    address = asked.get("address")
    given = address if isinstance(address, dict) else {}
    fields = {
        "name": _text(asked, "name"),
        "phone": _text(asked, "phone"),
        "line1": _text(given, "line1"),
        "line2": _text(given, "line2"),
        "city": _text(given, "city"),
        "region": _text(given, "state"),
        "postal_code": _text(given, "postal_code"),
        "country": _text(given, "country").upper(),
    }
    return {name: value for name, value in fields.items() if name in customers.ADDRESS_FIELDS}


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    return value.strip()[:MAX_TEXT] if isinstance(value, str) else ""


def _rate(option: ShippingOption, price_minor: int, now: datetime) -> dict[str, Any]:
    """https://docs.stripe.com/js/elements_object/create_express_checkout_element"""
    first, last = option.arrives(now)
    when = (
        _("Arrives %(day)s", day=f"{first:%-d %B}")
        if first == last
        else _("Arrives %(first)s to %(last)s", first=f"{first:%-d %B}", last=f"{last:%-d %B}")
    )
    return {
        "id": option.code,
        "displayName": option.name,
        "amount": price_minor,
        "deliveryEstimate": when,
    }


def _refusal(error: DomainError) -> dict[str, Any]:
    """``reason`` in the words of the wallet's ``paymentFailed``."""
    reason, sentence = "fail", error.sentence
    if isinstance(error, NoShipping):
        reason = "address_unserviceable"
    elif isinstance(error, customers.InvalidAddress):
        reason = "invalid_shipping_address"
        sentence = " ".join([sentence, *dict.fromkeys(error.errors.values())])
    return {"code": error.code, "message": sentence, "reason": reason}
