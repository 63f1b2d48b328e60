"""Entries of what changes no row: sign-ins, exports, what was refused."""

from typing import Any

from sqlalchemy import insert

from shop.audit.models import AuditAction, AuditEntry
from shop.core import actor
from shop.core.db import session


def record(
    action: AuditAction,
    *,
    record_type: str = "",
    record_id: object = "",
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
