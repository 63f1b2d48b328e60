"""A customer's own saved addresses. Somebody else's do not exist."""

from typing import Any

from marshmallow import fields

from shop import customers
from shop.api import etags
from shop.api.callers import caller, customer
from shop.api.door import Door
from shop.api.fields import Schema, line
from shop.api.orders import AddressSchema
from shop.api.paging import HEADERS, PageSchema, paged
from shop.core.db import session, transaction
from shop.core.errors import NotFound
from shop.customers.models import Address

bp = Door("Addresses", "Saved addresses of the signed-in customer.")


class NewAddressSchema(AddressSchema):
    """An address to keep."""

    is_default = fields.Boolean(truthy={True}, falsy={False})


class AddressPatchSchema(Schema):
    """Changes to an address. The whole must fit its country afterwards."""

    name = line(200)
    line1 = line(200)
    line2 = line(200, allow_none=True)
    city = line(200, allow_none=True)
    postal_code = line(40, allow_none=True)
    region = line(200, allow_none=True)
    country = line(2)
    phone = line(60, allow_none=True)
    is_default = fields.Boolean(truthy={True}, falsy={False})


class SavedAddressSchema(Schema):
    """An address as it is kept."""

    id = fields.Integer(required=True)
    name = fields.String(required=True)
    line1 = fields.String(required=True)
    line2 = fields.String(required=True)
    city = fields.String(required=True)
    postal_code = fields.String(required=True)
    region = fields.String(required=True)
    country = fields.String(required=True)
    phone = fields.String(required=True)
    is_default = fields.Boolean(required=True)


_saved = SavedAddressSchema()


@bp.get("/addresses")
@customer
@bp.arguments(PageSchema, location="query")
@bp.response(200, SavedAddressSchema(many=True), headers=HEADERS)
def listing(given: dict[str, int]) -> Any:
    """All of one's addresses, the default one first"""
    every = customers.own_addresses(caller().id)
    start = (given["page"] - 1) * given["per_page"]
    return paged(
        every[start : start + given["per_page"]],
        total=len(every),
        page=given["page"],
        per_page=given["per_page"],
    )


@bp.post("/addresses")
@customer
@bp.arguments(NewAddressSchema)
@bp.response(201, SavedAddressSchema)
def add(given: dict[str, Any]) -> Any:
    """Keep an address"""
    with transaction():
        saved = customers.save_address(caller().id, given)
        session.flush()
        return etags.tagged(_saved.dump(saved), 201)


@bp.get("/addresses/<id:address_id>")
@customer
@bp.response(200, SavedAddressSchema)
def show(address_id: int) -> Any:
    """One of one's addresses, with its tag"""
    return etags.tagged(_saved.dump(_own(address_id)))


@bp.patch("/addresses/<id:address_id>")
@customer
@bp.arguments(AddressPatchSchema)
@bp.response(200, SavedAddressSchema)
def change(given: dict[str, Any], address_id: int) -> Any:
    """Change what is named of an address"""
    with transaction():
        kept = _saved.dump(_own(address_id, lock=True))
        etags.check(kept)
        whole = {name: kept[name] for name in customers.ADDRESS_FIELDS}
        saved = customers.save_address(caller().id, whole | given, address_id=address_id)
        session.flush()
        return etags.tagged(_saved.dump(saved))


@bp.delete("/addresses/<id:address_id>")
@customer
@bp.response(204)
def delete(address_id: int) -> None:
    """Delete an address"""
    with transaction():
        etags.check(_saved.dump(_own(address_id, lock=True)))
        customers.delete_address(caller().id, address_id)


def _own(address_id: int, *, lock: bool = False) -> Address:
    found = session.get(Address, address_id, with_for_update=lock or None, populate_existing=lock)
    if found is None or found.customer_id != caller().id:
        raise NotFound("Address not found.")
    return found
