"""What a buyer had of discounts before, whichever email or account they use."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import text

from shop.core.db import session
from shop.discounts.conditions import Rule

# As ``holders`` names an address; ``tables`` has an index of it.
UNTAGGED = r"regexp_replace(lower(CAST({email} AS text)), '\+[^@]*@', '@')"


@dataclass(frozen=True, slots=True)
class History:
    """What a customer had before, without the unpaid order ``order_id`` of the same cart."""

    has_ordered: bool
    uses: dict[int, int]
    own_usages: frozenset[int]
    own_codes: frozenset[int]


_HISTORY = text(rf"""
SELECT 'own' AS what, r.discount_id, r.code_id, 1 AS used FROM redemption r
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
    own_usages = frozenset(row.discount_id for row in rows if row.what == "own")
    return History(
        has_ordered=any(row.what == "ordered" for row in rows),
        uses={row.discount_id: row.used for row in rows if row.what == "used"},
        own_usages=own_usages,
        own_codes=frozenset(row.code_id for row in rows if row.what == "own" and row.code_id),
    )


def holders(customer_id: int | None, email: str) -> list[str]:
    """By which names a use is counted: the account's, and the email address without its tag.

    Both, so that an account gives nobody a second use, and no account none either.
    """
    names = [f"customer:{customer_id}"] if customer_id is not None else []
    local, _, domain = email.strip().casefold().rpartition("@")
    if local and domain:
        names.append(f"email:{local.partition('+')[0]}@{domain}")
    return names
