"""Stock: an append-only ledger, the levels it adds up to, and what is promised to open orders.

Owns levels, movements and locations; the verbs below are their only writers.
Promise: available never drops below zero (unless a variant may be backordered), whoever else buys.
Leaves prices to catalog, and the decision *when* to hold or release to orders.
"""

from shop.inventory.errors import OutOfStock
from shop.inventory.operations import (
    REASONS,
    Line,
    adjust,
    allow_backorder,
    commit,
    count,
    lock,
    receive,
    release,
    reserve,
    restock,
    ship,
)
from shop.inventory.queries import (
    UNITS_AVAILABLE,
    Level,
    StockList,
    StockRow,
    available,
    default_location,
    discrepancies,
    levels,
    movements,
    restocked,
    stock_list,
)

__all__ = [
    "REASONS", "UNITS_AVAILABLE", "Level", "Line", "OutOfStock", "StockList", "StockRow",
    "adjust", "allow_backorder", "available", "commit", "count", "default_location",
    "discrepancies", "levels", "lock", "movements", "receive", "release", "reserve", "restock",
    "restocked", "ship", "stock_list",
]  # fmt: skip
