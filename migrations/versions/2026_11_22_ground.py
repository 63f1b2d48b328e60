"""Extensions, the search configuration and the sequence of order numbers."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    for extension in ("pg_trgm", "unaccent", "citext"):
        op.execute(f"CREATE EXTENSION IF NOT EXISTS {extension}")
    op.execute("CREATE TEXT SEARCH CONFIGURATION shop_en (COPY = english)")
    op.execute(
        "ALTER TEXT SEARCH CONFIGURATION shop_en"
        " ALTER MAPPING FOR hword, hword_part, word WITH unaccent, english_stem"
    )
    op.execute("CREATE SEQUENCE order_number START 10001")


def downgrade() -> None:
    op.execute("DROP SEQUENCE order_number")
    op.execute("DROP TEXT SEARCH CONFIGURATION shop_en")
