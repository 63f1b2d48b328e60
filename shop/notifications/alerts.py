"""Emails to the shop's own people: what somebody should do something about."""

from sqlalchemy import select, text

from shop.catalog.models import Product, Variant
from shop.core import tokens
from shop.core.db import session
from shop.inventory.events import StockLow
from shop.notifications.emails import queue

# Who runs the shop is the admin's to say; workers know its tables, not its code.
_OWNER = text("""
SELECT u.email FROM ab_user u
JOIN ab_user_role held ON held.user_id = u.id
JOIN ab_role r ON r.id = held.role_id
WHERE r.name = 'Owner' AND u.active ORDER BY u.id LIMIT 1
""")
_settings = {"to": ""}


def configure(*, to: str) -> None:
    """Set who gets alerts; empty for the shop's first owner."""
    _settings["to"] = to


def send_low_stock(event: StockLow) -> None:
    """Something has just crossed its level. Nobody is notified when nobody is to be."""
    to = _settings["to"] or session.scalar(_OWNER)
    if not to:
        return
    ids = [change["variant_id"] for change in event.changes]
    rows = session.execute(
        select(Variant.id, Variant.sku, Variant.title, Product.name)
        .join(Product, Product.id == Variant.product_id)
        .where(Variant.id.in_(ids))
    )
    named = {row.id: row for row in rows}
    low = [
        {
            "name": (row := named[change["variant_id"]]).name,
            "full_name": ", ".join(filter(None, (row.name, row.title))),
            "sku": change["sku"],
            "left": max(0, change["after"]),
            "path": f"/admin/inventory/show/{change['variant_id']}",
        }
        for change in event.changes
        if change["variant_id"] in named
    ]
    if low:
        queue("low_stock", f"low_stock:{tokens.new_token()}", to, low=low, more=len(low) - 1)
