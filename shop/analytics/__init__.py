"""Numbers for people: read-only sums over rows that never change, so last month's figure stays.

Owns no table. Net sales are captured money minus refunded money, without tax and shipping.
Leaves to the doors who may see which number.
"""

from shop.analytics.queries import (
    Day,
    Handling,
    Regular,
    TopProduct,
    Totals,
    by_day,
    handling,
    ledger_sums,
    on_hand_history,
    regular,
    top_products,
    totals,
)

__all__ = [
    "Day", "Handling", "Regular", "TopProduct", "Totals", "by_day", "handling", "ledger_sums",
    "on_hand_history", "regular", "top_products", "totals",
]  # fmt: skip
