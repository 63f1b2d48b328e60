"""Staff and roles: who works here, and what each role may do."""

from typing import Any

from flask import abort, flash, redirect
from flask import session as browser
from flask_appbuilder import expose
from flask_appbuilder.security.decorators import has_access, permission_name
from flask_appbuilder.security.sqla.models import Role, User
from flask_login import current_user
from sqlalchemy import ColumnElement, Select, and_, bindparam, case, func, select
from sqlalchemy.types import DateTime

from shop.admin import roles, security
from shop.admin.framework import (
    Action,
    Column,
    Email,
    Moment,
    Page,
    Screen,
    Status,
    Tab,
    Table,
    Text,
    View,
    inputs,
)
from shop.admin.staff import accounts, invitations, sign_ins
from shop.admin.staff.forms import NewPasswordForm
from shop.core import clock
from shop.core.db import session, transaction
from shop.core.errors import Invalid
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext, lazy_ngettext
from shop.staff import Invitation

ACCESS = {
    "active": ("good", lazy_gettext("Active")),
    "invited": ("info", lazy_gettext("Invited")),
    "expired": ("warn", lazy_gettext("Invitation expired")),
    "revoked": ("mute", lazy_gettext("Invitation revoked")),
    "off": ("mute", lazy_gettext("Deactivated")),
}
_NOW: Any = bindparam("now", callable_=clock.now, type_=DateTime(timezone=True), unique=True)
_ACCESS = case(
    (Invitation.revoked_at.is_not(None), "revoked"),
    (Invitation.expires_at <= _NOW, "expired"),
    (Invitation.id.is_not(None), "invited"),
    (User.active.is_(True), "active"),
    else_="off",
)
_IS_INVITED: ColumnElement[bool] = User.id.in_(select(Invitation.user_id))


def _role_order(role: Role) -> int:
    names = list(roles.ROLES)
    return names.index(role.name) if role.name in names else len(names)


def _role_names(held: list[Role]) -> str:
    return ", ".join(role.name for role in sorted(held, key=_role_order)) or _("none")


class StaffView(View):
    """Accounts of staff. Nobody is deleted: a deactivated account keeps its name in the history."""

    route_base = "/admin/staff"
    datamodel = Table(User)
    noun = lazy_gettext("staff member")
    plural = lazy_gettext("Staff")
    intro = lazy_gettext("Everyone who can sign in to the admin.")
    pages = ("show", "add", "edit")
    columns = (
        Text("get_full_name", lazy_gettext("Name")),
        Email("email"),
        Column("roles", show=lambda held, row: _role_names(held)),
        Status("access", lazy_gettext("Access"), sql=_ACCESS, words=ACCESS, card="end"),
        Moment("invited_until", lazy_gettext("Invitation expires"), sql=Invitation.expires_at),
        Moment("last_login", lazy_gettext("Last sign-in")),
        Moment("created_on", lazy_gettext("Added"), shown=False),
    )
    show_columns = [
        "get_full_name", "email", "roles", "last_login", "login_count",
        "fail_login_count", "created_on",
    ]  # fmt: skip
    add_title = lazy_gettext("Invite staff member")
    add_columns = ["first_name", "last_name", "email", "roles"]
    edit_columns = ["first_name", "last_name", "email", "roles"]
    sort = "email"
    search = ("first_name", "last_name", "email")
    search_hint = lazy_gettext("Name or email")
    tabs = (
        Tab("all", lazy_gettext("All")),
        Tab("active", lazy_gettext("Active"), User.active.is_(True)),
        Tab("invited", lazy_gettext("Invited"), _IS_INVITED),
        Tab("off", lazy_gettext("Deactivated"), and_(User.active.is_(False), ~_IS_INVITED)),
    )
    row_actions = (
        Action(
            "deactivate",
            lazy_gettext("Deactivate"),
            lambda user: accounts.deactivate(user, by=current_user),
            lazy_gettext("%(name)s no longer has access."),
            lazy_ngettext(
                "%(num)s person no longer has access.", "%(num)s people no longer have access."
            ),
            confirm=lazy_gettext("Sign them out everywhere and end their access?"),
            icon="user-x",
            applies=lambda user: user.active and user.id != current_user.id,
        ),
        Action(
            "activate",
            lazy_gettext("Activate"),
            lambda user: accounts.activate(user, by=current_user),
            lazy_gettext("%(name)s can sign in again."),
            lazy_ngettext("%(num)s person can sign in again.", "%(num)s people can sign in again."),
            confirm=lazy_gettext("Let them sign in again?"),
            icon="user-check",
            applies=lambda user: (
                not user.active and accounts.has_joined(user) and user.id != current_user.id
            ),
        ),
        Action(
            "resend",
            lazy_gettext("Resend invitation"),
            lambda user: invitations.resend(user, by=current_user),
            lazy_gettext("%(name)s gets a new link; the old one no longer works."),
            lazy_ngettext(
                "%(num)s invitation was sent again.", "%(num)s invitations were sent again."
            ),
            icon="mail",
            permission="add",
            applies=lambda user: not accounts.has_joined(user),
        ),
        Action(
            "revoke",
            lazy_gettext("Revoke invitation"),
            lambda user: invitations.revoke(user, by=current_user),
            lazy_gettext("The invitation of %(name)s is revoked."),
            lazy_ngettext("%(num)s invitation was revoked.", "%(num)s invitations were revoked."),
            confirm=lazy_gettext("Revoke the invitation? Its link no longer works then."),
            icon="ban",
            permission="add",
            applies=lambda user: not accounts.has_joined(user),
        ),
    )
    label_columns = {
        "login_count": lazy_gettext("Sign-ins"),
        "fail_login_count": lazy_gettext("Failed since then"),
    }
    hints = {
        "email": lazy_gettext("They sign in with this address."),
        "roles": lazy_gettext("You can assign roles with no more permissions than your own."),
    }
    show_template = "admin/staff/show.html"

    def query(self) -> Select[Any]:
        return super().query().outerjoin(Invitation, Invitation.user_id == User.id)

    def extra(self, kind: str, item: Any = None) -> dict[str, Any]:
        if kind != "show":
            return {}
        access, inviter = session.execute(
            select(_ACCESS, Invitation.invited_by_id)
            .select_from(User)
            .outerjoin(Invitation, Invitation.user_id == User.id)
            .where(User.id == item.id)
        ).one()
        may_sign_out = self.may("can_sign_out") and self.may_edit(item)
        here = browser.get(security.SESSION_KEY)
        return {
            "access": ACCESS[access],
            "has_joined": accounts.has_joined(item),
            "invitation": invitations.of_user(item.id),
            "invited_by": session.get(User, inviter) if inviter else None,
            "sign_ins": sign_ins.of(item.id, here=here) if may_sign_out else None,
        }

    def said(self, kind: str, item: User) -> str:
        if kind == "add":
            return _("The invitation to %(email)s is on its way.", email=item.email)
        return super().said(kind, item)

    def create(self, form: Any) -> User:
        return invitations.invite(
            email=form.email.data,
            first_name=form.first_name.data,
            last_name=form.last_name.data,
            held=form.roles.data,
            by=current_user,
        )

    def change(self, item: User, form: Any) -> None:
        before = item.email
        accounts.change(
            item,
            email=form.email.data,
            first_name=form.first_name.data,
            last_name=form.last_name.data,
            held=form.roles.data,
            by=current_user,
        )
        if item.email != before:
            invitations.follow_address(item, by=current_user)

    def may_edit(self, item: User) -> bool:
        return item.id == current_user.id or roles.may_grant(
            current_user, [role.name for role in item.roles]
        )

    @expose("/<int:pk>/password", methods=["GET", "POST"])
    @has_access
    @permission_name("reset")
    def reset(self, pk: int) -> Page:
        """Set somebody's password."""
        user = self._find(str(pk))
        if not self.may_edit(user) or not accounts.has_joined(user):
            abort(403)
        form = NewPasswordForm()
        if form.validate_on_submit():
            try:
                with transaction():
                    accounts.reset_password(user, form.password.data or "", by=current_user)
            except Invalid as refusal:
                form.password.errors = [refusal.sentence]
            else:
                flash(
                    _("%(name)s has a new password and is signed out everywhere.", name=user),
                    "success",
                )
                return redirect(self.address("show", pk=pk), code=303)
        return self.page(
            "admin/staff/password.html",
            title=_("Password of %(name)s", name=user),
            form=form,
            item=user,
        )

    @expose("/<int:pk>/sign-out/<int:sign_in>", methods=["POST"])
    @has_access
    def sign_out(self, pk: int, sign_in: int) -> Page:
        """End one of somebody's sign-ins."""
        return self._end(pk, inputs.existing(sign_in))

    @expose("/<int:pk>/sign-out", methods=["POST"])
    @has_access
    @permission_name("sign_out")
    def sign_out_everywhere(self, pk: int) -> Page:
        """End all of somebody's sign-ins."""
        return self._end(pk, None)

    def _end(self, pk: int, sign_in: int | None) -> Page:
        user = self._find(str(pk))
        with transaction():
            accounts.sign_out(user, by=current_user, sign_in_id=sign_in)
        flash(
            _("%(name)s is signed out everywhere.", name=user)
            if sign_in is None
            else _("That browser is signed out."),
            "success",
        )
        return redirect(self.address("show", pk=pk), code=303)


class RolesView(Screen):
    """The roles, as the table in roles.py declares them."""

    route_base = "/admin/roles"
    default_view = "list"

    @expose("/list/")
    @has_access
    def list(self) -> Page:
        """All roles with the number of people who hold them."""
        held = select(Role.name, func.count(User.id)).outerjoin(Role.user).group_by(Role.name)
        people: dict[str, int] = dict(session.execute(held).all())
        return self.page(
            "admin/roles/list.html", title=_("Roles"), roles=roles.ROLES, people=people
        )

    @expose("/show/<name>")
    @has_access
    def show(self, name: str) -> Page:
        """One role: what it may do, page by page, and who holds it."""
        if name not in roles.ROLES:
            abort(404)
        people = session.scalars(
            select(User).join(User.roles).where(Role.name == name).order_by(User.first_name)
        ).all()
        return self.page(
            "admin/roles/show.html",
            title=name,
            role=roles.ROLES[name],
            grants=roles.readable(name),
            people=people,
        )
