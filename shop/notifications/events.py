"""What happens to mails."""

from dataclasses import dataclass

from shop.core.events import Event


@dataclass(frozen=True, kw_only=True)
class MailQueued(Event):
    """A mail was written and waits to be sent."""

    message_id: int
