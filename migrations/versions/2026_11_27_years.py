"""No discount or product has a date that cannot be read back or told on the shop's clock.

What was typed before becomes what it meant: from year 1 on is always, until year 9999 is without end.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

EARLY, LATE = "'2000-01-01T00:00Z'", "'2999-12-31T00:00Z'"
PUT_RIGHT = (
    # in this order no discount ends before it starts
    f"UPDATE discount SET starts_at = NULL WHERE starts_at < {EARLY}",
    f"UPDATE discount SET ends_at = NULL WHERE ends_at > {LATE}",
    f"UPDATE discount SET starts_at = {LATE} WHERE starts_at > {LATE}",
    f"UPDATE discount SET ends_at = {EARLY} WHERE ends_at < {EARLY}",
    f"UPDATE product SET published_at = {EARLY} WHERE published_at < {EARLY}",
    f"UPDATE product SET unpublish_at = NULL WHERE unpublish_at > {LATE}",
    f"UPDATE product SET published_at = {LATE} WHERE published_at > {LATE}",
    f"UPDATE product SET unpublish_at = {EARLY} WHERE unpublish_at < {EARLY}",
)
DATES = {"discount": ("starts_at", "ends_at"), "product": ("published_at", "unpublish_at")}


def upgrade() -> None:
    for statement in PUT_RIGHT:
        op.execute(statement)
    for table, columns in DATES.items():
        rule = " AND ".join(
            f"extract(year FROM {column} AT TIME ZONE 'UTC') {limit}"
            for column in columns
            for limit in (">= 1999", "<= 3000")
        )
        op.create_check_constraint(op.f(f"ck_{table}_years"), table, rule)


def downgrade() -> None:
    for table in DATES:
        op.drop_constraint(op.f(f"ck_{table}_years"), table)
