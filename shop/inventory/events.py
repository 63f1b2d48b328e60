"""What happens to stock. The ledger's statement in ``operations`` writes these itself; here is how
they are read."""

from dataclasses import dataclass
from typing import TypedDict

from shop.core.events import Event


class Change(TypedDict):
    """One variant's available units before and after, and the level at which it counts as low."""

    variant_id: int
    product_id: int
    sku: str
    before: int
    after: int
    low: int


@dataclass(frozen=True, kw_only=True)
class StockChanged(Event):
    """Available units changed."""

    kind: str
    changes: list[Change]
    order_id: int | None = None


@dataclass(frozen=True, kw_only=True)
class StockLow(Event):
    """These variants have just crossed their level downwards; reported once per crossing, and not
    when a buyer changes what an order of theirs reserved already."""

    changes: list[Change]
