"""``shell`` in templates: menu, palette, theme, person, live topics; and the static files."""

import re
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from flask import Flask, current_app, g, request, url_for
from flask_login import current_user
from markupsafe import Markup

from shop.admin.menu import ACTIONS, MENU, Entry
from shop.core import i18n, money
from shop.core.script_words import Words, script_words
from shop.statics import SHARED, Statics

FILES = Statics(Path(__file__).parent / "static", "/admin/static", shared=SHARED)
IMPORTED = re.compile(r'\bimport\b[^"]*"(?:\./)?([a-z-]+\.(?:js|css))"')
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
    def words(self) -> Words:
        """What the scripts say, in the language of this request."""
        return script_words(FILES.folder / "js", SHARED / "js")

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

    def script(self, name: str) -> Markup:
        """The element that runs a script, and those that fetch what it imports at the same time:
        a browser would see only then that it needs a file when it has read the one before."""
        return self._ahead("js", name, 'rel="modulepreload"') + Markup(
            f'<script type="module" src="{self.static(f"js/{name}")}"></script>'
        )

    def sheet(self, name: str) -> Markup:
        """The element of a style sheet, and those of what it imports, as for a script."""
        return self._ahead("css", name, 'rel="preload" as="style"') + Markup(
            f'<link rel="stylesheet" href="{self.static(f"css/{name}")}">'
        )

    def _ahead(self, folder: str, name: str, how: str) -> Markup:
        files = (self.static(f"{folder}/{file}") for file in imported(folder, name))
        return Markup("".join(f'<link {how} href="{file}">' for file in files))

    def icon(self, name: str) -> str:
        """The address of one icon in the sprite."""
        return f"{self.static('icons.svg')}#{name}"

    @cached_property
    def currency(self) -> str:
        """The shop's currency."""
        return str(current_app.config["SETTINGS"].currency)

    def _shows(self, entry: Entry) -> bool:
        return entry.endpoint in current_app.view_functions and self.may(*entry.needs)


@lru_cache(maxsize=64)
def imported(folder: str, name: str) -> tuple[str, ...]:
    """Returns the files that a file in ``js`` or ``css`` imports, and those that they import."""
    found = [name]
    for one in found:
        files = IMPORTED.findall(FILES.paths[f"{folder}/{one}"].read_text())
        found += dict.fromkeys(file for file in files if file not in found)
    return tuple(found[1:])


def init_app(app: Flask) -> None:
    """Give templates ``shell`` and ``admin_static``."""
    shell = Shell()
    app.jinja_env.globals["shell"] = shell
    app.jinja_env.globals["admin_static"] = shell.static
    app.jinja_env.globals["number_locale"] = money.number_locale
    app.jinja_env.globals["locale"] = i18n.language


def asked_for_admin() -> bool:
    """Whether this request is for the staff side."""
    return request.path == "/admin" or request.path.startswith("/admin/")


def _one_of(allowed: tuple[str, ...], value: str | None) -> str:
    return value if value in allowed else allowed[0]
