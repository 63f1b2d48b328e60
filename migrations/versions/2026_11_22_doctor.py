"""What the doctor was asked from the admin, and what it said."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "doctor_run",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", TIME, nullable=False),
        sa.Column("with_stripe", sa.Boolean(), nullable=False),
        sa.Column("finished_at", TIME),
        sa.Column("result", postgresql.JSONB()),
        sa.Column("failure", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_doctor_run")),
    )


def downgrade() -> None:
    op.drop_table("doctor_run")
