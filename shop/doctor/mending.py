"""What may be mended without a person: numbers that are only kept, counted again from what they are
kept of. Nothing here moves money or stock. Each change is an event of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from shop import inventory, media, orders, payments
from shop.catalog.models import Variant
from shop.core import actor, clock
from shop.core.actor import Actor
from shop.core.db import end_read, session, transaction
from shop.core.errors import DomainError, Unavailable
from shop.core.events import emit
from shop.doctor import catalogue
from shop.doctor.checks import EVER, Asked, Check, Fault, Result, rows
from shop.doctor.events import FaultMended
from shop.doctor.looking import snapshot
from shop.media import MediaFile, MediaState, MediaStored

MAX_REPAIRED = 10_000
STRAYS = "stray-files"
DOCTOR = Actor("system", None, "Doctor")


@dataclass(frozen=True, slots=True)
class Mended:
    """What was done about one fault; ``done`` is False when it could not be mended."""

    check: Check
    name: str
    done: bool
    sentence: str

    def as_json(self) -> dict[str, object]:
        """As it is printed."""
        return {
            "check": self.check.id,
            "name": self.name,
            "done": self.done,
            "sentence": self.sentence,
        }


def mend(result: Result) -> list[Mended]:
    """Mend what may be mended of what was found, fault by fault, each in its own transaction.

    Gives what was done. What a lock or a guard keeps from being mended is said, and left.
    """
    found = []
    asked = Asked(clock.now(), result.since or EVER, MAX_REPAIRED)
    wanted = [v.check for v in result.faults if v.check.id in WAYS]
    end_read()
    with snapshot() as connection:
        for check in wanted:
            found += [(check, fault) for fault in rows(connection, check, asked)[1]]
    # Several faults of one discount are mended by one count.
    by_thing = {
        (check.id, fault.id, fault.id or fault.name): (check, fault)
        for check, fault in reversed(found)
    }
    with actor.acting_as(DOCTOR):
        mended = [_mend(check, fault) for check, fault in reversed(by_thing.values())]
        strays = next((v.check for v in result.faults if v.check.id == STRAYS), None)
        if strays is not None:
            mended.append(_sweep(strays))
    return mended


def _mend(check: Check, fault: Fault) -> Mended:
    try:
        with transaction():
            order_id = WAYS[check.id](fault)
            emit(FaultMended(check=check.id, name=fault.name, was=fault.fact, order_id=order_id))
    except (DomainError, DBAPIError, _Cannot) as error:
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            raise Unavailable("The database went away while the doctor mended.") from error
        reason = str(getattr(error, "orig", error)).strip().split("\n")[0]
        return Mended(check, fault.name, False, f"could not be mended: {reason}")
    return Mended(check, fault.name, True, f"mended; it was: {fault.fact}")


def _sweep(check: Check) -> Mended:
    """Files have no transaction: this is what the relay does every night."""
    gone = media.sweep()
    with transaction():
        emit(FaultMended(check=check.id, name="picture folder", was=f"{gone} without a row"))
    return Mended(check, "picture folder", gone > 0, f"removed the files of {gone} pictures")


class _Cannot(Exception):
    """This one needs a person."""


def _payment_status(fault: Fault) -> int | None:
    order = orders.lock(_id(fault), whole=False)
    payments.recount(order)
    return order.id


def _backorder(fault: Fault) -> None:
    allowed = session.get_one(Variant, _id(fault)).backorder_allowed
    inventory.allow_backorder(_id(fault), allowed)


def _kept(columns: tuple[str, ...], counted: str) -> Callable[[Fault], None]:
    """Count columns of a product again. Its row is locked first: whoever changes what they are
    kept of changes them too, before or after us."""
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
        """
        UPDATE discount SET used = (SELECT count(*) FROM redemption
            WHERE discount_id = :id AND released_at IS NULL) WHERE id = :id
        """,
        """
        UPDATE discount_code c SET used = (SELECT count(*) FROM redemption
            WHERE code_id = c.id AND released_at IS NULL) WHERE discount_id = :id
        """,
        """
        INSERT INTO discount_holder AS h (discount_id, holder, used)
        SELECT :id, holder, count(*) FROM redemption CROSS JOIN unnest(holders) AS holder
        WHERE discount_id = :id AND released_at IS NULL GROUP BY holder
        ON CONFLICT (discount_id, holder) DO UPDATE SET used = excluded.used
        """,
        """
        UPDATE discount_holder h SET used = 0 WHERE discount_id = :id AND used > 0
            AND NOT EXISTS (SELECT FROM redemption r WHERE r.discount_id = :id
                AND r.released_at IS NULL AND h.holder = ANY (r.holders))
        """,
    )
)


def _uses(fault: Fault) -> None:
    """Whoever takes or gives back a use locks the discount first, and so do we."""
    locked = text("SELECT FROM discount WHERE id = :id FOR NO KEY UPDATE")
    session.execute(locked, {"id": fault.id})
    for statement in _USES:
        session.execute(statement, {"id": fault.id})


def _renditions(fault: Fault) -> None:
    if "original.webp" in fault.fact:
        raise _Cannot("its original is gone; upload it anew")
    picture = session.scalars(
        select(MediaFile).where(MediaFile.id == _id(fault)).with_for_update()
    ).one()
    picture.state = MediaState.PENDING
    emit(MediaStored(media_id=picture.id))


def _id(fault: Fault) -> int:
    if fault.id is None:
        raise _Cannot("it has no number")
    return fault.id


# What each fault of these checks is mended by; gives the order that it concerns, if one.
WAYS: dict[str, Callable[[Fault], int | None]] = {
    "payment-status": _payment_status,
    "backorder-switch": _backorder,
    "sold-count": _kept(("sold_count",), catalogue.SOLD),
    "ratings": _kept(("rating_sum", "rating_count"), catalogue.RATED),
    "price-span": _kept(("price_from_minor", "price_to_minor"), catalogue.PRICED),
    "discount-uses": _uses,
    "picture-files": _renditions,
}
FIXABLE = frozenset({*WAYS, STRAYS})
