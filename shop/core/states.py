"""State tables: which state may follow which, as data that one can read aloud."""

from collections.abc import Mapping, Set
from enum import StrEnum
from typing import Generic, TypeVar

from shop.core.errors import WrongState

S = TypeVar("S", bound=StrEnum)


class StateTable(Generic[S]):
    """Allowed transitions of a thing, e.g. ``StateTable("parcel", {SHIPPED: {DELIVERED}})``."""

    def __init__(self, noun: str, table: Mapping[S, Set[S]]) -> None:
        self.noun = noun
        self.table = table

    def may(self, current: S, to: S) -> bool:
        """Whether ``to`` may follow ``current``."""
        return to in self.table.get(current, set())

    def move(self, current: S, *, to: S) -> S:
        """Returns ``to`` if it may follow ``current``. Raises ``WrongState`` in plain words."""
        if not self.may(current, to):
            if current == to:
                raise WrongState(f"This {self.noun} is {current} already.")
            raise WrongState(f"This {self.noun} is {current} and cannot become {to}.")
        return to
