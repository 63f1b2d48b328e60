"""What may be repaired without a person: numbers that are only kept, counted again from their
sources. Nothing here moves money or stock. Each change is an event of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from shop import inventory, media, orders, payments
from shop.catalog.models import Variant
from shop.catalog.variants import PRICE_SPAN
from shop.core import actor, clock
from shop.core.actor import Actor
from shop.core.db import end_read, session, transaction
from shop.core.errors import DomainError, Unavailable
from shop.core.events import emit
from shop.core.i18n import gettext as _
from shop.core.i18n import ngettext
from shop.doctor import catalog
from shop.doctor.checks import EVER, Check, Fault, RunResult, Scope, find_faults
from shop.doctor.events import FaultMended
from shop.doctor.orders import USE_COUNTS
from shop.doctor.runner import snapshot
from shop.media import MediaFile, MediaState, MediaStored

MAX_REPAIRS = 10_000
STRAYS = "stray-files"
DOCTOR = Actor("system", None, "Doctor")


@dataclass(frozen=True, slots=True)
class Repair:
    """What was done about one fault; ``done`` is False when it could not be repaired."""

    check: Check
    name: str
    done: bool
    sentence: str

    def as_json(self) -> dict[str, object]:
        """Returns the repair as it is printed."""
        return {
            "check": self.check.id,
            "name": self.name,
            "done": self.done,
            "sentence": self.sentence,
        }


def repair(result: RunResult) -> list[Repair]:
    """Repair what may be repaired of what was found, fault by fault, each in its own transaction.

    Returns what was done. What a lock or a constraint keeps from being repaired is said, and left.
    Raises ``Unavailable`` when the database goes away.
    """
    found = []
    scope = Scope(clock.now(), result.since or EVER, MAX_REPAIRS)
    repairable = [one.check for one in result.faults if one.check.id in REPAIRS]
    end_read()
    with snapshot() as connection:
        for check in repairable:
            found += [(check, fault) for fault in find_faults(connection, check, scope)[1]]
    # Several faults of one discount are repaired by one count.
    by_subject = {
        (check.id, fault.id, fault.id or fault.name): (check, fault)
        for check, fault in reversed(found)
    }
    with actor.acting_as(DOCTOR):
        repairs = [_repair(check, fault) for check, fault in reversed(by_subject.values())]
        strays = next((one.check for one in result.faults if one.check.id == STRAYS), None)
        if strays is not None:
            repairs.append(_sweep(strays))
    return repairs


def _repair(check: Check, fault: Fault) -> Repair:
    try:
        with transaction():
            order_id = REPAIRS[check.id](fault)
            emit(FaultMended(check=check.id, name=fault.name, was=fault.fact, order_id=order_id))
    except (DomainError, DBAPIError, _CannotRepair) as error:
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            raise Unavailable(_("The database went away during the repair.")) from error
        reason = str(getattr(error, "orig", error)).strip().split("\n")[0]
        return Repair(
            check, fault.name, False, _("could not be repaired: %(reason)s", reason=reason)
        )
    return Repair(check, fault.name, True, _("repaired; it was: %(fact)s", fact=fault.fact))


def _sweep(check: Check) -> Repair:
    """Files have no transaction: this is what the relay does every night."""
    gone = media.sweep()
    with transaction():
        emit(FaultMended(check=check.id, name="image folder", was=f"{gone} without a row"))
    sentence = ngettext(
        "removed the files of %(num)s image", "removed the files of %(num)s images", gone
    )
    return Repair(check, "image folder", gone > 0, sentence)


class _CannotRepair(Exception):
    """This fault needs a person."""


def _payment_status(fault: Fault) -> int | None:
    order = orders.lock(_id(fault), whole=False)
    payments.recount(order)
    return order.id


def _backorder(fault: Fault) -> None:
    allowed = session.get_one(Variant, _id(fault)).backorder_allowed
    inventory.allow_backorder(_id(fault), allowed)


def _recount(columns: tuple[str, ...], counted: str) -> Callable[[Fault], None]:
    """Count columns of a product again. Its row is locked first: any change of what they
    count changes them too, before or after us."""
    values = ", ".join(f"{column} = coalesce(c.{column}, 0)" for column in columns)
    statement = text(
        f"UPDATE product p SET {values} FROM (SELECT CAST(:id AS bigint) AS id) one"
        f" LEFT JOIN ({counted}) c ON c.product_id = one.id WHERE p.id = one.id"
    )

    def count_again(fault: Fault) -> None:
        session.execute(text("SELECT FROM product WHERE id = :id FOR UPDATE"), {"id": fault.id})
        session.execute(statement, {"id": fault.id})

    return count_again


_USES = tuple(
    text(statement)
    for statement in (
        f"""
        UPDATE discount SET used = (SELECT count(*) FROM redemption r
            WHERE r.discount_id = :id AND {USE_COUNTS}) WHERE id = :id
        """,
        f"""
        UPDATE discount_code c SET used = (SELECT count(*) FROM redemption r
            WHERE r.code_id = c.id AND {USE_COUNTS}) WHERE discount_id = :id
        """,
        f"""
        INSERT INTO discount_holder AS h (discount_id, holder, used)
        SELECT :id, holder, count(*) FROM redemption r CROSS JOIN unnest(r.holders) AS holder
        WHERE r.discount_id = :id AND {USE_COUNTS} GROUP BY holder
        ON CONFLICT (discount_id, holder) DO UPDATE SET used = excluded.used
        """,
        f"""
        UPDATE discount_holder h SET used = 0 WHERE discount_id = :id AND used > 0
            AND NOT EXISTS (SELECT FROM redemption r WHERE r.discount_id = :id
                AND {USE_COUNTS} AND h.holder = ANY (r.holders))
        """,
    )
)


def _uses(fault: Fault) -> None:
    """What uses a discount, or releases a use, locks the discount first, and so do we."""
    locked = text("SELECT FROM discount WHERE id = :id FOR NO KEY UPDATE")
    session.execute(locked, {"id": fault.id})
    for statement in _USES:
        session.execute(statement, {"id": fault.id})


def _renditions(fault: Fault) -> None:
    if "original.webp" in fault.fact:
        raise _CannotRepair(_("its original is missing; upload it again"))
    picture = session.scalars(
        select(MediaFile).where(MediaFile.id == _id(fault)).with_for_update()
    ).one()
    picture.state = MediaState.PENDING
    emit(MediaStored(media_id=picture.id))


def _id(fault: Fault) -> int:
    if fault.id is None:
        raise _CannotRepair(_("it has no number"))
    return fault.id


# What repairs each fault of these checks. Returns the order that it concerns, if one.
REPAIRS: dict[str, Callable[[Fault], int | None]] = {
    "payment-status": _payment_status,
    "backorder-switch": _backorder,
    "sold-count": _recount(("sold_count",), catalog.SOLD),
    "ratings": _recount(("rating_sum", "rating_count"), catalog.RATED),
    "price-span": _recount(("price_from_minor", "price_to_minor"), PRICE_SPAN),
    "discount-uses": _uses,
    "picture-files": _renditions,
}
FIXABLE = frozenset({*REPAIRS, STRAYS})
