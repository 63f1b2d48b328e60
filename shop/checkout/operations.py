"""What a customer says before ordering: who and where, by which shipping method and codes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy.dialects.postgresql import insert

from shop import cart as carts
from shop import discounts
from shop.checkout import defaults
from shop.checkout.errors import NoShipping
from shop.checkout.models import ShippingMethod, TaxRate
from shop.checkout.queries import clear_cache, of_address, quote, refusals, shipping_options, terms
from shop.core.db import session
from shop.core.i18n import gettext as _
from shop.customers import clean_address, clean_email, country_names


def set_contact(cart: carts.Cart, *, email: str, address: Mapping[str, Any]) -> None:
    """Keep who orders and where it goes. Raises ``Invalid``, ``InvalidAddress``, ``NoShipping``."""
    email = clean_email(email)
    country = str(address.get("country") or "").strip().upper()
    if country in country_names() and not shipping_options(country, 0):
        raise NoShipping(_("We do not ship to this country yet."), field="country")
    cleaned = clean_address(address)
    carts.set_details(cart, {"email": email, "shipping_address": cleaned})


def set_method(cart: carts.Cart, code: str) -> None:
    """Keep how it is sent. Raises ``NoShipping``."""
    check_method(cart, code)
    carts.set_details(cart, {"shipping_method": code})


def check_method(cart: carts.Cart, code: str) -> None:
    """Raise ``NoShipping`` unless this can be sent where the cart goes."""
    country = (cart.shipping_address or {}).get("country", terms().country)
    if code not in {option.code for option in shipping_options(country, 0)}:
        raise NoShipping(_("Choose a shipping method."), field="shipping_method")


def apply_code(cart: carts.Cart, given: object) -> discounts.Applied | None:
    """Put a discount code into the cart. Returns what it saves; None if that waits for an address.

    Raises ``Invalid`` for an empty code, ``UnknownCode``, and ``CodeRefused`` with every reason if
    it saves nothing now; then nothing has changed. A code that only another country speaks against
    is kept while nobody said where to.
    """
    rule = discounts.by_code(given)
    view = carts.view(cart)
    tried = replace(view, code_ids=tuple({*view.code_ids, rule.code_id or 0}))
    priced = quote(tried)[0]
    found = next((one for one in priced.discounts if one.code_id == rule.code_id), None)
    reasons = refusals(priced, rule.code)
    if found is None and reasons != of_address(rule):
        raise discounts.CodeRefused(rule.code, reasons)
    carts.add_code(cart, rule.code_id or 0)
    return found


def install_defaults() -> None:
    """Make the first shipping methods and tax rates; what staff changed since stays."""
    for row in defaults.SHIPPING_METHODS:
        session.execute(
            insert(ShippingMethod).values(**row).on_conflict_do_nothing(index_elements=["code"])
        )
    session.execute(
        insert(TaxRate)
        .values(
            [
                {"country": country, "tax_class": tax_class, "rate": rate}
                for country, rates in defaults.TAX_RATES.items()
                for tax_class, rate in zip(defaults.TAX_CLASSES, rates, strict=True)
            ]
        )
        .on_conflict_do_nothing()
    )
    clear_cache()
