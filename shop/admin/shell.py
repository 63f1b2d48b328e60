"""``shell`` in templates: menu, palette, theme, person, live topics; and the static files."""

from functools import cached_property
from pathlib import Path
from typing import Any

from flask import Flask, current_app, g, request, url_for
from flask_login import current_user

from shop.admin.menu import ACTIONS, MENU, Entry
from shop.core import money
from shop.statics import Statics

FILES = Statics(Path(__file__).parent / "static", "/admin/static")
THEMES = ("auto", "light", "dark")
DENSITIES = ("comfortable", "compact")
# Which sockets a page follows, and what one must be allowed to see for it.
TOPICS = {
    "staff:orders": ("can_list", "OrdersView"),
    "staff:stock": ("can_list", "InventoryView"),
    "staff:metrics": ("can_index", "DashboardView"),
    "staff:tasks": ("can_list", "OrdersView"),
}


class Shell:
    """Answers for the current request; one object serves all of them."""

    @property
    def user(self) -> Any | None:
        """Who is signed in, or None."""
        return current_user if current_user.is_authenticated else None

    @property
    def initials(self) -> str:
        """Two letters for the round badge."""
        return (current_user.first_name[:1] + current_user.last_name[:1]).upper()

    @property
    def name(self) -> str:
        """The shop's name."""
        return str(current_app.config["SETTINGS"].shop_name)

    @property
    def theme(self) -> str:
        """The chosen colours, from a cookie; anything unknown counts as automatic."""
        return _one_of(THEMES, request.cookies.get("theme"))

    @property
    def density(self) -> str:
        """How tight lists are, from a cookie."""
        return _one_of(DENSITIES, request.cookies.get("density"))

    @property
    def is_stripe_test_mode(self) -> bool:
        """Whether this shop looks like a real one and takes no real money."""
        settings = current_app.config["SETTINGS"]
        return bool(settings.is_production and settings.stripe_test_mode)

    @property
    def realtime_url(self) -> str:
        """Where the sockets are."""
        return str(current_app.config["SETTINGS"].realtime_url)

    @property
    def topics(self) -> str:
        """The live topics that this person may follow, separated by spaces."""
        return " ".join(topic for topic, needs in TOPICS.items() if self.may(*needs))

    @property
    def live_since(self) -> int:
        """The newest news that this page already shows; sockets tell what came after it."""
        return int(g.get("live_since", 0))

    @property
    def live_client(self) -> str:
        """The address of the socket client that store and admin share; empty if there is none."""
        store_static = current_app.jinja_env.globals.get("store_static")
        return str(store_static("js/live.js")) if callable(store_static) else ""

    @property
    def menu(self) -> list[tuple[str, list[Entry]]]:
        """The sidebar: only what exists and may be opened."""
        shown = (
            (group.label, [entry for entry in group.entries if self._shows(entry)])
            for group in MENU
        )
        return [(label, entries) for label, entries in shown if entries]

    @property
    def actions(self) -> list[tuple[str, str, str]]:
        """The palette's actions as (label, address, icon)."""
        return [
            (label, url_for(endpoint), icon)
            for label, endpoint, needs, icon in ACTIONS
            if endpoint in current_app.view_functions and (needs is None or self.may(*needs))
        ]

    @property
    def find_order(self) -> str:
        """Where the palette jumps with an order number; empty if orders are not for them."""
        exists = "OrdersView.find" in current_app.view_functions
        return url_for("OrdersView.find") if exists and self.may("can_list", "OrdersView") else ""

    def here(self, entry: Entry) -> bool:
        """Whether the current page belongs to this entry."""
        return (request.endpoint or "").partition(".")[0] == entry.view

    def may(self, permission: str, view: str) -> bool:
        """Whether the person signed in has this permission."""
        return bool(current_app.extensions["appbuilder"].sm.has_access(permission, view))

    def link(self, endpoint: str, **values: Any) -> str:
        """``url_for`` that gives an empty text when the page does not exist."""
        return url_for(endpoint, **values) if endpoint in current_app.view_functions else ""

    def static(self, path: str) -> str:
        """The address of a file of ours; it changes whenever any of them changes."""
        return FILES.address(path)

    def icon(self, name: str) -> str:
        """The address of one icon in the sprite."""
        return f"{self.static('icons.svg')}#{name}"

    @cached_property
    def currency(self) -> str:
        """The shop's currency."""
        return str(current_app.config["SETTINGS"].currency)

    def _shows(self, entry: Entry) -> bool:
        return entry.endpoint in current_app.view_functions and self.may(*entry.needs)


def init_app(app: Flask) -> None:
    """Give templates ``shell`` and ``admin_static``."""
    shell = Shell()
    app.jinja_env.globals["shell"] = shell
    app.jinja_env.globals["admin_static"] = shell.static
    app.jinja_env.globals["number_locale"] = money.number_locale


def asked_for_admin() -> bool:
    """Whether this request is for the staff side."""
    return request.path == "/admin" or request.path.startswith("/admin/")


def _one_of(allowed: tuple[str, ...], value: str | None) -> str:
    return value if value in allowed else allowed[0]
