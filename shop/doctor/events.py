"""What the doctor was asked, said and mended."""

from dataclasses import dataclass

from shop.core.events import Event


@dataclass(frozen=True, kw_only=True)
class DoctorAsked(Event):
    """Somebody wants to know whether all is well."""

    run_id: int


@dataclass(frozen=True, kw_only=True)
class DoctorAnswered(Event):
    """A look at the shop is over; ``faults`` is the number of rules that are broken."""

    run_id: int
    faults: int


@dataclass(frozen=True, kw_only=True)
class FaultMended(Event):
    """The doctor counted something again: which rule, what it is about, and what it was before."""

    check: str
    name: str
    was: str
    order_id: int | None = None
