"""What happens to emails."""

from dataclasses import dataclass

from shop.core.events import Event


@dataclass(frozen=True, kw_only=True)
class MailQueued(Event):
    """An email was written and waits to be sent."""

    message_id: int
