"""How little and how much Stripe takes, by currency, and which amounts a currency cannot have.

Source: https://docs.stripe.com/currencies, read in November 2026. All amounts in minor units.
"""

from tools.stripe import shapes
from tools.stripe.refusals import Invalid

# The account of the stand-in is settled in each of these; what is charged in another currency is
# converted there, and its least amount depends on the day's rate: the stand-in takes 1.
MIN_AMOUNTS = {
    "usd": 50,
    "aed": 200,
    "aud": 50,
    "bgn": 100,
    "brl": 50,
    "cad": 50,
    "chf": 50,
    "czk": 1500,
    "dkk": 250,
    "eur": 50,
    "gbp": 30,
    "hkd": 400,
    "huf": 17_500,
    "inr": 50,
    "jpy": 50,
    "mxn": 1000,
    "myr": 200,
    "nok": 300,
    "nzd": 50,
    "pln": 200,
    "ron": 200,
    "sek": 300,
    "sgd": 50,
    "thb": 1000,
}
MAX_AMOUNT = 99_999_999
MAX_AMOUNTS = {
    "idr": 999_999_999_999,
    "inr": 999_999_999,
    "lbp": 99_999_999_999_999,
    "cop": 9_999_999_999_999,
    "huf": 9_999_999_999_999,
    "jpy": 9_999_999_999_999,
}
# Zero-decimal currencies that are written with two decimals, and three-decimal ones whose last
# digit card networks cannot carry.
MULTIPLES = {"isk": 100, "ugx": 100, "bhd": 10, "jod": 10, "kwd": 10, "omr": 10, "tnd": 10}
# iDEAL takes amounts as low as 1.
WITHOUT_MINIMUM = {"ideal"}


def refuse_amount(amount: int, currency: str, types: list[str]) -> None:
    """Raise Invalid for an amount that cannot be charged by these payment method types."""
    least = 1 if types and set(types) <= WITHOUT_MINIMUM else MIN_AMOUNTS.get(currency, 1)
    if amount < least:
        raise Invalid(
            f"Amount must be at least {shapes.spoken(least, currency)}.",
            code="amount_too_small",
            param="amount",
        )
    most = MAX_AMOUNTS.get(currency, MAX_AMOUNT)
    if amount > most:
        raise Invalid(
            f"Amount must be no more than {shapes.spoken(most, currency)}",
            code="amount_too_large",
            param="amount",
        )
    if amount % MULTIPLES.get(currency, 1):
        raise Invalid(
            f"Invalid amount. Charges in {currency.upper()} must be evenly divisible by "
            f"{MULTIPLES[currency]}.",
            code="parameter_invalid_integer",
            param="amount",
        )
