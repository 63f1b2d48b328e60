"""Made-up languages: what a translator would hand in."""

from pathlib import Path

from babel.messages import Catalog
from babel.messages.mofile import write_mo


def write_catalog(folder: Path, language: str, sentences: dict[str, str]) -> None:
    """Write a catalog as ``shop.core.i18n.FOLDER`` holds them. Where the English has forms for
    numbers, key and value have them on lines of their own."""
    catalog = Catalog(locale=language)
    for english, translated in sentences.items():
        if "\n" in english:
            catalog.add(tuple(english.split("\n")), tuple(translated.split("\n")))
        else:
            catalog.add(english, translated)
    place = folder / language / "LC_MESSAGES"
    place.mkdir(parents=True)
    with (place / "messages.mo").open("wb") as written:
        write_mo(written, catalog)
