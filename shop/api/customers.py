"""Customers for staff: who they are and what they ordered."""

from typing import Any

from marshmallow import fields, validate
from sqlalchemy import func, select

from shop import customers, orders
from shop.api.callers import staff
from shop.api.door import Door
from shop.api.fields import Schema
from shop.api.order_schemas import ShortOrderSchema
from shop.api.paging import HEADERS, PageSchema, paged
from shop.core.db import session
from shop.core.errors import NotFound
from shop.customers.models import Customer

bp = Door("Customers", "People with an account, for staff who may see them.")
PAGE = "CustomersView"


class CustomersQuerySchema(PageSchema):
    """``q`` is part of a name or an address."""

    q = fields.String(load_default="", validate=validate.Length(max=200))


class CustomerSchema(Schema):
    """Somebody with an account."""

    id = fields.Integer(required=True)
    email = fields.String(required=True)
    name = fields.String(required=True)
    confirmed_at = fields.DateTime(required=True, allow_none=True)
    created_at = fields.DateTime(required=True)


@bp.get("/customers")
@staff("can_list", PAGE)
@bp.arguments(CustomersQuerySchema, location="query")
@bp.response(200, CustomerSchema(many=True), headers=HEADERS)
def listing(given: dict[str, Any]) -> Any:
    """All customers, the newest first"""
    found = select(Customer)
    if given["q"].strip():
        q = given["q"].strip()
        found = found.where(
            Customer.email.icontains(q, autoescape=True)
            | Customer.name.icontains(q, autoescape=True)
        )
    total = session.scalar(select(func.count()).select_from(found.subquery())) or 0
    page, per_page = given["page"], given["per_page"]
    rows = session.scalars(
        found.order_by(Customer.id.desc()).limit(per_page).offset((page - 1) * per_page)
    ).all()
    return paged(rows, total=total, page=page, per_page=per_page)


@bp.get("/customers/<id:customer_id>")
@staff("can_show", PAGE)
@bp.response(200, CustomerSchema)
def show(customer_id: int) -> Any:
    """A customer"""
    return _known(customer_id)


@bp.get("/customers/<id:customer_id>/orders")
@staff("can_show", PAGE)
@bp.arguments(PageSchema, location="query")
@bp.response(200, ShortOrderSchema(many=True), headers=HEADERS)
def their_orders(given: dict[str, int], customer_id: int) -> Any:
    """What a customer ordered, the newest first"""
    _known(customer_id)
    found = orders.of_customer(customer_id, page=given["page"], per_page=given["per_page"])
    return paged(found.rows, total=found.total, page=found.page, per_page=found.per_page)


def _known(customer_id: int) -> Customer:
    found = customers.by_id(customer_id)
    if found is None:
        raise NotFound("Customer not found.")
    return found
