"""Orders for who places them: place once, look, pay, call off."""

import logging
from collections.abc import Mapping
from typing import Any

from flask import jsonify, request
from marshmallow import EXCLUDE, fields, validate
from sqlalchemy.exc import DBAPIError

from shop import cart, checkout, customers, orders, payments
from shop.api.callers import anybody, caller, signed_in
from shop.api.carts import HEADER, named_cart
from shop.api.carts import PARAMETER as CART_PARAMETER
from shop.api.door import Door
from shop.api.errors import Refused
from shop.api.fields import Schema, Whole, line
from shop.api.order_shapes import OrderSchema, ShortOrderSchema, order_shown
from shop.api.paging import HEADERS, PageSchema, paged
from shop.core import idempotency, tokens
from shop.core.db import retrying, session, transaction
from shop.core.errors import DomainError, NotFound, WrongState
from shop.core.idempotency import IdempotencyKey

log = logging.getLogger(__name__)

bp = Door(
    "Orders",
    "An order belongs to the customer who placed it, or to whoever has its `token`. For everybody "
    "else it does not exist (404).",
)
DESK = "OrdersView"


class AddressSchema(Schema):
    """Where something goes. ``country`` is an ISO 3166 code."""

    name = line(200, required=True)
    line1 = line(200, required=True)
    line2 = line(200, allow_none=True)
    city = line(200, required=True)
    postal_code = line(40, required=True)
    region = line(200, allow_none=True)
    country = line(2, required=True)
    phone = line(60, allow_none=True)


class PlaceSchema(Schema):
    """What is ordered, by whom, where to. Prices are the shop's own: there is no field for them."""

    cart_token = line(200, least=1, allow_none=True)
    cart_version = Whole(required=True, validate=validate.Range(1, 2**31 - 1))
    email = line(254, required=True)
    shipping_address = fields.Nested(AddressSchema, required=True)
    billing_address = fields.Nested(AddressSchema, allow_none=True)
    shipping_method = line(60, least=1, required=True)


class OrderQuerySchema(Schema):
    """The secret of who has no account."""

    class Meta:
        unknown = EXCLUDE

    token = fields.String(validate=validate.Length(max=200))


class OrdersQuerySchema(PageSchema):
    """Filters are for staff; a customer sees their own orders, newest first."""

    q = fields.String(load_default="", validate=validate.Length(max=200))
    tab = fields.String(load_default="", validate=validate.OneOf(["", *orders.TABS]))
    payment_status = fields.String(
        load_default="",
        validate=validate.OneOf(["", "unpaid", "paid", "partly_refunded", "refunded", "disputed"]),
    )
    placed_from = fields.Date()
    placed_to = fields.Date()
    sort = fields.String(
        load_default="newest", validate=validate.OneOf(["newest", "oldest", "total"])
    )


class StartedSchema(Schema):
    """What Stripe.js needs to take the money."""

    client_secret = fields.String(required=True)
    publishable_key = fields.String(required=True)
    amount_minor = fields.Integer(required=True)
    currency = fields.String(required=True)


class CancelSchema(Schema):
    """Why; for staff one of the shop's reasons."""

    reason = line(200)


@bp.post("/orders")
@anybody
@bp.arguments(PlaceSchema)
@bp.response(201, OrderSchema)
@bp.doc(
    parameters=[
        CART_PARAMETER,
        {
            "in": "header",
            "name": "Idempotency-Key",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
            "description": "Makes a repeat of the same request safe: it gets the same answer, with "
            "`Idempotent-Replayed: true`. Another body under the same key is refused with 422.",
        },
    ]
)
def place(given: dict[str, Any]) -> Any:
    """Order what is in the cart and hold its stock

    `cart_version` is what the customer last saw; a cart that has changed since is 409
    `cart_changed`, goods that are gone are 409 `out_of_stock`, and nothing is ordered then. The
    order waits for its payment until `expires_at`. Without an `Idempotency-Key` a second press
    still gives the same order, as long as the cart and the details are the same.
    """
    given = _filled(given)
    token = given.get("cart_token") or request.headers.get(HEADER)
    key = _key()
    if key is None:
        return jsonify(_place(given, token)), 201
    scope = _scope(token)
    with transaction():
        before = idempotency.claim(scope, key, idempotency.request_hash(["orders", given]))
    if before is not None:
        replayed = jsonify(before[1])
        replayed.status_code = before[0]
        replayed.headers["Idempotent-Replayed"] = "true"
        return replayed
    try:
        return jsonify(_place(given, token, remember=(scope, key))), 201
    except (DomainError, DBAPIError):
        _give_back(scope, key)
        raise


@bp.get("/orders")
@signed_in
@bp.arguments(OrdersQuerySchema, location="query")
@bp.response(200, ShortOrderSchema(many=True), headers=HEADERS)
def listing(given: dict[str, Any]) -> Any:
    """A customer's own orders; for staff all of them, filtered"""
    customer_id = caller().customer_id
    if customer_id is not None:
        found = orders.of_customer(customer_id, page=given["page"], per_page=given["per_page"])
    elif caller().may("can_list", DESK):
        found = orders.desk(orders.OrderFilters(**given))
    else:
        raise Refused(403)
    return paged(found.rows, total=found.total, page=found.page, per_page=found.per_page)


@bp.get("/orders/<string:number>")
@anybody
@bp.arguments(OrderQuerySchema, location="query")
@bp.response(200, OrderSchema)
def show(given: dict[str, str], number: str) -> Any:
    """An order, for its owner, for who has its token, and for staff"""
    order, is_owner = _visible(number, given.get("token"), "can_show")
    return jsonify(order_shown(order, to_owner=is_owner))


@bp.post("/orders/<string:number>/payment-intent")
@anybody
@bp.arguments(OrderQuerySchema, location="query")
@bp.response(200, StartedSchema)
def start_payment(given: dict[str, str], number: str) -> payments.Started:
    """Begin, or go on with, paying an order

    Safe to repeat: the same attempt gives the same secret. 409 when there is nothing to pay (any
    more), 503 while the payment service does not answer.
    """
    order, is_owner = _visible(number, given.get("token"), "can_show")
    if not is_owner:
        raise Refused(403, "Only who placed the order can pay it.")
    return payments.start(order.id)


@bp.post("/orders/<string:number>/cancel")
@anybody
@bp.arguments(OrderQuerySchema, location="query")
@bp.arguments(CancelSchema)
@bp.response(200, OrderSchema)
def cancel(query: dict[str, str], given: dict[str, str], number: str) -> Any:
    """Call an order off

    Its owner can while it is unpaid; staff can until something was shipped, and what was paid goes
    back in the same step.
    """
    order, is_owner = _visible(number, query.get("token"), "can_cancel")
    reason = given.get("reason") or ("customer" if is_owner else "other")
    if reason not in orders.CANCEL_REASONS and not is_owner:
        listed = ", ".join(orders.CANCEL_REASONS)
        raise Refused(422, faults=[("reason", f"Choose one of: {listed}.")])
    with transaction():
        locked = orders.lock(order.id)
        if is_owner and locked.status != "pending":
            raise WrongState(
                "This order is paid already. Please write to us to call it off."
                if locked.status == "confirmed"
                else f"This order is {locked.status} and cannot be called off."
            )
        payments.cancel_order(locked, reason="customer" if is_owner else reason)
    return jsonify(order_shown(orders.by_id(order.id), to_owner=is_owner))


def address_of(data: Mapping[str, Any], field: str) -> dict[str, str]:
    """A clean address. Raises ``InvalidAddress`` whose faults are named below ``field``."""
    try:
        return customers.clean_address(data)
    except customers.InvalidAddress as error:
        error.field = field
        raise


def _filled(given: dict[str, Any]) -> dict[str, Any]:
    """The wish with clean addresses: what can be refused without looking at the cart is refused."""
    cleaned = given | {
        "email": customers.clean_email(given["email"]),
        "shipping_address": address_of(given["shipping_address"], "shipping_address"),
    }
    if given.get("billing_address"):
        cleaned["billing_address"] = address_of(given["billing_address"], "billing_address")
    return cleaned


def _place(
    given: dict[str, Any], token: str | None, *, remember: tuple[str, str] | None = None
) -> dict[str, Any]:
    """Place the order and, in the same transaction, remember the answer."""

    def work() -> dict[str, Any]:
        with transaction():
            basket = named_cart(token)
            if basket is None:
                raise NotFound("There is no cart to order.")
            if basket.version != given["cart_version"]:
                raise cart.CartChanged(
                    "Your cart has changed. Please look at it again before you pay."
                )
            checkout.set_contact(basket, email=given["email"], address=given["shipping_address"])
            checkout.set_method(basket, given["shipping_method"])
            order = checkout.place_order(
                basket.id,
                seen_version=given["cart_version"],
                billing_address=given.get("billing_address"),
            )
            shown = order_shown(order, to_owner=True)
            if remember:
                idempotency.store(*remember, 201, shown)
            return shown

    return retrying(work)


def _give_back(scope: str, key: str) -> None:
    """Nothing was ordered: let a corrected try, or the same one, use the key again.

    After a lost connection the order may be there all the same; then its answer stays stored.
    """
    session.rollback()
    try:
        with transaction():
            kept = session.get(IdempotencyKey, (scope, key), populate_existing=True)
            if kept is not None and kept.status is None:
                idempotency.forget(scope, key)
    except DBAPIError:
        log.warning("idempotency key stays claimed for a minute")


def _key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not (1 <= len(key) <= 255 and key.isascii() and key.isprintable()):
        said = "1 to 255 printable ASCII characters."
        raise Refused(422, faults=[("Idempotency-Key", said)])
    return key


def _scope(token: str | None) -> str:
    """Whose keys these are: the customer's, or those of a guest's cart."""
    if caller().customer_id is not None:
        return f"customer:{caller().customer_id}"
    return f"cart:{tokens.digest(token or '')}"


def _visible(number: str, token: str | None, permission: str) -> tuple[orders.Order, bool]:
    """The order and whether the caller owns it. Raises ``NotFound`` for everybody else."""
    order = orders.by_number(number)
    mine = order.customer_id is not None and order.customer_id == caller().customer_id
    if mine or tokens.matches(token, order.token):
        return order, True
    if caller().audience == "staff":
        if not caller().may(permission, DESK):
            raise Refused(403)
        return order, False
    raise NotFound("There is no such order.")
