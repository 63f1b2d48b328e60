"""Discounts for tests, made by operations."""

from typing import Any

from shop import discounts
from shop.core.db import transaction


def offer(name: str = "Ten", *, code: str = "", code_limit: int | None = None, **more: Any) -> Any:
    """A discount of 10 % unless it says otherwise, with a code if it is given one."""
    fields = {"kind": "percentage", "value": 1_000, "is_automatic": not code} | more
    with transaction():
        made = discounts.create_discount(discounts.Draft(name=name, **fields), currency="EUR")
        if code:
            discounts.add_code(made, code, limit=code_limit)
    return made
