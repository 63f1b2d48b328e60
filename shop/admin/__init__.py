"""The admin door: Flask-AppBuilder's roles and tables in a look of our own, under ``/admin``."""

from typing import Any, NoReturn

from flask import Blueprint, Flask, abort

from shop.admin import csp, roles, security, shell
from shop.admin.audit import AuditView
from shop.admin.categories import CategoriesView
from shop.admin.customers import AddressesView, CustomersView
from shop.admin.dashboard import DashboardView
from shop.admin.discounts.page import DiscountsView
from shop.admin.doctor import DoctorView
from shop.admin.emails import MailView
from shop.admin.framework import errors
from shop.admin.inventory import InventoryView
from shop.admin.jobs import JobsView
from shop.admin.orders.page import OrdersView
from shop.admin.payments import PaymentsView, WebhooksView
from shop.admin.products.editor import ProductsView
from shop.admin.settings import ShippingMethodsView, TaxRatesView
from shop.admin.shell import FILES
from shop.admin.staff import accounts, invitations
from shop.admin.staff.own_account import PasswordView, ProfileView, SignInView, SignOutView
from shop.admin.staff.people import RolesView, StaffView
from shop.admin.staff.ways_in import ForgottenPasswordView, InvitationView
from shop.core import db, i18n, mail
from shop.core.db import transaction

VIEWS: tuple[type[Any], ...] = (
    SignInView,
    SignOutView,
    InvitationView,
    ForgottenPasswordView,
    ProfileView,
    PasswordView,
    DashboardView,
    OrdersView,
    InventoryView,
    ProductsView,
    DiscountsView,
    PaymentsView,
    WebhooksView,
    MailView,
    JobsView,
    DoctorView,
    AddressesView,
    CustomersView,
    CategoriesView,
    ShippingMethodsView,
    TaxRatesView,
    StaffView,
    RolesView,
    AuditView,
)
SETTINGS = {
    "FAB_CREATE_DB": False,
    "FAB_UPDATE_PERMS": False,
    "FAB_ADD_SECURITY_API": False,
    "FAB_ADD_MENU_API": False,
    "FAB_ADD_OPENAPI_VIEWS": False,
    "FAB_BASE_TEMPLATE": "admin/layout.html",
    "AUTH_ROLE_ADMIN": roles.OWNER,
    "AUTH_RATE_LIMITED": False,
}

__all__ = ["FILES", "VIEWS", "Staff", "init_app"]


class Staff:
    """What commands need of the staff side: ``app.extensions["staff"]``; doors import no doors."""

    def __init__(self, app: Flask) -> None:
        self.app = app

    def install(self) -> None:
        """Make roles and permissions equal to the table in roles.py; safe to repeat."""
        roles.install(self.app)

    def create_owner(self, email: str, password: str) -> bool:
        """Make the first Owner; False when somebody is Owner already.

        Raises ``Invalid`` for an unusable address or password, ``RuntimeError`` without roles.
        """
        with self.app.app_context(), transaction():
            return accounts.first_owner(email, password) is not None

    def has_owner(self) -> bool:
        """Whether an Owner can sign in."""
        with self.app.app_context():
            return accounts.has_owner()

    def invite_owner(self, email: str) -> str | None:
        """Email the first Owner an invitation; None when somebody is Owner or still invited.

        Returns the path of a link to it if no email is sent, else nothing. Raises ``Invalid`` for
        an unusable address, ``RuntimeError`` without roles.
        """
        with self.app.app_context(), transaction():
            user = invitations.first_owner(email)
            return None if user is None else _link_if_kept(user)

    def invite(self, email: str, role_name: str) -> str:
        """Invite somebody to work here; somebody who is invited gets a new link.

        Returns the path of a link to it if no email is sent, else nothing. Raises ``Invalid`` for
        an unusable address, that of somebody who has joined, or a role that does not exist.
        """
        with self.app.app_context(), transaction():
            return _link_if_kept(invitations.invite_by_command(email, role_name))


def _link_if_kept(user: Any) -> str:
    if mail.is_configured():
        return ""
    return f"/admin/invitation/{invitations.new_link(user)}"


def init_app(app: Flask) -> None:
    """Plug this door into ``app``; runs no SQL."""
    settings = app.config["SETTINGS"]
    app.config.update(SETTINGS)
    app.config["APP_NAME"] = settings.shop_name
    app.config["FAB_SAFE_REDIRECT_HOSTS"] = app.config.get("TRUSTED_HOSTS") or ["127.0.0.1"]
    app.extensions["staff"] = Staff(app)
    shell.init_app(app)
    csp.init_app(app)
    security.init_app(app)
    appbuilder = security.StaffAppBuilder(
        security_manager_class=security.StaffSecurity, update_perms=False
    )
    with app.app_context():
        appbuilder.init_app(app, db.session)
        # Without this every page would write the locale into the session.
        app.extensions["babel"].locale_selector = i18n.locale
        for view in VIEWS:
            added = appbuilder.add_view_no_menu(view)
            if view is SignInView:
                appbuilder.sm.auth_view = added
    _unknown_pages(app)


def _unknown_pages(app: Flask) -> None:
    unknown = Blueprint("admin_unknown", __name__, url_prefix="/admin")
    errors.handle(unknown)

    @unknown.get("/<path:path>")
    def nothing_here(path: str) -> NoReturn:
        abort(404)

    app.register_blueprint(unknown)
