"""Reading carts: one statement gives everything that a cart page shows."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from sqlalchemy import RowMapping, func, select, text

from shop.cart.limits import limit_words, max_per_variant, max_quantity
from shop.cart.models import Cart, CartItem, CartStatus
from shop.catalog.sale import AVAILABLE, VARIANT_ON_SALE
from shop.core import clock
from shop.core.db import session
from shop.core.i18n import gettext as _


@dataclass(frozen=True, slots=True)
class CartLine:
    """An item as it is now: today's price and stock, and what is wrong with it, if anything."""

    item_id: int
    variant_id: int
    product_id: int
    slug: str
    name: str
    variant_title: str
    sku: str
    quantity: int
    unit_price_minor: int
    seen_price_minor: int
    tax_class: str
    weight_g: int
    image: dict[str, Any] | None
    available: int
    backorder_allowed: bool
    is_sold: bool
    category_ids: tuple[int, ...] = ()

    @property
    def total_minor(self) -> int:
        return self.unit_price_minor * self.quantity

    @property
    def most(self) -> int:
        """The most that can be ordered now."""
        return max_quantity(self.available, backorder_allowed=self.backorder_allowed)

    @property
    def problem(self) -> str:
        """What stops this line from being bought, in words for people; empty if nothing does."""
        if not self.is_sold:
            return _("This is no longer sold.")
        if self.most == 0:
            return _("This has sold out.")
        if self.quantity > self.most:
            is_limit = self.most == max_per_variant()
            return limit_words() if is_limit else _("Only %(count)s left.", count=self.most)
        return ""

    @property
    def notice(self) -> str:
        """What the customer should know although it stops nothing."""
        if self.unit_price_minor != self.seen_price_minor:
            return _("The price has changed since you added this.")
        return ""


@dataclass(frozen=True, slots=True)
class CartView:
    """A cart as it stands."""

    id: int
    token: str
    version: int
    customer_id: int | None
    email: str
    shipping_address: dict[str, Any] | None
    shipping_method: str
    order_id: int | None
    code_ids: tuple[int, ...] = ()
    lines: tuple[CartLine, ...] = field(default=())

    @property
    def count(self) -> int:
        return sum(line.quantity for line in self.lines)

    @property
    def subtotal_minor(self) -> int:
        return sum(line.total_minor for line in self.lines)

    @property
    def problems(self) -> list[str]:
        return [f"{line.name}: {line.problem}" for line in self.lines if line.problem]


# What this cart's own unpaid order reserves: it must not look sold out to its own buyer.
OWN_RESERVATION = """coalesce((
           SELECT sum(own.quantity) FROM cart mine
           JOIN "order" o ON o.id = mine.order_id AND o.status = 'pending'
           JOIN order_line own ON own.order_id = o.id AND own.variant_id = v.id
           WHERE mine.id = {cart_id}), 0)"""
_LINES = f"""
SELECT c.id, c.token, c.version, c.customer_id, c.email, c.shipping_address, c.shipping_method,
       c.order_id,
       ARRAY(SELECT code_id FROM cart_discount WHERE cart_id = c.id ORDER BY code_id) AS code_ids,
       ARRAY(SELECT category_id FROM product_category WHERE product_id = p.id) AS category_ids,
       i.id AS item_id, i.variant_id, i.quantity, i.seen_price_minor, v.product_id, p.slug, p.name,
       v.title AS variant_title, v.sku, v.price_minor AS unit_price_minor, p.tax_class, v.weight_g,
       v.backorder_allowed,
       ({VARIANT_ON_SALE}) AS is_sold,
       {AVAILABLE} + {OWN_RESERVATION.format(cart_id="c.id")} AS available,
       (SELECT jsonb_build_object('key', m.key, 'alt', g.alt, 'width', m.width, 'height', m.height,
                                  'colour', m.colour, 'widths', m.widths, 'state', m.state)
        FROM image g JOIN media_file m ON m.id = g.media_id
        WHERE g.product_id = p.id
        ORDER BY g.option_value_id IN (SELECT option_value_id FROM variant_value
                                       WHERE variant_id = v.id) DESC NULLS LAST, g.position
        LIMIT 1) AS image
FROM cart c LEFT JOIN (
    cart_item i JOIN variant v ON v.id = i.variant_id JOIN product p ON p.id = v.product_id
) ON i.cart_id = c.id
WHERE {{mine}}
ORDER BY i.id
"""
_OF_CART = text(_LINES.replace("{mine}", "c.id = :cart_id"))
_OF_BROWSER = text(
    _LINES.replace("{mine}", "c.token = :token AND c.status = 'open' AND c.customer_id IS NULL")
)
_OF_CUSTOMER = text(_LINES.replace("{mine}", "c.customer_id = :customer_id AND c.status = 'open'"))
_LINE_FIELDS = tuple(field.name for field in fields(CartLine))


def find(token: str | None, customer_id: int | None = None) -> Cart | None:
    """The open cart of a signed-in customer, else the one with this token. One statement.

    A token never opens a cart that belongs to a customer who is not signed in here.
    """
    if customer_id is not None:
        return session.scalar(
            select(Cart).where(Cart.customer_id == customer_id, Cart.status == CartStatus.OPEN)
        )
    if not token:
        return None
    return session.scalar(
        select(Cart).where(
            Cart.token == token, Cart.status == CartStatus.OPEN, Cart.customer_id.is_(None)
        )
    )


def view(cart: Cart) -> CartView:
    """The cart with its lines as they are now. One statement."""
    rows = session.execute(_OF_CART, {"cart_id": cart.id, "now": clock.now()}).mappings().all()
    return CartView(
        id=cart.id,
        token=cart.token,
        version=cart.version,
        customer_id=cart.customer_id,
        email=cart.email,
        shipping_address=cart.shipping_address,
        shipping_method=cart.shipping_method,
        order_id=cart.order_id,
        code_ids=tuple(rows[0]["code_ids"]) if rows else (),
        lines=_lines(rows),
    )


def open_view(token: str | None, customer_id: int | None = None) -> CartView | None:
    """``find`` and ``view`` in one statement, for pages that only show."""
    if customer_id is None and not token:
        return None
    statement = _OF_BROWSER if customer_id is None else _OF_CUSTOMER
    asked = {"token": token, "customer_id": customer_id, "now": clock.now()}
    rows = session.execute(statement, asked).mappings().all()
    if not rows:
        return None
    head = {field.name: rows[0][field.name] for field in fields(CartView) if field.name != "lines"}
    return CartView(**head, lines=_lines(rows))


def _lines(rows: Iterable[RowMapping]) -> tuple[CartLine, ...]:
    """An empty cart is one row without an item."""
    return tuple(
        CartLine(**{name: row[name] for name in _LINE_FIELDS})
        for row in rows
        if row["item_id"] is not None
    )


def count_of(token: str | None, customer_id: int | None = None) -> int:
    """Units in the open cart of this browser or customer, for the header. One statement."""
    if customer_id is None and not token:
        return 0
    mine = (
        Cart.customer_id == customer_id
        if customer_id is not None
        else (Cart.token == token) & Cart.customer_id.is_(None)
    )
    return int(
        session.scalar(
            select(func.coalesce(func.sum(CartItem.quantity), 0))
            .join(Cart, Cart.id == CartItem.cart_id)
            .where(mine, Cart.status == CartStatus.OPEN)
        )
        or 0
    )
