"""A browser without a sign-in: it opens pages and sends their forms."""

import re

from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from shop.core.db import session
from shop.notifications import EmailMessage, with_secret
from tests.notifications.test_emails import work

FORM_TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


class Stranger:
    """Somebody at a browser of their own."""

    def __init__(self, app: Flask, user_agent: str = "") -> None:
        self.app, self.client = app, app.test_client()
        self.headers = {"User-Agent": user_agent} if user_agent else {}

    def get(self, path: str) -> TestResponse:
        """Open a page, following where it leads."""
        with self.app.app_context():
            return self.client.get(path, follow_redirects=True, headers=self.headers)

    def send(self, path: str, **form: str) -> TestResponse:
        """Open the form at ``path`` and send it; a page without a form is the answer itself."""
        page = self.get(path)
        found = FORM_TOKEN.search(page.text)
        if not found:
            return page
        with self.app.app_context():
            data = {"csrf_token": found[1], **form}
            return self.client.post(page.request.path, data=data, headers=self.headers)

    def is_in(self) -> bool:
        """Whether this browser is signed in."""
        with self.app.app_context():
            return self.client.get("/admin/profile/", headers=self.headers).status_code == 200


def emails_of(kind: str) -> list[EmailMessage]:
    """All emails of a kind, the newest last, once everything that is due was sent."""
    work()
    session.expire_all()
    rows = select(EmailMessage).where(EmailMessage.kind == kind).order_by(EmailMessage.id)
    return list(session.scalars(rows))


def link_in(message: EmailMessage) -> str:
    """The path of the link that the reader of the email follows."""
    found = re.search(r"http://localhost(/admin/\w+/[A-Za-z0-9_-]+)", with_secret(message).text)
    assert found, message.text
    return found[1]
