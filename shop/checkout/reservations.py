"""How long unpaid orders may keep goods from others: refusals of orders that would reserve too
much.

Two rules, asked in one statement. A buyer has a few unpaid orders at most. And a buyer whose unpaid
orders kept an item from others for too long today, or a network from which it was mostly not paid,
may not reserve the last of it for a while. See docs/decisions/0018.
"""

from datetime import datetime, timedelta
from typing import Any

from babel.dates import format_date
from sqlalchemy import text

from shop.cart import CartLine, CartView
from shop.checkout.queries import terms
from shop.core import clock
from shop.core.db import session, transaction
from shop.core.errors import DomainError
from shop.core.i18n import gettext as _
from shop.core.i18n import locale, ngettext
from shop.discounts.buyers import UNTAGGED

WINDOW = timedelta(hours=24)
# A network is many people: so many unpaid orders of an item, and more than paid ones, are too many.
CROWD = 5
NETWORK_KEPT = timedelta(hours=48)

_ASK = text(f"""
SELECT waiting, waiting_until, variant_id, again_at FROM unpaid_holds(
    {UNTAGGED.format(email=":email")}, :customer_id, :cart_id, :network,
    CAST(:variants AS bigint[]), :now, :since, :seconds, :crowd)
""")
_DELETE_EXPIRED = text("""
UPDATE "order" SET placed_from = '' WHERE id IN (
    SELECT id FROM "order" WHERE placed_from <> '' AND placed_at < :before
    ORDER BY id LIMIT 1000 FOR NO KEY UPDATE SKIP LOCKED)
""")


class ReservationRefused(DomainError):
    """This buyer keeps, or kept, too much without paying for it; says what to do instead."""

    code = "unpaid_limit"


def check_unpaid_reservations(view: CartView, *, email: str, network: str) -> None:
    """Raises ``ReservationRefused`` when this order would reserve too much unpaid. One statement.

    A signed-in customer counts by account, anybody else by email address without its tag, and by
    cart; ``network`` is a digest, empty if unknown. Orders of one buyer at the same moment are
    counted one after the other: the buyer stays locked until the transaction ends.
    """
    now, rules = clock.now(), terms()
    last = {line.variant_id: line for line in view.lines if _takes_the_last(line)}
    asked: dict[str, Any] = {
        "email": email,
        "customer_id": view.customer_id,
        "cart_id": view.id,
        "network": network,
        "variants": sorted(last),
        "now": now,
        "since": now - WINDOW,
        "seconds": rules.unpaid_hold_minutes * 60,
        "crowd": CROWD,
    }
    found = session.execute(_ASK, asked).one()
    if found.waiting >= rules.max_unpaid_orders:
        raise ReservationRefused(_too_many(found.waiting, found.waiting_until))
    if found.variant_id is not None:
        raise ReservationRefused(_kept_too_long(last[found.variant_id], found.again_at + WINDOW))


def delete_expired_networks() -> int:
    """Delete the network digest of orders placed over two days ago. Returns how many."""
    deleted = 0
    while True:
        with transaction():
            found = session.execute(_DELETE_EXPIRED, {"before": clock.now() - NETWORK_KEPT})
            changed = int(getattr(found, "rowcount", 0))
        deleted += changed
        if changed < 1000:
            return deleted


def _takes_the_last(line: CartLine) -> bool:
    """Whether others could get no more than this order takes, or less."""
    return not line.backorder_allowed and 2 * line.quantity >= line.available


def _too_many(waiting: int, until: datetime) -> str:
    return ngettext(
        "You have %(num)s unpaid order. Pay for it or cancel it, then order again. Unpaid orders"
        " are cancelled automatically, the next one at %(time)s.",
        "You have %(num)s unpaid orders. Pay for one of them or cancel it, then order again."
        " Unpaid orders are cancelled automatically, the next one at %(time)s.",
        waiting,
        time=_at(until),
    )


def _kept_too_long(line: CartLine, until: datetime) -> str:
    return _(
        "%(item)s: the last ones were reserved several times without being paid for, so they are"
        " kept for others until %(time)s. Remove this item to order the rest, or try again after"
        " that.",
        item=line.name,
        time=_at(until),
    )


def _at(moment: datetime) -> str:
    zone = terms().zone
    local, today = moment.astimezone(zone), clock.now().astimezone(zone).date()
    if local.date() == today:
        return f"{local:%H:%M}"
    day = format_date(local, "d MMMM", locale=locale())
    return _("%(time)s on %(day)s", time=f"{local:%H:%M}", day=day)
