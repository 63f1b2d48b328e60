"""Postal addresses: what can be accepted in each country, and how it is written. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from shop.core.errors import DomainError
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
from shop.customers.countries import (
    CODES,
    DISTRICT_IS_ENOUGH,
    CountryRules,
    Region,
    country_names,
    country_rules,
    fold,
    is_latin,
)

FIELDS = ("name", "line1", "line2", "city", "postal_code", "region", "country", "phone")
MAX_LENGTH = {"name": 100, "line1": 120, "line2": 120, "city": 80, "postal_code": 16, "region": 80,
              "country": 2, "phone": 32}  # fmt: skip
NAMES = {"name": lazy_gettext("a name"), "line1": lazy_gettext("a street and house number")}


class InvalidAddress(DomainError):
    """Some fields cannot be used; ``errors`` maps each to a sentence."""

    code = "invalid"

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__(_("Please check the address."))
        self.errors = errors


def clean(data: Mapping[str, Any]) -> dict[str, str]:
    """Returns the address as it is kept: known fields only, trimmed, by its country's rules.

    A postal code or region that addresses of the country do not have is left out; a town always
    stays. A region is stored as letters write it ("CA", "Tokyo"); one that is missing is found by
    the postal code where that says it. Cleaning a clean address changes nothing. Raises
    ``InvalidAddress`` naming every fault.
    """
    given = {field: _line(data.get(field)) for field in FIELDS}
    given["country"] = given["country"].upper()
    rules = country_rules(given["country"])
    errors: dict[str, str] = {}
    if not given["country"]:
        errors["country"] = _("Choose a country.")
    elif given["country"] not in country_names():
        errors["country"] = _("We do not know this country.")
    else:
        given |= dict.fromkeys({"postal_code", "region"} - rules.fields, "")
    for field, sentence in (*_missing(given, rules), *_unusable(given)):
        errors.setdefault(field, sentence)
    if rules.code and not {"postal_code", "region"} & errors.keys():
        errors |= _fit(given, rules)
    if "city" not in rules.fields and fold(given["city"]) in {
        fold(rules.name),
        fold(given["region"]),
    }:
        given["city"] = ""
    if rules.code and "region" in rules.required and not given["region"]:
        errors.setdefault("region", _("Choose %(what)s.", what=_named("region", rules)))
    for field, longest in MAX_LENGTH.items():
        if len(given[field]) > longest:
            errors[field] = _("This is too long: %(most)s characters are the most.", most=longest)
    if errors:
        raise InvalidAddress(errors)
    return given


def lines(address: Mapping[str, Any], *, for_label: bool = False) -> list[str]:
    """Returns an address as its country writes it, line by line, the country's name last.

    ``for_label`` sets in capitals what the post of that country wants in capitals. Takes what was
    stored at any time: a field that such addresses do not have any more gets a line of its own. The
    phone number is no part of it.
    """
    shown = {field: _line(address.get(field)) for field in FIELDS}
    rules = country_rules(shown["country"])
    written = "".join(shown[field] for field in ("name", "line1", "city"))
    layout = rules.latin_format if is_latin(written) else rules.local_format
    if for_label:
        shown |= {field: shown[field].upper() for field in rules.upper if field in shown}
    found = []
    for line in _layout(layout, shown).split("%n"):
        street = "\n".join(filter(None, (shown["line1"], shown["line2"])))
        found += _filled(line, shown | {"line1": street}).split("\n")
    found += [shown[field] for field in ("postal_code", "region") if field not in rules.fields]
    return [line for line in (*found, rules.name) if line]


def _missing(given: Mapping[str, str], rules: CountryRules) -> Iterator[tuple[str, str]]:
    """What the country needs and the address lacks; a region may still be found."""
    for field in FIELDS:
        if field not in rules.required - {"region"} or given[field]:
            continue
        if field != "city" or not (rules.code in DISTRICT_IS_ENOUGH and given["region"]):
            yield field, _enter(field, rules)


def _enter(field: str, rules: CountryRules) -> str:
    what = _named(field, rules)
    if field == "postal_code" and rules.example:
        return _("Enter %(what)s, such as %(example)s.", what=what, example=rules.example)
    return _("Enter %(what)s.", what=what)


def _enter_one_of_this_country(rules: CountryRules) -> str:
    what = _named("postal_code", rules)
    if not rules.example:
        return _("Enter %(what)s of this country.", what=what)
    return _(
        "Enter %(what)s of this country, such as %(example)s.", what=what, example=rules.example
    )


def _unusable(given: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Fields that hold something which says nothing, such as "!!"."""
    for field in ("name", "line1", "line2", "city", "region"):
        if given[field] and not any(c.isalnum() for c in given[field]):
            yield field, _("Use letters or numbers.")
    if given["phone"] and not any(c.isdigit() for c in given["phone"]):
        yield "phone", _("Enter a phone number with digits, such as +353 1 234 5678.")


def _fit(given: dict[str, str], rules: CountryRules) -> dict[str, str]:
    """Write postal code and region as the country does. Returns what does not fit."""
    if given["postal_code"]:
        code = rules.find_postal_code(given["postal_code"])
        if code is None:
            return {"postal_code": _enter_one_of_this_country(rules)}
        given["postal_code"] = code
    if not rules.regions:
        return {}
    region = rules.find_region(given["region"]) or _found_region(given, rules)
    if region is None:
        if given["region"]:
            named, example = _named("region", rules), rules.regions[0].label
            return {
                "region": _(
                    "Choose %(what)s of this country, such as %(example)s.",
                    what=named,
                    example=example,
                )
            }
        return {}
    given["region"] = region.value if is_latin(given["region"]) else given["region"]
    fitting = rules.regions_of_postal_code(given["postal_code"]) if given["postal_code"] else []
    if fitting and region.postal_code and region not in fitting:
        return {
            "postal_code": _(
                "This %(what)s is not in %(region)s. Check both.",
                what=_label("postal_code", rules),
                region=region.label,
            )
        }
    return {}


def _found_region(given: dict[str, str], rules: CountryRules) -> Region | None:
    """The region that nobody wrote but that the postal code says, or without these the town."""
    if given["region"]:
        return None
    if given["postal_code"]:
        fitting = rules.regions_of_postal_code(given["postal_code"])
        return fitting[0] if len(fitting) == 1 else None
    if "postal_code" in rules.fields or not given["city"]:
        return None
    named = rules.find_region(given["city"])
    fitting = [one for one in rules.regions if fold(given["city"]) in one.towns]
    return named or (fitting[0] if len(fitting) == 1 else None)


def _named(field: str, rules: CountryRules) -> str:
    """A field with its article, as the country calls it: “an Eircode”."""
    if field in NAMES:
        return str(NAMES[field])
    label = _label(field, rules)
    return _("an %(what)s", what=label) if label[0] in "aeiouAEIOU" else _("a %(what)s", what=label)


def _label(field: str, rules: CountryRules) -> str:
    label = rules.labels.get(field, field)
    return label if label in {"Eircode", "ZIP code", "PIN code"} else label.lower()


def _layout(layout: str, shown: Mapping[str, str]) -> str:
    """The format; a town that it has no place for stands beside the street."""
    if "%C" in layout or not shown["city"]:
        return layout
    is_outward = layout.find("%N") < layout.find("%A")
    return layout.replace("%A", "%A%n%C" if is_outward else "%C%n%A")


def _filled(line: str, shown: Mapping[str, str]) -> str:
    """One line of a format; what stood between two fields goes when one of them is empty."""
    written, between, has_field = "", "", False
    for part in re.split("(%.)", line):
        if not part.startswith("%"):
            between = part
            continue
        value = shown[CODES[part[1]]] if part[1] in CODES else ""
        if value:
            written += (between if written or not has_field else "") + value
        between, has_field = "", True
    return written.strip()


def _line(value: object) -> str:
    """One trimmed line: control characters (a way to forge mail headers) become spaces."""
    text = value if isinstance(value, str) else ""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
