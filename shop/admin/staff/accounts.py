"""Staff accounts: who may sign in to the admin, with which roles.

Promise: there is always an active Owner, nobody gives more than they have, and whoever is
deactivated or gets a new password is signed out everywhere. Like operations, nothing here commits:
pages and commands open the transaction. The rows are Flask-AppBuilder's (``ab_user``), the rules
are ours.
"""

import re
from collections.abc import Sequence
from typing import Any

from flask_appbuilder.security.sqla.models import Role, User
from sqlalchemy import func, select

from shop.admin import roles
from shop.admin.staff import passwords
from shop.core import clock, sessions
from shop.core.db import session
from shop.core.errors import DomainError, Invalid
from shop.core.i18n import gettext as _
from shop.core.passwords import hashed

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


class NotAllowed(DomainError):
    """The person may not do this to this account."""

    code = "forbidden"


class LastOwner(DomainError):
    """The shop would be left without anybody who can manage it."""

    code = "last_owner"

    def __init__(self) -> None:
        super().__init__(
            _("The shop needs at least one active Owner. Make someone else Owner first.")
        )


def create(
    *,
    email: str,
    first_name: str,
    last_name: str,
    password: str,
    held: Sequence[Role],
    by: Any | None,
) -> User:
    """A new account; ``by`` is the member of staff who makes it, None for a command.

    Raises ``Invalid`` (names the field) or ``NotAllowed``.
    """
    email = _email(email)
    _may_give(by, held)
    if not held:
        raise Invalid(_("Choose at least one role."), field="roles")
    passwords.check(password, email=email, name=f"{first_name} {last_name}")
    taken = select(User.id).where(
        (func.lower(User.email) == email) | (func.lower(User.username) == email)
    )
    if session.scalar(taken) is not None:
        raise Invalid(_("Someone already signs in with this address."), field="email")
    user = User(
        email=email,
        username=email,
        first_name=first_name.strip(),
        last_name=last_name.strip(),
        password=hashed(password),
        active=True,
        created_on=_stored_now(),
        changed_on=_stored_now(),
    )
    session.add(user)
    user.roles = list(held)
    session.flush()
    return user


def change(
    user: User, *, email: str, first_name: str, last_name: str, held: Sequence[Role], by: Any
) -> None:
    """Change name, address and roles. Raises ``Invalid``, ``NotAllowed`` or ``LastOwner``."""
    _may_manage(by, user)
    email = _email(email)
    before = {role.name for role in user.roles}
    after = {role.name for role in held}
    if before != after:
        if by.id == user.id:
            raise NotAllowed(_("You cannot change your own roles; ask another Owner."))
        if not held:
            raise Invalid(_("Choose at least one role."), field="roles")
        _may_give(by, held)
        if roles.OWNER in before - after:
            _keep_an_owner(without=user)
        user.roles = list(held)
    taken = select(User.id).where(
        User.id != user.id, (func.lower(User.email) == email) | (func.lower(User.username) == email)
    )
    if email != user.email and session.scalar(taken) is not None:
        raise Invalid(_("Someone already signs in with this address."), field="email")
    user.email = user.username = email
    rename(user, first_name=first_name, last_name=last_name)


def rename(user: User, *, first_name: str, last_name: str) -> None:
    """What people may change about themselves."""
    if not first_name.strip():
        raise Invalid(_("Fill in a name."), field="first_name")
    user.first_name, user.last_name = first_name.strip(), last_name.strip()
    user.changed_on = _stored_now()


def deactivate(user: User, *, by: Any) -> None:
    """End the account's access at once; its name stays in the history of orders."""
    _may_manage(by, user)
    if by.id == user.id:
        raise NotAllowed(_("You cannot deactivate yourself; ask another Owner."))
    if roles.OWNER in {role.name for role in user.roles}:
        _keep_an_owner(without=user)
    user.active = False
    user.changed_on = _stored_now()
    sessions.end_all("staff", user.id)


def activate(user: User, *, by: Any) -> None:
    """Let somebody in again; the old password still counts."""
    _may_manage(by, user)
    user.active = True
    user.changed_on = _stored_now()


def set_password(user: User, password: str, *, keep: str | None = None) -> None:
    """Set a new password and sign the account out everywhere but where the token ``keep`` is used.

    Raises ``Invalid`` when the password is too weak.
    """
    passwords.check(password, email=user.email, name=user.get_full_name())
    user.password = hashed(password)
    user.changed_on = _stored_now()
    sessions.end_all("staff", user.id, but=keep)


def reset_password(user: User, password: str, *, by: Any) -> None:
    """Somebody with the right to do so sets another person's password."""
    _may_manage(by, user)
    set_password(user, password)


def first_owner(email: str, password: str) -> User | None:
    """Make the first Owner, unless somebody is one already (then None).

    Raises ``Invalid`` for a bad address or password, ``RuntimeError`` when the roles are not
    installed or the account did not get its role: one that may do nothing is worse than none.
    """
    owner = session.scalar(select(Role).where(Role.name == roles.OWNER).with_for_update())
    if owner is None:
        raise RuntimeError("install the roles first: there is no role Owner")
    if _active_owners():
        return None
    user = create(
        email=email, first_name="Shop", last_name="Owner", password=password, held=[owner], by=None
    )
    if roles.OWNER not in {role.name for role in user.roles}:
        raise RuntimeError("the first account did not become Owner")
    return user


def _may_give(by: Any | None, held: Sequence[Role]) -> None:
    if by is not None and not roles.may_grant(by, [role.name for role in held]):
        raise NotAllowed(_("You cannot assign a role with more permissions than your own."))


def _may_manage(by: Any, user: User) -> None:
    if by.id != user.id and not roles.may_grant(by, [role.name for role in user.roles]):
        raise NotAllowed(_("You cannot change someone with more permissions than you."))


def _keep_an_owner(*, without: User) -> None:
    # The row of the role is the lock: two Owners who remove each other at once take turns.
    session.execute(select(Role.id).where(Role.name == roles.OWNER).with_for_update())
    if not _active_owners() - {without.id}:
        raise LastOwner


def _active_owners() -> set[int]:
    owners = select(User.id).join(User.roles).where(Role.name == roles.OWNER, User.active.is_(True))
    return set(session.scalars(owners))


def _email(text: str) -> str:
    email = text.strip().lower()
    if not EMAIL.fullmatch(email) or len(email) > 128:
        raise Invalid(_("This is not an email address."), field="email")
    return email


def _stored_now() -> Any:
    # ab_user keeps its times without a zone; ours are UTC.
    return clock.now().replace(tzinfo=None)
