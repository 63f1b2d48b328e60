"""Accounts of staff as emails and pages of links need them. One statement each."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from shop.core import clock
from shop.core.db import session


@dataclass(frozen=True, slots=True)
class Person:
    """A member of staff who may sign in."""

    id: int
    email: str
    name: str


@dataclass(frozen=True, slots=True)
class Invited:
    """Somebody whose invitation can be accepted; ``invited_by`` is empty for a command."""

    id: int
    user_id: int
    email: str
    name: str
    roles: tuple[str, ...]
    invited_by: str
    expires_at: datetime


# Flask-AppBuilder's own tables, read without importing it: it would double a worker's memory.
_PERSON = text("""
SELECT id, email, trim(first_name || ' ' || last_name) AS name
FROM ab_user WHERE id = :id AND active
""")
_INVITED = text("""
SELECT i.id, i.user_id, u.email, trim(u.first_name || ' ' || u.last_name) AS name,
    ARRAY(SELECT r.name FROM ab_role r JOIN ab_user_role held ON held.role_id = r.id
          WHERE held.user_id = u.id ORDER BY r.name) AS roles,
    coalesce(trim(by.first_name || ' ' || by.last_name), '') AS invited_by, i.expires_at
FROM staff_invitation i JOIN ab_user u ON u.id = i.user_id
LEFT JOIN ab_user by ON by.id = i.invited_by_id
WHERE i.id = :id AND i.revoked_at IS NULL AND i.expires_at > :now
""")


def person(staff_id: int) -> Person | None:
    """Returns the member of staff, or None for one who may not sign in."""
    row = session.execute(_PERSON, {"id": staff_id}).one_or_none()
    return None if row is None else Person(*row)


def invited(invitation_id: int) -> Invited | None:
    """Returns who is invited, or None if the invitation was accepted, revoked, sent again or has
    expired."""
    row = session.execute(_INVITED, {"id": invitation_id, "now": clock.now()}).one_or_none()
    if row is None:
        return None
    return Invited(
        row.id, row.user_id, row.email, row.name, tuple(row.roles), row.invited_by, row.expires_at
    )
