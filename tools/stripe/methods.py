"""Payment methods other than cards: what each needs, and what Stripe's test values make of it.

Sources: https://docs.stripe.com/testing for the IBANs, the pages "Accept a payment" of each method
for the emails of vouchers, and for currencies
https://docs.stripe.com/payments/payment-methods/overview.
"""

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum

from tools.stripe.ledger import Json
from tools.stripe.params import Params
from tools.stripe.refusals import Invalid, Missing


class Family(StrEnum):
    """How a payment method gets to its end."""

    CARD = "card"
    DEBIT = "debit"
    REDIRECT = "redirect"
    VOUCHER = "voucher"


@dataclass(frozen=True)
class MethodType:
    """One type of payment method. ``needs``: billing details without which it is refused."""

    name: str
    title: str
    family: Family
    currencies: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    captures_manually: bool = False

    def takes(self, currency: str) -> bool:
        """Return whether one can pay in this currency with it."""
        return not self.currencies or currency in self.currencies


KLARNA_CURRENCIES = tuple("aud cad chf czk dkk eur gbp nok nzd pln ron sek usd".split())
TYPES = {
    kind.name: kind
    for kind in (
        MethodType("card", "Card", Family.CARD, captures_manually=True),
        MethodType("link", "Link", Family.CARD, needs=("email",), captures_manually=True),
        MethodType("sepa_debit", "SEPA Direct Debit", Family.DEBIT, ("eur",), ("name", "email")),
        MethodType("ideal", "iDEAL", Family.REDIRECT, ("eur",)),
        MethodType("bancontact", "Bancontact", Family.REDIRECT, ("eur",), ("name",)),
        MethodType(
            "klarna",
            "Klarna",
            Family.REDIRECT,
            KLARNA_CURRENCIES,
            ("email", "address[country]"),
            captures_manually=True,
        ),
        MethodType("multibanco", "Multibanco", Family.VOUCHER, ("eur",), ("email",)),
        MethodType("konbini", "Konbini", Family.VOUCHER, ("jpy",), ("name", "email")),
        MethodType("oxxo", "OXXO", Family.VOUCHER, ("mxn",), ("name", "email")),
    )
}
PAYABLE = tuple(TYPES)
# Only a US bank debit that was not sent to the bank yet can be canceled while it is processing, and
# it is not among these: https://docs.stripe.com/payments/ach-direct-debit
CANCELABLE_WHILE_PROCESSING: tuple[str, ...] = ()

IDEAL_BANKS = {
    "abn_amro": "ABNANL2A",
    "asn_bank": "ASNBNL21",
    "bunq": "BUNQNL2A",
    "ing": "INGBNL2A",
    "knab": "KNABNL2H",
    "n26": "NTSBDEB1",
    "rabobank": "RABONL2U",
    "regiobank": "RBRBNL21",
    "revolut": "REVOLT21",
    "sns_bank": "SNSBNL2A",
    "triodos_bank": "TRIONL2U",
    "van_lanschot": "FVLBNL22",
}

# Stripe's test IBANs by what they do; the same names end its test tokens, pm_sepaDebit_<name>_de.
IBANS = {
    "success": (
        "DE89370400440532013000 AT611904300234573201 BE62510007547061 "
        "FR1420041010050500013M02606 IE29AIBK93115212345678 NL39RABO0300065264 "
        "CH9300762011623852957 GB82WEST12345698765432"
    ),
    "successDelayed": (
        "DE08370400440532013003 AT321904300235473204 BE78510007547064 "
        "FR3020041010050500013M02609 IE24AIBK93115212345671"
    ),
    "failed": (
        "DE62370400440532013001 AT861904300235473202 BE68539007547034 "
        "FR8420041010050500013M02607 IE02AIBK93115212345679"
    ),
    "failedDelayed": (
        "DE78370400440532013004 AT051904300235473205 BE51510007547065 "
        "FR7920041010050500013M02600 IE94AIBK93115212345672"
    ),
    "disputed": (
        "DE35370400440532013002 AT591904300235473203 BE08510007547063 "
        "FR5720041010050500013M02608 IE51AIBK93115212345670"
    ),
    "exceedsWeeklyVolumeLimit": (
        "DE65370400440000343434 AT981904300000343434 BE90510000343434 "
        "FR9720041010050000000343434 IE10AIBK93115200343434"
    ),
    "exceedsWeeklyTransactionLimit": (
        "DE27370400440000121212 AT601904300000121212 BE52510000121212 "
        "FR5920041010050000000121212 IE69AIBK93115200121212"
    ),
    "insufficientFunds": (
        "DE65370400440002222227 AT981904300002222227 BE90510002222227 "
        "FR9720041010050000002222227 IE10AIBK93115202222227"
    ),
    "bankNotSupported": "DE91370400440000055555 AT271904300000055555 BE19510000055555",
    "debitsNotSupported": "DE18370400440000066666 AT511904300000066666 BE43510000066666",
}
BY_IBAN = {iban: name for name, ibans in IBANS.items() for iban in ibans.split()}
# https://docs.stripe.com/changelog/endive/2026-09-30/require-sepa-direct-debit-address-fields
EEA = (
    "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK"
).split()
UNDEBITABLE = {
    "bankNotSupported": (
        "sepa_debit_bank_not_supported",
        "The bank of this IBAN does not support SEPA Direct Debit.",
    ),
    "debitsNotSupported": (
        "sepa_debit_debits_not_supported",
        "This account cannot be debited by SEPA Direct Debit.",
    ),
}


def read(kind: MethodType, data: Params, billing: Json) -> tuple[Json, str]:
    """Return the part of a payment method that is its type's own, and its behaviour's name.

    Raises Invalid for details that are missing or wrong, as Stripe does on creation.
    """
    _require(data, billing, kind.needs)
    group = data.group(kind.name) or Params({}, data.name(kind.name))
    if kind.family is Family.DEBIT:
        own, behaviour = _read_iban(group)
        if own["country"] not in EEA:
            _require(data, billing, ("address[line1]", "address[country]"))
    elif kind.name == "link":
        # What the buyer has at Link stays there: https://docs.stripe.com/payments/link/link-payment-integrations
        own, behaviour = {"email": billing["email"], "persistent_token": None}, "works"
    elif kind.name == "ideal":
        bank = group.choice("bank", tuple(IDEAL_BANKS))
        own, behaviour = {"bank": bank, "bic": IDEAL_BANKS.get(bank or "")}, "redirect"
    elif kind.name == "klarna":
        group.raw("dob")
        own, behaviour = {"dob": None}, "redirect"
    else:
        own = {}
        is_voucher = kind.family is Family.VOUCHER
        behaviour = _by_email(billing["email"]) if is_voucher else "redirect"
    group.close()
    return own, behaviour


def _require(data: Params, billing: Json, names: tuple[str, ...]) -> None:
    for name in names:
        part, _, inner = name.partition("[")
        value = billing[part]
        if inner:
            value = value[inner.rstrip("]")]
        if not value:
            full = data.name("billing_details") + f"[{part}]" + (f"[{inner}" if inner else "")
            raise Invalid(f"Missing required param: {full}.", code="parameter_missing", param=full)


def test_debit(method_id: str, *, param: str) -> tuple[Json, str]:
    """Return what `read` does for one of Stripe's `pm_sepaDebit_…` names. Raises Missing."""
    found = re.fullmatch(r"pm_sepaDebit_([A-Za-z]+)_([a-z]{2})", method_id)
    ibans = IBANS.get(found[1], "").split() if found and found[1] not in UNDEBITABLE else []
    for iban in ibans:
        if found and iban.startswith(found[2].upper()):
            return _debit(iban), f"debit_{found[1]}"
    raise Missing("PaymentMethod", method_id, param=param)


def _read_iban(group: Params) -> tuple[Json, str]:
    iban = re.sub(r"\s", "", group.required("iban")).upper()
    if not re.fullmatch(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", iban) or not _passes_mod_97(iban):
        raise Invalid(
            "The IBAN you entered is invalid.", code="invalid_bank_account_iban", param="iban"
        )
    name = BY_IBAN.get(iban)
    if name is None:
        raise Invalid(
            "You must use a test bank account number in test mode. Try DE89370400440532013000.",
            code="bank_account_unusable",
            param="iban",
        )
    if name in UNDEBITABLE:
        code, message = UNDEBITABLE[name]
        raise Invalid(message, code=code, param="iban")
    return _debit(iban), f"debit_{name}"


def _debit(iban: str) -> Json:
    return {
        "bank_code": iban[4:12],
        "branch_code": "",
        "country": iban[:2],
        "fingerprint": hashlib.sha256(iban.encode()).hexdigest()[:16],
        "generated_from": {"charge": None, "setup_attempt": None},
        "last4": iban[-4:],
    }


def _passes_mod_97(iban: str) -> bool:
    turned = iban[4:] + iban[:4]
    return int("".join(str(int(char, 36)) for char in turned)) % 97 == 1


def _by_email(email: str) -> str:
    """Stripe's test emails decide when a voucher is paid; every other is paid in three minutes."""
    name = email.partition("@")[0]
    for ending in ("succeed_immediately", "expire_immediately", "expire_with_delay", "fill_never"):
        if name.endswith(ending):
            return f"voucher_{ending}"
    return "voucher_succeed"


def offered(
    wanted: list[str], *, currency: str, manual: bool, redirects: bool, excluded: list[str]
) -> list[str]:
    """Return the types out of those that are switched on with which an intent can be paid."""
    return [
        name
        for name in wanted
        if name not in excluded
        and TYPES[name].takes(currency)
        and (TYPES[name].captures_manually or not manual)
        and (redirects or TYPES[name].family is not Family.REDIRECT)
    ]


def refuse_types(types: list[str], *, currency: str, manual: bool) -> None:
    """Raise Invalid for an allowed type that the intent cannot have."""
    for name in types:
        kind = TYPES.get(name)
        if kind is None:
            raise Invalid(
                f"The payment method type provided: {name} is invalid. Please ensure the provided "
                "type is activated in your dashboard and your account is enabled for any preview "
                "features that you are trying to use. This stand-in knows "
                f"{', '.join(TYPES)}.",
                code="payment_intent_invalid_parameter",
                param="allowed_payment_method_types",
            )
        if not kind.takes(currency):
            raise Invalid(
                f"The currency provided ({currency}) is invalid for one or more of the payment "
                f"method types on this intent. {name} takes {', '.join(kind.currencies)}.",
                code="payment_intent_invalid_parameter",
                param="currency",
            )
        if manual and not kind.captures_manually:
            raise Invalid(
                f"The payment method type {name} does not support manual capture.",
                code="payment_intent_invalid_parameter",
                param="capture_method",
            )
