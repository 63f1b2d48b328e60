"""Discounts for staff: what is given, its codes, and a trial on a cart that nobody has."""

from typing import Any

from flask import Response, jsonify
from marshmallow import EXCLUDE, fields, validate

from shop import checkout, discounts
from shop.api import etags, repeats
from shop.api.callers import staff
from shop.api.door import Door
from shop.api.errors import Refused
from shop.api.fields import Schema, Whole, identity, line
from shop.api.paging import HEADERS, PageSchema, paged
from shop.core import clock
from shop.core.db import session, transaction

bp = Door("Discounts", "Codes and automatic discounts, for staff.")
VIEW = "DiscountsView"
YES_NO: dict[str, Any] = {"truthy": {True}, "falsy": {False}}


class DiscountWriteSchema(Schema):
    """What can be written of a discount.

    `value` is in basis points for `percentage` and `buy_x_get_y` (1000 is 10 %, 10000 is free), in
    minor units for `fixed`, and the most that is taken off shipping for `free_shipping` (0: all).
    """

    name = line(200)
    kind = fields.String()
    value = Whole()
    buy_quantity = Whole()
    get_quantity = Whole()
    currency = line(3)
    lane = fields.String()
    is_automatic = fields.Boolean(**YES_NO)
    is_active = fields.Boolean(**YES_NO)
    is_targeted = fields.Boolean(**YES_NO)
    category_ids = fields.List(identity(), validate=validate.Length(max=discounts.MAX_CHOSEN))
    product_ids = fields.List(identity(), validate=validate.Length(max=discounts.MAX_CHOSEN))
    min_subtotal_minor = Whole(allow_none=True)
    audience = fields.String()
    customer_ids = fields.List(identity(), validate=validate.Length(max=discounts.MAX_CHOSEN))
    first_order = fields.Boolean(**YES_NO)
    countries = fields.List(line(2), validate=validate.Length(max=250))
    starts_at = fields.AwareDateTime(allow_none=True)
    ends_at = fields.AwareDateTime(allow_none=True)
    limit_total = Whole(allow_none=True)
    limit_per_customer = Whole(allow_none=True)


class NewDiscountSchema(DiscountWriteSchema):
    """A new discount; with `code`, its first code too."""

    name = line(200, required=True)
    kind = fields.String(required=True)
    code = line(200)


class DiscountSchema(DiscountWriteSchema):
    """A discount. `sentence` says what it does; `status` is derived from dates and limits."""

    id = fields.Integer(required=True)
    used = fields.Integer(required=True)
    version = fields.Integer(required=True)
    status = fields.String(required=True)
    sentence = fields.String(required=True)


class ListQuerySchema(PageSchema):
    """Which discounts."""

    status = fields.String(load_default="", validate=validate.OneOf(["", *discounts.STATUSES]))
    q = fields.String(load_default="", validate=validate.Length(max=200))


class DiscountCodeSchema(Schema):
    """A code and how often it was used."""

    id = fields.Integer(required=True)
    code = fields.String(required=True)
    limit_total = fields.Integer(required=True, allow_none=True)
    used = fields.Integer(required=True)


class NewCodesSchema(Schema):
    """Either one `code` of your choice, or a `count` of random ones with a `prefix`."""

    code = line(200)
    count = Whole()
    prefix = line(200, load_default="")
    limit = Whole(allow_none=True)


class MadeSchema(Schema):
    """The codes that were created."""

    codes = fields.List(fields.String(), required=True)


class TriedItemSchema(Schema):
    """How many of what."""

    variant_id = identity(required=True)
    quantity = Whole(required=True)


class TrySchema(Schema):
    """A sample cart, and either a `code` or a `discount_id`."""

    code = line(200)
    discount_id = identity()
    items = fields.List(
        fields.Nested(TriedItemSchema), required=True, validate=validate.Length(max=20)
    )
    country = line(2, load_default="")
    customer_id = identity(allow_none=True, load_default=None)


class TriedSchema(Schema):
    """What it would do; if it does not apply, every reason."""

    class Meta:
        unknown = EXCLUDE

    applies = fields.Boolean(required=True)
    reasons = fields.List(fields.String(), required=True)
    currency = fields.String(required=True)
    saved_minor = fields.Integer(required=True)
    subtotal_minor = fields.Integer(required=True)
    discount_minor = fields.Integer(required=True)
    shipping_minor = fields.Integer(required=True)
    tax_minor = fields.Integer(required=True)
    total_minor = fields.Integer(required=True)


_shown = DiscountSchema()


@bp.get("/discounts")
@staff("can_list", VIEW)
@bp.arguments(ListQuerySchema, location="query")
@bp.response(200, DiscountSchema(many=True), headers=HEADERS)
def listing(given: dict[str, Any]) -> Any:
    """Discounts, newest first"""
    found = discounts.page(**given)
    # A response is sent as it is; of plain data its schema would write the dates a second time.
    rows = jsonify([_as_shown(discount) for discount in found.rows])
    return paged(rows, total=found.total, page=found.page, per_page=found.per_page)


@bp.post("/discounts")
@staff("can_add", VIEW)
@bp.arguments(NewDiscountSchema)
@bp.response(201, DiscountSchema)
def create(given: dict[str, Any]) -> Any:
    """Create a discount"""
    code = given.pop("code", None)
    with transaction():
        made = discounts.create_discount(
            discounts.Draft(**given), currency=checkout.terms().currency
        )
        if code is not None:
            discounts.add_code(made, code)
        session.flush()
        shown = _as_shown(made)
    return _tagged(shown, 201)


@bp.get("/discounts/<id:discount_id>")
@staff("can_show", VIEW)
@bp.response(200, DiscountSchema)
def show(discount_id: int) -> Any:
    """A discount"""
    return _tagged(_as_shown(discounts.get_discount(discount_id)))


@bp.patch("/discounts/<id:discount_id>")
@staff("can_edit", VIEW)
@bp.arguments(DiscountWriteSchema)
@bp.response(200, DiscountSchema)
def change(given: dict[str, Any], discount_id: int) -> Any:
    """Change a discount; orders that had it keep what they got"""
    with transaction():
        discount = discounts.get_discount(discount_id, to_change=True)
        etags.check(_written(_as_shown(discount)))
        discounts.update_discount(discount, discounts.draft_of(discount, **given))
        session.flush()
        shown = _as_shown(discount)
    return _tagged(shown)


@bp.delete("/discounts/<id:discount_id>")
@staff("can_delete", VIEW)
@bp.response(204)
def delete(discount_id: int) -> None:
    """Remove a discount that no order has had; others can only be switched off"""
    with transaction():
        discount = discounts.get_discount(discount_id, to_change=True)
        etags.check(_written(_as_shown(discount)))
        discounts.delete_discount(discount)


@bp.get("/discounts/<id:discount_id>/codes")
@staff("can_show", VIEW)
@bp.arguments(PageSchema, location="query")
@bp.response(200, DiscountCodeSchema(many=True), headers=HEADERS)
def codes(given: dict[str, int], discount_id: int) -> Any:
    """The codes of a discount, in the order in which they were created"""
    discount = discounts.get_discount(discount_id)
    rows = discounts.codes(discount.id, **given)
    return paged(rows, total=discounts.count_codes(discount.id), **given)


@bp.post("/discounts/<id:discount_id>/codes")
@staff("can_generate", VIEW)
@bp.arguments(NewCodesSchema)
@bp.response(201, MadeSchema)
@bp.doc(parameters=[repeats.PARAMETER])
def add_codes(given: dict[str, Any], discount_id: int) -> Any:
    """Create one code, or up to 10,000 random ones

    `limit` is how often each can be used: for a code of your choice null or nothing is no limit,
    for random ones nothing is once.
    """
    if ("code" in given) == ("count" in given):
        raise Refused(422, faults=[("code", "Say either code or count.")])

    def work() -> dict[str, Any]:
        discount = discounts.get_discount(discount_id)
        if "code" in given:
            made = discounts.add_code(discount, given["code"], limit=given.get("limit"))
            return {"codes": [made.code]}
        generated = discounts.generate_codes(
            discount, given["count"], prefix=given["prefix"], limit=given.get("limit", 1)
        )
        return {"codes": list(generated)}

    return repeats.once(given, repeats.in_transaction(work), status=201)


@bp.post("/discounts/validate")
@staff("can_show", VIEW)
@bp.arguments(TrySchema)
@bp.response(200, TriedSchema)
def validate_on(given: dict[str, Any]) -> Any:
    """Try a discount on a sample cart: what it saves, or every reason why it does not apply"""
    if ("code" in given) == ("discount_id" in given):
        raise Refused(422, faults=[("code", "Say either code or discount_id.")])
    if "code" in given:
        rule = discounts.by_code(given["code"])
    else:
        rule = discounts.rule_of(given["discount_id"])
    items: dict[int, int] = {}
    for one in given["items"]:
        items[one["variant_id"]] = items.get(one["variant_id"], 0) + one["quantity"]
    trial = checkout.try_discount(
        rule, items, country=given["country"], customer_id=given["customer_id"]
    )
    quote = trial.quote
    return {
        "applies": trial.applied is not None,
        "reasons": trial.reasons,
        "currency": quote.currency,
        "saved_minor": trial.applied.saved_minor if trial.applied else 0,
        "subtotal_minor": quote.subtotal_minor,
        "discount_minor": quote.discount_minor,
        "shipping_minor": quote.shipping_minor,
        "tax_minor": quote.tax_minor,
        "total_minor": quote.total_minor,
    }


def _tagged(shown: dict[str, Any], status: int = 200) -> Response:
    return etags.tagged(shown, status, tag=etags.of(_written(shown)), is_whole=False)


def _written(shown: dict[str, Any]) -> dict[str, Any]:
    """What somebody wrote: not how often it was used, nor what the clock makes of it."""
    return {name: shown[name] for name in shown.keys() - {"used", "status", "sentence"}}


def _as_shown(discount: discounts.Discount) -> dict[str, Any]:
    shown: dict[str, Any] = _shown.dump(discount)
    return shown | {
        "category_ids": [row.id for row in discount.categories],
        "product_ids": [row.id for row in discount.products],
        "customer_ids": [row.id for row in discount.customers],
        "status": discounts.status_of(discount, clock.now()),
        "sentence": discounts.describe(discounts.rule_of(discount.id), checkout.terms().zone),
    }
