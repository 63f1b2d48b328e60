"""The catalogue: category tree, products, options, variants and their pictures.

Owns what is sold, at which price and under which address. Promises: a combination of options and
a SKU exist once, an address that moved keeps answering, what was ordered is archived and not
deleted. Leaves stock to ``inventory`` (and reads its table only to say what can be bought).
"""

from shop.catalog.pages import (
    Breadcrumb,
    CategoryView,
    Facet,
    FacetValue,
    Filters,
    ImageView,
    Listing,
    MenuCategory,
    OptionView,
    ProductCard,
    ProductHint,
    ProductPage,
    ReviewView,
    Sort,
    Suggestions,
    ValueView,
    VariantView,
)
from shop.catalog.queries import (
    cards,
    category,
    featured,
    listing,
    menu,
    newest,
    product_page,
    redirect_for,
    suggest,
)

__all__ = [
    "Breadcrumb", "CategoryView", "Facet", "FacetValue", "Filters", "ImageView", "Listing",
    "MenuCategory", "OptionView", "ProductCard", "ProductHint", "ProductPage", "ReviewView", "Sort",
    "Suggestions", "ValueView", "VariantView",
    "cards", "category", "featured", "listing", "menu", "newest", "product_page", "redirect_for",
    "suggest",
]  # fmt: skip
