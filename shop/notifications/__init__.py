"""E-mail: each message is a row before it is sent, written once, sent until the server takes it.

Promise: a failing mail server delays mails and loses none. Without a server, messages stay in the
development mailbox. Leaves the decision *that* something is worth a mail to the table of reactions.
"""

from shop.notifications.models import MailMessage, MailState
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
    "HIDDEN", "Body", "MailMessage", "MailState", "deliver", "messages", "retry", "with_secret",
    "without_secret",
]  # fmt: skip
