"""Staff as everything but the admin sees them: who is invited, and where their emails go.

The accounts themselves are Flask-AppBuilder's tables, which workers read without its code; who may
do what to them is the admin's to say (``shop/admin/staff``).
"""

from shop.staff.models import Invitation
from shop.staff.people import Invited, Person, invited, person

# What the one-time links of staff are for, and for how many minutes each works.
INVITATION = "staff_invitation"
PASSWORD = "staff_password"
LINK_MINUTES = {INVITATION: 7 * 24 * 60, PASSWORD: 30}

__all__ = [
    "INVITATION", "LINK_MINUTES", "PASSWORD", "Invitation", "Invited", "Person", "invited",
    "person",
]  # fmt: skip
