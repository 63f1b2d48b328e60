"""Integrity checks: the results of the latest run, and the next one."""

from typing import Any

from flask import flash, redirect, request, url_for
from flask_appbuilder import expose
from flask_appbuilder.security.decorators import has_access

from shop import doctor
from shop.admin.framework import Page, Screen
from shop.core.db import transaction
from shop.core.i18n import gettext as _

# Where the rows of a check are shown: endpoint, argument, and the permission it needs.
PLACES = {
    "order": ("OrdersView.show", "pk", "can_show"),
    "variant": ("InventoryView.show", "pk", "can_show"),
    "product": ("ProductsView.edit", "pk", "can_edit"),
    "discount": ("DiscountsView.show", "pk", "can_show"),
    "mail": ("MailView.show", "pk", "can_show"),
}


class DoctorView(Screen):
    """The integrity checks. A worker runs them: it may take seconds."""

    route_base = "/admin/doctor"
    default_view = "list"

    @expose("/")
    @has_access
    def list(self) -> Page:
        """The latest run: what is broken first, then what holds."""
        last, waiting = doctor.latest(), doctor.running()
        result = last.result if last else None
        checks = result["checks"] if result else []
        return self.page(
            "admin/doctor/index.html",
            title=_("Integrity checks"),
            last=last,
            result=result,
            waiting=waiting,
            broken=[check for check in checks if check["count"]],
            unseen=[check for check in checks if check["failure"]],
            completed=sum(not check["failure"] for check in checks),
            unshown={
                check["id"]: check["count"] - len(check["faults"])
                for check in checks
                if check["count"] > len(check["faults"])
            },
            held=[check for check in checks if not check["count"] and not check["failure"]],
            runs=doctor.recent(),
            fixable=doctor.FIXABLE,
            address_of=self._address,
            may_run=self.may("can_run"),
        )

    @expose("/run", methods=["POST"])
    @has_access
    def run(self) -> Page:
        """Have a worker run all checks now."""
        with transaction():
            doctor.request_run(with_stripe=request.form.get("stripe") == "on")
        flash(_("The integrity checks are running. This page updates when they finish."), "success")
        return redirect(self.address("list"), code=303)

    def _address(self, about: str, pk: Any) -> str:
        """Where a row of a check is shown; empty when it has no page or it is not allowed."""
        if about == "job":
            may = self.appbuilder.sm.has_access("can_list", "JobsView")
            return url_for("JobsView.list", tab="dead") if may else ""
        if about not in PLACES or pk is None:
            return ""
        endpoint, argument, permission = PLACES[about]
        may = self.appbuilder.sm.has_access(permission, endpoint.partition(".")[0])
        return url_for(endpoint, **{argument: pk}) if may else ""
