"""Jobs and mails that are not done are found without reading those that are.

Built beside the running shop, which goes on writing; one that was cut off is begun anew.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _build("ix_delivery_open", "delivery (due_at) WHERE state <> 'done'")
    _build("ix_mail_message_open", "mail_message (id) WHERE state NOT IN ('sent', 'kept')")
    _drop("ix_delivery_due")


def downgrade() -> None:
    _build("ix_delivery_due", "delivery (due_at) WHERE state = 'due'")
    _drop("ix_mail_message_open")
    _drop("ix_delivery_open")


def _build(name: str, what: str) -> None:
    _drop(name)
    with op.get_context().autocommit_block():
        op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {what}")


def _drop(name: str) -> None:
    with op.get_context().autocommit_block():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
