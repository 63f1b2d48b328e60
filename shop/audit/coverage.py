"""What is audited: every table that is not named here, and all of its columns.

A new table or column needs no word; leaving one out needs a reason. Personal data is kept beside
the entry, where it can be erased; secrets are never kept.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import MetaData, Table

# Name of the table to the reason why nobody needs to know who changed a row.
NOT_AUDITED: Mapping[str, str] = {
    # Records of what happened: they say who and when themselves, and are insert-only.
    "audit_entry": "the audit itself",
    "audit_personal": "the audit itself",
    "audit_seal": "the audit itself",
    "audit_unsealed": "the audit itself",
    "event": "a record",
    "payment_event": "a record",
    "sale_entry": "a record",
    "stock_movement": "a record",
    "doctor_run": "a record",
    "reconcile_run": "a record",
    "webhook_delivery": "a record",
    # Queues, caches and keys of the machinery.
    "broadcast": "machinery",
    "delivery": "machinery",
    "event_pending": "machinery",
    "idempotency_key": "machinery",
    "refused_job": "machinery",
    "shop_identity": "machinery",
    "api_token": "machinery",
    "one_time_token": "machinery",
    "sign_in": "sign-ins are entries of their own",
    "mail_message": "what was sent stands there itself",
    "media_file": "an image's row says which file it shows",
    # What customers do, and what is worked out from it.
    "cart": "a customer's",
    "cart_discount": "a customer's",
    "cart_item": "a customer's",
    "discount_holder": "a counter of uses",
    "redemption": "a use by an order",
    "old_path": "follows from the slug",
    "order_line": "written once, then counted by shipments, returns and refunds",
    "fulfilment_line": "written once with its shipment",
    "order_return_line": "written once with its return",
    "stock_level": "counts, of which the ledger says who changed them",
    "refund_line": "written once with its refund",
    "variant_value": "written once with its variant",
    # Flask-AppBuilder's lists of names, made from the code at every start, and what is not used.
    "ab_permission": "names from the code",
    "ab_permission_view": "names from the code",
    "ab_view_menu": "names from the code",
    "ab_register_user": "not used",
    "ab_api_key": "not used",
}
# Columns that are counted, derived or noted by the machinery.
IGNORED: Mapping[str, frozenset[str]] = {
    "ab_user": frozenset(
        {"last_login", "login_count", "fail_login_count", "created_on", "changed_on"}
        | {"created_by_fk", "changed_by_fk"}
    ),
    "category": frozenset({"path"}),
    "discount": frozenset({"used", "version", "created_at"}),
    "discount_code": frozenset({"used", "created_at"}),
    "order": frozenset({"version", "searched", "cart_id", "cart_version", "chain_id", "token"}),
    "payment": frozenset({"key", "key_attempt", "checked_at", "client_secret", "refunding_minor"}),
    "product": frozenset(
        {"price_from_minor", "price_to_minor", "sold_count", "rating_sum", "rating_count"}
        | {"created_at", "updated_at", "search"}
    ),
    "dispute": frozenset({"checked_at"}),
    "refund": frozenset({"key", "attempt", "key_attempt"}),
}
# What opens a door: an entry says that it changed, never what it is.
SECRET: Mapping[str, frozenset[str]] = {
    "ab_user": frozenset({"password"}),
    "customer": frozenset({"password_hash"}),
}
# What is about a customer, by whose wish it can be erased.
PERSONAL: Mapping[str, frozenset[str]] = {
    "address": frozenset(
        {"name", "line1", "line2", "city", "postal_code", "region", "country", "phone"}
    ),
    "customer": frozenset({"email", "name"}),
    "order": frozenset(
        {"email", "customer_name", "shipping_address", "billing_address", "placed_from"}
    ),
    "payment": frozenset({"card_brand", "card_last4", "voucher_url", "voucher_reference"}),
    "review": frozenset({"author", "text", "title"}),
}
# The record that a row is a part of: the column that names it.
PART_OF: Mapping[str, str] = {
    "ab_permission_view_role": "role_id",
    "ab_user_role": "user_id",
    "ab_user_group": "user_id",
    "ab_group_role": "group_id",
    "address": "customer_id",
    "discount_category": "discount_id",
    "discount_code": "discount_id",
    "discount_customer": "discount_id",
    "discount_product": "discount_id",
    "dispute": "payment_id",
    "fulfilment": "order_id",
    "image": "product_id",
    "option": "product_id",
    "option_value": "option_id",
    "order_return": "order_id",
    "payment": "order_id",
    "product_category": "product_id",
    "refund": "payment_id",
    "review": "product_id",
    "task": "order_id",
    "variant": "product_id",
}
# What a record is called in lists, first found first.
LABELS = ("number", "sku", "code", "name", "title", "username", "slug")


@dataclass(frozen=True)
class Coverage:
    """How one table is audited. ``watched`` are the columns whose change is worth an entry, or none
    when every column is; ``parent`` is the table that ``part_of`` points to."""

    table: str
    key: tuple[str, ...]
    label: str
    part_of: str
    parent: str
    ignored: tuple[str, ...]
    secret: tuple[str, ...]
    personal: tuple[str, ...]
    watched: tuple[str, ...]


def covered(*metadata: MetaData) -> Iterator[Coverage]:
    """Returns how each audited table of these is audited, by the name of the table."""
    tables = [table for one in metadata for table in one.tables.values()]
    for table in sorted(tables, key=lambda one: one.name):
        if table.name not in NOT_AUDITED:
            yield _coverage(table)


def _coverage(table: Table) -> Coverage:
    name, columns = table.name, [column.name for column in table.columns]
    ignored = IGNORED.get(name, frozenset())
    part_of = PART_OF.get(name, "")
    parents = [key.column.table.name for key in table.c[part_of].foreign_keys] if part_of else [""]
    personal = PERSONAL.get(name, frozenset())
    labels = [one for one in LABELS if one in columns and one not in personal]
    return Coverage(
        table=name,
        key=tuple(column.name for column in table.primary_key.columns),
        label=labels[0] if labels else "",
        part_of=part_of,
        parent=parents[0],
        ignored=tuple(sorted(ignored)),
        secret=tuple(sorted(SECRET.get(name, ()))),
        personal=tuple(sorted(personal)),
        watched=tuple(one for one in columns if one not in ignored) if ignored else (),
    )
