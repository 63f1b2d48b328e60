"""Stored emails hold no secret link any more: a mark stands for it until the email is sent.

Emails written before are cleaned the same way. A link that waits to be sent gets its token then.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

MARK = "'hidden_' || md5(random()::text || m.id::text)"
ONE_TIME = "(/account/(confirm|password)/)[A-Za-z0-9_-]{16,}"
CLEAN_ORDERS = f"""
    WITH marked AS (
        SELECT m.id, o.token, {MARK} AS mark
        FROM mail_message m JOIN "order" o ON o.id = m.order_id
    )
    UPDATE mail_message m SET
        secret_mark = marked.mark,
        text = replace(m.text, marked.token, marked.mark),
        html = replace(m.html, marked.token, marked.mark)
    FROM marked WHERE marked.id = m.id
"""
CLEAN_LINKS = f"""
    WITH marked AS (
        SELECT m.id, {MARK} AS mark,
            (SELECT c.id FROM customer c WHERE c.email = m.recipient::citext) AS customer_id
        FROM mail_message m WHERE m.kind IN ('confirm_link', 'password_link')
    )
    UPDATE mail_message m SET
        secret_mark = marked.mark,
        customer_id = marked.customer_id,
        text = regexp_replace(m.text, '{ONE_TIME}', '\\1' || marked.mark, 'g'),
        html = regexp_replace(m.html, '{ONE_TIME}', '\\1' || marked.mark, 'g')
    FROM marked WHERE marked.id = m.id
"""


def upgrade() -> None:
    op.add_column(
        "mail_message", sa.Column("secret_mark", sa.Text(), nullable=False, server_default="")
    )
    op.add_column("mail_message", sa.Column("customer_id", sa.BigInteger()))
    op.add_column("mail_message", sa.Column("link_token", sa.Text()))
    op.add_column(
        "mail_message", sa.Column("mailbox", sa.Text(), nullable=False, server_default="")
    )
    op.execute(CLEAN_ORDERS)
    op.execute(CLEAN_LINKS)
    op.create_check_constraint(
        op.f("ck_mail_message_link_token"), "mail_message", "link_token IS NULL OR state = 'kept'"
    )
    op.create_index(
        "ix_mail_message_mailbox",
        "mail_message",
        ["mailbox", "created_at"],
        postgresql_where=sa.text("mailbox <> ''"),
    )


def downgrade() -> None:
    # The order's secret goes back where it stood; one-time links are over by then.
    op.execute(
        """
        UPDATE mail_message m SET
            text = replace(m.text, m.secret_mark, o.token),
            html = replace(m.html, m.secret_mark, o.token)
        FROM "order" o WHERE o.id = m.order_id AND m.secret_mark <> ''
        """
    )
    op.drop_index("ix_mail_message_mailbox", "mail_message")
    op.drop_constraint(op.f("ck_mail_message_link_token"), "mail_message")
    for column in ("mailbox", "link_token", "customer_id", "secret_mark"):
        op.drop_column("mail_message", column)
