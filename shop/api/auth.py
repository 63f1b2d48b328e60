"""Signing in and out, accounts and passwords, for programs."""

from dataclasses import asdict
from typing import Any

from flask import current_app, request
from marshmallow import fields, validate
from sqlalchemy import func, select

from shop import audit, cart, checkout, customers, orders
from shop.api import limits, tokens
from shop.api.callers import caller, signed_in, unasked
from shop.api.door import Door
from shop.api.errors import Refused
from shop.api.fields import Schema, line
from shop.core import actor, clock, devices, passwords
from shop.core.db import session, transaction
from shop.core.errors import Invalid

bp = Door("Auth", "Access tokens last 15 minutes; a refresh token works once and gives a new pair.")

PER_CALLER = "30 per minute"
PER_ACCOUNT = "10 per 15 minutes"
EMAILS_PER_CALLER = "20 per hour"
EMAILS_PER_ACCOUNT = "5 per hour"


class CredentialsSchema(Schema):
    """What signs somebody in."""

    email = line(254, least=1, required=True)
    password = line(1024, least=1, required=True)
    audience = fields.String(
        load_default="customer", validate=validate.OneOf(["customer", "staff"])
    )
    device_token = line(
        1000,
        allow_none=True,
        metadata={"description": "As the last sign-in from this device answered it."},
    )


class PairSchema(Schema):
    """Tokens; ``expires_in`` is the access token's life in seconds."""

    access_token = fields.String(required=True)
    refresh_token = fields.String(required=True)
    token_type = fields.String(required=True)
    expires_in = fields.Integer(required=True)


class SignedInSchema(PairSchema):
    """Tokens, and what the device sends with its next sign-in.

    With its ``device_token`` a device gets in by the right password whatever others in its network
    have tried. It lets nobody in by itself.
    """

    device_token = fields.String(required=True)


class RefreshSchema(Schema):
    """A refresh token, which this uses up."""

    refresh_token = line(200, least=1, required=True)


class MeSchema(Schema):
    """Who the access token belongs to. ``roles`` are staff's."""

    audience = fields.String(required=True)
    id = fields.Integer(required=True)
    name = fields.String(required=True)
    email = fields.String(required=True)
    roles = fields.List(fields.String(), required=True)


class RegisterSchema(Schema):
    """A wish for an account."""

    email = line(254, least=1, required=True)
    password = line(256, least=1, required=True)
    name = line(100, least=1, required=True)


class EmailSchema(Schema):
    """An address, and what the device knows from its last sign-in."""

    email = line(254, least=1, required=True)
    device_token = line(1000, allow_none=True)


class LinkSchema(Schema):
    """The token of an emailed link, and a password."""

    token = line(200, least=1, required=True)
    password = line(256, least=1, required=True)


class AcceptedSchema(Schema):
    """What happens next."""

    detail = fields.String(required=True)


@bp.post("/auth/token")
@unasked
@bp.arguments(CredentialsSchema)
@bp.response(200, SignedInSchema)
def token(given: dict[str, Any]) -> dict[str, Any]:
    """Sign in

    A customer's guest cart named by `X-Cart-Token` is brought along. Wrong credentials are 401 with
    the same words whatever was wrong. Keep `device_token` and send it with the next sign-in.
    """
    email, audience, kept = given["email"], given["audience"], given.get("device_token")
    device = devices.known(kept, audience, email)
    if not device:
        limits.count("token", per_caller=PER_CALLER, per_account=PER_ACCOUNT, account=email)
    sign_in = _sign_staff_in if audience == "staff" else _sign_customer_in
    try:
        pair = sign_in(email, given["password"])
    except Refused:
        if device:
            devices.note_failure(device)
        raise
    return asdict(pair) | {"device_token": devices.remember(kept, audience, email)}


@bp.post("/auth/refresh")
@unasked
@bp.arguments(RefreshSchema)
@bp.response(200, PairSchema)
def refresh(given: dict[str, str]) -> tokens.Pair:
    """Get new tokens for a refresh token

    A refresh token that is used twice ends the whole sign-in, since somebody has a copy of it.
    A sign-in lasts 30 days for customers and 12 hours for staff, however often it is refreshed.
    """
    limits.count("refresh", per_caller="60 per minute")
    with transaction():
        pair = tokens.rotate(given["refresh_token"])
    if pair is None:
        raise Refused(401, "This refresh token is not valid (any more). Sign in again.")
    return pair


@bp.post("/auth/logout")
@signed_in
@bp.response(204)
def logout() -> None:
    """End this sign-in with all its tokens"""
    bearer = caller().bearer
    with transaction():
        tokens.close_sign_in(bearer.sign_in_id if bearer else 0)


@bp.get("/auth/me")
@signed_in
@bp.response(200, MeSchema)
def me() -> Any:
    """Who the access token belongs to"""
    return caller()


@bp.post("/auth/register")
@unasked
@bp.arguments(RegisterSchema)
@bp.response(202, AcceptedSchema)
def register(given: dict[str, str]) -> dict[str, str]:
    """Ask for an account

    The answer is the same for known and unknown addresses; what to do next is in the email.
    """
    _count_email("register", given["email"])
    with transaction():
        customers.register(given["email"], given["password"], given["name"])
    return {"detail": "We have sent an email to this address. Follow the link in it."}


@bp.post("/auth/confirm")
@unasked
@bp.arguments(LinkSchema)
@bp.response(204)
def confirm(given: dict[str, str]) -> None:
    """Confirm an address with the token of the registration email and the password chosen then"""
    limits.count("confirm", per_caller=PER_CALLER)
    with transaction():
        known = customers.confirm(given["token"], given["password"])
        orders.adopt(known.id, known.email)


@bp.post("/auth/password-reset")
@unasked
@bp.arguments(EmailSchema)
@bp.response(202, AcceptedSchema)
def ask_for_password(given: dict[str, Any]) -> dict[str, str]:
    """Ask for an email with a link to a new password (customers)

    The answer is the same for known and unknown addresses.
    """
    device = devices.known(given.get("device_token"), "customer", given["email"])
    _count_email("password", given["email"], device)
    with transaction():
        customers.request_password_reset(given["email"], from_known_device=bool(device))
    return {"detail": "If we know this address, an email with a link is on its way."}


@bp.post("/auth/password-reset/confirm")
@unasked
@bp.arguments(LinkSchema)
@bp.response(204)
def set_password(given: dict[str, str]) -> None:
    """Choose a new password with the token of the email; ends every sign-in of the account"""
    limits.count("confirm", per_caller=PER_CALLER)
    with transaction():
        known = customers.reset_password(given["token"], given["password"])
        orders.adopt(known.id, known.email)


def _sign_customer_in(email: str, password: str) -> tokens.Pair:
    try:
        known = customers.authenticate(email, password)
    except Invalid as error:
        raise Refused(401, error.sentence, code="wrong_credentials") from error
    actor.set_current(actor.Actor("customer", known.id, known.name))
    with transaction():
        guest = cart.find(request.headers.get("X-Cart-Token"))
        if guest is not None:
            checkout.merge_carts(guest, known.id)
        return tokens.open_sign_in("customer", known.id)


def _sign_staff_in(name: str, password: str) -> tokens.Pair:
    """By user name or address; known and unknown ones cost one password check each."""
    model = current_app.extensions["appbuilder"].sm.user_model
    lowered = name.strip().lower()
    named = (func.lower(model.username) == lowered) | (func.lower(model.email) == lowered)
    user = session.scalars(select(model).where(named).limit(1)).unique().one_or_none()
    right = passwords.matches(user.password if user else None, password)
    known = (user.id, user.get_full_name(), user.username) if user else (None, "", "")
    if user is None or not user.active or not right:
        with transaction():
            audit.record_sign_in(*known, is_refused=True)
        raise Refused(
            401,
            "We could not sign you in with this email address and password.",
            code="wrong_credentials",
        )
    with transaction():
        user.last_login = clock.now().replace(tzinfo=None)
        user.login_count = (user.login_count or 0) + 1
        audit.record_sign_in(*known, is_refused=False)
        return tokens.open_sign_in(
            "staff",
            user.id,
            user_agent=request.user_agent.string,
            network_address=request.remote_addr or "",
        )


def _count_email(what: str, email: str, device: str = "") -> None:
    limits.count(
        what,
        per_caller=EMAILS_PER_CALLER,
        per_account=EMAILS_PER_ACCOUNT,
        account=email,
        device=device,
    )
