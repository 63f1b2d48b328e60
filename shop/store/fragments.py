"""Pieces of HTML that follow from their values alone: rendered once, kept by value.

Values are still read for every request; only rendering the same ones again is saved, so what is
shown can never be old. Templates know ``kept``.
"""

from collections.abc import Hashable
from functools import lru_cache

from flask import current_app
from jinja2 import Environment
from markupsafe import Markup

from shop.core import i18n

# A card takes about 3 KiB.
MAX_FRAGMENTS = 2048


def kept(template: str, macro: str, *values: Hashable) -> Markup:
    """What ``macro`` of ``template`` makes of ``values``; it may use nothing of the request."""
    env = current_app.jinja_env
    render = _render.__wrapped__ if env.auto_reload else _render
    return render(env, i18n.locale(), template, macro, values)


@lru_cache(maxsize=MAX_FRAGMENTS)
def _render(
    env: Environment, _locale: str, template: str, macro: str, values: tuple[Hashable, ...]
) -> Markup:
    return Markup(getattr(env.get_template(template).module, macro)(*values))
