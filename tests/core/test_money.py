"""Typed money: one strict parser, and every place that takes text uses it."""

from collections.abc import Iterator

import pytest

from shop.core import money
from shop.core.money import AmountError, format_typed, parse_amount


@pytest.fixture(autouse=True)
def _default_locale() -> Iterator[None]:
    yield
    money.configure("en_IE")


@pytest.mark.parametrize(
    ("typed", "currency", "minor"),
    [
        ("12.50", "EUR", 1250),
        ("12,50", "EUR", 1250),
        ("12,5", "EUR", 1250),
        ("12", "EUR", 1200),
        (" 12.50 ", "EUR", 1250),
        (".5", "EUR", 50),
        ("0.05", "EUR", 5),
        ("0", "EUR", 0),
        ("1250", "EUR", 125000),
        ("1,250.00", "EUR", 125000),
        ("1.250,00", "EUR", 125000),
        ("1.250,5", "EUR", 125050),
        ("1 250,00", "EUR", 125000),
        ("1\u00a0250,00", "EUR", 125000),
        ("1\u202f250", "EUR", 125000),
        ("1'250.00", "EUR", 125000),
        ("1’250.00", "EUR", 125000),
        ("1,250,000", "EUR", 125000000),
        ("1.250.000", "EUR", 125000000),
        ("€12.50", "EUR", 1250),
        ("12,50 €", "EUR", 1250),
        ("EUR 12.50", "EUR", 1250),
        ("12.50eur", "EUR", 1250),
        ("１２．５０", "EUR", 1250),
        ("١٢٫٥٠", "EUR", 1250),
        ("12000", "JPY", 12000),
        ("12 000", "JPY", 12000),
        ("1,250,000", "JPY", 1250000),
        ("1.250", "KWD", 1250),
        ("12.5", "KWD", 12500),
        ("1,250.500", "KWD", 1250500),
        ("21474836.47", "EUR", 2**31 - 1),
    ],
)
def test_parser_reads_unambiguous_amounts(typed: str, currency: str, minor: int) -> None:
    assert parse_amount(typed, currency) == minor


@pytest.mark.parametrize(
    ("typed", "currency", "sentence"),
    [
        ("1.250", "EUR", "“1.250” can be read in two ways. Write 1250.00 or 1,250.00."),
        ("1,250", "EUR", "“1,250” can be read in two ways. Write 1250.00 or 1,250.00."),
        ("12,000", "JPY", "“12,000” can be read in two ways. Write 12000."),
        ("1.000", "JPY", "“1.000” can be read in two ways. Write 1000."),
        ("1,250", "KWD", "“1,250” can be read in two ways. Write 1250.000."),
        ("1.255", "EUR", "“1.255” can be read in two ways. Write 1255.00 or 1,255.00."),
        ("12.5000", "EUR", "EUR has at most 2 digits after the separator."),
        ("1,250.555", "EUR", "EUR has at most 2 digits after the separator."),
        ("0.505", "EUR", "EUR has at most 2 digits after the separator."),
        ("12.50", "JPY", "JPY has no decimals. Write 1250."),
        ("12,5", "JPY", "JPY has no decimals. Write 1250."),
        ("12.5055", "KWD", "KWD has at most 3 digits after the separator."),
        ("-5", "EUR", "An amount cannot be below zero."),
        ("−5.00", "EUR", "An amount cannot be below zero."),
        ("- 5", "EUR", "is not an amount"),
        ("5-", "EUR", "is not an amount"),
        ("+5", "EUR", "is not an amount"),
        ("(5)", "EUR", "is not an amount"),
        ("1e3", "EUR", "is not an amount"),
        ("1_000", "EUR", "is not an amount"),
        ("0x10", "EUR", "is not an amount"),
        ("NaN", "EUR", "is not an amount"),
        ("Infinity", "EUR", "is not an amount"),
        ("∞", "EUR", "is not an amount"),
        ("5²", "EUR", "is not an amount"),
        ("½", "EUR", "is not an amount"),
        ("5.", "EUR", "is not an amount"),
        (".", "EUR", "is not an amount"),
        ("", "EUR", "An amount is missing."),
        ("   ", "EUR", "An amount is missing."),
        ("€", "EUR", "is not an amount"),
        ("$5", "EUR", "is not an amount"),
        ("5 USD", "EUR", "is not an amount"),
        ("12 50", "EUR", "is not an amount"),
        ("12,50,00", "EUR", "is not an amount"),
        ("1.25.00", "EUR", "is not an amount"),
        ("1,25.00", "EUR", "is not an amount"),
        ("1,250.00.00", "EUR", "is not an amount"),
        ("1 250'000", "EUR", "is not an amount"),
        ("1٢.50", "EUR", "is not an amount"),
        ("12..50", "EUR", "is not an amount"),
        ("1\n2", "EUR", "is not an amount"),
        ("12\x0050", "EUR", "is not an amount"),
        ("21474836.48", "EUR", "The highest amount possible is €21,474,836.47."),
        ("9" * 30, "EUR", "The highest amount possible is"),
        ("9" * 100_000, "EUR", "is not an amount"),
    ],
)
def test_parser_refuses_with_an_example(typed: str, currency: str, sentence: str) -> None:
    with pytest.raises(AmountError) as refused:
        parse_amount(typed, currency)
    assert sentence in str(refused.value)
    if "highest" not in sentence:
        assert "Write " in str(refused.value)


@pytest.mark.parametrize(
    ("locale", "typed", "currency", "minor"),
    [
        ("de_DE", "12,50", "EUR", 1250),
        ("de_DE", "12.50", "EUR", 1250),
        ("de_DE", "1.250,00", "EUR", 125000),
        ("de_DE", "1,250", "KWD", 1250),
        ("en_IN", "1,00,000.00", "INR", 10000000),
        ("en_IN", "100,000.00", "INR", 10000000),
        ("de_CH", "1’250.00", "CHF", 125000),
    ],
)
def test_parser_follows_number_locale(locale: str, typed: str, currency: str, minor: int) -> None:
    money.configure(locale)
    assert parse_amount(typed, currency) == minor


def test_example_follows_number_locale() -> None:
    money.configure("de_DE")
    for typed in ("1.250", "1,250"):
        with pytest.raises(AmountError, match=r"Write 1250,00 or 1\.250,00\."):
            parse_amount(typed, "EUR")
    with pytest.raises(AmountError, match=r"Write 1250,000\."):
        parse_amount("1.250", "KWD")


@pytest.mark.parametrize("locale", ["en_IE", "de_DE", "de_CH", "fr_FR", "en_IN", "ja_JP", "ar"])
@pytest.mark.parametrize("currency", ["EUR", "JPY", "KWD"])
@pytest.mark.parametrize("minor", [0, 5, 1250, 1250000, 2**31 - 1])
def test_form_value_is_read_back(locale: str, currency: str, minor: int) -> None:
    money.configure(locale)
    assert parse_amount(format_typed(minor, currency), currency) == minor


@pytest.mark.parametrize("locale", ["en_IE", "de_DE", "de_CH", "en_IN"])
@pytest.mark.parametrize("minor", [5, 1250, 125050, 12505000])
def test_shown_amount_can_be_typed(locale: str, minor: int) -> None:
    money.configure(locale)
    assert parse_amount(str(money.Money(minor, "EUR")), "EUR") == minor
