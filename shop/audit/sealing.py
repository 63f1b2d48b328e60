"""The chain: seals that say what the entries were when they were made.

Entries wait in ``audit_unsealed`` from the transaction that wrote them on, so that no writer waits
for another and none is missed, whatever order they commit in. A seal holds a digest of each of its
entries and one of itself with the seal before: whoever changes, removes or slips in an entry, or a
seal, breaks a digest that names it. What cannot be seen in the database is that its newest seals
and all their entries are gone: each seal is logged with its digest, so that the log can tell.
"""

import logging

from sqlalchemy import text

from shop.core.db import session, transaction

log = logging.getLogger(__name__)

BATCH = 1000
MAX_BATCHES = 100
# The digest of a seal, from that of the seal before, its ids and the digests of its entries.
LINK = """sha256(coalesce({before}, '') || convert_to(array_to_string({ids}, ','), 'UTF8')
    || {digests})"""

_SEAL = text(f"""
WITH taken AS (
    DELETE FROM audit_unsealed WHERE entry_id IN (
        SELECT entry_id FROM audit_unsealed ORDER BY entry_id LIMIT :batch
    ) RETURNING entry_id
), content AS (
    SELECT array_agg(e.id ORDER BY e.id) AS ids,
        string_agg(audit_digest(e), '' ORDER BY e.id) AS digests
    FROM taken JOIN audit_entry e ON e.id = taken.entry_id
), previous AS (SELECT id, digest FROM audit_seal ORDER BY id DESC LIMIT 1)
INSERT INTO audit_seal (id, entry_ids, digests, digest)
SELECT coalesce(p.id, 0) + 1, c.ids, c.digests,
    {LINK.format(before="p.digest", ids="c.ids", digests="c.digests")}
FROM content c LEFT JOIN previous p ON true WHERE c.ids IS NOT NULL
RETURNING id, encode(digest, 'hex') AS digest, cardinality(entry_ids) AS entries
""")


def seal() -> int:
    """Seal what was written since the last seal, oldest first, each batch in a transaction of its
    own. Returns how many entries. Two at once are safe: the second waits for the first."""
    sealed = 0
    for _ in range(MAX_BATCHES):
        with transaction("seal-audit"):
            session.execute(text("SELECT pg_advisory_xact_lock(hashtext('audit seal'))"))
            made = session.execute(_SEAL, {"batch": BATCH}).one_or_none()
        if made is None:
            break
        log.info("audit sealed", extra={"seal": made.id, "digest": made.digest})
        sealed += int(made.entries)
        if made.entries < BATCH:
            break
    return sealed
