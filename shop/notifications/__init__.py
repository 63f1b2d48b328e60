"""Email: each message is a row before it is sent, written once, sent until the server takes it.

Promise: a failing mail server delays emails and loses none. Without a server, messages stay in the
development mailbox. Leaves the decision *that* something is worth an email to the table of
reactions.
"""

from shop.notifications.models import EmailMessage, EmailState
from shop.notifications.procedures import (
    HIDDEN,
    Body,
    deliver,
    messages,
    retry,
    with_secret,
    without_secret,
)

__all__ = [
    "HIDDEN", "Body", "EmailMessage", "EmailState", "deliver", "messages", "retry", "with_secret",
    "without_secret",
]  # fmt: skip
