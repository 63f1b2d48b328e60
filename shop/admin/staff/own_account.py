"""One's own account: sign in, sign out, profile, password."""

from flask import Response, flash, redirect, request, session
from flask_appbuilder import expose
from flask_appbuilder.security.decorators import has_access, permission_name
from flask_appbuilder.utils.limit import Limit
from flask_login import current_user
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as WerkzeugResponse
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired, Length

from shop.admin import security
from shop.admin.framework import Screen, inputs
from shop.admin.staff import accounts, callers, sign_ins
from shop.admin.staff.forms import OwnPasswordForm
from shop.core import devices, sessions
from shop.core.db import transaction
from shop.core.errors import Invalid
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
from shop.core.passwords import matches

Page = str | tuple[str, int] | WerkzeugResponse


def _failed(response: Response) -> bool:
    return response.status_code == 401


class SignInForm(FlaskForm):
    """What one types to get in."""

    username = StringField(
        lazy_gettext("Email"),
        [InputRequired(lazy_gettext("Fill in your email address."))],
        render_kw={"autocomplete": "username"},
    )
    password = PasswordField(
        lazy_gettext("Password"),
        [InputRequired(lazy_gettext("Fill in your password."))],
        render_kw={"autocomplete": "current-password"},
    )


class SignInView(Screen):
    """The page to sign in. Failures are counted, and all sound the same.

    One network may try 30 times in ten minutes, and an account may fail ten times from one network
    in ten minutes: guessing is slow, and nobody is locked out of their own account from elsewhere.
    A browser that has signed in to the account before is not counted with its network.
    """

    route_base = "/admin/login"
    default_view = "login"
    limits = [
        Limit(
            "30 per 10 minutes",
            callers.network,
            methods=("POST",),
            exempt_when=callers.is_known_device,
        ),
        Limit(
            "10 per 10 minutes",
            callers.account_and_network,
            methods=("POST",),
            deduct_when=_failed,
            exempt_when=callers.is_known_device,
        ),
    ]

    @expose("/", methods=["GET", "POST"])
    def login(self) -> Page:
        """Sign in."""
        target = security.safe_next(request.args.get("next"))
        if current_user.is_authenticated:
            return redirect(target)
        form = SignInForm()
        if form.validate_on_submit():
            if security.sign_in(form.username.data or "", form.password.data or ""):
                answer = redirect(target, code=303)
                callers.remember_device(answer, callers.account())
                return answer
            if device := callers.known_device():
                devices.note_failure(device)
            form.password.errors = [_("The email address or the password is wrong.")]
            return self.page("admin/account/sign_in.html", title=_("Sign in"), form=form), 401
        return self.page("admin/account/sign_in.html", title=_("Sign in"), form=form)


class SignOutView(Screen):
    """Ends this browser's sign-in."""

    route_base = "/admin/logout"
    default_view = "logout"

    @expose("/", methods=["POST"])
    def logout(self) -> Page:
        """Sign out."""
        security.sign_out()
        return redirect("/admin/login/", code=303)


class ProfileForm(FlaskForm):
    """What people may change about themselves."""

    first_name = StringField(
        lazy_gettext("First name"), [InputRequired(lazy_gettext("Fill in a name.")), Length(max=64)]
    )
    last_name = StringField(lazy_gettext("Last name"), [Length(max=64)])


class ProfileView(Screen):
    """One's own name, roles and sign-ins."""

    route_base = "/admin/profile"
    default_view = "show"

    @expose("/", methods=["GET", "POST"])
    @has_access
    def show(self) -> Page:
        """See the profile, or change the name."""
        form = ProfileForm(obj=current_user)
        if form.validate_on_submit():
            with transaction():
                accounts.rename(
                    current_user,
                    first_name=form.first_name.data or "",
                    last_name=form.last_name.data or "",
                )
            flash(_("Your profile is saved."), "success")
            return redirect(self.address("show"), code=303)
        return self.page(
            "admin/account/profile.html",
            title=_("My profile"),
            form=form,
            sign_ins=sign_ins.of(current_user.id, here=session.get(security.SESSION_KEY)),
        )

    @expose("/sign-out-elsewhere", methods=["POST"])
    @has_access
    def sign_out_elsewhere(self) -> Page:
        """End all other sign-ins of this account."""
        with transaction():
            sessions.end_all("staff", current_user.id, but=session.get(security.SESSION_KEY))
        flash(_("All other browsers are signed out."), "success")
        return redirect(self.address("show"), code=303)

    @expose("/sign-out/<int:sign_in>", methods=["POST"])
    @has_access
    @permission_name("sign_out")
    def sign_out(self, sign_in: int) -> Page:
        """End one sign-in of this account."""
        with transaction():
            sessions.end_one("staff", current_user.id, inputs.existing(sign_in))
        flash(_("That browser is signed out."), "success")
        return redirect(self.address("show"), code=303)


class PasswordView(Screen):
    """One's own password."""

    route_base = "/admin/password"
    default_view = "change"
    limits = [Limit("10 per 10 minutes", lambda: f"own|{current_user.get_id()}", methods=("POST",))]

    @expose("/", methods=["GET", "POST"])
    @has_access
    def change(self) -> Page:
        """Change it; every other browser is signed out."""
        form = OwnPasswordForm()
        if form.validate_on_submit():
            if not matches(current_user.password, form.current.data or ""):
                form.current.errors = [_("This is not your current password.")]
            else:
                try:
                    with transaction():
                        accounts.set_password(
                            current_user._get_current_object(),
                            form.password.data or "",
                            keep=session.get(security.SESSION_KEY),
                        )
                except Invalid as refusal:
                    form.password.errors = [refusal.sentence]
                else:
                    flash(
                        _("Your password is changed. All other browsers are signed out."), "success"
                    )
                    return redirect("/admin/profile/", code=303)
        return self.page("admin/account/password.html", title=_("Change password"), form=form)
