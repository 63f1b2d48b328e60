"""The catalogue: category tree, products, options, variants and their images.

Owns what is sold, at which price and under which address. Promises: a combination of options and
a SKU exist once, an address that moved keeps answering, what was ordered is archived and not
deleted. Leaves stock to ``inventory`` (and reads its table only to say what can be bought).
"""

from shop.catalog.categories import (
    create_category,
    delete_category,
    get_category,
    lock_tree,
    move_category,
    update_category,
)
from shop.catalog.errors import HasHistory, NotEmpty, NotReady, Taken, WouldCircle
from shop.catalog.events import CategoryChanged, ProductChanged
from shop.catalog.fields import PRODUCT_FIELDS, VARIANT_FIELDS, Declared, emptied
from shop.catalog.images import add_image, get_image, remove_image, reorder_images, update_image
from shop.catalog.lists import clear_cache, listing, suggest
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
from shop.catalog.products import (
    archive,
    create_product,
    delete_product,
    get_product,
    publish,
    restore,
    unpublish,
    update_product,
)
from shop.catalog.queries import (
    addresses,
    cards,
    category,
    featured,
    menu,
    newest,
    product_page,
    redirect_for,
    shelf_images,
)
from shop.catalog.variants import (
    OptionDraft,
    ValueDraft,
    add_variant,
    archive_variant,
    delete_variant,
    generate_variants,
    get_variant,
    reorder_variants,
    restore_variant,
    set_options,
    update_variant,
)

__all__ = [
    "PRODUCT_FIELDS", "VARIANT_FIELDS", "Breadcrumb", "CategoryChanged", "CategoryView",
    "Declared", "Facet", "FacetValue", "Filters", "HasHistory", "ImageView", "Listing",
    "MenuCategory", "NotEmpty", "NotReady", "OptionDraft", "OptionView", "ProductCard",
    "ProductChanged", "ProductHint", "ProductPage", "ReviewView", "Sort", "Suggestions",
    "Taken", "ValueDraft", "ValueView", "VariantView", "WouldCircle", "add_image",
    "add_variant", "addresses", "archive", "archive_variant", "cards", "category",
    "clear_cache", "create_category", "create_product", "delete_category", "delete_product",
    "delete_variant", "emptied", "featured", "generate_variants", "get_category",
    "get_image", "get_product", "get_variant", "listing", "lock_tree", "menu",
    "move_category", "newest", "product_page", "publish", "redirect_for", "remove_image",
    "reorder_images", "reorder_variants", "restore", "restore_variant", "set_options",
    "shelf_images", "suggest", "unpublish", "update_category", "update_image",
    "update_product", "update_variant",
]  # fmt: skip
