"""A table in the admin with everything that belongs to it; the front page of this folder says how
it is declared.

``declaration`` is what a view declares, ``list_pages`` its list, ``action_pages`` what is done to
its rows, ``form_pages`` the forms of its records, ``record_pages`` the records themselves.
"""

from shop.admin.framework.action_pages import ActionPages
from shop.admin.framework.record_pages import RecordPages


class View(ActionPages, RecordPages):
    """A table in the admin: its list, what is done to its rows, and the pages of its records."""
