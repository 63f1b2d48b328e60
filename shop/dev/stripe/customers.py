"""Customers: who pays, as far as Stripe needs to know."""

from shop.dev.stripe import shapes
from shop.dev.stripe.ledger import Json, Unit
from shop.dev.stripe.params import Params
from shop.dev.stripe.refusals import Invalid


def create(unit: Unit, params: Params) -> Json:
    """POST /v1/customers."""
    customer = shapes.customer(_fields(params, {}))
    params.close()
    unit.put("customer", customer)
    unit.emit("customer.created", customer)
    return customer


def update(unit: Unit, params: Params, customer_id: str) -> Json:
    """POST /v1/customers/<id>."""
    before = unit.find("customer", customer_id, param="customer")
    fields = _fields(params, before)
    params.close()
    unit.lock(customer_id)
    customer = unit.change(unit.find("customer", customer_id, param="customer"), **fields)
    unit.emit("customer.updated", customer)
    return customer


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
