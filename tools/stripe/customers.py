"""Customers: who pays, as far as Stripe needs to know."""

from tools.stripe import shapes
from tools.stripe.ledger import Json, Unit
from tools.stripe.params import Params
from tools.stripe.refusals import Invalid, Missing


def create(unit: Unit, params: Params) -> Json:
    """POST /v1/customers."""
    customer = shapes.customer(_fields(params, {}))
    params.close()
    unit.put("customer", customer)
    unit.emit("customer.created", customer)
    return customer


def update(unit: Unit, params: Params, customer_id: str) -> Json:
    """POST /v1/customers/<id>."""
    before = _alive(unit, customer_id)
    fields = _fields(params, before)
    params.close()
    unit.lock(customer_id)
    customer = unit.change(_alive(unit, customer_id), **fields)
    unit.emit("customer.updated", customer)
    return customer


def delete(unit: Unit, params: Params, customer_id: str) -> Json:
    """DELETE /v1/customers/<id>; a stub stays, so that a later look finds it deleted."""
    params.close()
    unit.lock(customer_id)
    customer = _alive(unit, customer_id)
    stub = {"id": customer_id, "object": "customer", "deleted": True}
    unit.put("customer", stub)
    unit.emit("customer.deleted", customer)
    return stub


def _alive(unit: Unit, customer_id: str) -> Json:
    found = unit.find("customer", customer_id, param="customer")
    if found.get("deleted"):
        raise Missing("customer", customer_id, param="customer")
    return found


def _fields(params: Params, before: Json) -> Json:
    fields: Json = {}
    for name in ("description", "email", "name", "phone"):
        if name in params:
            fields[name] = params.text(name)
    if fields.get("email") and "@" not in str(fields["email"]):
        raise Invalid(
            f"Invalid email address: {fields['email']}", code="email_invalid", param="email"
        )
    if "address" in params:
        fields["address"] = params.address("address")
    if "preferred_locales" in params:
        fields["preferred_locales"] = params.words("preferred_locales")
    shipping = params.group("shipping")
    if shipping is not None:
        fields["shipping"] = {
            "address": shipping.address("address"),
            "name": shipping.text("name"),
            "phone": shipping.text("phone"),
        }
        shipping.close()
    if "metadata" in params:
        fields["metadata"] = params.metadata(before.get("metadata", {}))
    return fields
