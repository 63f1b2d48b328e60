"""Invitations: how a member of staff gets in, with a password that nobody else has ever known.

Promise: an invited account cannot sign in; its link works once, for seven days, and no longer once
the invitation was revoked or sent again. Like operations, nothing here commits.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from flask_appbuilder.security.sqla.models import Role, User
from sqlalchemy import delete, select, update

from shop import staff
from shop.admin.staff import accounts
from shop.core import clock, tokens
from shop.core.db import session
from shop.core.errors import Invalid, NotFound, WrongState
from shop.core.events import emit
from shop.core.i18n import gettext as _
from shop.staff import Invitation, Invited
from shop.staff.events import StaffInvited

LIFETIME = timedelta(minutes=staff.LINK_MINUTES[staff.INVITATION])


def invite(
    *, email: str, first_name: str, last_name: str, held: Sequence[Role], by: Any | None
) -> User:
    """Make an account for somebody and email them the link to it.

    ``by`` is the member of staff who invites, None for a command. Raises ``Invalid`` (names the
    field) or ``NotAllowed``.
    """
    user = accounts.create_inactive(
        email=email, first_name=first_name, last_name=last_name, held=held, by=by
    )
    _send(user, by)
    return user


def resend(user: User, *, by: Any | None) -> None:
    """Send a new link; the old one is dead. Raises ``NotAllowed``, ``WrongState``."""
    if by is not None:
        accounts.may_manage(by, user)
    found = _locked(user)
    session.execute(delete(Invitation).where(Invitation.id == found.id))
    tokens.revoke(staff.INVITATION, found.id)
    _send(user, by)


def follow_address(user: User, *, by: Any) -> None:
    """Somebody's address was changed: an invitation that they can still accept goes to the new one,
    and the link in the old mailbox is dead."""
    found = of_user(user.id)
    if found is not None and found.revoked_at is None:
        resend(user, by=by)


def revoke(user: User, *, by: Any) -> None:
    """Take an invitation back: its link is dead. Raises ``NotAllowed``, ``WrongState``."""
    accounts.may_manage(by, user)
    found = _locked(user)
    if found.revoked_at is not None:
        raise WrongState(_("The invitation is revoked already."))
    session.execute(
        update(Invitation).where(Invitation.id == found.id).values(revoked_at=clock.now())
    )
    tokens.revoke(staff.INVITATION, found.id)


def of_link(token: str) -> Invited:
    """Who is invited by this link; looking does not use it up. Raises ``NotFound``."""
    about = tokens.subject_of(staff.INVITATION, token)
    found = staff.invited(about) if about is not None else None
    if found is None:
        raise NotFound(str(accounts.STALE_LINK))
    return found


def accept(token: str, password: str) -> User:
    """Join with a password of one's own. Of two at once one gets in.

    Raises ``NotFound`` for a link that is used, too old or dead, ``Invalid`` for a weak password:
    the link then stays good.
    """
    found = of_link(token)
    # The account is locked first, as by whoever sends the invitation again or revokes it.
    user = session.get_one(User, found.user_id, with_for_update=True, populate_existing=True)
    if tokens.redeem(staff.INVITATION, token) is None or staff.invited(found.id) is None:
        raise NotFound(str(accounts.STALE_LINK))
    with accounts.acting_as(user):
        session.execute(delete(Invitation).where(Invitation.id == found.id))
        accounts.admit(user, password)
        session.flush()
    return user


def of_user(user_id: int) -> Invitation | None:
    """The invitation that somebody has yet to accept, also one that expired or was revoked."""
    return session.scalar(select(Invitation).where(Invitation.user_id == user_id))


def new_link(user: User) -> str:
    """The secret of a further link to this account's invitation, for the terminal of a shop that
    sends no emails. Raises ``WrongState``."""
    minutes = staff.LINK_MINUTES[staff.INVITATION]
    return tokens.issue(staff.INVITATION, _locked(user).id, minutes=minutes)


def first_owner(email: str) -> User | None:
    """Invite the first Owner, unless there is one or one can still accept (then None); a lapsed
    invitation to the same address is sent again. Raises ``Invalid`` for an unusable address."""
    owner = accounts.locked_owner_role()
    if accounts.has_owner():
        return None
    waiting = select(User, Invitation).join(Invitation, Invitation.user_id == User.id)
    waiting = waiting.join(User.roles).where(Role.id == owner.id)
    for user, invitation in session.execute(waiting):
        if staff.invited(invitation.id) is not None:
            return None
        if user.email == email.strip().lower():
            resend(user, by=None)
            return user
    return invite(email=email, first_name="Shop", last_name="Owner", held=[owner], by=None)


def invite_by_command(email: str, role_name: str) -> User:
    """Invite somebody with this role, or send the invitation again that they have yet to accept;
    the role is then the new one. Raises ``Invalid``."""
    role = session.scalar(select(Role).where(Role.name == role_name))
    if role is None:
        raise Invalid(_("Role not found: %(name)s.", name=role_name), field="roles")
    lowered = email.strip().lower()
    waiting = select(User).join(Invitation, Invitation.user_id == User.id)
    user = session.scalar(waiting.where(User.email == lowered))
    if user is None:
        name = lowered.partition("@")[0].capitalize()
        return invite(email=email, first_name=name, last_name="", held=[role], by=None)
    user.roles = [role]
    resend(user, by=None)
    return user


def _send(user: User, by: Any | None) -> None:
    now = clock.now()
    invitation = Invitation(
        user_id=user.id,
        invited_by_id=None if by is None else by.id,
        created_at=now,
        expires_at=now + LIFETIME,
    )
    session.add(invitation)
    session.flush()
    emit(StaffInvited(invitation_id=invitation.id))


def _locked(user: User) -> Invitation:
    session.execute(select(User.id).where(User.id == user.id).with_for_update())
    found = session.scalar(
        select(Invitation)
        .where(Invitation.user_id == user.id)
        .execution_options(populate_existing=True)
    )
    if found is None:
        raise WrongState(_("They have joined already."))
    return found
