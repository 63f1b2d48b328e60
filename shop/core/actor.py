"""Who is acting, and from where: staff, customer, API key or the system itself. Doors set it,
events and audit entries keep it."""

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


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an act comes from: ``source`` is a door or kind of process (admin, api, store, import,
    worker, …), ``address`` the network address of a request."""

    source: str = ""
    address: str = ""


SYSTEM = Actor("system", None, "Shop")
GUEST = Actor("guest", None, "Guest")

_actor: ContextVar[Actor] = ContextVar("actor", default=SYSTEM)
_process = Origin()
_origin: ContextVar[Origin | None] = ContextVar("origin", default=None)
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


def configure(process: str, *, address: str = "") -> None:
    """Say what kind of process this is: the source of what no request asked for. ``address`` is
    the operating system's user, where a person started it."""
    global _process
    _process = Origin(process, address)


def origin() -> Origin:
    """Where this request or job comes from; the process itself outside of one."""
    return _origin.get() or _process


def set_origin(origin: Origin | None) -> None:
    """Name where the rest of this request or job comes from; None after it."""
    _origin.set(origin)


@contextmanager
def coming_from(source: str) -> Iterator[None]:
    """Name another source inside the block, such as an import that a request brought."""
    token = _origin.set(Origin(source, origin().address))
    try:
        yield
    finally:
        _origin.reset(token)
