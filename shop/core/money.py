"""Money: whole minor units and a currency. No floats, no silent mixing of currencies.

``parse_amount`` is the only way from typed text to minor units, ``Money.format`` and
``format_typed`` are the ways back. How numbers are written (``NUMBER_LOCALE``) is set once by
``configure``; the reasons stand in ``docs/decisions/0016-typed-amounts.md``.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache

from babel import Locale
from babel.numbers import (
    format_currency,
    format_decimal,
    get_currency_precision,
    get_currency_symbol,
    get_decimal_symbol,
)

from shop.core.i18n import gettext as _
from shop.core.i18n import ngettext

MAX_AMOUNT_MINOR = 2**31 - 1
MAX_TYPED_LENGTH = 40
# Spaces (plain, no-break, figure, thin, narrow no-break) and apostrophes group thousands somewhere
# and are a decimal separator nowhere.
NEUTRAL_GROUPS = " \u00a0\u2007\u2009\u202f'\u2019"
SEPARATORS = {".": ",", ",": "."}
# What other scripts and input methods write for "." and ",".
SAME_SEPARATORS = str.maketrans(
    {
        "\N{FULLWIDTH FULL STOP}": ".",
        "\N{FULLWIDTH COMMA}": ",",
        "\N{ARABIC DECIMAL SEPARATOR}": ".",
        "\N{ARABIC THOUSANDS SEPARATOR}": "'",
    }
)
MINUS_SIGNS = "-\N{MINUS SIGN}\N{HYPHEN}\N{EN DASH}\N{FULLWIDTH HYPHEN-MINUS}"
_number_locale = Locale.parse("en_IE")


class AmountError(ValueError):
    """A typed text is not an amount; the message is a sentence for people, with an example."""


def configure(number_locale: str) -> None:
    """Set how amounts are written in this shop, as ``en_IE`` or ``de``; called by the factory."""
    global _number_locale
    _number_locale = Locale.parse(number_locale)
    format_minor.cache_clear()
    _spellings.cache_clear()


def number_locale() -> str:
    """Returns how amounts are written in this shop, as a BCP 47 tag such as ``en-IE``."""
    return str(_number_locale).replace("_", "-")


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

    def format(self) -> str:
        """For people, e.g. ``€12.30``; currency position and digits come from CLDR."""
        return format_minor(self.amount_minor, self.currency)

    def _same(self, other: "Money") -> None:
        if self.currency != other.currency:
            raise ValueError(f"cannot mix {self.currency} and {other.currency}")


@lru_cache(maxsize=256)
def exponent(currency: str) -> int:
    """Digits after the point: 2 for EUR, 0 for JPY, 3 for KWD (CLDR through Babel)."""
    return get_currency_precision(currency)


@lru_cache(maxsize=4096)
def format_minor(amount_minor: int, currency: str) -> str:
    """``Money.format`` for an amount in minor units."""
    amount = Decimal(amount_minor).scaleb(-exponent(currency))
    # A minus sign, as wide as a digit, not a hyphen.
    written = str(format_currency(amount, currency, locale=_number_locale))
    return written.replace("-", "\N{MINUS SIGN}")


def format_typed(amount_minor: int, currency: str) -> str:
    """Returns an amount as somebody would type it (``1250.00``); ``parse_amount`` reads it back."""
    plain = f"{Decimal(amount_minor).scaleb(-exponent(currency)):.{exponent(currency)}f}"
    return plain.replace(".", _decimal_sign())


def parse_amount(text: str, currency: str, *, max_minor: int = MAX_AMOUNT_MINOR) -> int:
    """Returns the minor units of ``currency`` that somebody typed: never a guess, never negative.

    "." and "," are both read while only one reading is possible ("12.50", "12,50", "1.250,00").
    One separator before three digits can be read in two ways ("1.250", "1,250"), so it is refused,
    except as the decimal separator of the shop's own ``NUMBER_LOCALE`` in a currency of three
    decimals. The currency's own symbol or code may stand before or after the number.

    Raises ``AmountError``, with an example of what to type, also for more decimals than the
    currency has and for more than ``max_minor``.
    """
    shown = " ".join(text.split())[:MAX_TYPED_LENGTH]
    number = _bare(text, currency) if len(text) <= MAX_TYPED_LENGTH else ""
    if number[:1] in MINUS_SIGNS and number[1:2].isdigit():
        raise _refused(_("An amount cannot be below zero."), currency)
    readings = _readings(number)
    if not shown:
        raise _refused(_("An amount is missing."), currency)
    if not readings:
        raise _refused(_("“%(typed)s” is not an amount.", typed=shown), currency)
    own = _decimal_sign()
    if len(readings) > 1 and not len(readings[own][1]) == exponent(currency) > 2:
        raise _refused(_("“%(typed)s” can be read in two ways.", typed=shown), currency, readings)
    whole, fraction = readings.get(own) or next(iter(readings.values()))
    if len(fraction) > exponent(currency):
        raise _refused(_too_precise(currency), currency)
    amount = int(whole + fraction.ljust(exponent(currency), "0"))
    if amount > max_minor:
        raise AmountError(
            _("The highest amount possible is %(amount)s.", amount=Money(max_minor, currency))
        )
    return amount


def _refused(
    sentence: str, currency: str, readings: dict[str, tuple[str, str]] | None = None
) -> AmountError:
    return AmountError(f"{sentence} {_example(currency, readings)}")


def _bare(text: str, currency: str) -> str:
    """The number in ``text`` with ASCII digits, without the currency's own symbol or code."""
    number = _ascii_digits(text).translate(SAME_SEPARATORS).strip()
    for spelling in _spellings(currency):
        if number.casefold().startswith(spelling):
            return number[len(spelling) :].strip()
        if number.casefold().endswith(spelling):
            return number[: -len(spelling)].strip()
    return number


def _ascii_digits(text: str) -> str:
    """``text`` with the decimal digits of one script as ASCII; of two scripts, as it was."""
    digits = {c: unicodedata.decimal(c) for c in text if c.isdecimal()}
    if len({ord(c) - value for c, value in digits.items()}) > 1:
        return text
    return "".join(str(digits[c]) if c in digits else c for c in text)


@lru_cache(maxsize=64)
def _spellings(currency: str) -> tuple[str, ...]:
    """How people write this currency beside a number, the longest spelling first."""
    symbols = {currency, str(get_currency_symbol(currency, locale=_number_locale))}
    return tuple(sorted((one.casefold() for one in symbols), key=len, reverse=True))


def _readings(number: str) -> dict[str, tuple[str, str]]:
    """The possible meanings, as (whole, fraction) in digits, by the decimal sign that they assume.

    Where the number has no fraction under either sign, and both say the same, there is one.
    """
    readings = {}
    for decimal_sign, group_sign in SEPARATORS.items():
        whole, point, fraction = number.partition(decimal_sign)
        groups = _grouped(whole, group_sign)
        if groups is None or not (groups or fraction):
            continue
        if not point or re.fullmatch("[0-9]+", fraction):
            readings[decimal_sign] = (groups, fraction)
    if len(readings) > 1 and len(set(readings.values())) == 1:
        return {_decimal_sign(): next(iter(readings.values()))}
    return readings


def _grouped(whole: str, group_sign: str) -> str | None:
    """The digits of a whole number, grouped rightly or not at all; None if it is neither."""
    if not whole or re.fullmatch("[0-9]+", whole):
        return whole
    first, *others = _locale_groups()
    for sign in (group_sign, *NEUTRAL_GROUPS):
        mark = re.escape(sign)
        for last, others_size in {(first, *(others or [first])), (3, 3)}:
            pattern = f"[1-9][0-9]{{0,{others_size - 1}}}({mark}[0-9]{{{others_size}}})*"
            if re.fullmatch(f"{pattern}{mark}[0-9]{{{last}}}", whole):
                return whole.replace(sign, "")
    return None


def _locale_groups() -> tuple[int, int]:
    """Digits of the last group and of those before it: (3, 3), in India (3, 2)."""
    primary, secondary = _number_locale.decimal_formats[None].grouping
    return int(primary), int(secondary)


def _decimal_sign() -> str:
    return str(get_decimal_symbol(_number_locale))


def _too_precise(currency: str) -> str:
    digits = exponent(currency)
    if digits == 0:
        return _("%(currency)s has no decimals.", currency=currency)
    return ngettext(
        "%(currency)s has at most %(num)s digit after the separator.",
        "%(currency)s has at most %(num)s digits after the separator.",
        digits,
        currency=currency,
    )


def _example(currency: str, readings: dict[str, tuple[str, str]] | None = None) -> str:
    """What to type, in words; of an ambiguous number, for what was most likely meant."""
    whole = "1250"
    if readings:
        whole = max((whole + fraction for whole, fraction in readings.values()), key=len)
    amount = Decimal(whole)
    plain = f"{amount:.{exponent(currency)}f}".replace(".", _decimal_sign())
    if exponent(currency) in {0, 3}:
        return _("Write %(amount)s.", amount=plain)
    grouped = format_decimal(
        amount,
        format=f"#,##0.{'0' * exponent(currency)}",
        locale=_number_locale,
    )
    if grouped == plain:
        return _("Write %(amount)s.", amount=plain)
    return _("Write %(plain)s or %(grouped)s.", plain=plain, grouped=grouped)


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


def tax_of(amount_minor: int, rate: Decimal, *, is_included: bool) -> int:
    """The tax of a price, by whether prices include it."""
    return (tax_within if is_included else tax_on)(amount_minor, rate)


def _round(value: Decimal) -> int:
    return int(value.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
