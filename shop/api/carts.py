"""The cart, for programs: a guest's is named by ``X-Cart-Token``, a customer has one."""

from typing import Any

from flask import request
from marshmallow import EXCLUDE, fields, validate

from shop import cart as carts
from shop import checkout
from shop.api import limits
from shop.api.callers import anybody, caller
from shop.api.door import Door
from shop.api.fields import Schema, Whole, identity, line
from shop.core.db import transaction
from shop.core.errors import NotFound

bp = Door(
    "Cart",
    "A guest's cart is named by the header `X-Cart-Token`, answered on the first write. "
    "With a customer's access token it is the customer's cart and the header is not looked at.",
)
HEADER = "X-Cart-Token"
CODES_PER_CALLER = "30 per minute"
PARAMETER = {
    "in": "header",
    "name": HEADER,
    "schema": {"type": "string"},
    "description": "Names a guest's cart.",
}


class CartItemSchema(Schema):
    """What is in the cart, at today's price; ``problem`` says what stops it from being bought."""

    id = fields.Integer(required=True, attribute="item_id")
    variant_id = fields.Integer(required=True)
    product_id = fields.Integer(required=True)
    sku = fields.String(required=True)
    slug = fields.String(required=True)
    name = fields.String(required=True)
    variant_title = fields.String(required=True)
    quantity = fields.Integer(required=True)
    max_quantity = fields.Integer(
        required=True,
        attribute="most",
        metadata={"description": "What can be ordered now: what is left, and the shop's limit."},
    )
    unit_price_minor = fields.Integer(required=True)
    total_minor = fields.Integer(required=True)
    discount_minor = fields.Integer(required=True)
    problem = fields.Function(
        lambda item: item["problem"] or None, metadata={"type": "string", "nullable": True}
    )


class CartDiscountSchema(Schema):
    """A discount that applies; ``code`` is empty for one that needs none."""

    name = fields.String(required=True)
    code = fields.String(required=True)
    amount_minor = fields.Integer(required=True)
    shipping_minor = fields.Integer(required=True)


class CartSchema(Schema):
    """A cart and what it would cost. Amounts are in minor units of ``currency``."""

    token = fields.String(required=True, allow_none=True)
    version = fields.Integer(required=True)
    currency = fields.String(required=True)
    items = fields.List(fields.Nested(CartItemSchema), required=True)
    subtotal_minor = fields.Integer(required=True)
    discount_minor = fields.Integer(required=True)
    shipping_minor = fields.Integer(required=True)
    tax_minor = fields.Integer(required=True)
    total_minor = fields.Integer(required=True)
    discounts = fields.List(fields.Nested(CartDiscountSchema), required=True)
    problems = fields.List(fields.String(), required=True)


class CodeSchema(Schema):
    """A discount code, in any case."""

    code = line(200, required=True)


class AddSchema(Schema):
    """What to put in."""

    variant_id = identity(required=True)
    quantity = Whole(load_default=1, validate=validate.Range(1, carts.MAX_QUANTITY))


class QuantitySchema(Schema):
    """How many are wanted."""

    quantity = Whole(required=True, validate=validate.Range(1, carts.MAX_QUANTITY))


class ShippingQuerySchema(Schema):
    """Where to, and for which cart."""

    class Meta:
        unknown = EXCLUDE

    country = fields.String(validate=validate.Regexp(r"^[A-Za-z]{2}$", error="Two letters."))
    cart_token = fields.String(validate=validate.Length(1, 200))


class ShippingSchema(Schema):
    """A shipping method, at its price for this cart; days are working days."""

    code = fields.String(required=True)
    name = fields.String(required=True)
    price_minor = fields.Integer(required=True)
    total_minor = fields.Integer(required=True, allow_none=True)
    currency = fields.String(required=True)
    free_over_minor = fields.Integer(
        required=True,
        allow_none=True,
        metadata={
            "description": "Goods worth this much ship free; whether that is before or after"
            " discounts is a setting of the shop (`FREE_SHIPPING_COUNTS`)."
        },
    )
    min_days = fields.Integer(required=True)
    max_days = fields.Integer(required=True)


@bp.get("/cart")
@anybody
@bp.response(200, CartSchema)
@bp.doc(parameters=[PARAMETER])
def show() -> Any:
    """The cart as it is now

    Without a cart yet it is an empty one, without a token. An unknown or finished token is 404.
    """
    cart = named_cart(request.headers.get(HEADER))
    return _answer(carts.view(cart)) if cart else _empty()


@bp.post("/cart/items")
@anybody
@bp.arguments(AddSchema)
@bp.response(201, CartSchema)
@bp.doc(parameters=[PARAMETER])
def add(given: dict[str, int]) -> Any:
    """Put more of a variant into the cart"""
    with transaction():
        cart = named_cart(request.headers.get(HEADER)) or carts.open_cart(caller().customer_id)
        carts.add(cart, given["variant_id"], given["quantity"])
        return _answer(carts.view(cart))


@bp.patch("/cart/items/<id:item_id>")
@anybody
@bp.arguments(QuantitySchema)
@bp.response(200, CartSchema)
@bp.doc(parameters=[PARAMETER])
def set_quantity(given: dict[str, int], item_id: int) -> Any:
    """Set how many of an item are wanted"""
    with transaction():
        cart = _existing_cart()
        carts.set_quantity(cart, item_id, given["quantity"])
        return _answer(carts.view(cart))


@bp.delete("/cart/items/<id:item_id>")
@anybody
@bp.response(200, CartSchema)
@bp.doc(parameters=[PARAMETER])
def remove(item_id: int) -> Any:
    """Remove an item; answers the cart that is left"""
    with transaction():
        cart = _existing_cart()
        carts.remove(cart, item_id)
        return _answer(carts.view(cart))


@bp.post("/cart/discount")
@anybody
@bp.arguments(CodeSchema)
@bp.response(200, CartSchema)
@bp.doc(parameters=[PARAMETER])
def add_code(given: dict[str, str]) -> Any:
    """Apply a discount code

    404 `unknown_code` if there is none like it, 409 `code_refused` with every reason if it saves
    nothing; then the cart is as it was. A code that waits for an address in its country, or stops
    applying later, stays in the cart and is named in `problems`; it saves nothing then.
    """
    limits.count("discount code", per_caller=CODES_PER_CALLER)
    with transaction():
        cart = _existing_cart()
        checkout.apply_code(cart, given["code"])
        return _answer(carts.view(cart))


@bp.delete("/cart/discount/<string:code>")
@anybody
@bp.response(200, CartSchema)
@bp.doc(parameters=[PARAMETER])
def remove_code(code: str) -> Any:
    """Remove a discount code"""
    with transaction():
        cart = _existing_cart()
        carts.remove_code(cart, code)
        return _answer(carts.view(cart))


@bp.get("/shipping-methods")
@anybody
@bp.arguments(ShippingQuerySchema, location="query")
@bp.response(200, ShippingSchema(many=True))
@bp.doc(parameters=[PARAMETER])
def shipping_methods(given: dict[str, str]) -> Any:
    """Shipping methods for a cart to a country, at their prices for this cart

    Without a country, the one of the cart's address or else the shop's own. An empty list: we do
    not send there. `total_minor` is what the order would cost with the method, to be sent with the
    order as `seen_total_minor`; without a cart it is null.
    """
    cart = named_cart(given.get("cart_token") or request.headers.get(HEADER))
    country = given.get("country")
    if cart is None:
        options = checkout.shipping_options(country or checkout.terms().country, 0)
        return [_method(option, None) for option in options]
    offers = checkout.quotes(carts.view(cart), country=country)
    return [_method(option, priced.total_minor) for option, priced in offers]


def _method(option: checkout.ShippingOption, total_minor: int | None) -> dict[str, Any]:
    shown = {name: getattr(option, name) for name in option.__slots__}
    return shown | {"currency": checkout.terms().currency, "total_minor": total_minor}


_ITEM = (
    "item_id variant_id product_id sku slug name variant_title quantity unit_price_minor"
    " total_minor problem most"
).split()


def named_cart(token: str | None) -> carts.Cart | None:
    """The customer's cart, or the guest's with this token. Raises ``NotFound`` for a wrong one."""
    if caller().customer_id is not None:
        return carts.find(None, caller().customer_id)
    if token is None:
        return None
    found = carts.find(token) if token.isprintable() else None
    if found is None:
        raise NotFound("Cart not found.")
    return found


def _existing_cart() -> carts.Cart:
    found = named_cart(request.headers.get(HEADER))
    if found is None:
        raise NotFound("There is no cart yet.")
    return found


def _answer(view: carts.CartView) -> tuple[dict[str, Any], None, dict[str, str]]:
    """The cart as answered; with status None the route's own status counts."""
    priced, _, _ = checkout.quote(view)
    shown = {
        "token": view.token,
        "version": view.version,
        "currency": priced.currency,
        "items": [
            {name: getattr(item, name) for name in _ITEM} | {"discount_minor": taxed.discount_minor}
            for item, taxed in zip(view.lines, priced.lines, strict=True)
        ],
        "subtotal_minor": priced.subtotal_minor,
        "discount_minor": priced.discount_minor,
        "shipping_minor": priced.shipping_minor,
        "tax_minor": priced.tax_minor,
        "total_minor": priced.total_minor,
        "discounts": priced.discounts,
        "problems": view.problems + [one.sentence for one in priced.refused],
    }
    return shown, None, {HEADER: view.token}


def _empty() -> dict[str, Any]:
    amounts = ("subtotal", "discount", "shipping", "tax", "total")
    nothing = {"version": 0} | {f"{name}_minor": 0 for name in amounts}
    currency = checkout.terms().currency
    return (
        nothing
        | {"token": None, "currency": currency, "items": []}
        | {
            "discounts": [],
            "problems": [],
        }
    )
