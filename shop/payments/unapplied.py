"""Objects of Stripe's that our books cannot take: each is named and a task asks about it.

What an object causes (a rule of ours, a guard of the database, a field that is not as Stripe's API
says) is its refusal. What has nothing to do with it (Stripe or the database is away, somebody else
holds a lock) is none: it passes on to the caller, who tries again.
"""

import logging
from collections.abc import Callable
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shop import orders
from shop.core.db import RETRYABLE, end_read, session, transaction
from shop.core.errors import DomainError, Unavailable
from shop.payments.models import Dispute, Payment, Refund, Task
from shop.payments.stripe_errors import NoSuchObject
from shop.payments.stripe_reading import Unreadable
from shop.payments.tasks import close_about, open_task

log = logging.getLogger(__name__)

TASK = "stripe_refused"
PREFIX = "refused: "
MAX_REASON = 300
# https://www.postgresql.org/docs/current/errcodes-appendix.html: more than an index or a row takes.
TOO_BIG = "54"


class RefusalName(StrEnum):
    """Why our books could not take an object; as it stands in lists."""

    DELETED = "deleted at Stripe"
    UNREADABLE = "cannot be read"
    NOT_LISTED = "cannot be listed"
    NOT_CAPTURED = "nothing captured"
    BEYOND_CAPTURED = "more than captured"
    OTHER_CURRENCY = "other currency"
    OTHER_AMOUNT = "other amount"
    BOOKS_DIFFER = "books differ"
    AGAINST_A_RULE = "against a rule"
    DATABASE = "refused by the database"
    UNEXPECTED = "unexpected error"


WORDS = {
    RefusalName.DELETED: "Stripe does not know it any more.",
    RefusalName.UNREADABLE: "It is not as Stripe's API describes it.",
    RefusalName.DATABASE: "The database refuses what it says.",
    RefusalName.UNEXPECTED: "Reading it led to an error, which is in the log.",
}


class CannotApply(DomainError):
    """Our books cannot take this object: ``name`` says why in a word, the sentence in full."""

    code = "cannot_apply"

    def __init__(self, name: RefusalName, sentence: str) -> None:
        super().__init__(sentence)
        self.name = name


def attempt(kind: str, reference: str, work: Callable[[], str], *, intent_id: str = "") -> str:
    """Apply one object (``kind``: payment, refund, dispute, …). Returns what was done.

    If our books cannot take it, nothing of it is kept: the refusal is written down with a task, and
    "refused: …" is given. Raises what is not the object's fault. No transaction may be open.
    """
    try:
        outcome = work()
    except Exception as error:
        if is_passing(error):
            raise
        name, sentence = _named(error)
        log.warning(
            "object refused",
            extra={"kind": kind, "reference": reference, "refusal": name, "reason": str(error)},
            exc_info=name is RefusalName.UNEXPECTED,
        )
        session.rollback()
        write_down(kind, reference, name, sentence, intent_id=intent_id)
        return f"{PREFIX}{name}"
    _resolve_if_asked(reference)
    return outcome


def write_down(
    kind: str, reference: str, name: RefusalName, sentence: str, *, intent_id: str = ""
) -> None:
    """Ask a person to look at an object that our books could not take; once for each object."""
    with transaction("refuse-object"):
        found = session.execute(
            select(orders.Order.id, orders.Order.number)
            .join(Payment, Payment.order_id == orders.Order.id)
            .outerjoin(Refund, Refund.payment_id == Payment.id)
            .outerjoin(Dispute, Dispute.payment_id == Payment.id)
            .where(
                Payment.intent_id.in_([reference, intent_id])
                | (Refund.stripe_id == reference)
                | (Dispute.stripe_id == reference)
            )
            .limit(1)
        ).first()
        of = f" of order {found.number}" if found else ""
        open_task(
            TASK,
            reference,
            f"The {kind} {reference}{of} at Stripe is not in the books ({name})."
            f" {sentence} Look it up in Stripe's dashboard.",
            order_id=found.id if found else None,
        )


def is_refusal(outcome: str) -> bool:
    """Whether this is what ``attempt`` gives for an object that our books could not take."""
    return outcome.startswith(PREFIX)


def is_passing(error: Exception) -> bool:
    """Whether trying later may help: nothing is wrong with the object."""
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None)
        is_away = error.connection_invalidated or isinstance(error, OperationalError)
        is_too_big = str(state).startswith(TOO_BIG)
        return (is_away and not is_too_big) or state in RETRYABLE
    return isinstance(error, Unavailable | PoolTimeout)


def _named(error: Exception) -> tuple[RefusalName, str]:
    if isinstance(error, CannotApply):
        return error.name, error.sentence
    if isinstance(error, NoSuchObject):
        return RefusalName.DELETED, WORDS[RefusalName.DELETED]
    if isinstance(error, Unreadable):
        return RefusalName.UNREADABLE, error.sentence[:MAX_REASON]
    if isinstance(error, DomainError):
        return RefusalName.AGAINST_A_RULE, error.sentence
    if isinstance(error, SQLAlchemyError):
        return RefusalName.DATABASE, WORDS[RefusalName.DATABASE]
    return RefusalName.UNEXPECTED, WORDS[RefusalName.UNEXPECTED]


def open_references() -> set[str]:
    """The ids of the objects that somebody is asked about."""
    found = session.scalars(
        select(Task.reference).where(Task.kind == TASK, Task.closed_at.is_(None))
    ).all()
    end_read()
    return set(found)


def resolve(reference: str) -> None:
    """What could not be applied before is in the books now."""
    with transaction():
        close_about(TASK, reference)


def _resolve_if_asked(reference: str) -> None:
    is_asked = session.scalar(
        select(Task.id).where(
            Task.kind == TASK, Task.reference == reference, Task.closed_at.is_(None)
        )
    )
    end_read()
    if is_asked is not None:
        resolve(reference)
