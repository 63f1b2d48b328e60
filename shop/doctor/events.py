"""Integrity checks that were requested, their results, and what was repaired."""

from dataclasses import dataclass

from shop.core.events import Event


@dataclass(frozen=True, kw_only=True)
class DoctorAsked(Event):
    """Somebody requested a run of the integrity checks."""

    run_id: int


@dataclass(frozen=True, kw_only=True)
class DoctorAnswered(Event):
    """A run is over; ``faults`` is the number of checks that found some."""

    run_id: int
    faults: int


@dataclass(frozen=True, kw_only=True)
class FaultMended(Event):
    """A fault was repaired: of which check, what it is about, and what it was before."""

    check: str
    name: str
    was: str
    order_id: int | None = None
