"""The words that people read, in their language. English is the source: a sentence stands in the
code and needs no catalog.

Owns the locale of a request or job, and the one way from a sentence to what is shown:
``_("Only %(count)s left.", count=n)``. Knows no Flask, so that features, workers and commands use
the same functions as pages, where ``shop.core.pages`` says them. A language is a catalog
``translations/<locale>/LC_MESSAGES``; the template for new ones, ``translations/messages.pot``, is
kept by ``python -m tools.words``.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from babel.support import LazyProxy, NullTranslations, Translations

SOURCE = "en"
FOLDER = Path(__file__).parents[2] / "translations"

_locale: ContextVar[str] = ContextVar("locale", default=SOURCE)


def locale() -> str:
    """Returns the language of this request or job; English when nobody chose one."""
    return _locale.get()


def language() -> str:
    """Returns the locale as HTML and browsers write it: ``pt-BR``."""
    return locale().replace("_", "-")


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
    text = translated(message)
    return text % values if values else text


def ngettext(singular: str, plural: str, count: int, /, **values: object) -> str:
    """Returns the form that fits ``count``, which both sentences know as ``%(num)s``."""
    values.setdefault("num", count)
    return numbered(singular, plural, count) % values


def lazy_gettext(message: str, /, **values: object) -> Any:
    """Returns what becomes ``gettext(…)`` each time it is shown: for labels of modules and classes,
    which are made before anybody's language is known. ``str()`` where a real string is needed.

    Any, because libraries annotate labels as strings and take this as well.
    """
    return LazyProxy(gettext, message, enable_cache=False, **values)


def lazy_ngettext(singular: str, plural: str) -> Callable[[int], str]:
    """Returns what becomes ``ngettext(…)`` when it is given the count."""
    return partial(ngettext, singular, plural)


def translated(message: str) -> str:
    """Returns ``message`` in the current language, its ``%`` as they stand."""
    chosen = _locale.get()
    return message if chosen == SOURCE else _catalog(FOLDER, chosen).ugettext(message)


def numbered(singular: str, plural: str, count: int) -> str:
    """Returns the form that fits ``count`` in the current language, its ``%`` as they stand."""
    chosen = _locale.get()
    if chosen == SOURCE:
        return singular if count == 1 else plural
    return _catalog(FOLDER, chosen).ungettext(singular, plural, count)


@lru_cache
def _catalog(folder: Path, chosen: str) -> NullTranslations:
    """The sentences of a language; those that it lacks stay English."""
    return Translations.load(folder, [chosen])
