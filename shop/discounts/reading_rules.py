"""The rules that may apply to a cart: the automatic ones, and those of its codes."""

import re
from collections.abc import Iterable, Sequence
from threading import Lock
from typing import Any

from cachetools import TTLCache, cached
from sqlalchemy import RowMapping, text

from shop.catalog import tree
from shop.core.db import session
from shop.core.errors import Invalid, NotFound
from shop.core.i18n import gettext as _
from shop.discounts.conditions import Rule
from shop.discounts.errors import UnknownCode

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


@cached(_kept, lock=Lock())
def automatic() -> tuple[Rule, ...]:
    """Rules that need no code. Kept for a few seconds: who is shown an old price is stopped when
    the order is placed."""
    return _rules(session.execute(_AUTOMATIC).mappings())


def clear_cache() -> None:
    """Read automatic discounts again at once; without it a change shows after a few seconds."""
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
        raise NotFound(_("Discount not found."))
    return found[0]


def clean_code(given: object) -> str:
    """A code as we store it: trimmed, in capitals. Raises ``Invalid`` and ``UnknownCode``."""
    code = given.strip().upper() if isinstance(given, str) else ""
    if not code:
        raise Invalid(_("Enter a discount code."), field="code")
    if not is_code(code):
        shown = "".join(sign for sign in code if sign.isprintable())[:MAX_CODE_LENGTH]
        raise UnknownCode(shown)
    return code


def is_code(text_given: str) -> bool:
    """Whether this could be a code of ours, as it is stored."""
    return text_given.isascii() and bool(_CODE.fullmatch(text_given))


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
