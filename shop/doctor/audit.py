"""What must hold of the audit: its chain of seals, entry by entry."""

from shop.audit import LINK
from shop.core.i18n import lazy_gettext
from shop.doctor.checks import Check

_LINK = LINK.format(before="lag(digest) OVER chain", ids="entry_ids", digests="digests")
CHECKS = (
    Check(
        id="audit-entries",
        invariant="I23",
        title=lazy_gettext("Every audit entry is what it was when it was sealed"),
        why=lazy_gettext("Somebody could have hidden what they did."),
        todo=lazy_gettext(
            "Compare the entry with a backup: somebody wrote to the database past its guards."
        ),
        sql="""
        WITH sealed AS (
            SELECT s.id AS seal, one.entry_id, one.n,
                substr(s.digests, (32 * (one.n - 1) + 1)::int, 32) AS digest
            FROM audit_seal s, unnest(s.entry_ids) WITH ORDINALITY AS one (entry_id, n)
        )
        SELECT coalesce(e.id, s.entry_id) AS id,
            format('entry %s', coalesce(e.id, s.entry_id)) AS name,
            CASE WHEN e.id IS NULL THEN format('is gone; it was in seal %s', s.seal)
                WHEN s.entry_id IS NULL THEN 'is in no seal and does not wait for one'
                ELSE format('was changed after seal %s', s.seal) END AS fact
        FROM sealed s FULL JOIN audit_entry e ON e.id = s.entry_id
        WHERE e.id IS NULL
            OR (s.entry_id IS NULL
                AND NOT EXISTS (SELECT FROM audit_unsealed u WHERE u.entry_id = e.id))
            OR audit_digest(e) <> s.digest
        ORDER BY 1
        """,
    ),
    Check(
        id="audit-seals",
        invariant="I23",
        title=lazy_gettext("Every seal of the audit follows from the seal before it"),
        why=lazy_gettext("Entries and their seals could have been removed together."),
        todo=lazy_gettext(
            "Look for the digest of the last good seal in the logs, and compare with a backup."
        ),
        sql=f"""
        SELECT id, format('seal %s', id) AS name, CASE WHEN NOT follows THEN
            format('seal %s is gone', id - 1) ELSE 'was changed' END AS fact
        FROM (
            SELECT id, id = coalesce(lag(id) OVER chain, 0) + 1 AS follows,
                digest = {_LINK} AS is_whole
            FROM audit_seal WINDOW chain AS (ORDER BY id)
        ) AS links WHERE NOT (follows AND is_whole) ORDER BY id
        """,
    ),
    Check(
        id="audit-waiting",
        invariant="I23",
        title=lazy_gettext("No audit entry waits for its seal for longer than ten minutes"),
        why=lazy_gettext("Until then it could be changed without a trace."),
        todo=lazy_gettext("See whether `python -m shop relay` runs."),
        sql="""
        SELECT e.id, format('entry %s', e.id) AS name,
            format('waits since %s', to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')) AS fact
        FROM audit_unsealed u JOIN audit_entry e ON e.id = u.entry_id
        WHERE e.at < :now - interval '10 minutes' ORDER BY e.id
        """,
    ),
)
