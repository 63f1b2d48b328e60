"""Who is at the other end of a socket, found out before the handshake."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, Text, any_, literal, select, text

from shop.core import clock, sessions, tokens
from shop.core.db import session
from shop.core.i18n import gettext as _
from shop.realtime.tickets import Ticket

# What a staff topic needs: a role that may open one of these admin views.
GRANTS: dict[str, tuple[str, ...]] = {
    "staff:orders": ("OrdersView", "OrderView"),
    "staff:stock": ("InventoryView",),
    "staff:metrics": ("DashboardView", "IndexView"),
    "staff:tasks": ("OrdersView", "OrderView"),
}
# What being present at a record of this kind needs: a role that may show one in this view.
PRESENCE = {"staff:presence:order": "OrdersView", "staff:presence:product": "ProductsView"}
_OPENING = ["can_list", "can_index"]
_SHOWING = "can_show"

# Flask-AppBuilder's own tables, read without importing it: it would double this process's memory.
_STAFF_VIEWS = text(
    """
    SELECT DISTINCT held.user_id, view.name, permission.name
    FROM (
        SELECT user_id, role_id FROM ab_user_role
        UNION
        SELECT member.user_id, of_group.role_id
        FROM ab_user_group member JOIN ab_group_role of_group USING (group_id)
    ) held
    JOIN ab_user staff ON staff.id = held.user_id AND staff.active
    JOIN ab_permission_view_role given ON given.role_id = held.role_id
    JOIN ab_permission_view allowed ON allowed.id = given.permission_view_id
    JOIN ab_permission permission ON permission.id = allowed.permission_id
    JOIN ab_view_menu view ON view.id = allowed.view_menu_id
    WHERE held.user_id = ANY(:staff) AND permission.name = ANY(:permissions)
      AND view.name = ANY(:views)
    """
)
_STAFF_NAME = text("SELECT trim(first_name || ' ' || last_name) FROM ab_user WHERE id = :id")


@dataclass(frozen=True, slots=True)
class Caller:
    """``sign_ins`` are the digests of the sign-ins that this socket lives by."""

    customer_id: int | None = None
    staff_id: int | None = None
    cart_token: str = ""
    sign_ins: tuple[str, ...] = ()

    @property
    def person(self) -> tuple[str, int] | None:
        """Whose sockets are counted together; None for a guest."""
        if self.staff_id is not None:
            return "staff", self.staff_id
        return ("customer", self.customer_id) if self.customer_id is not None else None


def by_cookies(signed: Mapping[str, Any], cart_token: str) -> Caller:
    """The caller of a browser, by the shop's signed session cookie and its cart cookie.

    A sign-in that has ended makes a guest, no error. At most two statements, none for a guest.
    """
    found: dict[str, int | None] = {}
    digests = []
    for audience in ("staff", "customer"):
        token = signed.get(f"{audience}_token")
        if isinstance(token, str) and token:
            found[audience] = sessions.subject(audience, token)
            if found[audience] is not None:
                digests.append(tokens.digest(token))
    return Caller(found.get("customer"), found.get("staff"), cart_token, tuple(digests))


def by_ticket(ticket: Ticket) -> Caller:
    """The caller of a program, by the ticket that it redeemed."""
    sign_ins = (ticket.sign_in,) if ticket.sign_in else ()
    if ticket.audience == "staff":
        return Caller(staff_id=ticket.subject_id, sign_ins=sign_ins)
    return Caller(customer_id=ticket.subject_id, sign_ins=sign_ins)


def living(digests: Iterable[str]) -> set[str]:
    """Those sign-ins that still count. One statement."""
    asked = list(digests)
    if not asked:
        return set()
    sign_in = sessions.SignIn
    counts = (
        (sign_in.digest == any_(literal(asked, ARRAY(Text))))
        & sign_in.ended_at.is_(None)
        & (sign_in.expires_at > clock.now())
    )
    return set(session.scalars(select(sign_in.digest).where(counts)))


def grants(staff_ids: Iterable[int | None]) -> dict[int | None, set[str]]:
    """What each of these active staff members holds of GRANTS and PRESENCE. One statement."""
    asked = [staff_id for staff_id in staff_ids if staff_id is not None]
    if not asked:
        return {}
    views = sorted({view for needed in GRANTS.values() for view in needed} | {*PRESENCE.values()})
    permissions = [*_OPENING, _SHOWING]
    rows = session.execute(
        _STAFF_VIEWS, {"staff": asked, "permissions": permissions, "views": views}
    )
    held: dict[int | None, set[str]] = {}
    for staff_id, view, permission in rows:
        if permission == _SHOWING:
            may = {grant for grant, shown in PRESENCE.items() if view == shown}
        else:
            may = {topic for topic, needed in GRANTS.items() if view in needed}
        held.setdefault(staff_id, set()).update(may)
    return held


def staff_name(staff_id: int) -> str:
    """What colleagues call this member of staff. One statement."""
    return str(session.scalar(_STAFF_NAME, {"id": staff_id}) or _("Somebody"))
