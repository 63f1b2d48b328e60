"""The development mailbox, read by the owner in the admin as anybody would."""

import time
from dataclasses import dataclass
from urllib.parse import quote

from tests.support.browser import PATIENCE_MS, Visitor, expect


@dataclass(frozen=True)
class Mail:
    """One message as its reader gets it."""

    text: str
    links: tuple[str, ...]

    def link(self, part: str) -> str:
        """The first address with ``part`` in it."""
        return next(link for link in self.links if part in link)


def read_email(owner: Visitor, recipient: str, subject: str) -> Mail:
    """Open the newest email to somebody with these words in its subject, waiting for it."""
    page = owner.page
    row = (
        page.get_by_role("row").filter(has_text=recipient).filter(has_text="Not sent (development)")
    )
    link = row.get_by_role("link", name=subject).first
    deadline = time.monotonic() + PATIENCE_MS / 1000
    owner.goto(f"/admin/mail/list/?q={quote(recipient)}")
    while not link.is_visible():
        assert time.monotonic() < deadline, f"no email “{subject}” to {recipient}"
        page.wait_for_timeout(250)
        page.reload()
    link.click()
    expect(page.get_by_role("heading", level=1, name=subject)).to_be_visible()
    letter = page.frame_locator("iframe.letter").locator("body")
    expect(letter).to_be_visible()
    addresses = letter.locator("a").evaluate_all("links => links.map((one) => one.href)")
    return Mail(letter.inner_text(), tuple(addresses))
