"""What the catalogue can be asked. Plain statements into frozen values, no entities loaded."""

from collections.abc import Sequence

from shop.catalog.pages import (
    CategoryView,
    Filters,
    Listing,
    MenuCategory,
    ProductCard,
    ProductPage,
    Suggestions,
)


def menu() -> tuple[MenuCategory, ...]:
    """The category tree, in order; kept in this process for a few seconds."""
    raise NotImplementedError


def category(path: str) -> CategoryView:
    """The category at ``path`` (``kitchen/mugs-cups``). Raises ``NotFound``."""
    raise NotImplementedError


def listing(filters: Filters) -> Listing:
    """One page of products with facets. Raises ``NotFound`` for an unknown category."""
    raise NotImplementedError


def product_page(slug: str) -> ProductPage:
    """What the page of an active product shows. Raises ``NotFound``."""
    raise NotImplementedError


def cards(ids: Sequence[int]) -> tuple[ProductCard, ...]:
    """Cards of these active products, in this order. One statement."""
    raise NotImplementedError


def featured(n: int) -> tuple[ProductCard, ...]:
    """The products that staff put forward. One statement."""
    raise NotImplementedError


def newest(n: int) -> tuple[ProductCard, ...]:
    """What was published last. One statement."""
    raise NotImplementedError


def suggest(q: str) -> Suggestions:
    """Up to eight products and four categories for what is being typed. One statement."""
    raise NotImplementedError


def redirect_for(path: str) -> str | None:
    """Where an address that moved is now: ``/c/old`` gives ``/c/new``, ``/products/old`` likewise."""
    raise NotImplementedError
