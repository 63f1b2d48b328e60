"""Several forms on one page: each part is saved for itself, merged like any other form, and comes
back with what was typed where it was refused.

A view names its ``parts`` and gives each a method that calls ``save_part`` (form_pages.py). The
template shows ``attempt.value(part, name, …)`` in its fields, ``attempt.mark(part)`` at the form,
``attempt.invalid(part, name)`` in a field with a flaw and ``attempt.flaw(part, name)`` beside it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from shop.admin.framework.conflicts import Typed, seen_of


def _nothing(item: Any) -> Typed:
    return {}


@dataclass(frozen=True)
class Part:
    """A form of its own on a record's page.

    ``save`` takes the record, locked, and what was typed, inside the transaction. ``shown`` gives
    the fields as they are now, for a part that changes what is there; one that only adds has none.
    ``anchor`` is where the page opens afterwards.
    """

    name: str
    save: Callable[[Any, Typed], object]
    shown: Callable[[Any], Typed] = _nothing
    anchor: str = ""

    def seen(self, item: Any) -> str:
        """What the part shows, for the hidden field ``seen`` of its form."""
        return seen_of(self.shown(item))


@dataclass(frozen=True)
class Attempt:
    """What somebody typed into a part that was refused, and why, field by field."""

    part: str = ""
    sentence: str = ""
    typed: Typed = field(default_factory=dict)
    flaws: Mapping[str, str] = field(default_factory=dict)

    def value(self, part: str, name: str, otherwise: object) -> str:
        """What a field of a part should show."""
        if self.part == part and name in self.typed:
            return self.typed[name]
        return "" if otherwise is None else str(otherwise)

    def ticked(self, part: str, name: str, otherwise: bool) -> bool:
        """Whether a box of a part should be ticked."""
        return bool(self.typed.get(name)) if self.part == part else otherwise

    def mark(self, part: str) -> Markup:
        """The attribute of a form that came back with what was typed; nothing for the others."""
        return Markup(" data-refused") if self.part == part else Markup()

    def flaw(self, part: str, name: str) -> str:
        """What is wrong with a field of a part; empty for nothing."""
        return self.flaws.get(name, "") if self.part == part else ""

    def invalid(self, part: str, name: str) -> Markup:
        """The attributes of a field with a flaw, which stands in an element called flaw-<name>."""
        if not self.flaw(part, name):
            return Markup()
        return Markup(' aria-invalid="true" aria-describedby="flaw-{}"').format(name)
