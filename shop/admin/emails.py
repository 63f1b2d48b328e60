"""The mailbox: every email the shop wrote, whether it left the house, and how it looks.

A link in it that works for whoever has it (an order's page, a new password) leads nowhere here,
for every role: whoever followed it would act as the customer, and the timeline would say so. Only
in the development mailbox, where nothing is sent, it works for a role that may do what it does.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from flask import Response, current_app, flash, redirect
from flask_appbuilder import expose
from flask_appbuilder.security.decorators import has_access, permission_name
from sqlalchemy import Select, func, select

from shop import notifications
from shop.admin.framework import LinkTo, Moment, Page, Status, Tab, Table, Text, View, errors
from shop.admin.framework.inputs import existing
from shop.core.csp import page_policy
from shop.core.db import session, transaction
from shop.core.errors import DomainError, NotFound, WrongState
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
from shop.notifications import EmailMessage, EmailState
from shop.orders import Order

STATES = {
    EmailState.QUEUED: ("info", lazy_gettext("Waiting")),
    EmailState.SENT: ("good", lazy_gettext("Sent")),
    EmailState.KEPT: ("mute", lazy_gettext("Not sent (development)")),
    EmailState.FAILED: ("bad", lazy_gettext("Failed")),
}
# What the reader of an order's email can do by its link: look at the order, and cancel it.
OF_ORDER_LINK = ("can_show", "can_cancel")
# An email is foreign ground: no scripts, nothing loaded from elsewhere; its links open a new page.
MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'self';"
    " sandbox allow-popups allow-popups-to-escape-sandbox"
)


class MailView(View):
    """Emails, newest first."""

    route_base = "/admin/mail"
    datamodel = Table(EmailMessage)
    noun = lazy_gettext("email")
    plural = lazy_gettext("Emails")
    intro = lazy_gettext(
        "All emails of the shop. Without a mail server they are stored here instead of being sent."
    )
    pages = ()
    columns = (
        Text("subject"),
        Text("recipient", lazy_gettext("To")),
        Status("state", lazy_gettext("Status"), words=STATES, card="end"),
        LinkTo(
            "number",
            lazy_gettext("Order"),
            sql=Order.number,
            endpoint="OrdersView.show",
            key="order_id",
        ),
        Moment("created_at", lazy_gettext("Created")),
        Text("kind", shown=False, show=lambda value, row: value.replace("_", " ").capitalize()),
        Text("error", shown=False),
    )
    sort = "-created_at"
    search = ("recipient", "subject")
    search_hint = lazy_gettext("Address or subject")
    tabs = (
        Tab("all", lazy_gettext("All")),
        *(Tab(str(key), words, EmailMessage.state == key) for key, (_, words) in STATES.items()),
    )
    without_filters = ("state",)
    empty_words = (
        lazy_gettext("No emails yet"),
        lazy_gettext("Emails appear when customers order, register or ask for a new password."),
    )
    # Whoever can follow a secret link can act as the customer: that is a right of its own.
    base_permissions: ClassVar[Sequence[str]] = [
        "can_list", "can_show", "can_export", "can_retry", "can_links",
    ]  # fmt: skip

    def query(self) -> Select[Any]:
        return select(EmailMessage).outerjoin(Order, Order.id == EmailMessage.order_id)

    @expose("/show/<int:pk>")
    @has_access
    def show(self, pk: int) -> Page:
        """One email as its reader sees it, and as text."""
        message = self._readable(pk)
        body = self._body(message)
        page = self.page(
            "admin/emails/show.html",
            title=message.subject,
            message=message,
            text=body.text,
            is_hidden=notifications.HIDDEN in body.text,
            tone=STATES[message.state][0],
            state=STATES[message.state][1],
            may_retry=self.may("can_retry") and message.state == EmailState.FAILED,
        )
        response = Response(page)
        realtime_url = current_app.config["SETTINGS"].realtime_url
        policy = page_policy(realtime_url, {"frame-src": ["'self'"]})
        response.headers["Content-Security-Policy"] = policy
        return response

    @expose("/html/<int:pk>")
    @has_access
    @permission_name("show")
    def html(self, pk: int) -> Page:
        """The email alone, for the frame on its page."""
        response = Response(self._body(self._readable(pk)).html)
        response.headers["Content-Security-Policy"] = MAIL_POLICY
        response.headers["X-Frame-Options"] = "SAMEORIGIN"
        return response

    @expose("/<int:pk>/retry", methods=["POST"])
    @has_access
    def retry(self, pk: int) -> Page:
        """Send an email again that the server did not take."""
        with transaction():
            message = session.get(EmailMessage, existing(pk), with_for_update=True)
            if message is not None and message.state != EmailState.FAILED:
                raise WrongState(_("Only a failed email can be sent again."))
            notifications.retry(pk)
        flash(_("The email is queued to be sent again."), "success")
        return redirect(errors.back(self.address("show", pk=pk)), code=303)

    def _body(self, message: EmailMessage) -> notifications.Body:
        """The email; its secret links work only for who may do what they do."""
        if self._may_follow(message):
            return notifications.with_secret(message)
        return notifications.without_secret(message)

    def _may_follow(self, message: EmailMessage) -> bool:
        """Whether this person may use the links of the email as its reader would."""
        if not self.may("can_links"):
            return False
        has_access = self.appbuilder.sm.has_access
        if message.staff_link_id is not None:
            return bool(has_access("can_reset", "StaffView"))
        needed = OF_ORDER_LINK if message.customer_id is None else ()
        return all(has_access(permission, "OrdersView") for permission in needed)

    def _readable(self, pk: int) -> EmailMessage:
        message = session.get(EmailMessage, existing(pk))
        if message is None:
            raise NotFound(_("Email not found."))
        if message.kind.endswith("_link") and not self.may("can_links"):
            raise Forbidden(
                _(
                    "This email contains a link that signs its recipient in."
                    " Your role cannot open it."
                )
            )
        return message


class Forbidden(DomainError):
    """The role does not include this."""

    code = "forbidden"


def failed_count() -> int:
    """How many emails did not leave. One statement."""
    failed = select(func.count()).where(EmailMessage.state == EmailState.FAILED)
    return session.scalar(failed) or 0
