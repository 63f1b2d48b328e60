"""Stock: an append-only ledger, the levels it adds up to, and what is promised to open orders.

Owns levels, movements and locations; the verbs below are their only writers.
Promise: available never drops below zero (unless a variant may be backordered), whoever else buys.
Leaves prices to catalog, and the decision *when* to reserve or release to orders.
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
    AVAILABLE,
    COMMITTED,
    IS_LOW,
    IS_OUT,
    ON_HAND,
    RESERVED,
    UNITS_AVAILABLE,
    Level,
    available,
    default_location,
    levels,
    movements,
    restocked,
)

__all__ = [
    "AVAILABLE", "COMMITTED", "IS_LOW", "IS_OUT", "ON_HAND", "REASONS", "RESERVED",
    "UNITS_AVAILABLE", "Level", "Line", "OutOfStock", "adjust", "allow_backorder", "available",
    "commit", "count", "default_location", "levels", "lock", "movements",
    "receive", "release", "reserve", "restock", "restocked", "ship",
]  # fmt: skip
