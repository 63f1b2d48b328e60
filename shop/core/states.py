"""State tables: which state may follow which, as data that one can read aloud."""

from collections.abc import Mapping, Set

from shop.core.errors import WrongState


class StateTable:
    """Allowed transitions of a thing, e.g. ``StateTable("order", {"pending": {"confirmed"}})``."""

    def __init__(self, noun: str, table: Mapping[str, Set[str]]) -> None:
        self.noun = noun
        self.table = table

    def may(self, current: str, to: str) -> bool:
        """Whether ``to`` may follow ``current``."""
        return to in self.table.get(current, set())

    def move(self, current: str, *, to: str) -> str:
        """Give ``to`` if it may follow ``current``. Raises ``WrongState`` in words for people."""
        if not self.may(current, to):
            if current == to:
                raise WrongState(f"This {self.noun} is {current} already.")
            raise WrongState(f"This {self.noun} is {current} and cannot become {to}.")
        return to
