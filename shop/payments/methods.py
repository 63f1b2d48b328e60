"""Ways to pay: which Stripe offers for an order, and what is true of each.

The facts are Stripe's, each with its source; nothing here asks Stripe or the database. Stripe's own
filter (``allowed_payment_method_types`` drops what does not fit) has the last word; this one exists
so that the shop knows beforehand, and never asks for a method that cannot work.

https://docs.stripe.com/payments/payment-methods/payment-method-support
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from shop.core.errors import Invalid
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
from shop.core.money import Money


class PaymentMethod(StrEnum):
    """Kinds of payment that the shop can offer, in Stripe's words.

    ``CARD`` brings Apple Pay and Google Pay with it (https://docs.stripe.com/elements/express-checkout-element).
    """

    CARD = "card"
    LINK = "link"
    IDEAL = "ideal"
    BANCONTACT = "bancontact"
    KLARNA = "klarna"
    SEPA_DEBIT = "sepa_debit"
    MULTIBANCO = "multibanco"
    KONBINI = "konbini"
    OXXO = "oxxo"


class Settlement(StrEnum):
    """When the money of a method is certain: at once, days after the customer agreed (a bank
    debit), or once the customer has paid a voucher."""

    AT_ONCE = "at_once"
    DEBIT = "debit"
    VOUCHER = "voucher"


@dataclass(frozen=True, slots=True)
class MethodFacts:
    """What is true of one method. Limits in minor units of its currencies.

    ``countries``: by currency, the countries whose customers may use it; empty means any.
    ``wait``: how long a payment takes that is on its way, in words for people.
    """

    label: str
    settlement: Settlement = Settlement.AT_ONCE
    currencies: frozenset[str] = frozenset()
    countries: Mapping[str, frozenset[str]] = field(default_factory=dict)
    least_minor: int = 0
    most_minor: int | None = None
    can_capture_later: bool = False
    wait: str = field(default_factory=lambda: lazy_gettext("this usually takes a few minutes"))


_EURO_AREA = frozenset(
    "AT BE CY DE EE ES FI FR GR HR IE IT LT LU LV MT NL PT SI SK".split(),
)
# https://docs.stripe.com/payments/klarna: only the customer's own currency.
_KLARNA = {
    "EUR": _EURO_AREA,
    **{
        currency: frozenset({country})
        for currency, country in (
            ("AUD", "AU"), ("CAD", "CA"), ("CHF", "CH"), ("CZK", "CZ"), ("DKK", "DK"),
            ("GBP", "GB"), ("NOK", "NO"), ("NZD", "NZ"), ("PLN", "PL"), ("RON", "RO"),
            ("SEK", "SE"), ("USD", "US"),
        )
    },
}  # fmt: skip
_EURO = frozenset({"EUR"})

# Manual capture: https://docs.stripe.com/payments/payment-methods/payment-method-support#additional-api-supportability
FACTS: Mapping[PaymentMethod, MethodFacts] = {
    PaymentMethod.CARD: MethodFacts(lazy_gettext("Card"), can_capture_later=True),
    # https://docs.stripe.com/payments/link
    PaymentMethod.LINK: MethodFacts("Link", can_capture_later=True),
    # https://docs.stripe.com/payments/ideal
    PaymentMethod.IDEAL: MethodFacts("iDEAL", currencies=_EURO),
    # https://docs.stripe.com/payments/bancontact
    PaymentMethod.BANCONTACT: MethodFacts("Bancontact", currencies=_EURO),
    PaymentMethod.KLARNA: MethodFacts(
        "Klarna", currencies=frozenset(_KLARNA), countries=_KLARNA, can_capture_later=True
    ),
    # https://docs.stripe.com/payments/sepa-debit: five working days as a rule, at most fourteen.
    PaymentMethod.SEPA_DEBIT: MethodFacts(
        "SEPA Direct Debit",
        Settlement.DEBIT,
        currencies=_EURO,
        wait=lazy_gettext("your bank needs 2 to 5 working days, rarely up to 14"),
    ),
    # https://docs.stripe.com/payments/multibanco: the bank transfer may take some days.
    PaymentMethod.MULTIBANCO: MethodFacts(
        "Multibanco",
        Settlement.VOUCHER,
        currencies=_EURO,
        most_minor=9_999_999,
        wait=lazy_gettext("your bank may need several days to confirm it"),
    ),
    # https://docs.stripe.com/payments/konbini: 120 to 300,000 yen.
    PaymentMethod.KONBINI: MethodFacts(
        "Konbini",
        Settlement.VOUCHER,
        currencies=frozenset({"JPY"}),
        least_minor=120,
        most_minor=300_000,
        wait=lazy_gettext("the store usually confirms it within minutes"),
    ),
    # https://docs.stripe.com/payments/oxxo: 10 to 10,000 pesos, confirmed by the next working day.
    PaymentMethod.OXXO: MethodFacts(
        "OXXO",
        Settlement.VOUCHER,
        currencies=frozenset({"MXN"}),
        least_minor=1_000,
        most_minor=1_000_000,
        wait=lazy_gettext("the store confirms it by the next working day"),
    ),
}

# Failures that Stripe has no sentence for. They are stored as they stand here.
CANCELLED = "The payment was cancelled."
NOT_ARRIVED = "The payment did not arrive."
_OWN_FAILURES: Mapping[str, str] = {
    CANCELLED: lazy_gettext("The payment was cancelled."),
    NOT_ARRIVED: lazy_gettext("The payment did not arrive."),
}
WALLET_METHODS = frozenset({PaymentMethod.CARD, PaymentMethod.LINK})
_enabled: tuple[PaymentMethod, ...] = (PaymentMethod.CARD,)


def configure(methods: Iterable[str]) -> None:
    """Set which methods the shop offers. Called once when a process starts.

    Raises ``ValueError`` for a kind that is none of ``PaymentMethod``.
    """
    global _enabled
    _enabled = tuple(PaymentMethod(name) for name in methods)


def enabled_methods() -> tuple[PaymentMethod, ...]:
    """Returns the methods that the shop offers, in the order of the setting."""
    return _enabled


def takes_wallets() -> bool:
    """Whether some method that the shop offers is one that wallets pay with."""
    return bool(set(_enabled) & set(WALLET_METHODS))


def offered_methods(
    methods: Iterable[PaymentMethod], total: Money, *, country: str, capture: str = "automatic"
) -> tuple[PaymentMethod, ...]:
    """Returns those of ``methods`` that can pay ``total``, in their order; possibly none.

    ``country``: ISO code of where the bill goes, or empty while nobody said so. ``capture``
    "manual" leaves out what Stripe cannot authorise first and capture later.
    """
    return tuple(method for method in methods if _fits(FACTS[method], total, country, capture))


def check_can_be_paid(total: Money, *, country: str, capture: str) -> None:
    """Raises ``Invalid`` when none of the shop's methods can pay this total."""
    if not total.amount_minor or offered_methods(_enabled, total, country=country, capture=capture):
        return
    names = ", ".join(str(FACTS[method].label) for method in _enabled)
    limits = [FACTS[method] for method in _enabled if total.currency in FACTS[method].currencies]
    least = min((facts.least_minor for facts in limits), default=0)
    most = max((facts.most_minor or 0 for facts in limits), default=0)
    if limits and 0 < total.amount_minor < least:
        raise Invalid(
            _(
                "The least that can be paid by %(methods)s is %(amount)s.",
                methods=names,
                amount=Money(least, total.currency),
            )
        )
    if limits and most and total.amount_minor > most:
        raise Invalid(
            _(
                "At most %(amount)s can be paid by %(methods)s.",
                methods=names,
                amount=Money(most, total.currency),
            )
        )
    raise Invalid(
        _("We take %(methods)s, which cannot pay for this order in your country.", methods=names)
    )


def facts_of(method: str) -> MethodFacts:
    """Returns what is true of a method in Stripe's words; of an unknown one, what its name says."""
    try:
        return FACTS[PaymentMethod(method)]
    except ValueError:
        return MethodFacts(method.replace("_", " ").capitalize() or _("Payment"))


def takes_days(method: str) -> bool:
    """Whether payments by this method arrive, or fail, days after the customer has agreed."""
    return facts_of(method).settlement is not Settlement.AT_ONCE


def is_voucher(method: str) -> bool:
    """Whether the customer gets a voucher by this method, to pay it elsewhere."""
    return facts_of(method).settlement is Settlement.VOUCHER


def failure_for_customer(reason: str) -> str:
    """Returns why a payment failed, in a sentence for its customer: Stripe words some reasons for
    programmers and some for merchants (https://docs.stripe.com/declines/codes)."""
    if "PaymentMethod" in reason:
        return _("Your bank did not confirm this payment.")
    if reason in _OWN_FAILURES:
        return str(_OWN_FAILURES[reason])
    said = re.sub(r"\b([Tt])he customer's\b", lambda m: "Your" if m[1] == "T" else "your", reason)
    return said if not said or said.endswith((".", "!")) else f"{said}."


def _fits(facts: MethodFacts, total: Money, country: str, capture: str) -> bool:
    if facts.currencies and total.currency not in facts.currencies:
        return False
    allowed = facts.countries.get(total.currency)
    if country and allowed is not None and country.upper() not in allowed:
        return False
    if capture == "manual" and not facts.can_capture_later:
        return False
    most = facts.most_minor
    return total.amount_minor >= facts.least_minor and (most is None or total.amount_minor <= most)
