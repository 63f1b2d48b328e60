"""What can be followed: who may, under which name news are sent, and how things stand now."""

import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from shop import cart, orders
from shop.catalog.sale import AVAILABLE, ON_SALE
from shop.core import clock, tokens
from shop.core.db import session
from shop.core.errors import NotFound
from shop.realtime import callers
from shop.realtime.callers import Caller
from shop.realtime.messages import cart_data, cart_topic, order_data, product_data

_PRODUCT = re.compile(r"product:([1-9][0-9]{0,17})")
_ORDER = re.compile(r"order:([A-Za-z0-9-]{1,32})")
_PRESENCE = re.compile(r"(staff:presence:[a-z]{1,20}):[1-9][0-9]{0,17}")
_SECRET = re.compile(r"[A-Za-z0-9_-]{1,128}")
_ORDERS_DESK = "staff:orders"

_VARIANTS = text(
    f"""
    SELECT v.id AS variant_id, v.price_minor, v.low_stock_level, v.backorder_allowed,
           {AVAILABLE}::int AS available
    FROM product p LEFT JOIN variant v ON v.product_id = p.id AND v.archived_at IS NULL
    WHERE p.id = :id AND {ON_SALE}
    ORDER BY v.id
    """
)


class Refused(Exception):
    """This caller may not follow this topic; ``code`` is the protocol's word for why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Topic:
    """Something that this caller may follow.

    ``name`` is what broadcasts call it; None when there is nothing to hear of yet (no cart so far).
    ``grant`` is the key of GRANTS or PRESENCE that allowed it, asked again each minute; else empty.
    """

    name: str | None
    grant: str = ""

    @property
    def is_presence(self) -> bool:
        """Whether to follow it is to be there; see ``presence``."""
        return self.grant in callers.PRESENCE


def authorise(topic: str, caller: Caller, secret: str = "") -> Topic:
    """What ``topic`` means for this caller. Raises ``Refused``; at most two statements.

    Somebody else's order and one that does not exist look the same from outside.
    """
    if _PRODUCT.fullmatch(topic):
        return Topic(topic)
    if topic == "cart":
        return Topic(_cart(caller))
    if topic == "customer" and caller.customer_id is not None:
        return Topic(f"customer:{caller.customer_id}")
    if topic in callers.GRANTS and _is_granted(topic, caller):
        return Topic(topic, grant=topic)
    if topic == "customer" or topic in callers.GRANTS:
        raise Refused("forbidden")
    if (found := _PRESENCE.fullmatch(topic)) and found[1] in callers.PRESENCE:
        if not _is_granted(found[1], caller):
            raise Refused("forbidden")
        return Topic(topic, grant=found[1])
    if found := _ORDER.fullmatch(topic):
        return _order(topic, found[1], caller, secret)
    raise Refused("unknown_topic")


def snapshot(topic: str, caller: Caller) -> dict[str, Any]:
    """How things stand for an authorised topic (``presence`` has its own).

    Raises ``Refused`` if it is not on show.
    """
    kind, _, key = topic.partition(":")
    if kind == "product":
        return product_snapshot(int(key))
    if kind == "cart":
        mine = cart.find(caller.cart_token, caller.customer_id)
        count = cart.count_of(caller.cart_token, caller.customer_id) if mine else 0
        return cart_data(version=mine.version if mine else 0, count=count)
    if kind == "order":
        return order_data(orders.by_number(key))  # orders are never deleted
    return {}


def product_snapshot(product_id: int) -> dict[str, Any]:
    """What ``product:<id>`` shows now; also what its broadcasts say. One statement.

    Raises ``Refused`` (unknown_topic) if the product is not on sale.
    """
    rows = session.execute(_VARIANTS, {"id": product_id, "now": clock.now()}).all()
    if not rows:
        raise Refused("unknown_topic")
    return product_data(row for row in rows if row.variant_id is not None)


def _cart(caller: Caller) -> str | None:
    """The name of the caller's cart; a guest's first one makes a cookie that we cannot know yet."""
    if caller.customer_id is not None:
        return cart_topic(None, caller.customer_id)
    mine = cart.find(caller.cart_token)
    return cart_topic(mine.id, None) if mine else None


def _order(topic: str, number: str, caller: Caller, secret: str) -> Topic:
    try:
        order = orders.by_number(number)
    except NotFound:
        raise Refused("forbidden") from None
    is_mine = caller.customer_id is not None and order.customer_id == caller.customer_id
    # matches() takes ASCII only; a secret of ours has no other characters.
    if is_mine or (_SECRET.fullmatch(secret) and tokens.matches(secret, order.token)):
        return Topic(topic)
    if _is_granted(_ORDERS_DESK, caller):
        return Topic(topic, grant=_ORDERS_DESK)
    raise Refused("forbidden")


def _is_granted(grant: str, caller: Caller) -> bool:
    return grant in callers.grants([caller.staff_id]).get(caller.staff_id, ())
