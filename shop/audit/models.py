"""Tables of the audit. Entries and seals are insert-only; personal values can be erased."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.choices import choice, one_of
from shop.core.db import Base


class AuditAction(StrEnum):
    """What somebody did: the first three are written by the database for each changed row."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    SIGN_IN = "sign_in"
    SIGN_IN_REFUSED = "sign_in_refused"
    SIGN_OUT = "sign_out"
    EXPORT = "export"
    REFUSED = "refused"


class AuditEntry(Base):
    """One act of somebody: who, when, from where, on which record, and what changed.

    ``changes`` has ``[before, after]`` for each column that changed, ``"secret"`` for one whose
    values are not kept, ``"personal"`` for one whose values stand in ``audit_personal``. ``fields``
    are its keys. ``details`` says more about what is no change, such as the filter of an export.
    ``parent_type`` and ``parent_id`` name the record that this one is a part of.
    """

    __tablename__ = "audit_entry"
    __table_args__ = (
        one_of("action", AuditAction),
        Index("ix_audit_entry_record", "record_type", "record_id", "id"),
        Index("ix_audit_entry_parent", "parent_type", "parent_id", "id"),
        Index("ix_audit_entry_actor", "actor_kind", "actor_id", "id"),
        Index("ix_audit_entry_action", "action", "id"),
        Index("ix_audit_entry_at", "at"),
        Index("ix_audit_entry_fields", "fields", postgresql_using="gin"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    action: Mapped[AuditAction] = choice(AuditAction)
    record_type: Mapped[str] = mapped_column(server_default="")
    record_id: Mapped[str] = mapped_column(server_default="")
    label: Mapped[str] = mapped_column(server_default="")
    parent_type: Mapped[str] = mapped_column(server_default="")
    parent_id: Mapped[str] = mapped_column(server_default="")
    changes: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    fields: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    details: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    actor_kind: Mapped[str]
    actor_id: Mapped[int | None] = mapped_column(BigInteger)
    actor_name: Mapped[str] = mapped_column(server_default="")
    source: Mapped[str] = mapped_column(server_default="")
    address: Mapped[str] = mapped_column(server_default="")
    request_id: Mapped[str] = mapped_column(server_default="")


class AuditPersonal(Base):
    """The values of a personal column before and after; erased with the person's data."""

    __tablename__ = "audit_personal"

    entry_id: Mapped[int] = mapped_column(
        ForeignKey("audit_entry.id"), primary_key=True, autoincrement=False
    )
    field: Mapped[str] = mapped_column(primary_key=True)
    before: Mapped[Any | None] = mapped_column(JSONB)
    after: Mapped[Any | None] = mapped_column(JSONB)


class AuditUnsealed(Base):
    """Entries that no seal covers yet; rows are put here by a trigger."""

    __tablename__ = "audit_unsealed"

    entry_id: Mapped[int] = mapped_column(
        ForeignKey("audit_entry.id"), primary_key=True, autoincrement=False
    )


class AuditSeal(Base):
    """A link of the chain: what its entries were when it was made, and the seal before.

    ``digests`` has 32 bytes for each of ``entry_ids``, in their order. ``digest`` is the SHA-256
    of the previous seal's digest, the ids and the digests.
    """

    __tablename__ = "audit_seal"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    made_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    entry_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    digests: Mapped[bytes] = mapped_column(LargeBinary)
    digest: Mapped[bytes] = mapped_column(LargeBinary)
