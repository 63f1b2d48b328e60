"""Listings: all products, a category, what a search found. One form of filters for all three."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from flask import Response, current_app, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest, NotFound

from shop import catalog
from shop.core.errors import NotFound as Unknown
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
from shop.core.money import AmountError, parse_amount
from shop.store import frame, seo
from shop.store.blueprint import bp

PER_PAGE = 24
MAX_QUERY_LENGTH = 120
MAX_VALUES = 20
SORTS: Mapping[catalog.Sort, Any] = {
    "popular": lazy_gettext("Most popular"),
    "newest": lazy_gettext("Newest"),
    "price_asc": lazy_gettext("Price, low to high"),
    "price_desc": lazy_gettext("Price, high to low"),
}


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that is on, and the address without it."""

    label: str
    href: str


@dataclass(frozen=True, slots=True)
class PageLink:
    """A step of the pager; without ``number`` it stands for those left out."""

    number: int | None
    href: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """What a query string asks for. A price that is none is left out; ``typed`` and ``faults`` hold
    what was typed and the sentence about it, by the name of the field."""

    filters: catalog.Filters
    typed: Mapping[str, str]
    faults: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class View:
    """A listing as its page shows it: links instead of values."""

    address: str
    filters: catalog.Filters
    prices: Mapping[str, str]
    faults: Mapping[str, str]
    listing: catalog.Listing
    chips: tuple[Chip, ...]
    clear_href: str
    kept: tuple[tuple[str, str], ...]
    sorts: tuple[tuple[str, str], ...]
    pages: tuple[PageLink, ...]
    previous_href: str
    next_href: str
    canonical: str
    is_indexed: bool

    @property
    def status(self) -> int:
        """The HTTP status of its page."""
        return 400 if self.faults else 200


@bp.get("/products")
def products() -> ResponseReturnValue:
    """All that is sold, or what a query finds in it."""
    view = view_of(asked_for(request.args), url_for("store.products"))
    title = (
        _("Results for “%(words)s”", words=view.filters.q) if view.filters.q else _("All products")
    )
    page = render_template(
        "store/catalog/products.html", view=view, title=title, json_ld=[seo.item_list(view.listing)]
    )
    return page, view.status


@bp.get("/c/<path:path>")
def category(path: str) -> ResponseReturnValue:
    """One category and everything below it. An address that moved answers 301."""
    if words(path) != path:
        raise NotFound
    asked = asked_for(request.args, category_path=path)
    try:
        view = view_of(asked, url_for("store.category", path=path))
    except Unknown:
        return moved_or_unknown()
    shown = view.listing.category
    assert shown is not None  # a listing of a category always knows it
    page = render_template(
        "store/catalog/category.html",
        view=view,
        category=shown,
        json_ld=[seo.item_list(view.listing), seo.breadcrumbs(shown.breadcrumbs)],
    )
    return page, view.status


def moved_or_unknown() -> ResponseReturnValue:
    """301 to where the requested thing is now, else the page that says it is unknown."""
    target = catalog.redirect_for(request.path)
    if target is None:
        raise NotFound
    query = request.query_string.decode()
    return redirect(f"{target}?{query}" if query else target, code=301)


def asked_for(args: MultiDict[str, str], *, category_path: str = "") -> Asked:
    """Read what a listing is asked for from a query string.

    Raises ``BadRequest`` with a sentence for an order that cannot be used and ``NotFound`` for a
    page that cannot exist.
    """
    sort = args.get("sort", "")
    if sort and sort not in SORTS and sort != "relevance":
        raise BadRequest(_("Products cannot be sorted by “%(order)s”.", order=words(sort)[:40]))
    page = args.get("page", "1")
    if not (page.isascii() and page.isdecimal() and len(page) <= 9 and int(page) >= 1):
        raise NotFound
    prices, faults = _prices(args)
    filters = catalog.Filters(
        q=words(args.get("q", "")),
        category_path=category_path or words(args.get("category", "")).strip("/"),
        sort=sort or None,  # type: ignore[arg-type]  # checked above
        page=int(page),
        per_page=PER_PAGE,
        min_price_minor=prices.get("min_price"),
        max_price_minor=prices.get("max_price"),
        in_stock=args.get("in_stock", "") in {"1", "on", "true", "yes"},
        options=_options(args),
    )
    return Asked(filters, {name: words(args[name])[:40] for name in faults}, faults)


def words(text: str) -> str:
    """What somebody typed, without control characters and endless length."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:MAX_QUERY_LENGTH]


def view_of(asked: Asked, address: str) -> View:
    """Ask the catalogue and turn its answer into links.

    Raises the catalogue's ``NotFound`` for an unknown category, ``NotFound`` past the last page.
    """
    filters = asked.filters
    limits = {"min_price": filters.min_price_minor, "max_price": filters.max_price_minor}
    shown = {name: frame.typed_price(price) for name, price in limits.items() if price is not None}
    try:
        listing = catalog.listing(filters)
    except Unknown:
        if filters.category_path:
            catalog.category(filters.category_path)  # raises again if this is what is unknown
        raise NotFound(response=_no_page(filters, address)) from None
    only = catalog.Filters(q=filters.q, category_path=filters.category_path, sort=filters.sort)
    plain = replace(only, sort=None)
    best: tuple[tuple[str, str], ...] = (("relevance", _("Best match")),) if filters.q else ()
    return View(
        address=address,
        filters=filters,
        prices={**shown, **asked.typed},
        faults=asked.faults,
        listing=listing,
        chips=tuple(_chips(filters, address)),
        clear_href=_href(address, only),
        kept=tuple(_pairs(address, replace(filters, sort=None, page=1))),
        sorts=(*best, *((value, str(label)) for value, label in SORTS.items())),
        pages=tuple(_page_links(address, filters, listing.pages)),
        previous_href=_page_href(address, filters, filters.page - 1, listing.pages),
        next_href=_page_href(address, filters, filters.page + 1, listing.pages),
        canonical=frame.Storefront().base_url
        + _href(address, replace(plain, q="", page=filters.page)),
        is_indexed=replace(filters, sort=None, page=1) == plain and not filters.q,
    )


def _no_page(filters: catalog.Filters, address: str) -> Response:
    first = _href(address, replace(filters, page=1))
    page = render_template("store/errors/no_page.html", page=filters.page, href=first)
    return make_response(page, 404)


def _prices(args: MultiDict[str, str]) -> tuple[dict[str, int], dict[str, str]]:
    """The limits of the price that were given, and a sentence about each that is no price."""
    prices, faults = {}, {}
    for name in ("min_price", "max_price"):
        typed = words(args.get(name, ""))[:40]
        if not typed:
            continue
        try:
            prices[name] = parse_amount(typed, current_app.config["SETTINGS"].currency)
        except AmountError as error:
            faults[name] = str(error)
    return prices, faults


def _options(args: MultiDict[str, str]) -> dict[str, tuple[str, ...]]:
    names = [key for key in args if key.startswith("option.")][:MAX_VALUES]
    chosen = {
        words(name.removeprefix("option.")): tuple(
            dict.fromkeys(word for value in args.getlist(name) if (word := words(value)))
        )[:MAX_VALUES]
        for name in names
    }
    return {name: values for name, values in chosen.items() if name and values}


def _href(address: str, filters: catalog.Filters) -> str:
    """The address of a listing, with as little in it as possible."""
    pairs = _pairs(address, filters)
    return f"{address}?{urlencode(pairs)}" if pairs else address


def _pairs(address: str, filters: catalog.Filters) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    if filters.q:
        pairs.append(("q", filters.q))
    if filters.category_path and not address.startswith("/c/"):
        pairs.append(("category", filters.category_path))
    pairs += [
        (f"option.{name}", value) for name in filters.options for value in filters.options[name]
    ]
    for name, price in (
        ("min_price", filters.min_price_minor),
        ("max_price", filters.max_price_minor),
    ):
        if price is not None:
            pairs.append((name, frame.typed_price(price)))
    if filters.in_stock:
        pairs.append(("in_stock", "1"))
    if filters.sort:
        pairs.append(("sort", filters.sort))
    if filters.page > 1:
        pairs.append(("page", str(filters.page)))
    return pairs


def _chips(filters: catalog.Filters, address: str) -> list[Chip]:
    first = replace(filters, page=1)
    chips = []
    for name, values in filters.options.items():
        for value in values:
            left = tuple(v for v in values if v != value)
            options = {k: v for k, v in {**filters.options, name: left}.items() if v}
            chips.append(Chip(f"{name}: {value}", _href(address, replace(first, options=options))))
    low, high = filters.min_price_minor, filters.max_price_minor
    if low is not None:
        label = _("From %(price)s", price=frame.money(low))
        chips.append(Chip(label, _href(address, replace(first, min_price_minor=None))))
    if high is not None:
        label = _("Up to %(price)s", price=frame.money(high))
        chips.append(Chip(label, _href(address, replace(first, max_price_minor=None))))
    if filters.in_stock:
        chips.append(Chip(_("In stock"), _href(address, replace(first, in_stock=False))))
    return chips


def _page_href(address: str, filters: catalog.Filters, number: int, last: int) -> str:
    """The address of a page of this listing, or nothing if it has no such page."""
    return _href(address, replace(filters, page=number)) if 1 <= number <= last else ""


def _page_links(address: str, filters: catalog.Filters, last: int) -> list[PageLink]:
    """First, last and the neighbours; a gap of one page is filled rather than marked."""
    current = filters.page
    near = {n for n in (1, last, current - 1, current, current + 1) if 1 <= n <= last}
    near |= {n + 1 for n in near if n + 2 in near}
    links: list[PageLink] = []
    for number in sorted(near):
        if links and links[-1].number != number - 1:
            links.append(PageLink(None, "", False))
        href = _page_href(address, filters, number, last)
        links.append(PageLink(number, href, number == current))
    return links
