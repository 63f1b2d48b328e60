"""State tables: which state may follow which, as data that one can read aloud."""

from collections.abc import Mapping, Set
from enum import StrEnum
from typing import Generic, TypeVar

from shop.core.errors import WrongState
from shop.core.i18n import gettext as _

S = TypeVar("S", bound=StrEnum)


class StateTable(Generic[S]):
    """Allowed transitions of a thing, e.g. ``StateTable("shipment", {SHIPPED: {DELIVERED}}, …)``.

    ``noun`` and ``words`` are what people read for the thing and for each of its states; made with
    ``lazy_gettext``, as tables are made before anybody's language is known.
    """

    def __init__(self, noun: str, table: Mapping[S, Set[S]], words: Mapping[S, str]) -> None:
        self.noun = noun
        self.table = table
        self.words = words

    def may(self, current: S, to: S) -> bool:
        """Whether ``to`` may follow ``current``."""
        return to in self.table.get(current, set())

    def move(self, current: S, *, to: S) -> S:
        """Returns ``to`` if it may follow ``current``. Raises ``WrongState`` in plain words."""
        if not self.may(current, to):
            state = self.words[current]
            if current == to:
                raise WrongState(
                    _("This %(noun)s is already %(state)s.", noun=self.noun, state=state)
                )
            raise WrongState(
                _(
                    "This %(noun)s is %(state)s and cannot become %(to)s.",
                    noun=self.noun,
                    state=state,
                    to=self.words[to],
                )
            )
        return to
