"""Reading customers."""

from sqlalchemy import select

from shop.core import clock, tokens
from shop.core.db import session
from shop.core.sessions import SignIn
from shop.customers.models import Customer


def by_session(token: str | None) -> Customer | None:
    """Who is signed in with this secret of a browser. One statement."""
    if not token:
        return None
    return session.scalar(
        select(Customer)
        .join(SignIn, SignIn.subject_id == Customer.id)
        .where(
            SignIn.digest == tokens.digest(token),
            SignIn.audience == "customer",
            SignIn.ended_at.is_(None),
            SignIn.expires_at > clock.now(),
        )
    )


def by_id(customer_id: int) -> Customer | None:
    """The customer with this number, or None."""
    return session.get(Customer, customer_id)
