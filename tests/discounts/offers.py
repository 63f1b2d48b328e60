"""Discounts for tests, made by operations."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict, Unpack

from shop import discounts
from shop.core.db import transaction
from shop.discounts.models import Discount


class Terms(TypedDict, total=False):
    """What a ``discounts.Draft`` may say besides its name, kind and value."""

    buy_quantity: int
    get_quantity: int
    lane: str
    is_targeted: bool
    category_ids: Sequence[int]
    product_ids: Sequence[int]
    min_subtotal_minor: int | None
    audience: str
    customer_ids: Sequence[int]
    first_order: bool
    countries: Sequence[str]
    starts_at: datetime | None
    ends_at: datetime | None
    limit_total: int | None
    limit_per_customer: int | None


def offer(
    name: str = "Ten",
    *,
    kind: str = "percentage",
    value: int = 1_000,
    code: str = "",
    code_limit: int | None = None,
    **more: Unpack[Terms],
) -> Discount:
    """A discount of 10 % unless it says otherwise, with a code if it is given one."""
    draft = discounts.Draft(name, kind, value, is_automatic=not code, **more)
    with transaction():
        made = discounts.create_discount(draft, currency="EUR")
        if code:
            discounts.add_code(made, code, limit=code_limit)
    return made
