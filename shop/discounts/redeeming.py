"""The uses of discounts that orders take and release.

Whoever takes or gives a use locks the order first, then the discounts by id (see docs/map.md).
A limit is one conditional UPDATE, guarded by a CHECK: of two who want the last use, one gets it.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert

from shop.core import clock
from shop.core.db import session
from shop.discounts import buyers, reading_rules
from shop.discounts.errors import UsedUp
from shop.discounts.models import Discount, DiscountCode, Redemption
from shop.discounts.pricing import Applied


def redeem(
    order_id: int, applied: Iterable[Applied], *, customer_id: int | None, email: str, currency: str
) -> None:
    """Count the uses of an order that is being placed, and keep what it got.

    Raises ``UsedUp`` if a limit was reached meanwhile: then the whole order must not happen.
    """
    names = buyers.holders(customer_id, email)
    for one in sorted(applied, key=lambda given: given.discount_id):
        words = one.code or one.name
        _take(one.discount_id, one.code_id, names, words)
        session.execute(
            insert(Redemption).values(
                order_id=order_id,
                discount_id=one.discount_id,
                code_id=one.code_id,
                name=one.name,
                code=one.code,
                customer_id=customer_id,
                email=email,
                holders=names,
                amount_minor=one.amount_minor,
                shipping_minor=one.shipping_minor,
                currency=currency,
                redeemed_at=clock.now(),
            )
        )


def release_usage(order_id: int) -> None:
    """The order is off: its uses are free again, and none is honoured any more. Safe to repeat."""
    mine = select(Redemption).where(Redemption.order_id == order_id)
    for one in session.scalars(mine.where(Redemption.honoured_at.is_not(None))):
        one.honoured_at = None
    taken = session.scalars(mine.where(Redemption.released_at.is_(None))).all()
    lock_discounts([one.discount_id for one in taken])
    for one in sorted(taken, key=lambda given: given.discount_id):
        session.execute(
            _RELEASE_USAGE,
            {"discount_id": one.discount_id, "code_id": one.code_id, "holders": one.holders},
        )
        one.released_at = clock.now()
    session.flush()
    if taken:
        reading_rules.clear_cache()


def redeem_again(order_id: int) -> None:
    """The order was off and is paid after all: count its uses again.

    Money that has come is never refused for a discount. If a limit is full meanwhile, the customer
    keeps the price and the use is marked as honoured instead of counted: limits stay exact.
    """
    mine = select(Redemption).where(Redemption.order_id == order_id)
    given = session.scalars(mine.where(Redemption.released_at.is_not(None))).all()
    lock_discounts([one.discount_id for one in given])
    for one in sorted(given, key=lambda given: given.discount_id):
        try:
            with session.begin_nested():
                _take(one.discount_id, one.code_id, one.holders, one.name)
        except UsedUp:
            one.honoured_at = clock.now()
        else:
            one.released_at = one.honoured_at = None
    session.flush()


def lock_for(order_id: int | None, applied: Iterable[Applied]) -> None:
    """Lock, in order, the discounts that one order releases and the next one takes."""
    released = (
        session.scalars(
            select(Redemption.discount_id).where(
                Redemption.order_id == order_id, Redemption.released_at.is_(None)
            )
        ).all()
        if order_id is not None
        else []
    )
    lock_discounts([*released, *(one.discount_id for one in applied)])


def lock_of(order_ids: Iterable[int]) -> None:
    """Lock, in order, all discounts that these orders have or had."""
    used = select(Redemption.discount_id).where(Redemption.order_id.in_(list(order_ids)))
    lock_discounts(session.scalars(used).all())


def lock_discounts(discount_ids: Iterable[int]) -> None:
    """Lock these discounts, in the order of their ids."""
    wanted = sorted(set(discount_ids))
    if wanted:
        session.execute(
            select(Discount.id)
            .where(Discount.id.in_(wanted))
            .order_by(Discount.id)
            .with_for_update(key_share=True)
        )


_TAKE_HOLDER = text("""
INSERT INTO discount_holder AS h (discount_id, holder, used)
SELECT :discount_id, name, 1 FROM unnest(CAST(:holders AS text[])) AS n (name) ORDER BY name
ON CONFLICT (discount_id, holder) DO UPDATE SET used = h.used + 1
    WHERE CAST(:limit AS integer) IS NULL OR h.used < :limit
RETURNING holder
""")
_RELEASE_USAGE = text("""
WITH code AS (
    UPDATE discount_code SET used = used - 1 WHERE id = :code_id
), holder AS (
    UPDATE discount_holder SET used = used - 1
    WHERE discount_id = :discount_id AND holder = ANY(:holders)
)
UPDATE discount SET used = used - 1 WHERE id = :discount_id
""")


def _take(discount_id: int, code_id: int | None, names: Sequence[str], words: str) -> None:
    """One use of a discount, its code and each name; raises ``UsedUp`` if one of them is full."""
    free = (Discount.limit_total.is_(None)) | (Discount.used < Discount.limit_total)
    row = session.execute(
        update(Discount)
        .where(Discount.id == discount_id, free)
        .values(used=Discount.used + 1)
        .returning(Discount.limit_per_customer)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if row is None:
        reading_rules.clear_cache()
        raise UsedUp(words)
    if code_id is not None:
        free = (DiscountCode.limit_total.is_(None)) | (DiscountCode.used < DiscountCode.limit_total)
        done = session.execute(
            update(DiscountCode)
            .where(DiscountCode.id == code_id, free)
            .values(used=DiscountCode.used + 1)
            .returning(DiscountCode.id)
            .execution_options(synchronize_session=False)
        ).one_or_none()
        if done is None:
            raise UsedUp(words)
    counted = session.scalars(
        _TAKE_HOLDER,
        {"discount_id": discount_id, "holders": list(names), "limit": row.limit_per_customer},
    ).all()
    if len(counted) < len(names):
        raise UsedUp(words, by_you=True)
