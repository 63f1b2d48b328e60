"""A program that talks to the API, signed in as whoever the test needs."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.security import generate_password_hash
from werkzeug.test import TestResponse

from shop.admin import roles
from shop.core import db, redis
from shop.customers.models import Customer
from tests.cast import PASSWORD, Cast


class Program:
    """Calls ``/api/v1``; ``token`` is its access token, ``cart`` its guest cart."""

    def __init__(self, client: FlaskClient, *, token: str = "", cart: str = "") -> None:
        self.client = client
        self.token = token
        self.cart = cart

    def __call__(self, method: str, path: str, **given: Any) -> TestResponse:
        headers = dict(given.pop("headers", {}))
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        if self.cart:
            headers.setdefault("X-Cart-Token", self.cart)
        answer = self.client.open(f"/api/v1/{path}", method=method, headers=headers, **given)
        self.cart = answer.headers.get("X-Cart-Token", self.cart)
        return answer

    def get(self, path: str, **given: Any) -> TestResponse:
        return self("GET", path, **given)

    def post(self, path: str, **given: Any) -> TestResponse:
        return self("POST", path, **given)

    def patch(self, path: str, **given: Any) -> TestResponse:
        return self("PATCH", path, **given)

    def put(self, path: str, **given: Any) -> TestResponse:
        return self("PUT", path, **given)

    def delete(self, path: str, **given: Any) -> TestResponse:
        return self("DELETE", path, **given)

    def sign_in(self, email: str, password: str = PASSWORD, audience: str = "customer") -> None:
        body = {"email": email, "password": password, "audience": audience}
        answer = self.post("auth/token", json=body)
        assert answer.status_code == 200, answer.json
        self.token = answer.json["access_token"]


@pytest.fixture
def client(app: Flask, session: Session) -> Iterator[FlaskClient]:
    """A program's HTTP client: it keeps no cookies."""
    redis.client().flushall()
    yield app.test_client(use_cookies=False)


@pytest.fixture
def guest(client: FlaskClient) -> Program:
    """Somebody without an account."""
    return Program(client)


@pytest.fixture
def as_customer(client: FlaskClient) -> Callable[[Customer], Program]:
    """Signs a customer in."""

    def signed_in(customer: Customer) -> Program:
        program = Program(client)
        program.sign_in(customer.email)
        return program

    return signed_in


@pytest.fixture
def ada(cast: Cast, as_customer: Callable[[Customer], Program]) -> Program:
    """Ada, signed in."""
    return as_customer(cast.ada)


@pytest.fixture
def bruno(cast: Cast, as_customer: Callable[[Customer], Program]) -> Program:
    """Bruno, signed in."""
    return as_customer(cast.bruno)


def asked_permissions(app: Flask) -> set[tuple[str, str]]:
    """Every (permission, admin page) that some route of the API asks for."""
    views = (app.view_functions[rule.endpoint] for rule in app.url_map.iter_rules())
    return {view.permission for view in views if getattr(view, "permission", None)}


def _grant(app: Flask, name: str) -> None:
    """Give a role what its declaration says, also for admin pages that are not installed."""
    security = app.extensions["appbuilder"].sm
    permission, view, pair = (
        security.permission_model,
        security.viewmenu_model,
        security.permissionview_model,
    )
    role = db.session.scalars(select(security.role_model).filter_by(name=name)).one()
    held = {(one.permission.name, one.view_menu.name) for one in role.permissions}
    for missing in roles.granted(name, asked_permissions(app)) - held:
        found = [
            db.session.scalar(select(model).filter_by(name=said)) or model(name=said)
            for model, said in zip((permission, view), missing, strict=True)
        ]
        role.permissions.append(pair(permission=found[0], view_menu=found[1]))
        db.session.flush()


@pytest.fixture
def hire(app: Flask, client: FlaskClient) -> Callable[[str], Program]:
    """Makes a member of staff with one role and signs them in."""

    def hired(role: str) -> Program:
        email = f"{role.lower()}@staff.example.com"
        with app.app_context():
            security = app.extensions["appbuilder"].sm
            user, role_model = security.user_model, security.role_model
            with db.transaction():
                _grant(app, role)
                db.session.add(
                    user(
                        username=email,
                        email=email,
                        first_name=role,
                        last_name="Person",
                        active=True,
                        password=generate_password_hash(PASSWORD),
                        roles=list(db.session.scalars(select(role_model).filter_by(name=role))),
                    )
                )
        program = Program(client)
        program.sign_in(email, audience="staff")
        return program

    return hired
