"""Postal addresses: which fields there are, and what can be accepted. Pure."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from babel import Locale

from shop.core.errors import DomainError

FIELDS = ("name", "line1", "line2", "city", "postal_code", "region", "country", "phone")
REQUIRED = {
    "name": "Please tell us whose address this is.",
    "line1": "Please give a street and house number.",
    "city": "Please give a town.",
    "postal_code": "Please give a postal code.",
    "country": "Please choose a country.",
}
# Reserved, grouping and pseudo codes of CLDR.
NO_COUNTRIES = set("AC CP CQ DG EA EU EZ IC QO TA UN XA XB ZZ".split())
LONGEST = {"name": 100, "line1": 120, "line2": 120, "city": 80, "postal_code": 16, "region": 80,
           "country": 2, "phone": 32}  # fmt: skip


class InvalidAddress(DomainError):
    """Some fields cannot be used; ``errors`` maps each to a sentence."""

    code = "invalid"

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__("Please check the address.")
        self.errors = errors


@lru_cache(maxsize=1)
def country_names() -> dict[str, str]:
    """English names by ISO 3166 code, from CLDR (which also names some codes that are none)."""
    names = {str(code): str(name) for code, name in Locale("en").territories.items()}
    codes = {code for code in names if len(code) == 2 and code.isalpha()} - NO_COUNTRIES
    return {code: names[code] for code in codes}


def clean(data: Mapping[str, Any]) -> dict[str, str]:
    """The address with only known fields, trimmed. Raises ``InvalidAddress`` naming every fault."""
    given = {field: _line(data.get(field)) for field in FIELDS}
    given["country"] = given["country"].upper()
    errors = {field: sentence for field, sentence in REQUIRED.items() if not given[field]}
    for field, longest in LONGEST.items():
        if len(given[field]) > longest:
            errors[field] = f"This is too long: {longest} characters are the most."
    if given["country"] and given["country"] not in country_names():
        errors["country"] = "We do not know this country."
    if errors:
        raise InvalidAddress(errors)
    return given


def _line(value: object) -> str:
    """One trimmed line: control characters (a way to forge mail headers) become spaces."""
    text = value if isinstance(value, str) else ""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
