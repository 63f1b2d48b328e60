"""Reading discounts: the rules that may apply to a cart, what a customer had, and figures."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, tzinfo
from threading import Lock
from typing import Any, cast

from cachetools import TTLCache, cached
from sqlalchemy import ColumnElement, RowMapping, func, select, text

from shop.catalog import tree
from shop.core import clock, search
from shop.core.db import session
from shop.core.errors import Invalid, NotFound
from shop.discounts.conditions import Rule
from shop.discounts.errors import UnknownCode
from shop.discounts.models import Discount, DiscountCode

KEPT_S = 5
MAX_CODE_LENGTH = 40
_kept: TTLCache[Any, tuple[Rule, ...]] = TTLCache(1, ttl=KEPT_S)
_CODE = re.compile(r"[A-Z0-9][A-Z0-9_-]{2,39}")

_RULES = """
SELECT d.id AS discount_id, d.name, d.kind, d.value, d.currency, d.lane, d.buy_quantity,
       d.get_quantity, d.is_automatic, d.is_active, d.is_targeted, d.min_subtotal_minor,
       d.audience, d.first_order, d.countries, d.starts_at, d.ends_at, d.limit_total,
       d.limit_per_customer, d.used,
       {code} AS code, {code_id} AS code_id, {code_limit} AS code_limit, {code_used} AS code_used,
       ARRAY(SELECT category_id FROM discount_category WHERE discount_id = d.id) AS category_ids,
       ARRAY(SELECT product_id FROM discount_product WHERE discount_id = d.id) AS product_ids,
       ARRAY(SELECT customer_id FROM discount_customer WHERE discount_id = d.id) AS customer_ids,
       ARRAY(SELECT name FROM (
           SELECT 1, c.name FROM discount_category k JOIN category c ON c.id = k.category_id
           WHERE k.discount_id = d.id
           UNION ALL
           SELECT 2, p.name FROM discount_product k JOIN product p ON p.id = k.product_id
           WHERE k.discount_id = d.id
           ORDER BY 1, 2) AS named) AS target_names
FROM discount d {source}
ORDER BY d.is_automatic DESC, d.id
"""
_NO_CODE = {"code": "''", "code_id": "NULL", "code_limit": "NULL", "code_used": "0"}
_WITH_CODE = {
    "code": "k.code::text", "code_id": "k.id", "code_limit": "k.limit_total", "code_used": "k.used",
}  # fmt: skip
_AUTOMATIC = text(_RULES.format(**_NO_CODE, source="WHERE d.is_automatic AND d.is_active"))
_SOME = text(_RULES.format(**_NO_CODE, source="WHERE d.id = ANY(:discount_ids)"))
_BY_CODES = text(
    _RULES.format(
        **_WITH_CODE,
        source="JOIN discount_code k ON k.discount_id = d.id WHERE k.id = ANY(:code_ids)",
    )
)
_BY_CODE = text(
    _RULES.format(
        **_WITH_CODE,
        source="JOIN discount_code k ON k.discount_id = d.id WHERE k.code = CAST(:code AS citext)",
    )
)


@dataclass(frozen=True, slots=True)
class History:
    """What a customer had before, without the unpaid order ``order_id`` of the same cart."""

    has_ordered: bool
    uses: dict[int, int]
    held: frozenset[int]
    held_codes: frozenset[int]


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What an order got. Amounts in minor units; ``is_given_back`` uses do not count."""

    name: str
    code: str
    amount_minor: int
    shipping_minor: int
    currency: str
    is_given_back: bool

    @property
    def saved_minor(self) -> int:
        return self.amount_minor + self.shipping_minor


@cached(_kept, lock=Lock())
def automatic() -> tuple[Rule, ...]:
    """Rules that need no code. Kept for a few seconds: who is shown an old price is stopped when
    the order is placed."""
    return _rules(session.execute(_AUTOMATIC).mappings())


def forget() -> None:
    """Read automatic discounts anew at once; without it a change shows after a few seconds."""
    _kept.clear()


def by_codes(code_ids: Sequence[int]) -> tuple[Rule, ...]:
    """The rules of these codes as they are now. One statement, none without codes."""
    if not code_ids:
        return ()
    return _rules(session.execute(_BY_CODES, {"code_ids": list(code_ids)}).mappings())


def by_code(given: object) -> Rule:
    """The rule of a code as typed. Raises ``Invalid`` for none and ``UnknownCode``."""
    code = clean_code(given)
    found = _rules(session.execute(_BY_CODE, {"code": code}).mappings())
    if not found:
        raise UnknownCode(code)
    return found[0]


def rules(discount_ids: Sequence[int]) -> tuple[Rule, ...]:
    """The rules of these discounts, without their codes. One statement."""
    return _rules(session.execute(_SOME, {"discount_ids": list(discount_ids)}).mappings())


def rule_of(discount_id: int) -> Rule:
    """The rule of a discount, without a code. Raises ``NotFound``."""
    session.flush()
    found = rules([discount_id])
    if not found:
        raise NotFound("There is no such discount.")
    return found[0]


def clean_code(given: object) -> str:
    """A code as we store it: trimmed, in capitals. Raises ``Invalid`` and ``UnknownCode``."""
    code = given.strip().upper() if isinstance(given, str) else ""
    if not code:
        raise Invalid("Please type a code.", field="code")
    if not is_code(code):
        shown = "".join(sign for sign in code if sign.isprintable())[:MAX_CODE_LENGTH]
        raise UnknownCode(shown)
    return code


def is_code(text_given: str) -> bool:
    """Whether this could be a code of ours, as it is stored."""
    return text_given.isascii() and bool(_CODE.fullmatch(text_given))


# As ``holders`` names an address; ``tables`` has an index of it.
UNTAGGED = r"regexp_replace(lower(CAST({email} AS text)), '\+[^@]*@', '@')"
_HISTORY = text(rf"""
SELECT 'held' AS what, r.discount_id, r.code_id, 1 AS used FROM redemption r
WHERE r.order_id = :order_id AND r.released_at IS NULL
UNION ALL
SELECT 'used', h.discount_id, NULL, max(h.used - (SELECT count(*) FROM redemption r
    WHERE r.order_id = :order_id AND r.released_at IS NULL AND r.discount_id = h.discount_id
    AND h.holder = ANY(r.holders))) FROM discount_holder h
WHERE h.holder = ANY(:holders) AND h.discount_id = ANY(:ids) GROUP BY h.discount_id
UNION ALL
SELECT 'ordered', NULL, NULL, 1 WHERE EXISTS (
    SELECT FROM "order" o WHERE o.status IN ('confirmed', 'completed')
    AND (o.customer_id = :customer_id OR {UNTAGGED.format(email="o.email")}
        = {UNTAGGED.format(email=":email")}))
""")


def history(
    rules: Iterable[Rule], *, customer_id: int | None, email: str, order_id: int | None
) -> History:
    """What this customer had of these rules. One statement, or none if no rule asks for it."""
    asked = list(rules)
    is_known = customer_id is not None or bool(email)
    needed = (is_known and any(one.is_personal for one in asked)) or (
        order_id is not None and any(one.is_used_up or one.is_personal for one in asked)
    )
    if not needed:
        return History(False, {}, frozenset(), frozenset())
    rows = session.execute(
        _HISTORY,
        {
            "order_id": order_id,
            "holders": holders(customer_id, email),
            "ids": [one.discount_id for one in asked],
            "customer_id": customer_id,
            "email": email.strip() or None,
        },
    ).all()
    held = frozenset(row.discount_id for row in rows if row.what == "held")
    return History(
        has_ordered=any(row.what == "ordered" for row in rows),
        uses={row.discount_id: row.used for row in rows if row.what == "used"},
        held=held,
        held_codes=frozenset(row.code_id for row in rows if row.what == "held" and row.code_id),
    )


def holders(customer_id: int | None, email: str) -> list[str]:
    """By which names a use is counted: the account's, and the e-mail address without its tag.

    Both, so that an account gives nobody a second use, and no account none either.
    """
    names = [f"customer:{customer_id}"] if customer_id is not None else []
    local, _, domain = email.strip().casefold().rpartition("@")
    if local and domain:
        names.append(f"email:{local.partition('+')[0]}@{domain}")
    return names


def count_codes(discount_id: int) -> int:
    """How many codes a discount has."""
    mine = DiscountCode.discount_id == discount_id
    return int(session.scalar(select(func.count()).select_from(DiscountCode).where(mine)) or 0)


_STATUS_WHERE = {
    "": "true",
    "active": "is_active AND (ends_at IS NULL OR ends_at > :now)"
    " AND (limit_total IS NULL OR used < limit_total)"
    " AND (starts_at IS NULL OR starts_at <= :now)",
    "scheduled": "is_active AND starts_at > :now AND (limit_total IS NULL OR used < limit_total)",
    "ended": "is_active AND ends_at <= :now",
    "used_up": "is_active AND (ends_at IS NULL OR ends_at > :now) AND used >= limit_total",
    "off": "NOT is_active",
}


@dataclass(frozen=True, slots=True)
class DiscountList:
    """One page of discounts and how many there are in all."""

    rows: Sequence[Discount]
    total: int
    page: int
    per_page: int

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // self.per_page))


def page(*, status: str = "", q: str = "", page: int = 1, per_page: int = 24) -> DiscountList:
    """Discounts, newest first; ``q`` is part of a name or the start of a code. Two statements."""
    where = [
        status_condition(status if status in _STATUS_WHERE else ""),
        *(is_called(word) for word in search.words_of(q)),
    ]
    rows = session.scalars(
        select(Discount)
        .where(*where)
        .order_by(Discount.id.desc())
        .limit(per_page)
        .offset((page - 1) * per_page)
    ).all()
    total = session.scalar(select(func.count()).select_from(Discount).where(*where))
    return DiscountList(rows, total or 0, page, per_page)


def status_condition(status: str) -> ColumnElement[bool]:
    """Which discounts stand so at this moment; ``""`` is all of them."""
    where = text(_STATUS_WHERE[status]).bindparams(**_now(status))
    return cast(ColumnElement[bool], where)


def is_called(word: str) -> ColumnElement[bool]:
    """Discounts with ``word`` in their name or at the start of one of their codes."""
    coded = select(DiscountCode.discount_id).where(
        DiscountCode.code.startswith(word, autoescape=True)
    )
    return search.contains(Discount.name, word) | Discount.id.in_(coded)


def _now(status: str) -> dict[str, Any]:
    return {"now": clock.now()} if ":now" in _STATUS_WHERE.get(status, "") else {}


def codes(discount_id: int, *, page: int = 1, per_page: int = 24) -> Sequence[DiscountCode]:
    """A page of a discount's codes, in the order in which they were made."""
    return session.scalars(
        select(DiscountCode)
        .where(DiscountCode.discount_id == discount_id)
        .order_by(DiscountCode.id)
        .limit(per_page)
        .offset((page - 1) * per_page)
    ).all()


@dataclass(frozen=True, slots=True)
class Usage:
    """What a discount has done; uses that were given back are left out. Minor units."""

    orders: int
    given_minor: int
    sales_minor: int
    given_back: int
    by_day: tuple[tuple[date, int], ...]


_USAGE = text("""
SELECT date(r.redeemed_at AT TIME ZONE :zone) AS day,
       count(*) FILTER (WHERE counted) AS orders, count(*) FILTER (WHERE NOT counted) AS given_back,
       coalesce(sum(r.amount_minor + r.shipping_minor) FILTER (WHERE counted), 0) AS given,
       coalesce(sum(o.total_minor) FILTER (WHERE counted), 0) AS sales
FROM redemption r JOIN "order" o ON o.id = r.order_id,
     LATERAL (SELECT r.released_at IS NULL OR r.honoured_at IS NOT NULL AS counted) AS c
WHERE r.discount_id = :discount_id
GROUP BY day ORDER BY day
""")


def usage(discount_id: int, zone: tzinfo) -> Usage:
    """Orders, money given and sales of a discount, and its uses by day. One statement."""
    rows = session.execute(_USAGE, {"discount_id": discount_id, "zone": str(zone)}).all()
    return Usage(
        orders=sum(row.orders for row in rows),
        given_minor=sum(int(row.given) for row in rows),
        sales_minor=sum(int(row.sales) for row in rows),
        given_back=sum(row.given_back for row in rows),
        by_day=tuple((row.day, row.orders) for row in rows if row.orders),
    )


_OF_ORDERS = text("""
SELECT order_id, name, code, amount_minor, shipping_minor, currency,
       released_at IS NOT NULL AND honoured_at IS NULL AS is_given_back
FROM redemption WHERE order_id = :order_id ORDER BY id
""")


def of_order(order_id: int) -> tuple[Redeemed, ...]:
    """What applied when the order was placed. One statement."""
    rows = session.execute(_OF_ORDERS, {"order_id": order_id})
    return tuple(
        Redeemed(r.name, r.code, r.amount_minor, r.shipping_minor, r.currency, r.is_given_back)
        for r in rows
    )


def _rules(rows: Iterable[RowMapping]) -> tuple[Rule, ...]:
    found = list(rows)
    below = tree.read().below if any(row["category_ids"] for row in found) else {}
    return tuple(_rule(row, below) for row in found)


def _rule(row: RowMapping, below: Any) -> Rule:
    values = dict(row)
    values["category_ids"] = frozenset(
        below_id for chosen in row["category_ids"] for below_id in below.get(chosen, (chosen,))
    )
    for name in ("product_ids", "customer_ids"):
        values[name] = frozenset(row[name])
    for name in ("target_names", "countries"):
        values[name] = tuple(row[name])
    return Rule(**values)
