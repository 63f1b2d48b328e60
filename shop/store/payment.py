"""The payment of an order whose goods are reserved: begun while no transaction is open, and asked
about when the browser comes back.
"""

import logging
from typing import Any

from flask import current_app, flash, redirect, render_template, request
from flask.typing import ResponseReturnValue

from shop import checkout, orders, payments
from shop.core import clock
from shop.core.db import end_read
from shop.core.errors import DomainError, Unavailable, WrongState
from shop.core.i18n import gettext as _
from shop.orders import OrderStatus, PaymentStatus
from shop.payments import AttemptStatus
from shop.store import visitors
from shop.store.blueprint import bp
from shop.store.order_links import order_by_link, order_url, payment_url, return_url
from shop.store.order_parts import failure_words, order_lines, order_rows

log = logging.getLogger(__name__)


@bp.get("/checkout/payment")
def payment() -> ResponseReturnValue:
    """The card form for an order whose goods are reserved."""
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
    found = visitors.current_cart()
    return render_template(
        "store/checkout/payment.html",
        order=order,
        to=order.shipping_address,
        lines=order_lines(order),
        rows=order_rows(order),
        reserved_until=order.expires_at.astimezone(checkout.terms().zone),
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
    begin(order)
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
    begin(order)
    return redirect(payment_url(order), code=303)


@bp.get("/checkout/return")
def payment_return() -> ResponseReturnValue:
    """Where the browser lands after paying: ask how the payment stands, and go on from there.

    Stripe's own parameters in the address are not believed.
    """
    order = _own_order()
    end_read()
    try:
        outcome = payments.sync_order(order.id)
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
    # The sync has locked and refreshed this very order.
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


def begin(order: orders.Order) -> None:
    """Begin the payment; when Stripe is away the payment page offers to try again."""
    end_read()
    try:
        payments.start(order.id)
    except (Unavailable, payments.Refused) as error:
        flash(error.sentence, "error")
    except WrongState as error:
        if order.status == OrderStatus.PENDING:
            flash(error.sentence, "warning")


def _billing_details(order: orders.Order) -> dict[str, Any]:
    """What the payment form need not ask for again, in Stripe's words.

    https://docs.stripe.com/js/elements_object/create_payment_element
    """
    given = order.billing_address or order.shipping_address
    fields = {"line1": "line1", "line2": "line2", "city": "city", "state": "region"}
    fields |= {"postal_code": "postal_code", "country": "country"}
    address = {name: given[field] for name, field in fields.items() if given.get(field)}
    return {"name": given["name"], "email": order.email, "address": address}


def _own_order(*, with_lines: bool = False) -> orders.Order:
    """The order of the secret link in this request. Raises ``NotFound`` for any other."""
    number, token = request.values.get("order", ""), request.values.get("token")
    return order_by_link(number, token, whole=False, with_lines=with_lines)
