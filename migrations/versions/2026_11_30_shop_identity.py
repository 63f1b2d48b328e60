"""The shop's own id, by which it tells its objects at Stripe from those of other shops.

It is made once, with the table, and stands in every backup: a restored shop is the same shop.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "shop_identity",
        sa.Column("id", sa.SmallInteger(), server_default="1", nullable=False),
        sa.Column(
            "shop_id", sa.Text(), server_default=sa.text("gen_random_uuid()::text"), nullable=False
        ),
        sa.CheckConstraint("id = 1", name=op.f("ck_shop_identity_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shop_identity")),
    )
    op.execute("INSERT INTO shop_identity DEFAULT VALUES")


def downgrade() -> None:
    op.drop_table("shop_identity")
