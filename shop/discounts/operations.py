"""Changing discounts, and the uses that orders take and give back.

Whoever takes or gives a use locks the order first, then the discounts by id (see docs/map.md).
A limit is one conditional UPDATE, guarded by a CHECK: of two who want the last use, one gets it.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert

from shop.catalog.models import Category, Product
from shop.core import clock
from shop.core.db import session
from shop.core.errors import Invalid, NotFound, WrongState
from shop.core.money import Money
from shop.customers.countries import country_names
from shop.customers.models import Customer
from shop.discounts import queries
from shop.discounts.errors import UsedUp
from shop.discounts.kinds import Audience, DiscountKind, Lane
from shop.discounts.models import Discount, DiscountCode, Redemption
from shop.discounts.pricing import LANES, WHOLE, Applied

KINDS = {
    DiscountKind.PERCENTAGE: "Percentage",
    DiscountKind.FIXED: "Fixed amount",
    DiscountKind.FREE_SHIPPING: "Free delivery",
    DiscountKind.BUY_X_GET_Y: "Buy some, get some",
}
LANE_WORDS = {
    Lane.FIRST: "First round",
    Lane.MAIN: "Main round",
    Lane.LAST: "Last round",
}
AUDIENCES = {
    Audience.EVERYONE: "Everyone",
    Audience.SIGNED_IN: "Customers with an account",
    Audience.CHOSEN: "Chosen customers",
}
MAX_MINOR = 100_000_000
MAX_USES = 1_000_000_000
MAX_CODES = 10_000
# So many products can be chosen one by one, so many categories and so many customers.
MAX_CHOSEN = 500
MAX_NAME_LENGTH = 80
MAX_PREFIX_LENGTH = 20
# Nothing that looks or sounds like another sign: no 0 O, 1 I L, 2 Z, 5 S, 8 B, U V.
ALPHABET = "ACDEFGHJKMNPQRTWXY34679"
RANDOM_SIGNS = 8


@dataclass(frozen=True, slots=True)
class Draft:
    """A discount as somebody wants it. Units as in ``models.Discount``; None is no limit.

    ``currency`` may be left empty, or be the shop's.
    """

    name: str
    kind: str
    value: int = 0
    buy_quantity: int = 0
    get_quantity: int = 0
    currency: str = ""
    lane: str = Lane.MAIN
    is_automatic: bool = False
    is_active: bool = True
    is_targeted: bool = False
    category_ids: Sequence[int] = ()
    product_ids: Sequence[int] = ()
    min_subtotal_minor: int | None = None
    audience: str = Audience.EVERYONE
    customer_ids: Sequence[int] = ()
    first_order: bool = False
    countries: Sequence[str] = ()
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    limit_total: int | None = None
    limit_per_customer: int | None = None


def create_discount(draft: Draft, *, currency: str) -> Discount:
    """Make a discount in the shop's ``currency``. Raises ``Invalid`` naming what cannot be."""
    discount = Discount(currency=currency, used=0, **_checked(draft, currency))
    session.add(discount)
    session.flush()
    queries.forget()
    return discount


def update_discount(discount: Discount, draft: Draft) -> None:
    """Let it be as ``draft`` says. Orders that have it keep what they got. As ``create_discount``;
    also raises ``Invalid`` for a limit below what was used."""
    values = _checked(draft, discount.currency)
    _lock([discount.id])
    session.refresh(discount)
    if values["limit_total"] is not None and values["limit_total"] < discount.used:
        raise Invalid(
            f"It was used {discount.used} times already, so the limit cannot be"
            f" {values['limit_total']}.",
            field="limit_total",
        )
    for name, value in values.items():
        setattr(discount, name, value)
    discount.version += 1
    session.flush()
    queries.forget()


def set_active(discount: Discount, active: bool) -> None:
    """Switch it on or off; unpaid orders that have it keep it."""
    discount.is_active = active
    discount.version += 1
    session.flush()
    queries.forget()


def delete_discount(discount: Discount) -> None:
    """Remove it and its codes. Raises ``WrongState`` once an order has had it."""
    _lock([discount.id])
    if session.scalar(select(Redemption.id).where(Redemption.discount_id == discount.id).limit(1)):
        raise WrongState("Orders have had this discount, so it stays. Switch it off instead.")
    session.delete(discount)
    session.flush()
    queries.forget()


def draft_of(discount: Discount, **changes: Any) -> Draft:
    """The discount as it is, with some fields changed."""
    kept = {
        name: getattr(discount, name)
        for name in Draft.__slots__
        if name not in {"category_ids", "product_ids", "customer_ids"}
    }
    ids = {
        "category_ids": [row.id for row in discount.categories],
        "product_ids": [row.id for row in discount.products],
        "customer_ids": [row.id for row in discount.customers],
    }
    return Draft(**kept | ids | changes)


def get_discount(discount_id: int, *, to_change: bool = False) -> Discount:
    """The discount, locked and read anew if it is to be changed. Raises ``NotFound``."""
    discount = session.get(
        Discount, discount_id, with_for_update=to_change or None, populate_existing=to_change
    )
    if discount is None:
        raise NotFound("There is no such discount.")
    return discount


def add_code(discount: Discount, given: object, *, limit: int | None = None) -> DiscountCode:
    """Make a code of somebody's choice. Raises ``Invalid`` for one that cannot be or is taken."""
    _needs_code(discount)
    if limit is not None:
        _whole(limit, 1, MAX_USES, "A code's limit", "limit")
    text_given = given.strip().upper() if isinstance(given, str) else ""
    if not 3 <= len(text_given) <= queries.MAX_CODE_LENGTH or not queries.is_code(text_given):
        raise Invalid(
            "A code has 3 to 40 letters and digits; - and _ may stand between them.", field="code"
        )
    made = session.scalars(
        insert(DiscountCode)
        .values(discount_id=discount.id, code=text_given, limit_total=limit)
        .on_conflict_do_nothing()
        .returning(DiscountCode)
    ).one_or_none()
    if made is None:
        raise Invalid(f"The code {text_given} exists already.", field="code")
    return made


def remove_code(discount: Discount, code_id: int) -> None:
    """Take a code away. Raises ``NotFound``, and ``WrongState`` once an order has had it."""
    made = session.get(DiscountCode, code_id)
    if made is None or made.discount_id != discount.id:
        raise NotFound("There is no such code.")
    if session.scalar(select(Redemption.id).where(Redemption.code_id == code_id).limit(1)):
        raise WrongState("Orders have had this code, so it stays.")
    session.delete(made)
    session.flush()


_GENERATED = text("""
INSERT INTO discount_code (discount_id, code, limit_total)
SELECT :discount_id, code, :limit FROM unnest(CAST(:codes AS text[])) AS c (code)
ON CONFLICT DO NOTHING RETURNING code
""")


def generate_codes(
    discount: Discount, count: int, *, prefix: str = "", limit: int | None = 1
) -> list[str]:
    """Make up to ``MAX_CODES`` codes that nobody can guess; each can be used ``limit`` times.

    Raises ``Invalid`` for a count, prefix or limit that cannot be.
    """
    _needs_code(discount)
    _whole(count, 1, MAX_CODES, "The number of codes", "count")
    if limit is not None:
        _whole(limit, 1, MAX_USES, "A code's limit", "limit")
    prefix = prefix.strip().upper()
    if prefix and (len(prefix) > MAX_PREFIX_LENGTH or not queries.is_code(prefix + "000")):
        raise Invalid(
            f"A prefix has up to {MAX_PREFIX_LENGTH} letters and digits; - and _ may follow them.",
            field="prefix",
        )
    made: list[str] = []
    while len(made) < count:
        drawn = {
            prefix + "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_SIGNS))
            for _ in range(count - len(made))
        }
        values = {"discount_id": discount.id, "codes": sorted(drawn), "limit": limit}
        made += session.scalars(_GENERATED, values)
    return made


def redeem(
    order_id: int, applied: Iterable[Applied], *, customer_id: int | None, email: str, currency: str
) -> None:
    """Count the uses of an order that is being placed, and keep what it got.

    Raises ``UsedUp`` if a limit was reached meanwhile: then the whole order must not happen.
    """
    names = queries.holders(customer_id, email)
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


def give_back(order_id: int) -> None:
    """The order is off: its uses are free again, and none is honoured any more. Safe to repeat."""
    mine = select(Redemption).where(Redemption.order_id == order_id)
    for one in session.scalars(mine.where(Redemption.honoured_at.is_not(None))):
        one.honoured_at = None
    taken = session.scalars(mine.where(Redemption.released_at.is_(None))).all()
    _lock([one.discount_id for one in taken])
    for one in sorted(taken, key=lambda given: given.discount_id):
        session.execute(
            _GIVE_BACK,
            {"discount_id": one.discount_id, "code_id": one.code_id, "holders": one.holders},
        )
        one.released_at = clock.now()
    session.flush()
    if taken:
        queries.forget()


def redeem_again(order_id: int) -> None:
    """The order was off and is paid after all: count its uses again.

    Money that has come is never refused for a discount. If a limit is full meanwhile, the customer
    keeps the price and the use is marked as honoured instead of counted: limits stay exact.
    """
    mine = select(Redemption).where(Redemption.order_id == order_id)
    given = session.scalars(mine.where(Redemption.released_at.is_not(None))).all()
    _lock([one.discount_id for one in given])
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
    """Lock, in order, the discounts that one order gives back and the next one takes."""
    held = (
        session.scalars(
            select(Redemption.discount_id).where(
                Redemption.order_id == order_id, Redemption.released_at.is_(None)
            )
        ).all()
        if order_id is not None
        else []
    )
    _lock([*held, *(one.discount_id for one in applied)])


def lock_of(order_ids: Iterable[int]) -> None:
    """Lock, in order, all discounts that these orders have or had."""
    used = select(Redemption.discount_id).where(Redemption.order_id.in_(list(order_ids)))
    _lock(session.scalars(used).all())


def _lock(discount_ids: Iterable[int]) -> None:
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
_GIVE_BACK = text("""
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
        queries.forget()
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


def _needs_code(discount: Discount) -> None:
    if discount.is_automatic:
        raise WrongState("This discount applies by itself: it has no codes.")


def _checked(draft: Draft, currency: str) -> dict[str, Any]:
    """The columns of a draft. Raises ``Invalid`` with the field that cannot be."""
    name = " ".join(draft.name.split())
    if not 1 <= len(name) <= MAX_NAME_LENGTH:
        raise Invalid(f"A name has 1 to {MAX_NAME_LENGTH} characters.", field="name")
    for field, known in (("kind", KINDS), ("lane", LANES), ("audience", AUDIENCES)):
        if getattr(draft, field) not in known:
            raise Invalid(f"Choose one of: {', '.join(known)}.", field=field)
    if draft.currency and draft.currency != currency:
        raise Invalid(f"Prices of this shop are in {currency}.", field="currency")
    _check_value(draft, currency)
    if draft.min_subtotal_minor is not None:
        words = "The least that goods must cost"
        _amount(draft.min_subtotal_minor, 1, currency, words, "min_subtotal_minor")
    for field, words in (
        ("limit_total", "The limit"),
        ("limit_per_customer", "The limit per customer"),
    ):
        if getattr(draft, field) is not None:
            _whole(getattr(draft, field), 1, MAX_USES, words, field)
    clock.check_year(draft.starts_at, "starts_at")
    clock.check_year(draft.ends_at, "ends_at")
    if draft.starts_at and draft.ends_at and draft.ends_at <= draft.starts_at:
        raise Invalid("It cannot end before it starts.", field="ends_at")
    categories = _rows(Category, draft.category_ids, "category", "category_ids")
    products = _rows(Product, draft.product_ids, "product", "product_ids")
    if draft.is_targeted and not (categories or products):
        raise Invalid("Choose at least one category or product.", field="category_ids")
    customers = _rows(Customer, draft.customer_ids, "customer", "customer_ids")
    if draft.audience == Audience.CHOSEN and not customers:
        raise Invalid("Choose at least one customer.", field="customer_ids")
    by_number = draft.kind == DiscountKind.BUY_X_GET_Y
    # Two first orders at the same moment: the limit per customer stops the second.
    per_customer = 1 if draft.first_order else draft.limit_per_customer
    return {
        "name": name,
        "kind": draft.kind,
        "value": draft.value,
        "buy_quantity": draft.buy_quantity if by_number else 0,
        "get_quantity": draft.get_quantity if by_number else 0,
        "lane": draft.lane,
        "is_automatic": bool(draft.is_automatic),
        "is_active": bool(draft.is_active),
        "is_targeted": bool(draft.is_targeted),
        "categories": categories if draft.is_targeted else [],
        "products": products if draft.is_targeted else [],
        "min_subtotal_minor": draft.min_subtotal_minor,
        "audience": draft.audience,
        "customers": customers if draft.audience == Audience.CHOSEN else [],
        "first_order": bool(draft.first_order),
        "countries": _countries(draft.countries),
        "starts_at": draft.starts_at,
        "ends_at": draft.ends_at,
        "limit_total": draft.limit_total,
        "limit_per_customer": per_customer,
    }


def _check_value(draft: Draft, currency: str) -> None:
    if draft.kind == DiscountKind.PERCENTAGE:
        _whole(draft.value, 1, WHOLE, "The percentage in basis points (1000 is 10 %)", "value")
    elif draft.kind == DiscountKind.FIXED:
        _amount(draft.value, 1, currency, "The amount off", "value")
    elif draft.kind == DiscountKind.FREE_SHIPPING:
        _amount(draft.value, 0, currency, "The most off delivery", "value")
    else:
        _whole(draft.value, 1, WHOLE, "The percentage in basis points (10000 is free)", "value")
        _whole(draft.buy_quantity, 1, 99, "The number to buy", "buy_quantity")
        _whole(draft.get_quantity, 1, 99, "The number to get", "get_quantity")


def _whole(value: object, least: int, most: int, words: str, field: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Invalid(f"{words} is a whole number from {least} to {most}.", field=field)


def _amount(value: int, least: int, currency: str, words: str, field: str) -> None:
    if not least <= value <= MAX_MINOR:
        limits = f"{Money(least, currency)} and {Money(MAX_MINOR, currency)}"
        raise Invalid(f"{words} lies between {limits}.", field=field)


def _rows(model: Any, ids: Sequence[int], word: str, field: str) -> list[Any]:
    wanted = sorted(set(ids))
    if not wanted:
        return []
    possible = [one for one in wanted if 0 < one < 2**63]
    found = list(session.scalars(select(model).where(model.id.in_(possible)).order_by(model.id)))
    missing = sorted(set(wanted) - {row.id for row in found})
    if missing:
        raise Invalid(f"There is no {word} {missing[0]}.", field=field)
    return found


def _countries(given: Sequence[str]) -> list[str]:
    codes = sorted({str(code).strip().upper() for code in given})
    unknown = [code for code in codes if code not in country_names()]
    if unknown:
        raise Invalid(f"There is no country “{unknown[0][:20]}”.", field="countries")
    return codes
