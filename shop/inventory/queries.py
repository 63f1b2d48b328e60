"""Reading stock."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select

from shop.catalog.models import Variant
from shop.core.db import session
from shop.inventory.models import Location, MovementKind, StockLevel, StockMovement


@dataclass(frozen=True, slots=True)
class Level:
    """Units of a variant over all locations."""

    on_hand: int
    reserved: int
    committed: int

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved - self.committed


# Available units, added up over the stock levels of a group.
UNITS_AVAILABLE = func.coalesce(func.sum(StockLevel.available), 0)
_ON_HAND = func.coalesce(func.sum(StockLevel.on_hand), 0)
_RESERVED = func.coalesce(func.sum(StockLevel.reserved), 0)
_COMMITTED = func.coalesce(func.sum(StockLevel.committed), 0)


def _of_variant(units: ColumnElement[Any]) -> ColumnElement[Any]:
    """Units of a variant over all locations, for a SELECT of variants."""
    return (
        select(units)
        .where(StockLevel.variant_id == Variant.id)
        .correlate(Variant)
        .scalar_subquery()
    )


# What a SELECT of variants can show and ask for.
ON_HAND, RESERVED, COMMITTED = (_of_variant(units) for units in (_ON_HAND, _RESERVED, _COMMITTED))
AVAILABLE = _of_variant(UNITS_AVAILABLE)
IS_OUT = AVAILABLE <= 0
IS_LOW = and_(AVAILABLE > 0, Variant.low_stock_level >= AVAILABLE)


def levels(variant_ids: Iterable[int]) -> dict[int, Level]:
    """Levels by variant; a variant without stock rows is missing. One statement."""
    rows = session.execute(
        select(StockLevel.variant_id, _ON_HAND, _RESERVED, _COMMITTED)
        .where(StockLevel.variant_id.in_(list(variant_ids)))
        .group_by(StockLevel.variant_id)
    )
    return {row[0]: Level(*row[1:]) for row in rows}


def available(variant_ids: Iterable[int]) -> dict[int, int]:
    """Available units by variant, 0 where nothing was ever received. One statement."""
    wanted = list(variant_ids)
    known = levels(wanted)
    return {
        variant_id: known[variant_id].available if variant_id in known else 0
        for variant_id in wanted
    }


def movements(
    variant_id: int, *, limit: int = 50, before: int | None = None
) -> Sequence[StockMovement]:
    """The ledger of a variant, newest first; ``before`` is the last id of the page above."""
    query = select(StockMovement).where(StockMovement.variant_id == variant_id)
    if before is not None:
        query = query.where(StockMovement.id < before)
    return session.scalars(query.order_by(StockMovement.id.desc()).limit(limit)).all()


def restocked(order_id: int) -> dict[int, int]:
    """Units of an order that came back and are on the shelf again, by variant. One statement."""
    rows = session.execute(
        select(StockMovement.variant_id, func.sum(StockMovement.on_hand_delta))
        .where(StockMovement.order_id == order_id, StockMovement.kind == MovementKind.RESTOCK)
        .group_by(StockMovement.variant_id)
    )
    return {variant_id: int(units) for variant_id, units in rows}


def default_location() -> Location:
    """Where goods lie when nobody says otherwise. One statement."""
    return session.scalars(select(Location).where(Location.is_default)).one()
