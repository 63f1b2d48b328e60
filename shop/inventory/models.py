"""Tables of stock: levels that CHECKs guard, and the insert-only ledger that they add up from."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index
from sqlalchemy.orm import Mapped, column_property, mapped_column, relationship

from shop.catalog.models import Variant
from shop.core.choices import choice, one_of
from shop.core.db import Base


class MovementKind(StrEnum):
    """Why stock changed."""

    RECEIVE = "receive"
    ADJUST = "adjust"
    COUNT = "count"
    RESERVE = "reserve"
    RELEASE = "release"
    COMMIT = "commit"
    SHIP = "ship"
    RESTOCK = "restock"
    WRITE_OFF = "write_off"
    TRANSFER = "transfer"


class Location(Base):
    """Where goods lie; exactly one is the default."""

    __tablename__ = "location"
    __table_args__ = (
        Index("uq_location_default", "is_default", unique=True, postgresql_where="is_default"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    is_default: Mapped[bool] = mapped_column(server_default="false", default=False)

    def __str__(self) -> str:
        return self.name


class StockLevel(Base):
    """How many there are. ``reserved``: kept for unpaid orders; ``committed``: paid, not shipped.

    ``may_go_below`` copies the variant's backorder switch, so that one CHECK can guard the promise.
    """

    __tablename__ = "stock_level"
    __table_args__ = (
        CheckConstraint("on_hand >= 0", name="on_hand"),
        CheckConstraint("reserved >= 0", name="reserved"),
        CheckConstraint("committed >= 0", name="committed"),
        CheckConstraint("may_go_below OR on_hand - reserved - committed >= 0", name="available"),
    )

    variant_id: Mapped[int] = mapped_column(
        ForeignKey("variant.id"), primary_key=True, autoincrement=False
    )
    location_id: Mapped[int] = mapped_column(
        ForeignKey("location.id"), primary_key=True, autoincrement=False
    )
    on_hand: Mapped[int] = mapped_column(server_default="0", default=0)
    reserved: Mapped[int] = mapped_column(server_default="0", default=0)
    committed: Mapped[int] = mapped_column(server_default="0", default=0)
    may_go_below: Mapped[bool] = mapped_column(server_default="false", default=False)
    available: Mapped[int] = column_property(on_hand - reserved - committed)

    variant: Mapped[Variant] = relationship()
    location: Mapped[Location] = relationship()


class StockMovement(Base):
    """One entry of the ledger: what changed, what it was afterwards, why and by whom."""

    __tablename__ = "stock_movement"
    __table_args__ = (
        Index("ix_stock_movement_variant", "variant_id", "id"),
        Index("ix_stock_movement_order_id", "order_id"),
        one_of("kind", MovementKind),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    variant_id: Mapped[int] = mapped_column(ForeignKey("variant.id"))
    location_id: Mapped[int] = mapped_column(ForeignKey("location.id"))
    kind: Mapped[MovementKind] = choice(MovementKind)
    on_hand_delta: Mapped[int] = mapped_column(server_default="0", default=0)
    reserved_delta: Mapped[int] = mapped_column(server_default="0", default=0)
    committed_delta: Mapped[int] = mapped_column(server_default="0", default=0)
    on_hand_after: Mapped[int]
    reserved_after: Mapped[int]
    committed_after: Mapped[int]
    reason: Mapped[str] = mapped_column(server_default="", default="")
    note: Mapped[str] = mapped_column(server_default="", default="")
    order_id: Mapped[int | None] = mapped_column(BigInteger)
    actor_kind: Mapped[str]
    actor_id: Mapped[int | None] = mapped_column(BigInteger)
    actor_name: Mapped[str]
    at: Mapped[datetime]
