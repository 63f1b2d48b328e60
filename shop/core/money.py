"""Money: whole minor units and a currency. No floats, no silent mixing of currencies."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache

from babel.numbers import format_currency, get_currency_precision

# Decimal would read more than people type: 1e9, 1_000, NaN, ٣.
TYPED = re.compile(r"[+-]?([0-9]{1,15}(\.[0-9]*)?|\.[0-9]+)")


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An amount in minor units (cents, yen, fils) of an ISO 4217 currency."""

    amount_minor: int
    currency: str

    def __add__(self, other: "Money") -> "Money":
        self._same(other)
        return Money(self.amount_minor + other.amount_minor, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        self._same(other)
        return Money(self.amount_minor - other.amount_minor, self.currency)

    def __mul__(self, quantity: int) -> "Money":
        return Money(self.amount_minor * quantity, self.currency)

    def __bool__(self) -> bool:
        return self.amount_minor != 0

    def __str__(self) -> str:
        return self.format()

    @property
    def major(self) -> Decimal:
        """The amount in major units, exact (12.30 for 1230 EUR cents)."""
        return Decimal(self.amount_minor).scaleb(-exponent(self.currency))

    def format(self, locale: str = "en_IE") -> str:
        """For people, e.g. ``€12.30``; currency position and digits come from CLDR."""
        return _formatted(self.amount_minor, self.currency, locale)

    def _same(self, other: "Money") -> None:
        if self.currency != other.currency:
            raise ValueError(f"cannot mix {self.currency} and {other.currency}")


@lru_cache(maxsize=256)
def exponent(currency: str) -> int:
    """Digits after the point: 2 for EUR, 0 for JPY, 3 for KWD (CLDR through Babel)."""
    return get_currency_precision(currency)


@lru_cache(maxsize=4096)
def _formatted(amount_minor: int, currency: str, locale: str) -> str:
    amount = Decimal(amount_minor).scaleb(-exponent(currency))
    # A minus sign, as wide as a digit, not a hyphen.
    return str(format_currency(amount, currency, locale=locale)).replace("-", "\N{MINUS SIGN}")


def parse_major(text: str, currency: str) -> int:
    """Minor units of what somebody typed ("12.30", "12,30", "12"). Raises ``ValueError``."""
    cleaned = text.strip().replace(",", ".")
    if not TYPED.fullmatch(cleaned):
        raise ValueError(f"{text!r} is not an amount")
    scaled = Decimal(cleaned).scaleb(exponent(currency))
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{text!r} is not an amount in {currency}")
    return int(scaled)


def share(total_minor: int, weights: Sequence[int]) -> list[int]:
    """Split ``total_minor`` in proportion to ``weights`` by largest remainder.

    The parts always add up to the whole; ties go to the earlier part. With all weights zero
    the first part takes everything.
    """
    if not weights:
        return []
    whole = sum(weights)
    if whole == 0:
        return [total_minor] + [0] * (len(weights) - 1)
    floors = [total_minor * weight // whole for weight in weights]
    remainders = [total_minor * weight % whole for weight in weights]
    missing = total_minor - sum(floors)
    for index in sorted(range(len(weights)), key=lambda i: -remainders[i])[:missing]:
        floors[index] += 1
    return floors


def tax_within(gross_minor: int, rate: Decimal) -> int:
    """The tax contained in a price that includes it; ``rate`` 0.19 for 19 %. Half-even."""
    return _round(Decimal(gross_minor) * rate / (1 + rate))


def tax_on(net_minor: int, rate: Decimal) -> int:
    """The tax that comes on top of a net price. Half-even."""
    return _round(Decimal(net_minor) * rate)


def _round(value: Decimal) -> int:
    return int(value.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
