"""Codes that unlock a discount: one of somebody's choice, or many that nobody can guess."""

import secrets

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from shop.core.db import session
from shop.core.errors import Invalid, NotFound, WrongState
from shop.core.i18n import gettext as _
from shop.discounts.drafts import MAX_USES, check_whole
from shop.discounts.models import Discount, DiscountCode, Redemption
from shop.discounts.reading_rules import MAX_CODE_LENGTH, is_code

MAX_CODES = 10_000
MAX_PREFIX_LENGTH = 20
# Nothing that looks or sounds like another sign: no 0 O, 1 I L, 2 Z, 5 S, 8 B, U V.
ALPHABET = "ACDEFGHJKMNPQRTWXY34679"
RANDOM_SIGNS = 8
_GENERATED = text("""
INSERT INTO discount_code (discount_id, code, limit_total)
SELECT :discount_id, code, :limit FROM unnest(CAST(:codes AS text[])) AS c (code)
ON CONFLICT DO NOTHING RETURNING code
""")


def add_code(discount: Discount, given: object, *, limit: int | None = None) -> DiscountCode:
    """Make a code of somebody's choice. Raises ``Invalid`` for one that cannot be or is taken."""
    _needs_code(discount)
    if limit is not None:
        check_whole(limit, 1, MAX_USES, _("The limit of a code"), "limit")
    text_given = given.strip().upper() if isinstance(given, str) else ""
    if not 3 <= len(text_given) <= MAX_CODE_LENGTH or not is_code(text_given):
        raise Invalid(
            _("A code has 3 to 40 letters and digits; - and _ are allowed between them."),
            field="code",
        )
    made = session.scalars(
        insert(DiscountCode)
        .values(discount_id=discount.id, code=text_given, limit_total=limit)
        .on_conflict_do_nothing()
        .returning(DiscountCode)
    ).one_or_none()
    if made is None:
        raise Invalid(_("The code %(code)s already exists.", code=text_given), field="code")
    return made


def remove_code(discount: Discount, code_id: int) -> None:
    """Take a code away. Raises ``NotFound``, and ``WrongState`` once an order has had it."""
    made = session.get(DiscountCode, code_id)
    if made is None or made.discount_id != discount.id:
        raise NotFound(_("Discount code not found."))
    if session.scalar(select(Redemption.id).where(Redemption.code_id == code_id).limit(1)):
        raise WrongState(_("This code was used in orders, so it cannot be deleted."))
    session.delete(made)
    session.flush()


def generate_codes(
    discount: Discount, count: int, *, prefix: str = "", limit: int | None = 1
) -> list[str]:
    """Make up to ``MAX_CODES`` codes that nobody can guess; each can be used ``limit`` times.

    Raises ``Invalid`` for a count, prefix or limit that cannot be.
    """
    _needs_code(discount)
    check_whole(count, 1, MAX_CODES, _("The number of codes"), "count")
    if limit is not None:
        check_whole(limit, 1, MAX_USES, _("The limit of a code"), "limit")
    prefix = prefix.strip().upper()
    if prefix and (len(prefix) > MAX_PREFIX_LENGTH or not is_code(prefix + "000")):
        raise Invalid(
            _(
                "A prefix has up to %(most)s letters and digits; - and _ are allowed after them.",
                most=MAX_PREFIX_LENGTH,
            ),
            field="prefix",
        )
    made: list[str] = []
    while len(made) < count:
        drawn = {
            prefix + "".join(secrets.choice(ALPHABET) for _sign in range(RANDOM_SIGNS))
            for _drawn in range(count - len(made))
        }
        values = {"discount_id": discount.id, "codes": sorted(drawn), "limit": limit}
        made += session.scalars(_GENERATED, values)
    return made


def _needs_code(discount: Discount) -> None:
    if discount.is_automatic:
        raise WrongState(_("This discount applies automatically: it has no codes."))
