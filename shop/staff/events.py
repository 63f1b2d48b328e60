"""What happens to accounts of staff. Links are made by the emails, never carried by events."""

from dataclasses import dataclass

from shop.core.events import Event


@dataclass(frozen=True, kw_only=True)
class StaffInvited(Event):
    """Somebody was invited to work here, for the first time or again."""

    invitation_id: int


@dataclass(frozen=True, kw_only=True)
class StaffPasswordForgotten(Event):
    """Somebody asked for a link to choose a new password for the admin.

    ``staff_id`` is 0 when the address is nobody's: known or not, asking does the same work.
    """

    staff_id: int
    from_known_device: bool = False


@dataclass(frozen=True, kw_only=True)
class StaffPasswordChanged(Event):
    """A member of staff has another password, whoever set it."""

    staff_id: int
