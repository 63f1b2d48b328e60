"""Who is acting: staff, customer, API key or the system itself. Doors set it, events keep it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

Kind = Literal["staff", "customer", "guest", "system"]


@dataclass(frozen=True, slots=True)
class Actor:
    """``id`` is the staff user's or customer's number; ``name`` is what a timeline shows."""

    kind: Kind
    id: int | None = None
    name: str = ""


SYSTEM = Actor("system", None, "Shop")
GUEST = Actor("guest", None, "Guest")

_actor: ContextVar[Actor] = ContextVar("actor", default=SYSTEM)
_request_id: ContextVar[str] = ContextVar("request_id", default="")


def current() -> Actor:
    """The actor of this request or job; the system when nobody was named."""
    return _actor.get()


def set_current(actor: Actor) -> None:
    """Name the actor for the rest of this request or job."""
    _actor.set(actor)


@contextmanager
def acting_as(actor: Actor) -> Iterator[None]:
    """Act as ``actor`` inside the block."""
    token = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(token)


def request_id() -> str:
    """The id that ties log lines and events of one request together; empty outside of one."""
    return _request_id.get()


def set_request_id(value: str) -> None:
    _request_id.set(value)
