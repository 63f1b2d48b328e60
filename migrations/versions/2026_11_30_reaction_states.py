"""The state of a reaction's run is one of three words."""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_check_constraint(
        op.f("ck_delivery_state"), "delivery", "state IN ('due', 'done', 'dead')"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_delivery_state"), "delivery")
