"""What every page of the admin shares, and pages without a table behind them."""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Blueprint, render_template, request, url_for
from flask_appbuilder.baseviews import BaseView
from werkzeug.wrappers import Response as WerkzeugResponse

from shop.admin.framework import errors, formatters

Page = str | WerkzeugResponse
T = TypeVar("T")


def once_a_request(name: str, make: Callable[[], T]) -> T:
    """What ``make`` gave when it was first asked for in this request: lists ask in every row."""
    kept: dict[str, T] = request.environ.setdefault("shop.admin", {})
    if name not in kept:
        kept[name] = make()
    return kept[name]


class InTheAdmin:
    """What all pages share: our templates only, our errors, our addresses."""

    template_folder = None  # so that no stock template can ever be found
    route_base: Any
    blueprint: Any
    endpoint: Any
    extra_args: Any
    appbuilder: Any
    class_permission_name: Any

    def create_blueprint(
        self, appbuilder: Any, endpoint: str | None = None, static_folder: str | None = None
    ) -> Blueprint:
        """Register the view and let its refusals and failures speak in the admin's look."""
        blueprint: Blueprint = super().create_blueprint(  # type: ignore[misc]
            appbuilder, endpoint=endpoint, static_folder=static_folder
        )
        errors.handle(blueprint)
        return blueprint

    def page(self, template: str, **values: Any) -> str:
        """Render a template of ours, which may format money, moments and numbers."""
        return render_template(template, view=self, **formatters.FOR_TEMPLATES, **values)

    def render_template(self, template: str, **values: Any) -> str:
        """What Flask-AppBuilder calls; the same as ``page``."""
        return self.page(template, **(values | (self.extra_args or {})))

    def address(self, method: str, **values: Any) -> str:
        """The address of one of this view's own pages."""
        return url_for(f"{self.endpoint}.{method}", **values)

    def may(self, permission: str) -> bool:
        """Whether the person signed in has this permission here."""
        asked = permission, self.class_permission_name
        known: dict[tuple[str, str], bool] = once_a_request("may", dict)
        if asked not in known:
            known[asked] = bool(self.appbuilder.sm.has_access(*asked))
        return known[asked]

    def update_redirect(self) -> None:
        """Flask-AppBuilder's history of pages is shared by all tabs and misleads: never used."""

    def get_redirect(self) -> str:
        """Where a stock method would go “back” to: this view's own first page."""
        return self.address(getattr(self, "default_view", "list"))


class Screen(InTheAdmin, BaseView):
    """A page without a table behind it, such as the dashboard or the sign-in page."""
