"""Staff come in by an emailed invitation, and see where and by which device they are signed in."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "staff_invitation",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("invited_by_id", sa.BigInteger()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff_invitation")),
        sa.UniqueConstraint("user_id", name=op.f("uq_staff_invitation_user_id")),
    )
    op.add_column("mail_message", sa.Column("staff_link_id", sa.BigInteger()))
    for name in ("user_agent", "network_address"):
        op.add_column("sign_in", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    op.add_column("sign_in", sa.Column("used_at", sa.DateTime(timezone=True)))
    op.execute("UPDATE sign_in SET used_at = started_at")
    op.alter_column("sign_in", "used_at", nullable=False, server_default=sa.func.now())


def downgrade() -> None:
    for name in ("used_at", "network_address", "user_agent"):
        op.drop_column("sign_in", name)
    op.drop_column("mail_message", "staff_link_id")
    op.drop_table("staff_invitation")
