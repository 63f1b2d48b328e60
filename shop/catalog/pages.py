"""What the catalogue's pages show: frozen values, made by ``queries`` and read by the doors.

Prices are in minor units of the shop's one currency. An ``ImageView`` becomes addresses through
``media.url(key, width, fmt)``; while ``widths`` is empty only the original is there, at
``media.url(key)``.
"""

from dataclasses import dataclass, field
from typing import Literal

SHOWN_SWATCHES = 5

Sort = Literal["relevance", "newest", "price_asc", "price_desc", "popular"]


@dataclass(frozen=True, slots=True)
class MenuCategory:
    """One entry of the category menu with its subtree."""

    name: str
    slug: str
    path: str
    children: tuple["MenuCategory", ...]


@dataclass(frozen=True, slots=True)
class Breadcrumb:
    """A step from the root of the tree to where one is."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class CategoryView:
    """A category page's own words, its children and the way to it (itself included)."""

    id: int
    name: str
    slug: str
    path: str
    description: str
    children: tuple[MenuCategory, ...]
    breadcrumbs: tuple[Breadcrumb, ...]


@dataclass(frozen=True, slots=True)
class ImageView:
    """An image; ``colour`` fills its place while it loads, ``widths`` are its renditions."""

    key: str
    alt: str
    width: int
    height: int
    colour: str
    widths: tuple[int, ...]
    option_value_id: int | None

    @property
    def middle_width(self) -> int:
        """The rendition for browsers that choose none themselves; 0, the original, without any."""
        return self.widths[len(self.widths) // 2] if self.widths else 0

    @property
    def full_width(self) -> int:
        """The largest rendition; 0, the original, without any."""
        return max(self.widths, default=0)


@dataclass(frozen=True, slots=True)
class ProductCard:
    """A product in a grid. ``compare_at_minor`` belongs to the cheapest variant."""

    id: int
    slug: str
    name: str
    tagline: str
    price_from_minor: int
    price_to_minor: int
    compare_at_minor: int | None
    image: ImageView | None
    hover_image: ImageView | None
    swatches: tuple[tuple[str, str], ...]
    is_available: bool
    rating: float | None
    rating_count: int
    is_new: bool

    @property
    def colours(self) -> str:
        """The colours' names, for those who do not see the swatches."""
        return ", ".join(name for name, _ in self.swatches)

    @property
    def shown_swatches(self) -> tuple[tuple[str, str], ...]:
        """The colours that a card has room for."""
        return self.swatches[:SHOWN_SWATCHES]

    @property
    def more_swatches(self) -> int:
        """How many colours there are beside the shown ones."""
        return max(0, len(self.swatches) - SHOWN_SWATCHES)


@dataclass(frozen=True, slots=True)
class Filters:
    """What a listing is asked for. Everything may come from the outside: queries bound it."""

    q: str = ""
    category_path: str = ""
    sort: Sort | None = None
    page: int = 1
    per_page: int = 24
    min_price_minor: int | None = None
    max_price_minor: int | None = None
    in_stock: bool = False
    options: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FacetValue:
    """One choice of a facet and how many products it would leave."""

    value: str
    count: int
    swatch: str | None
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Facet:
    """An option that narrows a listing, such as Colour."""

    name: str
    values: tuple[FacetValue, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a listing. ``price_range`` is (lowest, highest) before the price filter.

    It and ``in_stock_count`` are None and ``facets`` empty beyond 2,000 products.
    ``sort`` is the order that was used, ``is_guess`` says that only similar names were found.
    """

    cards: tuple[ProductCard, ...]
    total: int
    page: int
    pages: int
    facets: tuple[Facet, ...]
    price_range: tuple[int, int] | None
    in_stock_count: int | None
    category: CategoryView | None
    breadcrumbs: tuple[Breadcrumb, ...]
    sort: Sort
    is_guess: bool


@dataclass(frozen=True, slots=True)
class ValueView:
    """One choice of an option on a product page."""

    id: int
    name: str
    swatch: str | None


@dataclass(frozen=True, slots=True)
class OptionView:
    """An option of a product with the values that some variant has."""

    id: int
    name: str
    values: tuple[ValueView, ...]


@dataclass(frozen=True, slots=True)
class VariantView:
    """What can be put in a cart. ``low``: some left, but no more than its low-stock level."""

    id: int
    sku: str
    title: str
    price_minor: int
    compare_at_minor: int | None
    value_ids: tuple[int, ...]
    available: int
    is_available: bool
    backorder_allowed: bool
    low: bool


@dataclass(frozen=True, slots=True)
class ReviewView:
    """An opinion below a product; ``written_on`` is an ISO date."""

    author: str
    rating: int
    title: str
    text: str
    written_on: str


@dataclass(frozen=True, slots=True)
class ProductPage:
    """Everything a product page shows."""

    id: int
    slug: str
    name: str
    tagline: str
    description_html: str
    attributes: dict[str, str]
    images: tuple[ImageView, ...]
    options: tuple[OptionView, ...]
    variants: tuple[VariantView, ...]
    breadcrumbs: tuple[Breadcrumb, ...]
    category: CategoryView | None
    seo_title: str
    seo_description: str
    price_from_minor: int
    price_to_minor: int
    tax_class: str
    rating: float | None
    rating_count: int
    reviews: tuple[ReviewView, ...]
    related: tuple[ProductCard, ...]


@dataclass(frozen=True, slots=True)
class ProductHint:
    """A product offered while somebody types."""

    name: str
    slug: str
    price_from_minor: int
    image: ImageView | None


@dataclass(frozen=True, slots=True)
class Suggestions:
    """What is offered while somebody types."""

    products: tuple[ProductHint, ...]
    categories: tuple[Breadcrumb, ...]
