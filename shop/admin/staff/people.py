"""Staff and roles: who works here, and what each role may do."""

from typing import Any

from flask import abort, flash, redirect
from flask_appbuilder import expose
from flask_appbuilder.security.decorators import has_access, permission_name
from flask_appbuilder.security.sqla.models import Role, User
from flask_login import current_user
from sqlalchemy import func, select
from wtforms import PasswordField
from wtforms.validators import InputRequired

from shop.admin import roles
from shop.admin.framework import (
    Action,
    Column,
    Email,
    Moment,
    Page,
    Screen,
    Tab,
    Table,
    Text,
    View,
    YesNo,
)
from shop.admin.staff import accounts
from shop.admin.staff.own_account import NewPasswordForm
from shop.core.db import session, transaction
from shop.core.errors import Invalid
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext, lazy_ngettext


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
        YesNo(
            "active",
            lazy_gettext("Access"),
            yes=lazy_gettext("Active"),
            no=lazy_gettext("Deactivated"),
            card="end",
        ),
        Moment("last_login", lazy_gettext("Last sign-in")),
        Moment("created_on", lazy_gettext("Added"), shown=False),
    )
    show_columns = [
        "get_full_name", "email", "roles", "active", "last_login", "login_count",
        "fail_login_count", "created_on",
    ]  # fmt: skip
    add_columns = ["first_name", "last_name", "email", "roles", "password"]
    edit_columns = ["first_name", "last_name", "email", "roles"]
    sort = "email"
    search = ("first_name", "last_name", "email")
    search_hint = lazy_gettext("Name or email")
    tabs = (
        Tab("all", lazy_gettext("All")),
        Tab("active", lazy_gettext("Active"), User.active.is_(True)),
        Tab("off", lazy_gettext("Deactivated"), User.active.is_(False)),
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
            applies=lambda user: not user.active and user.id != current_user.id,
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
    add_form_extra_fields = {
        "password": PasswordField(
            lazy_gettext("First password"),
            [InputRequired(lazy_gettext("Fill in a password."))],
            description=lazy_gettext(
                "At least 12 characters. They can change it under My profile."
            ),
            render_kw={"autocomplete": "new-password"},
        )
    }
    show_template = "admin/staff/show.html"

    def create(self, form: Any) -> User:
        return accounts.create(
            email=form.email.data,
            first_name=form.first_name.data,
            last_name=form.last_name.data,
            password=form.password.data,
            held=form.roles.data,
            by=current_user,
        )

    def change(self, item: User, form: Any) -> None:
        accounts.change(
            item,
            email=form.email.data,
            first_name=form.first_name.data,
            last_name=form.last_name.data,
            held=form.roles.data,
            by=current_user,
        )

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
        if not self.may_edit(user):
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
