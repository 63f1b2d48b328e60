"""The ways in for whoever has no password (yet): an invitation, or a link to a new password.

Links open a page with a form: mail programs follow links to look at them, and looking must not use
a link up. The secret leaves the address at once, so that no log or other site learns it.
"""

import re

from flask import abort, flash, redirect, session
from flask_appbuilder import expose
from flask_appbuilder.utils.limit import Limit
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import StringField
from wtforms.validators import InputRequired, Length

from shop.admin import security
from shop.admin.framework import Screen
from shop.admin.staff import accounts, callers, invitations
from shop.admin.staff.forms import NewPasswordForm
from shop.core import tokens
from shop.core.db import transaction
from shop.core.errors import Invalid, NotFound
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
from shop.staff import LINK_MINUTES, PASSWORD

Page = str | tuple[str, int] | Response
SECRET = re.compile(r"[A-Za-z0-9_-]{16,64}")
# Where the browser keeps the secret of a link between the email and the form.
INVITATION_KEY, FORGOTTEN_KEY = "staff_invitation", "staff_forgotten"


class WayIn(Screen):
    """A page for whoever follows a link of an email."""

    def keep(self, key: str, secret: str, then: str) -> Response:
        """Take the secret out of the address and go on. What can be none is not found, and leaves
        the one that the browser keeps."""
        if not SECRET.fullmatch(secret):
            abort(404)
        session[key] = secret
        return redirect(self.address(then), code=303)

    def stale(self, refusal: NotFound, *, is_invitation: bool) -> Page:
        """The page of a link that is used, too old or dead: it says how to get another."""
        return self.page(
            "admin/account/stale_link.html",
            title=_("This link has expired"),
            sentence=refusal.sentence,
            is_invitation=is_invitation,
        ), 404


class InvitationView(WayIn):
    """Accepting an invitation: who invited, to which roles, and a password of one's own."""

    route_base = "/admin/invitation"
    default_view = "accept"
    limits = [Limit("30 per 10 minutes", callers.network, methods=("POST",))]

    @expose("/<secret>")
    def follow(self, secret: str) -> Page:
        """The link of the email."""
        return self.keep(INVITATION_KEY, secret, "accept")

    @expose("/", methods=["GET", "POST"])
    def accept(self) -> Page:
        """Choose a password and be signed in."""
        token, form = session.get(INVITATION_KEY) or "", NewPasswordForm()
        try:
            invited = invitations.of_link(token)
            if form.validate_on_submit():
                with transaction():
                    user = invitations.accept(token, form.password.data or "")
                    opened = security.open_sign_in(user)
                return self._welcome(opened, invited.email)
        except NotFound as refusal:
            return self.stale(refusal, is_invitation=True)
        except Invalid as refusal:
            form.password.errors = [refusal.sentence]
        page = self.page(
            "admin/account/invitation.html",
            title=_("Accept the invitation"),
            form=form,
            invited=invited,
        )
        return page, 422 if form.errors else 200

    def _welcome(self, opened: str, email: str) -> Response:
        session.pop(INVITATION_KEY, None)
        security.carry(opened)
        answer = redirect("/admin/", code=303)
        callers.remember_device(answer, email)
        return answer


class ForgottenForm(FlaskForm):
    """The address of an account."""

    username = StringField(
        lazy_gettext("Email"),
        [InputRequired(lazy_gettext("Fill in your email address.")), Length(max=128)],
        render_kw={"autocomplete": "username"},
    )


class ForgottenPasswordView(WayIn):
    """A new password for whoever forgot theirs. No answer tells whether an address is known.

    As often as one may try to sign in: 30 times in ten minutes from one network, ten for one
    account. A browser that has signed in to the account before is not counted with its network.
    """

    route_base = "/admin/forgotten"
    default_view = "ask"
    limits = [
        Limit(
            "30 per 10 minutes",
            callers.network,
            methods=("POST",),
            exempt_when=callers.is_known_device,
        ),
        Limit("10 per 10 minutes", callers.account_and_network, methods=("POST",)),
    ]

    @expose("/", methods=["GET", "POST"])
    def ask(self) -> Page:
        """Ask for a link; the answer is the same for every address."""
        form = ForgottenForm()
        is_sent = form.validate_on_submit()
        if is_sent:
            with transaction():
                accounts.request_password(
                    form.username.data or "", from_known_device=callers.is_known_device()
                )
        return self.page(
            "admin/account/forgotten.html",
            title=_("Check your email") if is_sent else _("Forgotten password"),
            form=form,
            is_sent=is_sent,
            minutes=LINK_MINUTES[PASSWORD],
        )

    @expose("/<secret>")
    def follow(self, secret: str) -> Page:
        """The link of the email."""
        return self.keep(FORGOTTEN_KEY, secret, "choose")

    @expose("/new", methods=["GET", "POST"])
    def choose(self) -> Page:
        """Choose a password; every sign-in of the account ends."""
        token, form = session.get(FORGOTTEN_KEY) or "", NewPasswordForm()
        try:
            if not tokens.is_good(PASSWORD, token):
                raise NotFound(str(accounts.STALE_LINK))
            if form.validate_on_submit():
                with transaction():
                    accounts.choose_password(token, form.password.data or "")
                return self._done()
        except NotFound as refusal:
            return self.stale(refusal, is_invitation=False)
        except Invalid as refusal:
            form.password.errors = [refusal.sentence]
        page = self.page(
            "admin/account/new_password.html", title=_("Choose a new password"), form=form
        )
        return page, 422 if form.errors else 200

    def _done(self) -> Response:
        session.pop(FORGOTTEN_KEY, None)
        session.pop(security.SESSION_KEY, None)
        flash(_("Your new password is set. Sign in with it."), "success")
        return redirect("/admin/login/", code=303)
