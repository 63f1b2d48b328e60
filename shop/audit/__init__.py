"""Who did what: an entry for every change of anything that staff can edit, and for sign-ins,
exports and refusals.

Triggers write the entries in the transaction of the change, so that operations, statements, bulk
updates, commands and other programs are all seen (``capture``, ``coverage``). The database learns
who acts from a setting of the transaction (``marking``). Entries are insert-only and chained by
seals (``sealing``). Decision 26 has the reasons and the price.
"""

from shop.audit.capture import install_triggers
from shop.audit.coverage import NOT_AUDITED, covered
from shop.audit.marking import watch
from shop.audit.models import AuditAction, AuditEntry
from shop.audit.queries import PAGE, Change, changes, entry, history
from shop.audit.records import record, record_sign_in
from shop.audit.sealing import LINK, seal

__all__ = [
    "LINK", "NOT_AUDITED", "PAGE", "AuditAction", "AuditEntry", "Change", "changes", "covered",
    "entry", "history", "install_triggers", "record", "record_sign_in", "seal", "watch",
]  # fmt: skip
