"""Idempotency keys that Stripe has answered with a failure, and the ones that come after them.

https://docs.stripe.com/api/idempotent_requests
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import select, update

from shop.core import clock
from shop.core.db import session, transaction
from shop.core.errors import DomainError
from shop.payments.models import Payment, Refund
from shop.payments.stripe_errors import KeySpent, Refused

# https://docs.stripe.com/api/idempotent_requests: keys may be removed after 24 hours.
KEY_LIVES = timedelta(hours=20)
# So many keys are tried in a row when Stripe fails under each; the next call goes on from there.
MAX_KEYS = 3
Found = TypeVar("Found")


def once(
    ask: Callable[[int], Found],
    look: Callable[[], Found | None],
    next_key: Callable[[int], int],
    key_attempt: int,
) -> Found:
    """Let Stripe do something once, though it saves the first answer under a key, failures too.

    ``ask`` does it under the key of this number. When the key is spent, ``look`` says whether it
    was done all the same; if not, ``next_key`` stores the number of the key to use instead, and
    only then it is used. A refusal is saved as well, so the next try has a new key in any case; one
    that is merely replayed may be out of date and is tried again at once. Raises as ``ask`` does.
    """
    for _ in range(MAX_KEYS):
        try:
            return ask(key_attempt)
        except KeySpent as spent:
            failure: DomainError = spent
            found = look()
            if found is not None:
                return found
            key_attempt = next_key(key_attempt)
        except Refused as refusal:
            failure = refusal
            key_attempt = next_key(key_attempt)
            if not refusal.is_replayed:
                break
    raise failure


def next_key_of(kind: type[Payment] | type[Refund], pk: int) -> Callable[[int], int]:
    """Returns what stores the number of the key after a spent one, for ``once``."""

    def move_on(after: int) -> int:
        with transaction("change-key"):
            return next_key(kind, pk, after=after)

    return move_on


def next_key(kind: type[Payment] | type[Refund], pk: int, *, after: int) -> int:
    """Count the idempotency key after number ``after`` up, unless somebody has done so; returns the
    number of the one to use now."""
    moved = session.scalar(
        update(kind)
        .where(kind.id == pk, kind.key_attempt == after)
        .values(key_attempt=after + 1)
        .returning(kind.key_attempt)
    )
    return moved or session.scalars(select(kind.key_attempt).where(kind.id == pk)).one()


def numbered(key: str, key_attempt: int) -> str:
    """Returns the key with this number; the first has none, as keys had none once."""
    return key if key_attempt == 1 else f"{key}/{key_attempt}"


def is_expired(moment: datetime) -> bool:
    """Whether Stripe may have dropped what was asked under a key then."""
    return clock.now() - moment > KEY_LIVES
