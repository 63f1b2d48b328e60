"""Entries of what changes no row: sign-ins, exports, what was refused."""

from typing import Any

from sqlalchemy import insert

from shop.audit.models import AuditAction, AuditEntry
from shop.core import actor
from shop.core.db import session


def record_sign_in(account_id: int | None, name: str, label: str, *, is_refused: bool) -> None:
    """Write an entry about somebody who signed in to the staff's side, or tried; inside the open
    transaction. ``account_id`` is None for an account that does not exist; what was typed is not
    kept then, as it may be a password in the wrong field."""
    who = actor.current() if is_refused else actor.Actor("staff", account_id, name.strip())
    action = AuditAction.SIGN_IN_REFUSED if is_refused else AuditAction.SIGN_IN
    with actor.acting_as(who):
        record(action, record_type="ab_user", record_id=account_id or "", label=label)


def record(
    action: AuditAction,
    *,
    record_type: str = "",
    record_id: int | str = "",
    label: str = "",
    details: dict[str, Any] | None = None,
) -> None:
    """Write an entry about the current actor, inside the open transaction.

    ``details`` are words and numbers of JSON, nothing secret and nothing about a customer.
    """
    who, origin = actor.current(), actor.origin()
    session.execute(
        insert(AuditEntry).values(
            action=action,
            record_type=record_type,
            record_id=str(record_id),
            label=label,
            details=details or {},
            actor_kind=who.kind,
            actor_id=who.id,
            actor_name=who.name,
            source=origin.source,
            address=origin.address,
            request_id=actor.request_id(),
        )
    )
