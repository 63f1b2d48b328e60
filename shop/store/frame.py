"""What every page's frame needs: menu, cart count, theme. Templates know it as ``store``."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from email.utils import parseaddr
from typing import Any, Literal

from babel.dates import format_date, format_datetime
from flask import current_app, request
from markupsafe import Markup
from wtforms import Form

from shop import catalog, checkout, customers, media, payments
from shop.core.i18n import gettext as _
from shop.core.money import Money, exponent, format_typed
from shop.store import fragments, visitors

LOCALE = "en_IE"
THEMES = ("light", "dark")


@dataclass(frozen=True, slots=True)
class Wallets:
    """What Stripe.js needs for the buttons of wallets: its address, the key that browsers may
    know, and how money is taken (automatic or manual)."""

    script: str
    key: str
    capture: str


class Storefront:
    """The global ``store`` of the templates; each call answers for the request that is running."""

    @property
    def name(self) -> str:
        """The shop's name."""
        return str(current_app.config["SETTINGS"].shop_name)

    @property
    def currency(self) -> str:
        """The one currency that prices are shown in."""
        return str(current_app.config["SETTINGS"].currency)

    @property
    def base_url(self) -> str:
        """The public address of the shop, without a slash at the end."""
        return str(current_app.config["SETTINGS"].base_url)

    @property
    def realtime_url(self) -> str:
        """Where the socket listens."""
        return str(current_app.config["SETTINGS"].realtime_url)

    @property
    def contact(self) -> str:
        """The address that customers write to."""
        return parseaddr(current_app.config["SETTINGS"].mail_from)[1]

    @property
    def prices_include_tax(self) -> bool:
        """Whether shown prices are what one pays."""
        return bool(current_app.config["SETTINGS"].prices_include_tax)

    def menu(self) -> tuple[catalog.MenuCategory, ...]:
        """The category tree."""
        return catalog.menu()

    def cart_count(self) -> int:
        """How many units are in the cart of this visitor."""
        return visitors.cart_count()

    def follows_cart(self) -> bool:
        """Whether the cart is worth a socket: there is one, or somebody is signed in."""
        return visitors.follows_cart()

    def customer_name(self) -> str:
        """Who is signed in, or nothing."""
        who = visitors.customer()
        return str(who) if who else ""

    def ways_to_pay(self) -> str:
        """What one can pay with here, as a sentence."""
        names = [str(payments.facts_of(method).label) for method in payments.enabled_methods()]
        listed = (
            _("%(all_but_last)s or %(last)s", all_but_last=", ".join(names[:-1]), last=names[-1])
            if len(names) > 1
            else names[0]
        )
        return _("Pay by %(methods)s.", methods=listed.replace("Card", "card"))

    def wallets(self) -> Wallets | None:
        """What the buttons of wallets need; nothing where the shop shows none."""
        settings = current_app.config["SETTINGS"]
        if not (settings.wallets and settings.stripe_publishable_key and payments.takes_wallets()):
            return None
        return Wallets(
            script=payments.script_url(),
            key=settings.stripe_publishable_key,
            capture=payments.capture_method(),
        )

    def has_wallet(self) -> bool:
        """Whether this browser showed a wallet before, so that a place is kept for it."""
        return request.cookies.get("wallet") == "1"

    def theme(self) -> str:
        """``light`` or ``dark`` if the visitor chose one, else ``auto``."""
        chosen = request.cookies.get("theme", "")
        return chosen if chosen in THEMES else "auto"


def money(amount_minor: int) -> str:
    """``1230`` as ``€12.30``, in the shop's currency."""
    return Money(amount_minor, current_app.config["SETTINGS"].currency).format()


def off(amount_minor: int) -> str:
    """``1230`` as ``-€12.30``: what is saved."""
    return money(-amount_minor)


def fault_count(form: Form, beside: Sequence[str]) -> int:
    """How many things are wrong with a form: its fields, and what is said beside them."""
    return len(form.errors) + len(beside)


def free_shipping(from_minor: int) -> str:
    """From which value of the goods a shipping method is free, and how that is counted."""
    amount = money(from_minor)
    if checkout.terms().free_shipping_counts == checkout.FreeShippingCounts.BEFORE_DISCOUNTS:
        return _("Free for orders of %(amount)s or more, before discounts", amount=amount)
    return _("Free for orders of %(amount)s or more, after discounts", amount=amount)


def country_list(codes: Iterable[str]) -> str:
    """Countries by name: ``Austria, Germany``."""
    names = customers.country_names()
    return ", ".join(sorted(names.get(code, code) for code in codes))


def typed_price(amount_minor: int) -> str:
    """``1230`` as ``12.30`` or ``12,30``: for form fields, as the shop writes numbers."""
    return format_typed(amount_minor, current_app.config["SETTINGS"].currency)


def major(amount_minor: int) -> str:
    """``1230`` as ``12.30``: for machines that read prices."""
    currency = current_app.config["SETTINGS"].currency
    return f"{Money(amount_minor, currency).major:.{exponent(currency)}f}"


def day(written: date | datetime | str) -> str:
    """``2026-11-22`` as ``22 November 2026``; of a point in time the day that the shop had then."""
    moment = date.fromisoformat(written) if isinstance(written, str) else written
    if isinstance(moment, datetime):
        moment = moment.astimezone(current_app.config["SETTINGS"].time_zone)
    return str(format_date(moment, "d MMMM yyyy", locale=LOCALE))


def weekday(moment: date) -> str:
    """A near day as ``Tuesday 24 November``."""
    return str(format_date(moment, "EEEE d MMMM", locale=LOCALE))


def shop_time(moment: datetime) -> str:
    """A point in time as ``22 November 2026, 14:05``, by the shop's clock."""
    local = moment.astimezone(current_app.config["SETTINGS"].time_zone)
    return str(format_datetime(local, "d MMMM yyyy, HH:mm", locale=LOCALE))


def rendition_url(image: catalog.ImageView, width: int, fmt: Literal["avif", "webp"]) -> str:
    """The address of a rendition, or of the original while there are none."""
    return media.url(image.key, width, fmt) if image.widths else media.url(image.key)


def srcset(image: catalog.ImageView, fmt: Literal["avif", "webp"]) -> Markup:
    """All renditions of an image with their widths, as ``srcset`` takes them."""
    # Keys have no characters that HTML would read, so nothing has to be escaped.
    return Markup(", ".join(f"{media.url(image.key, n, fmt)} {n}w" for n in image.widths))


FILTERS = {
    "country_list": country_list,
    "day": day,
    "free_shipping": free_shipping,
    "money": money,
    "off": off,
    "shop_time": shop_time,
    "typed_price": typed_price,
    "weekday": weekday,
}


def template_globals() -> dict[str, Any]:
    """What templates and imported macros of the store can name."""
    return {
        "store": Storefront(),
        "rendition_url": rendition_url,
        "srcset": srcset,
        "kept": fragments.kept,
        "fault_count": fault_count,
    }
