"""What machines read: linked data, sitemap, robots, manifest, prefetch rules."""

from collections.abc import Iterable
from threading import Lock
from typing import Any

from cachetools import TTLCache, cached
from flask import Response, jsonify, render_template, url_for
from flask.typing import ResponseReturnValue

from shop import catalog
from shop.core.i18n import gettext as _
from shop.store import frame
from shop.store.blueprint import bp
from shop.store.pages import STANDING
from shop.store.statics import FILES

RETURN_DAYS = 30
SCHEMA = "https://schema.org"
AVAILABILITY = {True: f"{SCHEMA}/InStock", False: f"{SCHEMA}/OutOfStock"}

_store = frame.Storefront()


def website() -> dict[str, Any]:
    """The shop as a site that can be searched."""
    return {
        "@context": SCHEMA,
        "@type": "WebSite",
        "name": _store.name,
        "url": _absolute("/"),
        "potentialAction": {
            "@type": "SearchAction",
            "target": _absolute("/search?q={search_term_string}"),
            "query-input": "required name=search_term_string",
        },
    }


def organization() -> dict[str, Any]:
    """The shop as a seller."""
    return {
        "@context": SCHEMA,
        "@type": "OnlineStore",
        "name": _store.name,
        "url": _absolute("/"),
        "logo": _absolute(FILES.address("icons/icon-512.png")),
        "hasMerchantReturnPolicy": _return_policy(),
    }


def breadcrumbs(crumbs: Iterable[catalog.Breadcrumb], *, last: str = "") -> dict[str, Any]:
    """The way from the front page to here."""
    steps = [(_("Home"), url_for("store.home"))]
    steps += [(crumb.name, url_for("store.category", path=crumb.path)) for crumb in crumbs]
    items: list[dict[str, Any]] = [
        {"@type": "ListItem", "position": n, "name": name, "item": _absolute(href)}
        for n, (name, href) in enumerate(steps, 1)
    ]
    if last:
        items.append({"@type": "ListItem", "position": len(items) + 1, "name": last})
    return {"@context": SCHEMA, "@type": "BreadcrumbList", "itemListElement": items}


def item_list(listing: catalog.Listing) -> dict[str, Any]:
    """The products of a listing page, in order."""
    return {
        "@context": SCHEMA,
        "@type": "ItemList",
        "numberOfItems": listing.total,
        "itemListElement": [
            {"@type": "ListItem", "position": n, "name": card.name, "url": _product_url(card.slug)}
            for n, card in enumerate(listing.cards, 1)
        ],
    }


def product_group(shown: catalog.ProductPage) -> dict[str, Any]:
    """A product with each variant as an offer; equals what the page says of price and stock."""
    group: dict[str, Any] = {
        "@context": SCHEMA,
        "@type": "ProductGroup",
        "name": shown.name,
        "description": shown.seo_description or shown.tagline,
        "url": _product_url(shown.slug),
        "productGroupID": shown.slug,
        "brand": {"@type": "Brand", "name": _store.name},
        "variesBy": [option.name for option in shown.options],
        "image": [image_url(image) for image in shown.images[:6]],
        "hasVariant": [_variant(shown, variant) for variant in shown.variants],
    }
    if shown.rating is not None:
        group["aggregateRating"] = {
            "@type": "AggregateRating",
            "ratingValue": f"{shown.rating:.1f}",
            "reviewCount": shown.rating_count,
        }
        group["review"] = [
            {
                "@type": "Review",
                "name": review.title,
                "reviewBody": review.text,
                "author": {"@type": "Person", "name": review.author},
                "datePublished": review.written_on,
                "reviewRating": {"@type": "Rating", "ratingValue": review.rating},
            }
            for review in shown.reviews[:5]
        ]
    return group


def image_url(image: catalog.ImageView) -> str:
    """The absolute address of an image's largest rendition, for sharing."""
    return _absolute(frame.rendition_url(image, max(image.widths, default=0), "webp"))


@bp.get("/sitemap.xml")
def sitemap() -> ResponseReturnValue:
    """Every address worth finding."""
    return Response(
        render_template("store/pages/sitemap.xml", addresses=_addresses()),
        mimetype="application/xml",
        headers={"Cache-Control": "public, max-age=3600"},
    )


@bp.get("/robots.txt")
def robots() -> ResponseReturnValue:
    """Where crawlers have nothing to find."""
    closed = ("/cart", "/checkout", "/account", "/orders", "/search", "/admin", "/api")
    lines = ["User-agent: *", *(f"Disallow: {path}" for path in closed)]
    lines += ["", f"Sitemap: {_absolute(url_for('store.sitemap'))}", ""]
    return Response("\n".join(lines), mimetype="text/plain")


@bp.get("/manifest.webmanifest")
def manifest() -> ResponseReturnValue:
    """Name and icons for a phone's home screen."""
    sizes = (192, 512)
    answer = jsonify(
        name=_store.name,
        short_name=_store.name,
        start_url="/",
        display="browser",
        background_color="#fbf9f4",
        theme_color="#fbf9f4",
        icons=[
            {"src": FILES.address(f"icons/icon-{n}.png"), "sizes": f"{n}x{n}", "type": "image/png"}
            for n in sizes
        ],
    )
    answer.mimetype = "application/manifest+json"
    return answer


@bp.get("/speculation-rules.json")
def speculation_rules() -> ResponseReturnValue:
    """Which links a browser may load ahead: what is public and changes nothing."""
    answer = jsonify(
        prefetch=[
            {
                "where": {"or": [{"href_matches": "/products/*"}, {"href_matches": "/c/*"}]},
                "eagerness": "moderate",
            }
        ]
    )
    answer.mimetype = "application/speculationrules+json"
    answer.headers["Cache-Control"] = "public, max-age=86400"
    return answer


@cached(TTLCache(maxsize=1, ttl=600), lock=Lock())
def _addresses() -> tuple[str, ...]:
    """Kept for ten minutes: a shop's whole catalogue is read for it."""
    found = [_absolute("/"), _absolute(url_for("store.products"))]
    found += [_absolute(path) for path, _changed_at in catalog.addresses()]
    found += [_absolute(url_for("store.page", slug=slug)) for slug in STANDING]
    return tuple(found)


def _variant(shown: catalog.ProductPage, variant: catalog.VariantView) -> dict[str, Any]:
    images = [image for image in shown.images if image.option_value_id in variant.value_ids]
    address = _absolute(url_for("store.product", slug=shown.slug, variant=variant.sku))
    return {
        "@type": "Product",
        "sku": variant.sku,
        "name": f"{shown.name}, {variant.title}" if variant.title else shown.name,
        "image": image_url((images or list(shown.images))[0]) if shown.images else "",
        "offers": {
            "@type": "Offer",
            "url": address,
            "price": frame.major(variant.price_minor),
            "priceCurrency": _store.currency,
            "itemCondition": f"{SCHEMA}/NewCondition",
            "availability": (
                f"{SCHEMA}/BackOrder"
                if variant.available <= 0 and variant.backorder_allowed
                else AVAILABILITY[variant.available > 0]
            ),
            "hasMerchantReturnPolicy": _return_policy(),
        },
    }


def _return_policy() -> dict[str, Any]:
    return {
        "@type": "MerchantReturnPolicy",
        "returnPolicyCategory": f"{SCHEMA}/MerchantReturnFiniteReturnWindow",
        "merchantReturnDays": RETURN_DAYS,
        "returnMethod": f"{SCHEMA}/ReturnByMail",
        "returnFees": f"{SCHEMA}/FreeReturn",
    }


def _product_url(slug: str) -> str:
    return _absolute(url_for("store.product", slug=slug))


def _absolute(path: str) -> str:
    return _store.base_url + path
