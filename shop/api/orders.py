"""Orders for who places them: place once, look, pay, cancel."""

from collections.abc import Mapping
from typing import Any

from flask import jsonify, request
from marshmallow import EXCLUDE, fields, validate

from shop import checkout, customers, orders, payments
from shop.api import limits, repeats
from shop.api.callers import anybody, caller, signed_in
from shop.api.carts import HEADER, named_cart
from shop.api.carts import PARAMETER as CART_PARAMETER
from shop.api.door import Door
from shop.api.errors import Refused
from shop.api.fields import Schema, Whole, day, identity, line
from shop.api.order_schemas import OrderSchema, ShortOrderSchema, order_shown
from shop.api.paging import HEADERS, PageSchema, paged
from shop.api.repeats import Remember
from shop.core import tokens
from shop.core.db import retrying, session, transaction
from shop.core.errors import NotFound, WrongState
from shop.core.network import digest_of

bp = Door(
    "Orders",
    "An order belongs to the customer who placed it, or to whoever has its `token`. For everybody "
    "else it does not exist (404).",
)
DESK = "OrdersView"
# Each order reserves goods that others cannot buy. A storefront's server may call for many people.
PER_CALLER = "120 per minute"
PER_CART = "10 per minute"
ADDRESS = (
    "Where something goes, by the rules of its `country`, which decides the fields that are"
    " required: most countries need `city` and `postal_code` (Ireland and Hong Kong need no postal"
    " code), some a `region`, such as the states of the United States. Postal codes and regions"
    " are checked against the country's own, and a fault is named at its field. A region that"
    " follows from the postal code may be left out. A postal code or region that addresses of the"
    " country do not have is not kept."
)
CITY = "Required where addresses of the country have a town: not in Japan or Singapore."
POSTAL_CODE = "Required where the country has postal codes and letters need them. Such as 10117."
REGION = "State, province, prefecture or county, by code (CA) or name (California)."
COUNTRY = "ISO 3166-1 alpha-2 code."


class AddressSchema(Schema):
    """Where something goes, by the rules of its country."""

    class Meta(Schema.Meta):
        description = ADDRESS

    name = line(200, required=True)
    line1 = line(200, required=True)
    line2 = line(200, allow_none=True)
    city = line(200, allow_none=True, metadata={"description": CITY})
    postal_code = line(40, allow_none=True, metadata={"description": POSTAL_CODE})
    region = line(200, allow_none=True, metadata={"description": REGION})
    country = line(2, required=True, metadata={"description": COUNTRY})
    phone = line(60, allow_none=True)


class PlaceSchema(Schema):
    """What is ordered, by whom, where to. Prices are the shop's own: there is no field for them."""

    cart_token = line(200, least=1, allow_none=True)
    cart_version = Whole(required=True, validate=validate.Range(1, 2**31 - 1))
    seen_total_minor = Whole(required=True, validate=validate.Range(0, 2**31 - 1))
    email = line(254, required=True)
    shipping_address = fields.Nested(AddressSchema, required=True)
    billing_address = fields.Nested(AddressSchema, allow_none=True)
    shipping_method = line(60, least=1, required=True)


class OrderQuerySchema(Schema):
    """The secret of who has no account."""

    class Meta:
        unknown = EXCLUDE

    token = fields.String(validate=validate.Length(max=200))


class PayQuerySchema(OrderQuerySchema):
    """How to go on with a payment."""

    cancel_voucher = fields.Boolean(
        load_default=False,
        metadata={
            "description": "Cancel the voucher that waits to be paid, to pay in another way."
        },
    )


class OrdersQuerySchema(PageSchema):
    """Filters are for staff; a customer sees their own orders, newest first."""

    q = fields.String(load_default="", validate=validate.Length(max=200))
    tab = fields.String(load_default="", validate=validate.OneOf(["", *orders.TABS]))
    payment_status = fields.String(
        load_default="",
        validate=validate.OneOf(["", *orders.PaymentStatus]),
    )
    placed_from = day()
    placed_to = day()
    sort = fields.String(
        load_default="newest", validate=validate.OneOf(["newest", "oldest", "total"])
    )


class StartedSchema(Schema):
    """What Stripe.js needs to take the money."""

    client_secret = fields.String(required=True)
    publishable_key = fields.String(required=True)
    amount_minor = fields.Integer(required=True)
    currency = fields.String(required=True)


class UnitsSchema(Schema):
    """So many units of a line."""

    line_id = identity(required=True)
    quantity = Whole(required=True, validate=validate.Range(1, 1_000_000))


class CancelSchema(Schema):
    """Why, for staff one of the shop's reasons; without ``lines`` the whole order.

    ``refund`` false keeps the money; only for staff who may refund.
    """

    reason = line(200)
    lines = fields.List(
        fields.Nested(UnitsSchema), allow_none=True, validate=validate.Length(1, 500)
    )
    refund = fields.Boolean(truthy={True}, falsy={False}, load_default=True)


@bp.post("/orders")
@anybody
@bp.arguments(PlaceSchema)
@bp.response(201, OrderSchema)
@bp.doc(parameters=[CART_PARAMETER, repeats.PARAMETER])
def place(given: dict[str, Any]) -> Any:
    """Order what is in the cart and reserve its stock

    `cart_version` and `seen_total_minor` are what the customer last saw; `GET /shipping-methods`
    tells the total with each method. If the items, a price, a discount, the tax or the shipping
    price has changed since, the answer is 409 `cart_changed` with the `totals` of now, and 409
    `out_of_stock` if items are gone; nothing is ordered then. The
    order waits for its payment until `expires_at`. Without an `Idempotency-Key` a second press
    still gives the same order, as long as the cart and the details are the same.
    """
    token = given.get("cart_token") or request.headers.get(HEADER)
    account = repeats.scope(token or "")
    limits.count("orders", per_caller=PER_CALLER, per_account=PER_CART, account=account)
    given = _filled(given)
    return repeats.once(
        given, lambda remember: _place(given, token, remember), status=201, token=token or ""
    )


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
        found = orders.desk(orders.OrderFilters(**given, zone=str(checkout.terms().zone)))
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
@bp.arguments(PayQuerySchema, location="query")
@bp.response(200, StartedSchema)
def start_payment(given: dict[str, Any], number: str) -> payments.Started:
    """Begin, or go on with, paying an order

    Safe to repeat: the same attempt gives the same secret. While a voucher waits to be paid,
    `cancel_voucher` cancels it first; the customer must not pay it after that. 409 when there is
    nothing to pay (any more) or the payment service refuses to start it, 503 while it does not
    answer.
    """
    order, is_owner = _visible(number, given.get("token"), "can_show")
    if not is_owner:
        raise Refused(403, "Only who placed the order can pay it.")
    if given["cancel_voucher"]:
        payments.cancel_voucher(order.id)
    return payments.start(order.id)


@bp.post("/orders/<string:number>/cancel")
@anybody
@bp.arguments(OrderQuerySchema, location="query")
@bp.arguments(CancelSchema)
@bp.response(200, OrderSchema)
@bp.doc(parameters=[repeats.PARAMETER])
def cancel(query: dict[str, str], given: dict[str, Any], number: str) -> Any:
    """Cancel an order, or units of it that were not shipped

    Its owner can until somebody begins to pack it; staff can until it was shipped. What was paid
    for it is refunded in the same step; money that is still on its way (`payment_status`
    `processing`) is refunded automatically if it arrives.
    """
    order, is_owner = _visible(number, query.get("token"), "can_cancel")
    reason = given.get("reason") or ("customer" if is_owner else "other")
    if reason not in orders.CANCEL_REASONS and not is_owner:
        listed = ", ".join(orders.CANCEL_REASONS)
        raise Refused(422, faults=[("reason", f"Choose one of: {listed}.")])
    if not given["refund"] and (is_owner or not caller().may("can_refund", DESK)):
        raise Refused(
            403, "Cancelling refunds what was paid; only staff who may refund can leave that out."
        )
    lines = units_of(given.get("lines"))

    def work() -> dict[str, Any]:
        locked = orders.lock(order.id)
        if is_owner and not orders.customer_may_cancel(locked):
            raise WrongState("This order can no longer be cancelled here. Please write to us.")
        because = "customer" if is_owner else reason
        if lines is None:
            payments.cancel_order(locked, reason=because, refund=given["refund"])
        else:
            payments.cancel_lines(locked, lines, reason=because, refund=given["refund"])
        session.flush()
        return order_shown(locked, to_owner=is_owner)

    return repeats.once(
        given, repeats.in_transaction(work), status=200, token=query.get("token", "")
    )


def units_of(lines: list[dict[str, int]] | None) -> dict[int, int] | None:
    """Quantities by line id. Raises ``Refused`` for a line that is named twice."""
    if lines is None:
        return None
    units: dict[int, int] = {}
    for one in lines:
        if one["line_id"] in units:
            raise Refused(422, faults=[("lines", "A line is named twice.")])
        units[one["line_id"]] = one["quantity"]
    return units


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


def _place(given: dict[str, Any], token: str | None, remember: Remember) -> dict[str, Any]:
    """Place the order and, in the same transaction, remember the answer."""

    def work() -> dict[str, Any]:
        with transaction("place-order"):
            cart = named_cart(token)
            if cart is None:
                raise NotFound("There is no cart to order.")
            checkout.set_contact(cart, email=given["email"], address=given["shipping_address"])
            checkout.set_method(cart, given["shipping_method"])
            order = checkout.place_order(
                cart.id,
                seen_version=given["cart_version"],
                seen_total_minor=given["seen_total_minor"],
                billing_address=given.get("billing_address"),
                network=digest_of(request.remote_addr or ""),
            )
            return remember(order_shown(order, to_owner=True))

    return retrying(work)


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
    raise NotFound("Order not found.")
