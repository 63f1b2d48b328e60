"""The words that people read, in their language. English is the source: a sentence stands in the
code and needs no catalog.

Owns the locale of a request or job, and the one way from a sentence to what is shown:
``_("Only %(count)s left.", count=n)``. Knows no Flask, so that features, workers and commands use
the same functions as pages. A language is a catalog ``translations/<locale>/LC_MESSAGES``; the
template for new ones, ``translations/messages.pot``, is kept by ``python -m tools.words``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any

from babel.support import LazyProxy, NullTranslations, Translations
from jinja2 import Environment, pass_eval_context
from jinja2.nodes import EvalContext
from markupsafe import Markup, escape

SOURCE = "en"
FOLDER = Path(__file__).parents[2] / "translations"

_locale: ContextVar[str] = ContextVar("locale", default=SOURCE)


def locale() -> str:
    """Returns the language of this request or job; English when nobody chose one."""
    return _locale.get()


def set_locale(chosen: str) -> None:
    """Speak ``chosen`` for the rest of this request or job."""
    _locale.set(chosen)


@contextmanager
def speaking(chosen: str) -> Iterator[None]:
    """Speak ``chosen`` inside the block: an email is in its reader's language, not its writer's."""
    token = _locale.set(chosen)
    try:
        yield
    finally:
        _locale.reset(token)


def gettext(message: str, /, **values: object) -> str:
    """Returns ``message`` in the current language, with ``%(name)s`` replaced by ``values``."""
    text = _translated(message)
    return text % values if values else text


def ngettext(singular: str, plural: str, count: int, /, **values: object) -> str:
    """Returns the form that fits ``count``, which both sentences know as ``%(num)s``."""
    values.setdefault("num", count)
    return _numbered(singular, plural, count) % values


def lazy_gettext(message: str, /, **values: object) -> Any:
    """Returns what becomes ``gettext(…)`` each time it is shown: for labels of modules and classes,
    which are made before anybody's language is known. ``str()`` where a real string is needed.

    Any, because libraries annotate labels as strings and take this as well.
    """
    return LazyProxy(gettext, message, enable_cache=False, **values)


def install(env: Environment) -> None:
    """Teach the templates of ``env`` to say ``_("…")``, ``ngettext(…)``, ``{% trans %}…`` and
    ``locale()``."""
    env.add_extension("jinja2.ext.i18n")
    env.newstyle_gettext = True  # type: ignore[attr-defined]
    env.policies["ext.i18n.trimmed"] = True
    env.globals.update(_=_on_page, gettext=_on_page, ngettext=_numbered_on_page, locale=locale)


def _translated(message: str) -> str:
    chosen = _locale.get()
    return message if chosen == SOURCE else _catalog(FOLDER, chosen).ugettext(message)


def _numbered(singular: str, plural: str, count: int) -> str:
    chosen = _locale.get()
    if chosen == SOURCE:
        return singular if count == 1 else plural
    return _catalog(FOLDER, chosen).ungettext(singular, plural, count)


@lru_cache
def _catalog(folder: Path, chosen: str) -> NullTranslations:
    """The sentences of a language; those that it lacks stay English."""
    return Translations.load(folder, [chosen])


# As Jinja's own new style, but for %s alone and without its detours: a page says a hundred
# sentences, and Markup's own % takes four times as long.
@pass_eval_context
def _on_page(eval_ctx: EvalContext, message: str, /, **values: Any) -> str:
    if values or not eval_ctx.autoescape:
        return _filled(eval_ctx, _translated(message), values)
    return _safe(_locale.get(), message)


@pass_eval_context
def _numbered_on_page(
    eval_ctx: EvalContext, singular: str, plural: str, count: int, /, **values: Any
) -> str:
    values.setdefault("num", count)
    return _filled(eval_ctx, _numbered(singular, plural, count), values)


@lru_cache(maxsize=4096)
def _safe(_chosen: str, message: str) -> Markup:
    return Markup(_translated(message) % ())


def _filled(eval_ctx: EvalContext, text: str, values: dict[str, Any]) -> str:
    if not eval_ctx.autoescape:
        return text % values
    # Markup(…) would look whether it is given HTML; this is some.
    return str.__new__(Markup, text % {name: escape(value) for name, value in values.items()})
