"""The development mailbox: what would have been sent."""

import re
from dataclasses import dataclass

from sqlalchemy import select

from shop.core.db import session, transaction
from shop.notifications.models import MailMessage
from tests.support.stack import eventually


@dataclass(frozen=True)
class Mail:
    """One message as its reader gets it."""

    id: int
    subject: str
    text: str

    @property
    def links(self) -> list[str]:
        """All addresses in it."""
        return re.findall(r"https?://[^\s<>\"]+", self.text)

    def link(self, part: str) -> str:
        """The first address with ``part`` in it."""
        return next(link for link in self.links if part in link)


def mail_to(recipient: str, kind: str) -> Mail:
    """The newest mail of a kind to somebody, once a worker has dealt with it."""
    newest = (
        select(MailMessage.id, MailMessage.subject, MailMessage.text)
        .filter_by(recipient=recipient, kind=kind, state="kept")
        .order_by(MailMessage.id.desc())
        .limit(1)
    )
    found: list[Mail] = []

    def look() -> bool:
        with transaction():
            found.extend(Mail(*row) for row in session.execute(newest))
        return bool(found)

    eventually(look, within_s=30, what=f"a mail “{kind}” to {recipient}")
    return found[0]
