"""Who may do what: one table, installed by ``flask shop init`` and read by every request.

A role lists views and, for each, the permissions it has there. A permission is ``can_<method>`` of
a view (or the word given by ``@permission_name``) or the name of one of its actions.
``EVERYTHING`` stands for all of them, now and later. Roles are declared here and nowhere else:
``install`` makes the database agree, and the staff pages only show them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flask import Flask, current_app
from flask_appbuilder.security.sqla.models import Permission, PermissionView, Role, ViewMenu
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from shop.admin.menu import MENU
from shop.core.db import session, transaction
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext

OWNER = "Owner"
EVERYTHING = frozenset({"*"})
ALL_VIEWS = "*"
LIST = frozenset({"can_list"})
OPEN = LIST | {"can_show"}
READ = OPEN | {"can_history"}
FULFIL = frozenset({"can_process", "can_ship", "can_deliver", "can_note"})
# What everybody with an account has: the dashboard, and one's own name and password.
OWN = {
    "DashboardView": frozenset({"can_index"}),
    "ProfileView": EVERYTHING,
    "PasswordView": EVERYTHING,
}


@dataclass(frozen=True, slots=True)
class RoleSpec:
    """``summary`` is for people; ``grants`` maps a view's name to permissions there."""

    summary: str
    grants: dict[str, frozenset[str]]


ROLES: dict[str, RoleSpec] = {
    OWNER: RoleSpec(
        lazy_gettext("Everything, including staff and settings."),
        {ALL_VIEWS: EVERYTHING},
    ),
    "Manager": RoleSpec(
        lazy_gettext("Runs the shop day to day; sees staff and roles but does not change them."),
        {
            "OrdersView": EVERYTHING,
            "PaymentsView": EVERYTHING,
            "WebhooksView": LIST,
            "CustomersView": EVERYTHING,
            "DiscountsView": EVERYTHING,
            "ProductsView": EVERYTHING,
            "CategoriesView": EVERYTHING,
            "InventoryView": EVERYTHING,
            "MailView": EVERYTHING,
            "JobsView": EVERYTHING,
            "DoctorView": EVERYTHING,
            "ShippingMethodsView": EVERYTHING,
            "TaxRatesView": EVERYTHING,
            "StaffView": READ,
            "RolesView": OPEN,
        },
    ),
    "Catalogue": RoleSpec(
        lazy_gettext("Products, images and categories."),
        {
            "ProductsView": EVERYTHING,
            "CategoriesView": EVERYTHING,
            "InventoryView": READ,
        },
    ),
    "Warehouse": RoleSpec(
        lazy_gettext("Packs and ships orders, counts stock."),
        {
            "OrdersView": READ | FULFIL,
            "InventoryView": EVERYTHING,
            "ProductsView": READ,
        },
    ),
    "Support": RoleSpec(
        # What is paid goes back with each of their cancellations; keeping it needs can_refund.
        lazy_gettext("Answers customers: orders, notes, cancellations, emails."),
        {
            "OrdersView": READ | {"can_note", "can_cancel", "can_address"},
            "CustomersView": READ,
            "DiscountsView": READ,
            "PaymentsView": LIST,
            "WebhooksView": LIST,
            "ProductsView": READ,
            "InventoryView": READ,
            "MailView": OPEN | {"can_retry"},
        },
    ),
    "Finance": RoleSpec(
        lazy_gettext("Payments, refunds, tax rates."),
        {
            "OrdersView": READ | {"can_note", "can_refund", "can_capture", "can_export"},
            "PaymentsView": EVERYTHING,
            "WebhooksView": LIST,
            "CustomersView": READ,
            "DiscountsView": READ,
            "TaxRatesView": EVERYTHING,
            "ShippingMethodsView": READ,
        },
    ),
    "Viewer": RoleSpec(
        lazy_gettext("Sees everything but changes nothing."),
        {
            "OrdersView": READ,
            "PaymentsView": LIST,
            "WebhooksView": LIST,
            "CustomersView": READ,
            "DiscountsView": READ,
            "ProductsView": READ,
            "CategoriesView": LIST,
            "InventoryView": READ,
            "MailView": OPEN,
            "JobsView": LIST,
            "ShippingMethodsView": READ,
            "TaxRatesView": LIST,
        },
    ),
}

# Words for permissions on the role page; others are derived from their names.
WORDS = {
    "can_list": lazy_gettext("see the list"),
    "can_show": lazy_gettext("open"),
    "can_index": lazy_gettext("open"),
    "can_add": lazy_gettext("add"),
    "can_edit": lazy_gettext("edit"),
    "can_delete": lazy_gettext("delete"),
    "can_export": lazy_gettext("export as a file"),
    "can_history": lazy_gettext("see who changed what"),
    "can_change": lazy_gettext("change"),
    "can_reset": lazy_gettext("set passwords"),
    "can_process": lazy_gettext("start processing"),
    "can_refund": lazy_gettext("refund"),
    "can_capture": lazy_gettext("capture and release payments"),
    "can_compare": lazy_gettext("reconcile with Stripe"),
    "can_address": lazy_gettext("change shipping addresses"),
    "can_links": lazy_gettext("use the secret links in stored emails"),
}

Pair = tuple[str, str]  # (permission, view)


def offered(app: Flask) -> set[Pair]:
    """Every permission that the registered views have."""
    return {
        (permission, view.class_permission_name)
        for view in app.extensions["appbuilder"].baseviews
        for permission in view.base_permissions
    }


def granted(role: str, pairs: Iterable[Pair]) -> set[Pair]:
    """Those of ``pairs`` that the role has by the table above."""
    grants = OWN | ROLES[role].grants
    everywhere = grants.get(ALL_VIEWS, frozenset())

    def has(permission: str, view: str) -> bool:
        here = grants.get(view, frozenset()) | everywhere
        return permission in here or "*" in here

    return {pair for pair in pairs if has(*pair)}


def install(app: Flask) -> None:
    """Make roles and permissions in the database equal to the table; safe to repeat.

    One transaction. Permissions of views that are gone disappear, and so do roles that are not
    declared here and that nobody holds.
    """
    with app.app_context(), transaction():
        wanted = offered(app)
        views = _permission_views(wanted)
        kept = {
            role.name: role
            for role in session.scalars(
                select(Role).options(selectinload(Role.permissions), selectinload(Role.user))
            )
        }
        for name in ROLES:
            role = kept.get(name) or Role(name=name)
            session.add(role)
            role.permissions = [views[pair] for pair in sorted(granted(name, wanted))]
        for name, role in kept.items():
            if name not in ROLES and not role.user:
                session.delete(role)
        session.flush()
        _delete_stale(wanted)


def readable(role: str) -> list[tuple[str, list[tuple[str, list[str], bool]]]]:
    """The role as people read it: per menu group, each page with what may be done there.

    The flag says whether the role may do anything there at all.
    """
    pairs = offered(current_app)
    mine = granted(role, pairs)
    groups = []
    for group in MENU:
        lines = []
        for entry in group.entries:
            known = sorted(permission for permission, view in pairs if view == entry.view)
            may = [permission for permission in known if (permission, entry.view) in mine]
            if known:
                every = _("everything") if len(may) == len(known) > 1 else ""
                lines.append(
                    (entry.label, [every] if every else [words(p) for p in may], bool(may))
                )
        if lines:
            groups.append((group.label or _("Start"), lines))
    return groups


def words(permission: str) -> str:
    """A permission as people say it: ``can_ship`` is “ship”."""
    return WORDS.get(permission, permission.removeprefix("can_").replace("_", " "))


def may_grant(giver: Any, role_names: Iterable[str]) -> bool:
    """Nobody grants more than they have: each role's permissions must be among the giver's own."""
    own = {role.name for role in giver.roles}
    return OWNER in own or all(
        any(_covers(held, name) for held in own if held in ROLES) for name in role_names
    )


def _covers(held: str, wanted: str) -> bool:
    if held == wanted:
        return True
    theirs = OWN | ROLES[held].grants
    for view, permissions in ROLES[wanted].grants.items():
        here = theirs.get(view, frozenset())
        if "*" not in here and not permissions <= here:
            return False
    return True


def _permission_views(wanted: set[Pair]) -> dict[Pair, PermissionView]:
    permissions = _named(Permission, {permission for permission, _view in wanted})
    menus = _named(ViewMenu, {view for _permission, view in wanted})
    known = {
        (row.permission.name, row.view_menu.name): row
        for row in session.scalars(select(PermissionView))
    }
    for permission, view in sorted(wanted - known.keys()):
        row = PermissionView(permission=permissions[permission], view_menu=menus[view])
        session.add(row)
        known[permission, view] = row
    session.flush()
    return known


def _named(model: Any, names: set[str]) -> dict[str, Any]:
    rows = {row.name: row for row in session.scalars(select(model))}
    for name in sorted(names - rows.keys()):
        rows[name] = model(name=name)
        session.add(rows[name])
    session.flush()
    return rows


def _delete_stale(wanted: set[Pair]) -> None:
    for row in session.scalars(select(PermissionView)).all():
        if (row.permission.name, row.view_menu.name) not in wanted:
            session.delete(row)
    session.flush()
    for model, used in (
        (Permission, {permission for permission, _view in wanted}),
        (ViewMenu, {view for _permission, view in wanted}),
    ):
        for row in session.scalars(select(model)).all():
            if row.name not in used:
                session.delete(row)
