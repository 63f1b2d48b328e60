"""A rule in the words in which ``pg_dump`` writes it, so that a restored backup has the same."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NAME = "ck_discount_quantities"
BEFORE = (
    "CASE kind WHEN 'buy_x_get_y' THEN buy_quantity BETWEEN 1 AND 99"
    " AND get_quantity BETWEEN 1 AND 99 ELSE buy_quantity = 0 AND get_quantity = 0 END"
)
AFTER = (
    "CASE kind WHEN 'buy_x_get_y' THEN buy_quantity >= 1 AND buy_quantity <= 99"
    " AND get_quantity >= 1 AND get_quantity <= 99 ELSE buy_quantity = 0 AND get_quantity = 0 END"
)


def upgrade() -> None:
    _replace(AFTER)


def downgrade() -> None:
    _replace(BEFORE)


def _replace(rule: str) -> None:
    op.drop_constraint(op.f(NAME), "discount")
    op.create_check_constraint(op.f(NAME), "discount", rule)
