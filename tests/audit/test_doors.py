"""What people do at the staff's doors: signing in and out, and asking for more than their role."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from shop.audit import AuditAction, AuditEntry
