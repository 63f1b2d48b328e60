"""Stock as a second look sees it."""

from sqlalchemy import func, select

from shop import inventory
from shop.core.db import session
from shop.inventory.models import StockLevel, StockMovement


def level(variant_id: int) -> tuple[int, int, int]:
    """On hand, reserved and committed."""
    now = inventory.levels([variant_id])[variant_id]
    return now.on_hand, now.reserved, now.committed


def ledger_differences() -> list[tuple[int, int, str]]:
    """Levels that differ from the sum of their ledger: (variant, location, what)."""
    sums = (
        select(
            StockMovement.variant_id,
            StockMovement.location_id,
            func.sum(StockMovement.on_hand_delta).label("on_hand"),
            func.sum(StockMovement.reserved_delta).label("reserved"),
            func.sum(StockMovement.committed_delta).label("committed"),
        )
        .group_by(StockMovement.variant_id, StockMovement.location_id)
        .subquery()
    )
    rows = session.execute(
        select(StockLevel, sums.c.on_hand, sums.c.reserved, sums.c.committed).outerjoin(
            sums,
            (sums.c.variant_id == StockLevel.variant_id)
            & (sums.c.location_id == StockLevel.location_id),
        )
    )
    return [
        (level.variant_id, level.location_id, name)
        for level, *ledger in rows
        for name, added_up in zip(("on_hand", "reserved", "committed"), ledger, strict=True)
        if getattr(level, name) != (added_up or 0)
    ]
