"""The list of somebody's sign-ins: by which device, from where, when it was last used."""

from dataclasses import dataclass
from datetime import datetime

from shop.admin.staff import user_agents
from shop.core import sessions, tokens


@dataclass(frozen=True, slots=True)
class ShownSignIn:
    """One signed-in browser or program; ``is_here`` is the one that asks."""

    id: int
    device: str
    network_address: str
    started_at: datetime
    used_at: datetime
    is_here: bool


def of(user_id: int, *, here: str | None) -> list[ShownSignIn]:
    """Returns all that still count, that of the token ``here`` first. One statement."""
    mine = tokens.digest(here) if here else ""
    shown = [
        ShownSignIn(
            one.id,
            user_agents.device(one.user_agent),
            one.network_address,
            one.started_at,
            one.used_at,
            one.digest == mine,
        )
        for one in sessions.living("staff", user_id)
    ]
    return sorted(shown, key=lambda one: not one.is_here)
