"""One-time tickets by which a program that has no cookie opens a socket: 30 seconds, one use."""

import json
import re
from dataclasses import dataclass
from typing import Literal

from shop.core import redis, tokens

Audience = Literal["staff", "customer"]
LIFETIME_S = 30

_KEY = "shop:ticket:"
_SHAPE = re.compile(r"[A-Za-z0-9_-]{20,64}")


@dataclass(frozen=True, slots=True)
class Ticket:
    """Who asked for it; ``sign_in`` is the digest of the sign-in it was asked with, if any."""

    audience: Audience
    subject_id: int
    sign_in: str = ""


def issue_ticket(
    audience: Audience, subject_id: int, *, sign_in_token: str = "", sign_in: str = ""
) -> str:
    """Make a ticket for this staff member or customer.

    With ``sign_in_token``, or its digest as ``sign_in``, the socket is closed five seconds after
    that sign-in ends. Raises ``redis.RedisError`` when Redis is away (a door answers 503: nothing
    live would work then).
    """
    ticket = tokens.new_token()
    content = {
        "audience": audience,
        "subject_id": subject_id,
        "sign_in": tokens.digest(sign_in_token) if sign_in_token else sign_in,
    }
    redis.client().set(_KEY + ticket, json.dumps(content), ex=LIFETIME_S)
    return ticket


def redeem_ticket(ticket: str) -> Ticket | None:
    """Use a ticket up. None if it is wrong, expired or used. Raises ``redis.RedisError``."""
    if not _SHAPE.fullmatch(ticket):
        return None
    found = redis.client().getdel(_KEY + ticket)
    if found is None:
        return None
    return Ticket(**json.loads(str(found)))
