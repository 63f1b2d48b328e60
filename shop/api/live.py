"""Tickets by which programs open a socket."""

from marshmallow import fields

from shop.api.callers import caller, signed_in
from shop.api.door import Door
from shop.api.fields import Schema
from shop.realtime import tickets

bp = Door("Realtime", "Sockets at `/ws`, opened with a ticket from here.")


class TicketSchema(Schema):
    """Open the socket with ``?ticket=…`` within ``expires_in`` seconds; it works once."""

    ticket = fields.String(required=True)
    expires_in = fields.Integer(required=True)


@bp.post("/realtime/ticket")
@signed_in
@bp.response(200, TicketSchema)
def ticket() -> dict[str, object]:
    """A ticket for one socket

    The socket is closed five seconds after the access token's sign-in ends. 503 without Redis.
    """
    who = caller()
    made = tickets.issue_ticket(
        who.audience or "customer", who.id, sign_in=who.bearer.digest if who.bearer else ""
    )
    return {"ticket": made, "expires_in": tickets.LIFETIME_S}
