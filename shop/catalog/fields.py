"""What can be written about a product and a variant: each field is declared once, here.

A declaration says what a field is called, what may stand in it, where the admin has it and who
sees it. The operations check by it; the admin's forms and the API's schemas are made of it. A new
column needs its model, its migration and its declaration.
"""

import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Generic, TypedDict, TypeVar, get_args, get_type_hints

from shop.catalog.errors import readable
from shop.catalog.wording import MAX_SLUG, checked_slug
from shop.core.errors import Invalid
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext

SKU = re.compile(r"[A-Z0-9](?:[A-Z0-9._/-]{0,62}[A-Z0-9])?")
MAX_INT = 2**31 - 1
MAX_MINOR = 2_000_000_000
T = TypeVar("T")


class Place(StrEnum):
    """Where the admin's page about a product has a field."""

    BASICS = "basics"
    FOUND = "found"
    SEARCH_ENGINES = "search-engines"
    TABLE = "table"


@dataclass(frozen=True)
class Field(Generic[T]):
    """A column that can be written. ``name`` and ``is_nullable`` come from where it is declared.

    ``label`` stands on screens, ``said`` in refusals ("The tagline"). Without a ``place`` no form
    has it. ``is_needed``: nothing is made without it. ``is_public``: the API tells it everybody,
    not only staff. ``heading`` stands above a column of a table, where the label does not.
    """

    label: str
    said: str
    _: KW_ONLY
    hint: str = ""
    place: Place | None = None
    heading: str = ""
    is_half_width: bool = False
    is_needed: bool = False
    is_public: bool = False
    name: str = ""
    is_nullable: bool = False

    nothing: ClassVar[Any] = None

    @property
    def can_be_empty(self) -> bool:
        """Whether ``empty`` may stand in it."""
        return not self.is_needed

    @property
    def empty(self) -> T | None:
        """What stands in it when it is emptied."""
        return None if self.is_nullable else self.nothing

    def clean(self, value: T | None) -> T | None:
        """Returns ``value`` as it is kept. Raises ``Invalid``; None fits a nullable column only."""
        if value is None and self.is_nullable:
            return None
        if value is None:
            raise Invalid(_("%(what)s is missing.", what=str(self.said)), field=self.name)
        return self._checked(value)

    def _checked(self, value: T) -> T:
        return value


@dataclass(frozen=True)
class Text(Field[str]):
    """Text of bounded length; ``rows`` is how tall its box is."""

    _: KW_ONLY
    most: int
    least: int = 0
    rows: int = 1

    nothing = ""

    @property
    def can_be_empty(self) -> bool:
        """Whether it may have no characters."""
        return self.least == 0

    def _checked(self, value: str) -> str:
        return readable(
            value, field=self.name, what=str(self.said), most=self.most, least=self.least
        )


@dataclass(frozen=True)
class Slug(Text):
    """The end of an address."""

    def _checked(self, value: str) -> str:
        return checked_slug(value)


@dataclass(frozen=True)
class Sku(Text):
    """A stock-keeping unit; kept in capitals."""

    def _checked(self, value: str) -> str:
        clean = value.strip().upper()
        if not SKU.fullmatch(clean):
            raise Invalid(
                _("A SKU has letters, digits and . _ / - inside, at most 64 characters."),
                field=self.name,
            )
        return clean


@dataclass(frozen=True)
class Pairs(Field[dict[str, str]]):
    """Names with a value each, such as “Material: stoneware”."""

    _: KW_ONLY
    most: int
    longest_name: int
    longest_value: int
    rows: int = 4

    nothing: ClassVar[dict[str, str]] = {}

    def _checked(self, value: dict[str, str]) -> dict[str, str]:
        if len(value) > self.most:
            raise Invalid(
                _("A product can have %(most)s details, not more.", most=self.most), field=self.name
            )
        return {
            readable(
                name,
                field=self.name,
                what=_("The name of a detail"),
                most=self.longest_name,
                least=1,
            ): readable(
                words,
                field=self.name,
                what=_("The detail %(name)s", name=name),
                most=self.longest_value,
            )
            for name, words in value.items()
        }


@dataclass(frozen=True)
class Whole(Field[int]):
    """A whole number in bounds."""

    _: KW_ONLY
    most: int = MAX_INT
    least: int = 0

    nothing = 0

    def _checked(self, value: int) -> int:
        if not self.least <= value <= self.most:
            raise Invalid(
                _(
                    "%(what)s is a whole number from %(least)s to %(most)s.",
                    what=str(self.said),
                    least=f"{self.least:,}",
                    most=f"{self.most:,}",
                ),
                field=self.name,
            )
        return value


@dataclass(frozen=True)
class Amount(Whole):
    """Money, in minor units of the shop's currency; typed and shown in major ones."""

    _: KW_ONLY
    most: int = MAX_MINOR

    def _checked(self, value: int) -> int:
        if not self.least <= value <= self.most:
            raise Invalid(
                _("%(what)s cannot be less than 0 or beyond reason.", what=str(self.said)),
                field=self.name,
            )
        return value


@dataclass(frozen=True)
class Flag(Field[bool]):
    """Yes or no; ``hint`` completes a sentence that begins with the thing's name."""

    nothing = False


class ProductName(TypedDict, total=False):
    """What a product cannot be without."""

    name: Annotated[
        str,
        Text(
            lazy_gettext("Name"),
            lazy_gettext("The name"),
            least=1,
            most=200,
            place=Place.BASICS,
            is_half_width=True,
            is_needed=True,
            is_public=True,
        ),
    ]


class ProductColumns(TypedDict, total=False):
    """What can be written about a product besides its name."""

    slug: Annotated[
        str,
        Slug(
            lazy_gettext("URL slug"),
            lazy_gettext("The URL slug"),
            least=1,
            most=MAX_SLUG,
            place=Place.BASICS,
            hint=lazy_gettext("The end of the page's address; the old one redirects to it."),
            is_half_width=True,
            is_public=True,
        ),
    ]
    tagline: Annotated[
        str,
        Text(
            lazy_gettext("Tagline"),
            lazy_gettext("The tagline"),
            most=200,
            place=Place.BASICS,
            hint=lazy_gettext("One line under the name."),
            is_public=True,
        ),
    ]
    description: Annotated[
        str,
        Text(
            lazy_gettext("Description"),
            lazy_gettext("The description"),
            most=20_000,
            place=Place.BASICS,
            rows=10,
        ),
    ]
    attributes: Annotated[
        dict[str, str],
        Pairs(
            lazy_gettext("Details"),
            lazy_gettext("The details"),
            most=30,
            longest_name=60,
            longest_value=500,
            place=Place.BASICS,
            hint=lazy_gettext("One a line, such as “Material: stoneware”."),
            is_public=True,
        ),
    ]
    featured_rank: Annotated[
        int | None,
        Whole(
            lazy_gettext("Place on the home page"),
            lazy_gettext("The rank"),
            most=1_000_000,
            place=Place.FOUND,
            hint=lazy_gettext("1 comes first; empty: not there."),
            is_half_width=True,
        ),
    ]
    keywords: Annotated[
        str,
        Text(
            lazy_gettext("Search words"),
            lazy_gettext("The keywords"),
            most=500,
            place=Place.FOUND,
            hint=lazy_gettext("Found by search, shown nowhere."),
        ),
    ]
    tax_class: Annotated[
        str,
        Text(
            lazy_gettext("Tax class"),
            lazy_gettext("The tax class"),
            least=1,
            most=40,
            place=Place.FOUND,
            is_half_width=True,
        ),
    ]
    seo_title: Annotated[
        str,
        Text(
            lazy_gettext("Title for search engines"),
            lazy_gettext("The title for search engines"),
            most=120,
            place=Place.SEARCH_ENGINES,
            hint=lazy_gettext("Empty: the product's name."),
            is_public=True,
        ),
    ]
    seo_description: Annotated[
        str,
        Text(
            lazy_gettext("Description for search engines"),
            lazy_gettext("The description for search engines"),
            most=320,
            place=Place.SEARCH_ENGINES,
            hint=lazy_gettext("Empty: the tagline."),
            rows=3,
            is_public=True,
        ),
    ]


class VariantFields(TypedDict, total=False):
    """What can be written of a variant; what is left out stays as it is."""

    sku: Annotated[
        str,
        Sku(
            lazy_gettext("SKU"),
            lazy_gettext("The SKU"),
            least=1,
            most=64,
            place=Place.TABLE,
            is_needed=True,
            is_public=True,
        ),
    ]
    price_minor: Annotated[
        int,
        Amount(
            lazy_gettext("Price"),
            lazy_gettext("The price"),
            place=Place.TABLE,
            heading=lazy_gettext("Price, {currency}"),
            is_needed=True,
            is_public=True,
        ),
    ]
    compare_at_minor: Annotated[
        int | None,
        Amount(
            lazy_gettext("Former price"),
            lazy_gettext("The former price"),
            place=Place.TABLE,
            is_public=True,
        ),
    ]
    low_stock_level: Annotated[
        int,
        Whole(
            lazy_gettext("Low-stock level"),
            lazy_gettext("The low-stock level"),
            place=Place.TABLE,
            heading=lazy_gettext("Low at"),
        ),
    ]
    weight_g: Annotated[
        int,
        Whole(
            lazy_gettext("Weight"),
            lazy_gettext("The weight"),
            most=2_000_000_000,
            place=Place.TABLE,
            heading=lazy_gettext("Weight, g"),
        ),
    ]
    barcode: Annotated[
        str, Text(lazy_gettext("Barcode"), lazy_gettext("The barcode"), most=64, place=Place.TABLE)
    ]
    backorder_allowed: Annotated[
        bool,
        Flag(
            lazy_gettext("Backorder"),
            lazy_gettext("Backorder"),
            place=Place.TABLE,
            hint=lazy_gettext("may be ordered when it is sold out"),
        ),
    ]
    position: Annotated[int, Whole(lazy_gettext("Position"), lazy_gettext("The position"))]


Declared = Mapping[str, Field[Any]]


def _declared(of: type) -> dict[str, Field[Any]]:
    found = {}
    for name, hint in get_type_hints(of, include_extras=True).items():
        kind, field = get_args(hint)
        found[name] = replace(field, name=name, is_nullable=type(None) in get_args(kind))
    return found


PRODUCT_FIELDS: Declared = _declared(ProductName) | _declared(ProductColumns)
VARIANT_FIELDS: Declared = _declared(VariantFields)


def cleaned(declared: Declared, written: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what is written, each as it is kept; what is not declared is left out.

    Raises ``Invalid`` for the first that cannot be.
    """
    return {name: one.clean(written[name]) for name, one in declared.items() if name in written}


def emptied(declared: Declared) -> dict[str, Any]:
    """Returns every field that can be empty, with what stands in it then."""
    return {name: one.empty for name, one in declared.items() if one.can_be_empty}
