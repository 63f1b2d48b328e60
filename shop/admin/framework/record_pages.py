"""The pages of a record: what it is, and its end."""

from typing import Any

from flask import abort, flash, redirect
from flask_appbuilder import expose
from flask_appbuilder.security.decorators import has_access
from werkzeug.wrappers import Response as WerkzeugResponse

from shop.admin.framework import errors, shown
from shop.admin.framework.form_pages import REFUSED
from shop.admin.framework.history_pages import HistoryPages
from shop.admin.framework.screens import Page
from shop.core.i18n import gettext as _


class RecordPages(HistoryPages):
    """The records of a table."""

    def remove(self, item: Any) -> None:
        """Delete ``item``, inside the transaction."""
        self.datamodel.delete(item)

    def post_delete_redirect(self) -> WerkzeugResponse:
        """After deleting: the list."""
        return redirect(self.list_address(), code=303)

    @expose("/show/<pk>", methods=["GET"])
    @has_access
    def show(self, pk: str) -> Page:
        """One record with its related lists."""
        item = self._find(pk)
        return self.page(
            self.show_template,
            title=str(item),
            item=item,
            pk=pk,
            facts=shown.facts(self, item),
            related=shown.related(self, item),
            **self.extra("show", item),
        )

    @expose("/delete/<pk>", methods=["POST"])
    @has_access
    def delete(self, pk: str) -> Page:
        """Delete a record, after the dialog."""
        item = self._find(pk)
        if not self.may_delete(item):
            abort(403)
        name = str(item)
        if self._try(None, lambda: self.remove(item)) is REFUSED:
            return redirect(errors.back(self.list_address()), code=303)
        flash(_("“%(name)s” is deleted.", name=name), "success")
        return self.post_delete_redirect()
