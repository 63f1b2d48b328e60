"""What scripts in the browser say, in the language of a page: see shop/static/js/words.js."""

from functools import lru_cache
from pathlib import Path

from babel import Locale
from babel.messages.extract import extract

from shop.core import i18n

Words = dict[str, str | dict[str, str]]


def script_words(*folders: Path) -> Words:
    """Returns the sentences of the scripts in ``folders`` by their English, in the language of this
    request; empty for English, which stands in the scripts. A sentence that has forms for numbers
    has them by the names of CLDR: one, few, other …"""
    return {} if i18n.locale() == i18n.SOURCE else _translated(i18n.locale(), folders)


@lru_cache(maxsize=16)
def _translated(language: str, folders: tuple[Path, ...]) -> Words:
    said: Words = {}
    form_of = Locale.parse(language).plural_form
    for path in sorted(path for folder in folders for path in folder.glob("*.js")):
        with path.open("rb") as script:
            for _line, message, _comments, _context in extract("javascript", script):
                if isinstance(message, str):
                    said[message] = i18n.translated(message)
                    continue
                one, many = message[:2]
                said[one] = {form_of(n): i18n.numbered(one, many, n) for n in range(201)}
    return said
