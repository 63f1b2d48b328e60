"""Who did what: entries that triggers write with each change, and the seals that chain them.

The triggers themselves follow from the tables; the end of every migration makes them.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

ACTIONS = (
    "create", "update", "delete", "sign_in", "sign_in_refused", "sign_out", "export", "refused",
)  # fmt: skip
CAPTURE = """
CREATE FUNCTION audit_capture() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    -- Arguments: key columns, label column, column that names the whole, table of the whole,
    -- columns that do not count, columns that are secret, columns about a person.
    ignored text[] := string_to_array(TG_ARGV[4], ',');
    secret text[] := string_to_array(TG_ARGV[5], ',');
    personal text[] := string_to_array(TG_ARGV[6], ',');
    who jsonb := nullif(current_setting('shop.actor', true), '')::jsonb;
    before jsonb;
    after jsonb;
    whole jsonb;
    changed jsonb;
    shown jsonb;
    entry bigint;
BEGIN
    IF who IS NULL THEN
        who := jsonb_build_object('kind', 'database', 'name', session_user, 'source', 'sql');
    END IF;
    IF TG_OP <> 'INSERT' THEN before := to_jsonb(OLD) - ignored; END IF;
    IF TG_OP <> 'DELETE' THEN after := to_jsonb(NEW) - ignored; END IF;
    SELECT jsonb_object_agg(key, jsonb_build_array(was, now)) INTO changed FROM (
        SELECT key, nullif(before -> key, 'null') AS was, nullif(after -> key, 'null') AS now
        FROM jsonb_object_keys(coalesce(after, before)) AS key
    ) AS one WHERE was IS DISTINCT FROM now;
    IF changed IS NULL THEN RETURN NULL; END IF;
    shown := changed;
    IF secret <> '{}' OR personal <> '{}' THEN
        SELECT jsonb_object_agg(key, CASE WHEN key = ANY (secret) THEN '"secret"'
            WHEN key = ANY (personal) THEN '"personal"' ELSE value END)
        INTO shown FROM jsonb_each(changed);
    END IF;
    whole := coalesce(to_jsonb(NEW), to_jsonb(OLD));
    INSERT INTO audit_entry (action, record_type, record_id, label, parent_type, parent_id,
        changes, fields, actor_kind, actor_id, actor_name, source, address, request_id)
    VALUES (
        CASE TG_OP WHEN 'INSERT' THEN 'create' WHEN 'UPDATE' THEN 'update' ELSE 'delete' END,
        TG_TABLE_NAME,
        (SELECT string_agg(whole ->> key, ',' ORDER BY n)
            FROM unnest(string_to_array(TG_ARGV[0], ',')) WITH ORDINALITY AS part (key, n)),
        coalesce(whole ->> TG_ARGV[1], ''),
        CASE WHEN whole ->> TG_ARGV[2] IS NULL THEN '' ELSE TG_ARGV[3] END,
        coalesce(whole ->> TG_ARGV[2], ''),
        shown, ARRAY(SELECT jsonb_object_keys(shown)),
        who ->> 'kind', (who ->> 'id')::bigint, coalesce(who ->> 'name', ''),
        coalesce(who ->> 'source', ''), coalesce(who ->> 'address', ''),
        coalesce(who ->> 'request', '')
    ) RETURNING id INTO entry;
    IF personal <> '{}' THEN
        INSERT INTO audit_personal (entry_id, field, before, after)
        SELECT entry, key, nullif(value -> 0, 'null'), nullif(value -> 1, 'null')
        FROM jsonb_each(changed) WHERE key = ANY (personal);
    END IF;
    RETURN NULL;
END $$
"""
QUEUE = """
CREATE FUNCTION audit_queue() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_unsealed (entry_id) VALUES (NEW.id);
    RETURN NULL;
END $$
"""
DIGEST = """
CREATE FUNCTION audit_digest(audit_entry) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT sha256(convert_to(jsonb_build_array($1.id, extract(epoch FROM $1.at), $1.action,
        $1.record_type, $1.record_id, $1.label, $1.parent_type, $1.parent_id, $1.changes,
        $1.fields, $1.details, $1.actor_kind, $1.actor_id, $1.actor_name, $1.source, $1.address,
        $1.request_id)::text, 'UTF8'))
$$
"""
TEXTS = (
    "record_type", "record_id", "label", "parent_type", "parent_id",
)  # fmt: skip


def upgrade() -> None:
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("action", sa.Text(), nullable=False),
        *(_text(name) for name in TEXTS),
        sa.Column("changes", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column(
            "fields", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.Column("details", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        *(_text(name) for name in ("actor_name", "source", "address", "request_id")),
        sa.CheckConstraint(
            "action IN (" + ", ".join(f"'{one}'" for one in ACTIONS) + ")",
            name=op.f("ck_audit_entry_action"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entry")),
    )
    op.create_index("ix_audit_entry_record", "audit_entry", ["record_type", "record_id", "id"])
    op.create_index("ix_audit_entry_parent", "audit_entry", ["parent_type", "parent_id", "id"])
    op.create_index("ix_audit_entry_actor", "audit_entry", ["actor_kind", "actor_id", "id"])
    op.create_index("ix_audit_entry_action", "audit_entry", ["action", "id"])
    op.create_index("ix_audit_entry_at", "audit_entry", ["at"])
    op.create_index("ix_audit_entry_fields", "audit_entry", ["fields"], postgresql_using="gin")
    op.create_table(
        "audit_personal",
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("before", postgresql.JSONB(), nullable=True),
        sa.Column("after", postgresql.JSONB(), nullable=True),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["audit_entry.id"], name=op.f("fk_audit_personal_entry_id_audit_entry")
        ),
        sa.PrimaryKeyConstraint("entry_id", "field", name=op.f("pk_audit_personal")),
    )
    op.create_table(
        "audit_unsealed",
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["audit_entry.id"], name=op.f("fk_audit_unsealed_entry_id_audit_entry")
        ),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_audit_unsealed")),
    )
    op.create_table(
        "audit_seal",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column(
            "made_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("entry_ids", sa.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("digests", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_seal")),
    )
    for function in (CAPTURE, QUEUE, DIGEST):
        op.execute(function)
    op.execute(
        "CREATE TRIGGER audit_entry_queue AFTER INSERT ON audit_entry"
        " FOR EACH ROW EXECUTE FUNCTION audit_queue()"
    )
    for table in ("audit_entry", "audit_seal"):
        op.execute(
            f"CREATE TRIGGER {table}_insert_only BEFORE UPDATE OR DELETE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    op.execute("DROP FUNCTION audit_capture() CASCADE")
    op.execute("DROP FUNCTION audit_digest(audit_entry)")
    for table in ("audit_seal", "audit_unsealed", "audit_personal", "audit_entry"):
        op.drop_table(table)
    op.execute("DROP FUNCTION audit_queue()")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default=sa.text("''"), nullable=False)
