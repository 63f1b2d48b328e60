"""Staff at their browsers: somebody with one role, signed in, who sends forms as a page would."""

import re
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from flask_appbuilder.security.sqla.models import Role, User
from sqlalchemy import select
from werkzeug.test import TestResponse

from shop.admin import security
from shop.core import sessions
from shop.core.db import session, transaction

TOKEN = re.compile(r'name="csrf-token" content="([^"]+)"')


class Desk:
    """One signed-in browser."""

    def __init__(self, app: Flask, client: FlaskClient, name: str) -> None:
        self.app = app
        self.client = client
        self.name = name
        self._token = ""

    def get(self, path: str, **more: Any) -> TestResponse:
        """Open a page."""
        with self.app.app_context():  # as in the shop, no two requests share ``g``
            return self.client.get(path, **more)

    def text(self, path: str) -> str:
        """The words of a page that must be there."""
        response = self.get(path)
        assert response.status_code == 200, (path, response.status_code)
        return response.get_data(as_text=True)

    def post(self, path: str, data: dict[str, Any] | None = None, **more: Any) -> TestResponse:
        """Send a form."""
        form = {"csrf_token": self.token, **(data or {})}
        with self.app.app_context():
            return self.client.post(path, data=form, **more)

    def ask(self, path: str, data: dict[str, Any] | None = None) -> tuple[int, Any]:
        """Send a form as a script would. Returns status and JSON."""
        response = self.post(path, data, headers={"Accept": "application/json"})
        return response.status_code, response.get_json()

    def said(self) -> str:
        """What the next page tells this person."""
        return self.text("/admin/profile/")

    @property
    def token(self) -> str:
        """The secret that forms of this browser carry."""
        if not self._token:
            found = TOKEN.search(self.text("/admin/profile/"))
            assert found
            self._token = found[1]
        return self._token


def sit(app: Flask, role: str, name: str = "Mara") -> Desk:
    """Somebody with this role, signed in."""
    email = f"{name}.{role}@example.com".lower()
    with transaction():
        held = session.scalars(select(Role).where(Role.name == role)).one()
        # Straight to the table: hashing a password is most of what a test would cost.
        user = User(
            email=email,
            username=email,
            first_name=name,
            last_name="Lindt",
            password="",
            active=True,
            roles=[held],
        )
        session.add(user)
        session.flush()
        token = sessions.start("staff", user.id)
    client = app.test_client()
    with client.session_transaction() as cookie:
        cookie[security.SESSION_KEY] = token
    return Desk(app, client, f"{name} Lindt")
