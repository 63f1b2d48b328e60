"""What a card can be charged at once. Stripe refuses less and more, so no order may ask for it.

https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
"""

from shop.core.errors import Invalid
from shop.core.i18n import gettext as _
from shop.core.money import Money
from shop.payments import methods, stripe_client

MIN_MINOR = {
    "AED": 200, "AUD": 50, "BRL": 50, "CAD": 50, "CHF": 50, "CZK": 1500, "DKK": 250, "EUR": 50,
    "GBP": 30, "HKD": 400, "HUF": 17500, "INR": 50, "JPY": 50, "MXN": 1000, "MYR": 200, "NOK": 300,
    "NZD": 50, "PLN": 200, "RON": 200, "SEK": 300, "SGD": 50, "THB": 1000, "USD": 50,
}  # fmt: skip
MAX_MINOR = 99_999_999  # eight digits


def check_amount(total: Money, *, goods: Money, country: str = "") -> None:
    """Raise ``Invalid`` for an order that cannot be paid. Nothing at all needs no payment, but
    ``goods`` before their discounts have a limit as well. ``country``: ISO code of where the bill
    goes, for methods that are for some countries only."""
    least = Money(MIN_MINOR.get(total.currency, 1), total.currency)
    most = Money(MAX_MINOR, total.currency)
    if 0 < total.amount_minor < least.amount_minor:
        raise Invalid(
            _("The least that can be paid by card is %(amount)s. Add something.", amount=least)
        )
    if max(total, goods) > most:
        raise Invalid(
            _("At most %(amount)s can be paid at once. Split it into several orders.", amount=most)
        )
    methods.check_can_be_paid(total, country=country, capture=stripe_client.capture_method())
