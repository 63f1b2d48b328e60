"""Staff accounts: who may sign in to the admin, with which roles.

Promise: there is always an active Owner, nobody gives more than they have, and whoever is
deactivated or gets a new password is signed out everywhere. Whoever is invited is inactive and has
no password until they accept (invitations.py). Like operations, nothing here commits: pages and
commands open the transaction. The rows are Flask-AppBuilder's (``ab_user``), the rules are ours.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from flask_appbuilder.security.sqla.models import Role, User
from sqlalchemy import func, select

from shop import staff
from shop.admin import roles
from shop.admin.staff import passwords
from shop.core import actor, clock, sessions, tokens
from shop.core.db import session
from shop.core.errors import DomainError, Invalid, NotFound, WrongState
from shop.core.events import emit
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
from shop.core.passwords import hashed
from shop.staff.events import StaffPasswordChanged, StaffPasswordForgotten

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
STALE_LINK = lazy_gettext("This link is no longer valid: it was used already, or it is too old.")


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
    user = create_inactive(
        email=email, first_name=first_name, last_name=last_name, held=held, by=by
    )
    admit(user, password)
    session.flush()
    return user


def create_inactive(
    *, email: str, first_name: str, last_name: str, held: Sequence[Role], by: Any | None
) -> User:
    """A new account that nobody can sign in to: it has no password. ``by`` as in ``create``.

    Raises ``Invalid`` (names the field) or ``NotAllowed``.
    """
    email = _email(email)
    may_give(by, held)
    if not held:
        raise Invalid(_("Choose at least one role."), field="roles")
    if not first_name.strip():
        raise Invalid(_("Fill in a name."), field="first_name")
    taken = select(User.id).where(
        (func.lower(User.email) == email) | (func.lower(User.username) == email)
    )
    if session.scalar(taken) is not None:
        raise Invalid(_("Someone already signs in with this address or is invited."), field="email")
    user = User(
        email=email,
        username=email,
        first_name=first_name.strip(),
        last_name=last_name.strip(),
        active=False,
        created_on=_stored_now(),
        changed_on=_stored_now(),
    )
    session.add(user)
    user.roles = list(held)
    session.flush()
    return user


def admit(user: User, password: str) -> None:
    """Give an account its first password: from now on its owner can sign in. Raises ``Invalid``."""
    passwords.check(password, email=user.email, name=user.get_full_name())
    user.password = hashed(password)
    user.active = True
    user.changed_on = _stored_now()


def change(
    user: User, *, email: str, first_name: str, last_name: str, held: Sequence[Role], by: Any
) -> None:
    """Change name, address and roles. Raises ``Invalid``, ``NotAllowed`` or ``LastOwner``."""
    may_manage(by, user)
    email = _email(email)
    before = {role.name for role in user.roles}
    after = {role.name for role in held}
    if before != after:
        if by.id == user.id:
            raise NotAllowed(_("You cannot change your own roles; ask another Owner."))
        if not held:
            raise Invalid(_("Choose at least one role."), field="roles")
        may_give(by, held)
        if roles.OWNER in before - after:
            _keep_an_owner(without=user)
        user.roles = list(held)
    taken = select(User.id).where(
        User.id != user.id, (func.lower(User.email) == email) | (func.lower(User.username) == email)
    )
    if email != user.email and session.scalar(taken) is not None:
        raise Invalid(_("Someone already signs in with this address or is invited."), field="email")
    if email != user.email:
        tokens.revoke(staff.PASSWORD, user.id)
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
    may_manage(by, user)
    _check_joined(user)
    if by.id == user.id:
        raise NotAllowed(_("You cannot deactivate yourself; ask another Owner."))
    if roles.OWNER in {role.name for role in user.roles}:
        _keep_an_owner(without=user)
    user.active = False
    user.changed_on = _stored_now()
    sessions.end_all("staff", user.id)


def activate(user: User, *, by: Any) -> None:
    """Let somebody in again; the old password still counts. Raises ``WrongState`` for somebody who
    is invited: they come in by their link."""
    may_manage(by, user)
    _check_joined(user)
    user.active = True
    user.changed_on = _stored_now()


def set_password(user: User, password: str, *, keep: str | None = None) -> None:
    """Set a new password and sign the account out everywhere but where the token ``keep`` is used.

    Links to another password are dead, and its owner gets an email. Raises ``Invalid`` when the
    password is too weak.
    """
    passwords.check(password, email=user.email, name=user.get_full_name())
    user.password = hashed(password)
    user.changed_on = _stored_now()
    tokens.revoke(staff.PASSWORD, user.id)
    sessions.end_all("staff", user.id, but=keep)
    emit(StaffPasswordChanged(staff_id=user.id))


def reset_password(user: User, password: str, *, by: Any) -> None:
    """Somebody with the right to do so sets another person's password."""
    may_manage(by, user)
    _check_joined(user)
    set_password(user, password)


def request_password(email: str, *, from_known_device: bool = False) -> None:
    """Ask for a link to a new password; it is emailed if the address is that of an account that can
    sign in. Says nothing either way and takes the same statements. How many emails a mailbox gets
    is the emails' to limit; ``from_known_device`` is for a browser that has signed in to this
    account before.
    """
    lowered = email.strip().lower().replace("\0", "")
    known = select(User.id).where(func.lower(User.email) == lowered, User.active.is_(True))
    found = session.scalar(known.limit(1))
    emit(StaffPasswordForgotten(staff_id=found or 0, from_known_device=from_known_device))
    session.flush()


def choose_password(token: str, password: str) -> User:
    """Choose a password by an emailed link; ends all sign-ins.

    Raises ``NotFound`` for a link that is used, too old or of an account that was deactivated
    meanwhile, ``Invalid`` for a weak password: the link then stays good.
    """
    user_id = tokens.redeem(staff.PASSWORD, token)
    user = session.get(User, user_id, with_for_update=True) if user_id else None
    if user is None or not user.active:
        raise NotFound(str(STALE_LINK))
    with acting_as(user):
        set_password(user, password)
        session.flush()
    return user


@contextmanager
def acting_as(user: User) -> Iterator[None]:
    """Whoever follows the link of an email is the account's owner, for the audit too, though they
    are not signed in."""
    with actor.acting_as(actor.Actor("staff", user.id, user.get_full_name().strip())):
        yield


def sign_out(user: User, *, by: Any, sign_in_id: int | None = None) -> None:
    """End one sign-in of somebody, or all of them. Raises ``NotAllowed``."""
    may_manage(by, user)
    if sign_in_id is None:
        sessions.end_all("staff", user.id)
    else:
        sessions.end_one("staff", user.id, sign_in_id)


def first_owner(email: str, password: str) -> User | None:
    """Make the first Owner, unless somebody is one already (then None).

    Raises ``Invalid`` for a bad address or password, ``RuntimeError`` when the roles are not
    installed or the account did not get its role: one that may do nothing is worse than none.
    """
    owner = locked_owner_role()
    if has_owner():
        return None
    user = create(
        email=email, first_name="Shop", last_name="Owner", password=password, held=[owner], by=None
    )
    if roles.OWNER not in {role.name for role in user.roles}:
        raise RuntimeError("the first account did not become Owner")
    return user


def locked_owner_role() -> Role:
    """The role of Owners, locked: whoever makes or removes one takes turns."""
    owner = session.scalar(select(Role).where(Role.name == roles.OWNER).with_for_update())
    if owner is None:
        raise RuntimeError("install the roles first: there is no role Owner")
    return owner


def has_owner() -> bool:
    """Whether an Owner can sign in."""
    return bool(_active_owners())


def may_give(by: Any | None, held: Sequence[Role]) -> None:
    """Raises ``NotAllowed`` when ``by`` may not give these roles; a command (None) may."""
    if by is not None and not roles.may_grant(by, [role.name for role in held]):
        raise NotAllowed(_("You cannot assign a role with more permissions than your own."))


def may_manage(by: Any, user: User) -> None:
    """Raises ``NotAllowed`` when ``by`` may do less than ``user``."""
    if by.id != user.id and not roles.may_grant(by, [role.name for role in user.roles]):
        raise NotAllowed(_("You cannot change someone with more permissions than you."))


def has_joined(user: User) -> bool:
    """Whether the account was ever usable: an invited one has no password until it is accepted."""
    return user.password is not None


def _check_joined(user: User) -> None:
    if not has_joined(user):
        raise WrongState(_("They have not accepted their invitation."))


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
