"""What the database itself refuses, the bell that wakes the relay, and the default location."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INSERT_ONLY = ("event", "stock_movement", "payment_event")


def upgrade() -> None:
    op.execute("""
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'rows of % are never changed or removed', TG_TABLE_NAME
                USING ERRCODE = 'restrict_violation';
        END $$
    """)
    for table in INSERT_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_insert_only BEFORE UPDATE OR DELETE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    op.execute("""
        CREATE FUNCTION queue_event() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO event_pending (event_id) SELECT id FROM added;
            PERFORM pg_notify('event', '');
            RETURN NULL;
        END $$
    """)
    op.execute(
        "CREATE TRIGGER event_queue AFTER INSERT ON event"
        " REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION queue_event()"
    )
    op.execute(
        "INSERT INTO location (name, is_default) VALUES ('Main store', true) ON CONFLICT DO NOTHING"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER event_queue ON event")
    op.execute("DROP FUNCTION queue_event()")
    for table in INSERT_ONLY:
        op.execute(f"DROP TRIGGER {table}_insert_only ON {table}")
        op.execute(f"DROP TRIGGER {table}_no_truncate ON {table}")
    op.execute("DROP FUNCTION refuse_change()")
