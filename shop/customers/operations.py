"""Accounts of customers. No answer tells a stranger whether an address is known here."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from shop.core import clock, passwords, sessions, tokens
from shop.core.db import session
from shop.core.errors import Invalid, NotFound
from shop.core.events import emit
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
from shop.customers import addresses
from shop.customers.events import (
    CustomerRegistered,
    GuestOrdersRequested,
    PasswordResetRequested,
    RegistrationRepeated,
)
from shop.customers.models import Address, Customer

MIN_PASSWORD_LENGTH = passwords.MIN_LENGTH
LINK_MINUTES = 30
STALE_LINK = lazy_gettext("This link is no longer valid: it was used already, or it is too old.")
MAX_ADDRESSES = 20
Purpose = Literal["confirm", "orders", "password"]
_EMAIL = re.compile(
    r"[^\s@,;<>\"\\]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\.[A-Za-z]{2,}"
)


def clean_email(email: object) -> str:
    """The address, trimmed. Raises ``Invalid`` when no email could go there."""
    text = email.strip() if isinstance(email, str) else ""
    if not _EMAIL.fullmatch(text) or ".." in text:
        raise Invalid(_("Please enter an email address like ada@example.com."), field="email")
    return text


def register(email: str, password: str, name: str) -> None:
    """Ask for an account; what follows is in the email that either way is sent.

    A known address gets an email that says so; the account itself is not touched. Nor is one that
    waits for its confirmation: what was typed first stays, and whoever chose no password themselves
    asks for a new one. New or known, the work is one hash and three statements.
    Raises ``Invalid`` on a bad address or a weak password.
    """
    email = clean_email(email)
    name = " ".join(name.split())[:100]
    check_password(password, email, name)
    session.execute(
        insert(Customer)
        .values(email=email, name=name, password_hash=passwords.hashed(password))
        .on_conflict_do_nothing(index_elements=["email"])
    )
    # Another registration of this address may have been written since this statement began.
    known = session.execute(
        select(Customer.id, Customer.confirmed_at).where(Customer.email == email)
    ).one()
    if known.confirmed_at is not None:
        emit(RegistrationRepeated(customer_id=known.id))
    else:
        emit(CustomerRegistered(customer_id=known.id))
    session.flush()


def confirm(token: str, password: str) -> Customer:
    """Follow the link of the registration email, with the password chosen then.

    The password shows that who reads the email also asked for the account: otherwise a stranger
    could register somebody's address and wait for them to follow the link. Raises ``NotFound`` for
    a stale link and ``Invalid`` for another password; the link then stays good.
    """
    customer = _redeem("confirm", token)
    if not passwords.matches(customer.password_hash, password):
        raise Invalid(
            _(
                "This is not the password that was chosen for this account."
                " If you did not choose one, ask for a new password instead."
            ),
            field="password",
        )
    customer.confirmed_at = clock.now()
    return customer


def check_link(purpose: Purpose, token: str) -> None:
    """See whether an emailed link still works, without using it up. Raises ``NotFound`` if not."""
    if not tokens.is_good(purpose, token):
        raise NotFound(str(STALE_LINK))


def authenticate(email: str, password: str) -> Customer:
    """The customer with this address and password. Raises ``Invalid``, always with the same words.

    A password is hashed in every case, so that the time taken tells nothing either.
    """
    customer = session.scalar(select(Customer).where(Customer.email == email.strip()))
    right = passwords.matches(customer.password_hash if customer else None, password)
    if customer is None or not right or customer.confirmed_at is None:
        raise Invalid(_("We could not sign you in with this email address and password."))
    return customer


def sign_in(customer: Customer) -> str:
    """Open a session. Returns the secret for the browser's cookie."""
    return sessions.start("customer", customer.id)


def sign_out(token: str | None) -> None:
    """End the session of one browser."""
    sessions.end(token)


def request_password_reset(email: str, *, from_known_device: bool = False) -> None:
    """Ask for a link to a new password; it is emailed if the address is known. Says nothing either
    way and takes the same statements. How many emails a mailbox gets is the emails' to limit;
    ``from_known_device`` is for a browser that has signed in to this account before.
    """
    known = session.scalar(select(Customer.id).where(Customer.email == clean_email(email)))
    emit(PasswordResetRequested(customer_id=known or 0, from_known_device=from_known_device))
    session.flush()


def request_guest_orders(customer_id: int) -> None:
    """Email the account's own address a link that adds the orders placed with it as a guest.

    The link goes out whether there are any, so that an open session tells nothing. How many emails
    a mailbox gets is the emails' to limit.
    """
    emit(GuestOrdersRequested(customer_id=customer_id))


def prove_mailbox(token: str) -> Customer:
    """Returns the customer who has just followed the link for their guest orders, using it up.

    Raises ``NotFound`` for a stale link.
    """
    return _redeem("orders", token)


def reset_password(token: str, password: str) -> Customer:
    """Choose a password by an emailed link; ends all sessions. Raises ``NotFound``, ``Invalid``."""
    check_password(password)
    customer = _redeem("password", token)
    check_password(password, customer.email, customer.name)
    customer.password_hash = passwords.hashed(password)
    customer.confirmed_at = customer.confirmed_at or clock.now()
    sessions.end_all("customer", customer.id)
    return customer


def change_password(customer: Customer, old: str, new: str, *, keep: str | None = None) -> None:
    """Choose a new password, knowing the old; ends all sessions but the one with token ``keep``."""
    if not passwords.matches(customer.password_hash, old):
        raise Invalid(_("This is not your current password."), field="old_password")
    check_password(new, customer.email, customer.name)
    session.execute(
        update(Customer)
        .where(Customer.id == customer.id)
        .values(password_hash=passwords.hashed(new))
    )
    tokens.revoke("password", customer.id)
    sessions.end_all("customer", customer.id, but=keep)


def check_password(password: str, email: str = "", name: str = "") -> None:
    """Raises ``Invalid`` for a password that is short, endless, or easy to guess."""
    passwords.check(password, own_words=(email, name))


def save_address(
    customer_id: int, data: Mapping[str, Any], *, address_id: int | None = None
) -> Address:
    """Add an address, or change one of this customer's own.

    Raises ``InvalidAddress``; ``NotFound`` also for somebody else's address.
    """
    cleaned = addresses.clean(data)
    if address_id is None:
        if len(own_addresses(customer_id)) >= MAX_ADDRESSES:
            raise Invalid(
                _("You can keep %(most)s addresses. Delete one first.", most=MAX_ADDRESSES)
            )
        address = Address(customer_id=customer_id, **cleaned)
        session.add(address)
    else:
        address = _own(customer_id, address_id)
        for field, value in cleaned.items():
            setattr(address, field, value)
    session.flush()
    if data.get("is_default"):
        session.execute(
            update(Address)
            .where(Address.customer_id == customer_id)
            .values(is_default=Address.id == address.id)
        )
        address.is_default = True
    return address


def delete_address(customer_id: int, address_id: int) -> None:
    """Delete one of this customer's addresses. Raises ``NotFound``."""
    session.delete(_own(customer_id, address_id))


def own_addresses(customer_id: int) -> list[Address]:
    """This customer's addresses, the default one first. One statement."""
    return list(
        session.scalars(
            select(Address)
            .where(Address.customer_id == customer_id)
            .order_by(Address.is_default.desc(), Address.id)
        )
    )


def _own(customer_id: int, address_id: int) -> Address:
    address = session.scalar(
        select(Address).where(Address.id == address_id, Address.customer_id == customer_id)
    )
    if address is None:
        raise NotFound(_("Address not found."))
    return address


def _redeem(purpose: Purpose, token: str) -> Customer:
    customer_id = tokens.redeem(purpose, token)
    customer = session.get(Customer, customer_id) if customer_id else None
    if customer is None:
        raise NotFound(str(STALE_LINK))
    return customer
