"""Staff and roles: who works here, and what each role may do."""

from typing import Any

from flask import abort, flash, redirect
from flask_appbuilder import expose
from flask_appbuilder.actions import action
from flask_appbuilder.security.decorators import has_access, permission_name
from flask_appbuilder.security.sqla.models import Role, User
from flask_login import current_user
from sqlalchemy import func, select
from werkzeug.wrappers import Response as WerkzeugResponse
from wtforms import PasswordField
from wtforms.validators import InputRequired

from shop.admin import accounts, roles
from shop.admin.account import NewPasswordForm
from shop.admin.base import CrudView, Page, Screen
from shop.admin.filters import Dates, Flag
from shop.admin.formatters import mail_link, moment, yes_no
from shop.admin.interface import Table
from shop.admin.narrowing import Tab
from shop.core.db import session, transaction
from shop.core.errors import Invalid


def _role_order(role: Role) -> int:
    names = list(roles.ROLES)
    return names.index(role.name) if role.name in names else len(names)


def _role_names(held: list[Role], row: Any = None) -> str:
    return ", ".join(role.name for role in sorted(held, key=_role_order)) or "none"


class StaffView(CrudView):
    """Accounts of staff. Nobody is deleted: a deactivated account keeps its name in the history."""

    route_base = "/admin/staff"
    datamodel = Table(User)
    noun = "staff member"
    plural = "Staff"
    intro = "Everybody who may sign in here."
    exclude_route_methods = {"delete", "download", "lookup"}
    list_columns = ["get_full_name", "email", "roles", "active", "last_login"]
    show_columns = [
        "get_full_name", "email", "roles", "active", "last_login", "login_count",
        "fail_login_count", "created_on",
    ]  # fmt: skip
    add_columns = ["first_name", "last_name", "email", "roles", "password"]
    edit_columns = ["first_name", "last_name", "email", "roles"]
    order_columns = ["email", "last_login"]
    base_order = ("id", "asc")
    main_columns = ("get_full_name", "active")
    search_by = ("first_name", "last_name", "email")
    search_hint = "Name or e-mail"
    filters = (
        Flag("active", "Access", "Active", "Deactivated"),
        Dates("last_login", "Last sign-in"),
    )
    tabs = (
        Tab("all", "All"),
        Tab("active", "Active", lambda: User.active.is_(True)),
        Tab("off", "Deactivated", lambda: User.active.is_(False)),
    )
    label_columns = {
        "get_full_name": "Name", "first_name": "First name", "last_name": "Last name",
        "email": "E-mail", "active": "Access", "last_login": "Last sign-in",
        "login_count": "Sign-ins", "fail_login_count": "Failed since then", "created_on": "Added",
    }  # fmt: skip
    formatters_columns = {
        "email": mail_link,
        "roles": _role_names,
        "active": yes_no("Active", "Deactivated"),
        "last_login": moment,
        "created_on": moment,
    }
    hints = {
        "email": "They sign in with this address.",
        "roles": "You can give roles that may do no more than your own.",
    }
    add_form_extra_fields = {
        "password": PasswordField(
            "First password",
            [InputRequired("Fill in a password.")],
            description="At least 12 characters. They can change it under My profile.",
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

    @action("deactivate", "Deactivate", "Sign them out everywhere and end their access?", "user-x")
    def deactivate(self, items: Any) -> WerkzeugResponse:
        """End the access of the selected accounts."""
        with transaction():
            for user in self.rows(items):
                accounts.deactivate(user, by=current_user)
        return self.to_list("Access ended.")

    @action("activate", "Activate", "Let them sign in again?", "user-check")
    def activate(self, items: Any) -> WerkzeugResponse:
        """Let the selected accounts in again."""
        with transaction():
            for user in self.rows(items):
                accounts.activate(user, by=current_user)
        return self.to_list("Access given.")

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
                flash(f"{user} has a new password and is signed out everywhere.", "success")
                return redirect(self.address("show", pk=pk), code=303)
        return self.page(
            "admin/staff/password.html", title=f"Password of {user}", form=form, item=user
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
        return self.page("admin/roles/list.html", title="Roles", roles=roles.ROLES, people=people)

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
