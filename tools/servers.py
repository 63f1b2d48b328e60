"""What the stack needs to know of a server that it starts itself, so that each can be swapped."""

from typing import Protocol


class Server(Protocol):
    """An embedded server: started, asked for its address, stopped."""

    name: str

    def start(self) -> str:
        """Start it, wait until it answers, and give the URL that clients use.

        Starting it again after it died gives the same URL. Raises `CannotStart`.
        """

    def stop(self) -> None:
        """Stop it cleanly; stopping what does not run is no error."""

    def is_alive(self) -> bool:
        """Whether its process still runs."""

    @property
    def pid(self) -> int | None:
        """The process to end if this run gets killed."""
