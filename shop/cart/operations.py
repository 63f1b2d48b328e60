"""Changing carts. Each change raises the version and is sent to the owner's other devices."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm.attributes import set_committed_value

from shop.cart import queries
from shop.cart.errors import NotEnough
from shop.cart.events import CartChanged
from shop.cart.limits import MAX_QUANTITY, TooMany, max_per_variant, max_quantity
from shop.cart.models import Cart, CartDiscount, CartItem, CartStatus
from shop.catalog.sale import AVAILABLE, VARIANT_ON_SALE
from shop.core import clock, tokens
from shop.core.db import session, table
from shop.core.errors import Invalid, NotFound
from shop.core.events import emit
from shop.core.i18n import gettext as _
from shop.discounts import DiscountCode, clean_code

MAX_LINES = 100
MAX_CODES = 5

_OPEN = insert(Cart).on_conflict_do_nothing().returning(Cart)
_PUT = insert(table(CartItem))
_PUT = _PUT.on_conflict_do_update(
    index_elements=["cart_id", "variant_id"],
    set_={
        "quantity": _PUT.excluded.quantity,
        "seen_price_minor": _PUT.excluded.seen_price_minor,
    },
)


def open_cart(customer_id: int | None = None) -> Cart:
    """A new, empty cart (or the customer's open one, if another device just made it)."""
    now = clock.now()
    made = session.execute(
        _OPEN,
        {
            "token": tokens.new_token(),
            "customer_id": customer_id,
            "created_at": now,
            "updated_at": now,
        },
    ).scalar_one_or_none()
    return (
        made
        or session.scalars(
            select(Cart).where(Cart.customer_id == customer_id, Cart.status == CartStatus.OPEN)
        ).one()
    )


def add(cart: Cart, variant_id: int, quantity: int = 1, *, cap: bool = False) -> str:
    """Put ``quantity`` more of a variant into the cart.

    With ``cap``, takes what there is and returns a note for the customer; otherwise raises
    ``NotEnough``. Also raises ``Invalid`` (quantity) and ``NotFound`` (not sold).
    """
    _check(quantity)
    _lock(cart)
    offer = _offer(cart, variant_id)
    wanted, note = _allowed(offer["present"] + quantity, offer, cap)
    if not offer["present"] and offer["lines"] >= MAX_LINES:
        raise Invalid(_("A cart holds up to %(most)s different items.", most=MAX_LINES))
    session.execute(
        _PUT,
        {
            "cart_id": cart.id,
            "variant_id": variant_id,
            "quantity": wanted,
            "seen_price_minor": offer["price_minor"],
        },
    )
    _touch(cart)
    return note


def set_quantity(cart: Cart, item_id: int, quantity: int, *, cap: bool = False) -> str:
    """Set how many of an item are wanted. As ``add``; ``NotFound`` also for a foreign item."""
    _check(quantity)
    _lock(cart)
    item = _item(cart, item_id)
    offer = _offer(cart, item.variant_id)
    item.quantity, note = _allowed(quantity, offer, cap)
    item.seen_price_minor = offer["price_minor"]
    _touch(cart)
    return note


def remove(cart: Cart, item_id: int) -> CartItem:
    """Remove an item. Returns it, so that it can be put back. Raises ``NotFound``."""
    _lock(cart)
    item = _item(cart, item_id)
    session.delete(item)
    _touch(cart)
    return item


def add_code(cart: Cart, code_id: int) -> None:
    """Keep a discount code with the cart; checkout says before whether it applies.

    Raises ``Invalid`` when there are too many. A code that is there already changes nothing.
    """
    _lock(cart)
    mine = CartDiscount.cart_id == cart.id
    known = session.scalars(select(CartDiscount.code_id).where(mine)).all()
    if code_id in known:
        return
    if len(known) >= MAX_CODES:
        raise Invalid(_("A cart takes up to %(most)s codes.", most=MAX_CODES), field="code")
    session.add(CartDiscount(cart_id=cart.id, code_id=code_id))
    _touch(cart)


def remove_code(cart: Cart, code: str) -> None:
    """Take a discount code out of the cart. Raises ``NotFound`` if it is not there."""
    _lock(cart)
    gone = session.scalars(
        delete(CartDiscount)
        .where(
            CartDiscount.cart_id == cart.id,
            CartDiscount.code_id == DiscountCode.id,
            DiscountCode.code == clean_code(code),
        )
        .returning(CartDiscount.code_id)
        .execution_options(synchronize_session=False)
    ).all()
    if not gone:
        raise NotFound(_("This code is not in your cart."))
    _touch(cart)


def merge(guest: Cart | None, customer_id: int) -> tuple[Cart | None, list[str]]:
    """Bring a guest's cart along at sign-in: the union, the guest's quantity wins, capped by stock.

    Returns the customer's cart (None if there is none) and what changed, in words for people. Which
    of two orders goes on is for checkout to say.
    """
    own = queries.find(None, customer_id)
    if guest is None or guest.customer_id is not None:
        return own, []
    if own is None:
        guest.customer_id = customer_id
        session.flush()
        return guest, []
    for cart in sorted((guest, own), key=lambda c: c.id):
        _lock(cart)
    notes = []
    kept = {line.variant_id: line for line in queries.view(own).lines}
    for line in queries.view(guest).lines:
        quantity = min(line.quantity, line.most)
        if line.problem:
            notes.append(f"{line.name}: {line.problem}")
        if quantity == 0:
            continue
        before = kept.get(line.variant_id)
        if before is not None and before.quantity != quantity:
            notes.append(
                _(
                    "%(name)s: now %(count)s instead of %(before)s.",
                    name=line.name,
                    count=quantity,
                    before=before.quantity,
                )
            )
        session.execute(
            insert(CartItem)
            .values(
                cart_id=own.id,
                variant_id=line.variant_id,
                quantity=quantity,
                seen_price_minor=line.seen_price_minor,
            )
            .on_conflict_do_update(
                index_elements=["cart_id", "variant_id"], set_={"quantity": quantity}
            )
        )
    session.execute(
        insert(CartDiscount)
        .from_select(
            ["cart_id", "code_id"],
            select(literal(own.id), CartDiscount.code_id).where(CartDiscount.cart_id == guest.id),
        )
        .on_conflict_do_nothing()
    )
    guest.status = CartStatus.MERGED
    own.email = own.email or guest.email
    own.shipping_address = own.shipping_address or guest.shipping_address
    _touch(own)
    return own, notes


def set_details(cart: Cart, details: Mapping[str, Any]) -> None:
    """Keep what was given at checkout: ``email``, ``shipping_address``, ``shipping_method``.

    Does not raise the version: that is for what the customer pays for.
    """
    for name in ("email", "shipping_address", "shipping_method"):
        if name in details:
            setattr(cart, name, details[name])
    cart.updated_at = clock.now()


def lock(cart_id: int) -> Cart:
    """The cart's row, locked until the transaction ends."""
    return session.scalars(
        select(Cart)
        .where(Cart.id == cart_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()


def link_order(cart: Cart, order_id: int) -> None:
    """Remember which order was placed from this cart; its items stay until it is paid."""
    cart.order_id = order_id


def remove_bought(cart: Cart, version: int | None, bought: Mapping[int, int]) -> None:
    """The order placed from ``version`` of this cart, which the caller locked, is paid: empty it.

    What the customer put in since then stays: ``bought`` (variant → units) is taken away. Without
    a version, the order was placed from a cart that was merged into this one.
    """
    if cart.status != CartStatus.OPEN:
        return
    if cart.version == version:
        cart.status = CartStatus.CLOSED
        emit(CartChanged(cart_id=cart.id, version=cart.version + 1, count=0))
        return
    for item in session.scalars(select(CartItem).where(CartItem.cart_id == cart.id)):
        left = item.quantity - bought.get(item.variant_id, 0)
        if left > 0:
            item.quantity = left
        else:
            session.delete(item)
    cart.order_id = None
    _touch(cart)


def _lock(cart: Cart) -> None:
    """One change of a cart at a time, and only while it is open."""
    status = session.scalar(select(Cart.status).where(Cart.id == cart.id).with_for_update())
    if status != CartStatus.OPEN:
        raise NotFound(_("This cart is closed: its order is paid."))


def _touch(cart: Cart) -> None:
    """Raise the version and tell; the row is written by one statement that counts the units too."""
    session.flush()
    units = select(func.coalesce(func.sum(CartItem.quantity), 0)).where(CartItem.cart_id == cart.id)
    version, count = session.execute(
        update(Cart)
        .where(Cart.id == cart.id)
        .values(version=Cart.version + 1, updated_at=clock.now())
        .returning(Cart.version, units.scalar_subquery())
        .execution_options(synchronize_session=False)
    ).one()
    set_committed_value(cart, "version", version)
    emit(CartChanged(cart_id=cart.id, version=version, count=int(count)))


_OFFER = text(f"""
SELECT v.price_minor, v.backorder_allowed,
       {AVAILABLE} + {queries.OWN_RESERVATION.format(cart_id=":cart_id")} AS available,
       coalesce((SELECT quantity FROM cart_item WHERE cart_id = :cart_id AND variant_id = :id), 0)
           AS present,
       (SELECT count(*) FROM cart_item WHERE cart_id = :cart_id) AS lines
FROM variant v JOIN product p ON p.id = v.product_id
WHERE v.id = :id AND {VARIANT_ON_SALE}
""")


def _offer(cart: Cart, variant_id: int) -> Mapping[str, Any]:
    """What is sold, how many there are and are in this cart already; the cart must be locked."""
    asked = {"id": variant_id, "cart_id": cart.id, "now": clock.now()}
    row = session.execute(_OFFER, asked).mappings().first()
    if row is None:
        raise NotFound(_("This is no longer sold here."))
    return dict(row)


def _allowed(wanted: int, offer: Mapping[str, Any], cap: bool) -> tuple[int, str]:
    most = max_quantity(int(offer["available"]), backorder_allowed=offer["backorder_allowed"])
    if wanted <= most:
        return wanted, ""
    is_limit = most == max_per_variant()
    if not cap or most <= 0:
        raise TooMany if is_limit else NotEnough(most)
    if is_limit:
        return most, _(
            "You can order up to %(most)s of this item, so that is what is in your cart now.",
            most=most,
        )
    return most, _("Only %(count)s are left, so that is what is in your cart now.", count=most)


def _check(quantity: object) -> None:
    if (
        isinstance(quantity, bool)
        or not isinstance(quantity, int)
        or not 1 <= quantity <= MAX_QUANTITY
    ):
        raise Invalid(
            _("Please choose a quantity from 1 to %(limit)s.", limit=max_per_variant()),
            field="quantity",
        )


def _item(cart: Cart, item_id: int) -> CartItem:
    item = session.scalar(
        select(CartItem)
        .where(CartItem.id == item_id, CartItem.cart_id == cart.id)
        .execution_options(populate_existing=True)
    )
    if item is None:
        raise NotFound(_("This is not in your cart."))
    return item
