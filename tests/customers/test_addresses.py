"""Addresses follow their country: which fields, which postal codes, in which order."""

from typing import Any

import pytest

from shop.customers import InvalidAddress, address_lines, clean_address, country_names
from shop.customers.countries import country_rules

PERSON = {"name": "Ada Byrne", "line1": "1 Main Street"}


def cleaned(**fields: str) -> dict[str, str]:
    """What is kept, without what is empty and without the person."""
    kept = clean_address(PERSON | fields)
    return {name: value for name, value in kept.items() if value and name not in PERSON}


def faults(**fields: str) -> dict[str, str]:
    """What is refused, by field."""
    with pytest.raises(InvalidAddress) as refused:
        clean_address(PERSON | fields)
    return refused.value.errors


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"country": "IE", "city": "Dublin"}, {}),
        (
            {"country": "IE", "city": "Dublin", "postal_code": "d02 x285", "region": "dublin"},
            {"postal_code": "D02 X285", "region": "Co. Dublin"},
        ),
        ({"country": "HK", "city": "Hong Kong"}, {}),
        ({"country": "HK", "city": "Central"}, {"region": "Hong Kong Island"}),
        ({"country": "HK", "city": "Kowloon"}, {"region": "Kowloon"}),
        ({"country": "DE", "city": "Berlin", "postal_code": "D-10117"}, {"postal_code": "10117"}),
        ({"country": "LV", "city": "Riga", "postal_code": "1010"}, {"postal_code": "LV-1010"}),
        ({"country": "PL", "city": "Gdańsk", "postal_code": "80958"}, {"postal_code": "80-958"}),
        (
            {"country": "PT", "city": "Porto", "postal_code": "4050 262"},
            {"postal_code": "4050-262"},
        ),
        ({"country": "LU", "city": "Luxembourg", "postal_code": "L-1234"}, {"postal_code": "1234"}),
        ({"country": "NL", "city": "Delft", "postal_code": "2611ab"}, {"postal_code": "2611AB"}),
        (
            {"country": "US", "city": "Boston", "postal_code": "02108", "region": "massachusetts"},
            {"region": "MA"},
        ),
        ({"country": "US", "city": "Boston", "postal_code": "02108-1234"}, {"region": "MA"}),
        (
            {"country": "CA", "city": "Toronto", "postal_code": "m5v 3l9"},
            {"postal_code": "M5V 3L9", "region": "ON"},
        ),
        ({"country": "ES", "city": "Madrid", "postal_code": "28013"}, {"region": "Madrid"}),
        ({"country": "JP", "region": "tokyo", "postal_code": "100-0001"}, {"region": "Tokyo"}),
        ({"country": "JP", "region": "東京都", "postal_code": "1000001"}, {"region": "東京都"}),
        (  # as Japanese input methods type it
            {"country": "JP", "region": "Tokyo", "postal_code": "〒１００－０００１"},
            {"postal_code": "100-0001"},
        ),
        (
            {"country": "JP", "region": "Tokyo", "postal_code": "１００ー０００１"},
            {"postal_code": "100-0001"},
        ),
        (  # as wallets name regions: ISO 3166-2
            {"country": "IN", "city": "Mumbai", "postal_code": "400001", "region": "MH"},
            {"region": "Maharashtra"},
        ),
        (
            {"country": "MX", "city": "Guadalajara", "postal_code": "44100", "region": "JAL"},
            {"region": "Jal."},
        ),
        ({"country": "AE", "region": "DU"}, {"region": "Dubai"}),
    ],
)
def test_address_is_kept_by_country_rules(given: dict[str, str], kept: dict[str, str]) -> None:
    assert cleaned(**given) == given | kept


@pytest.mark.parametrize(
    ("given", "without"),
    [
        ({"country": "DE", "city": "Berlin", "postal_code": "10117", "region": "Berlin"}, "region"),
        ({"country": "HK", "city": "Hong Kong", "postal_code": "000000"}, "postal_code"),
        ({"country": "SG", "city": "Singapore", "postal_code": "546080"}, "city"),
    ],
)
def test_field_the_country_lacks_is_dropped(given: dict[str, str], without: str) -> None:
    assert without not in cleaned(**given)


@pytest.mark.parametrize(
    ("given", "field", "sentence"),
    [
        (
            {"country": "IE", "city": "Dublin", "postal_code": "!!"},
            "postal_code",
            "Enter an Eircode of this country, such as A65 F4E2.",
        ),
        ({"country": "IE", "city": "!!"}, "city", "Use letters or numbers."),
        ({"country": "IE"}, "city", "Enter a town or city."),
        (
            {"country": "IE", "city": "Dublin", "region": "Bavaria"},
            "region",
            "Choose a county of this country, such as Co. Carlow.",
        ),
        ({"country": "HK"}, "city", "Enter a district."),
        ({"country": "DE", "city": "Berlin"}, "postal_code", "Enter a postal code, such as 26133."),
        (
            {"country": "DE", "city": "Berlin", "postal_code": "1011"},
            "postal_code",
            "Enter a postal code of this country, such as 26133.",
        ),
        (
            {"country": "DE", "city": "Berlin", "postal_code": "١٠١١٧"},
            "postal_code",
            "Enter a postal code of this country, such as 26133.",
        ),
        (
            {"country": "GB", "city": "London", "postal_code": "GIR 0AA and more"},
            "postal_code",
            "Enter a postal code of this country, such as EC1Y 8SY.",
        ),
        ({"country": "US", "city": "Boston"}, "region", "Choose a state."),
        (
            {"country": "US", "city": "Boston", "region": "CA", "postal_code": "02108"},
            "postal_code",
            "This ZIP code is not in California. Check both.",
        ),
        (
            {"country": "JP", "region": "Tokyo"},
            "postal_code",
            "Enter a postal code, such as 154-0023.",
        ),
        (
            {"country": "KP", "city": "Town", "postal_code": "!!"},
            "postal_code",
            "Enter a postal code of this country.",
        ),
        (
            {"country": "DE", "city": "Berlin", "postal_code": "10117", "phone": "!!"},
            "phone",
            "Enter a phone number with digits, such as +353 1 234 5678.",
        ),
        ({"country": "XX", "city": "Town"}, "country", "We do not know this country."),
        ({"city": "Town"}, "country", "Choose a country."),
    ],
)
def test_address_fault_is_named_at_its_field(
    given: dict[str, str], field: str, sentence: str
) -> None:
    assert faults(**given)[field] == sentence


def test_cleaning_twice_changes_nothing_in_any_country() -> None:
    kept = 0
    for code in country_names():
        rules = country_rules(code)
        for region in (*(one.value for one in rules.regions), ""):
            given = PERSON | {"country": code, "city": "Town", "postal_code": rules.example}
            try:
                once = clean_address(given | {"region": region})
            except InvalidAddress as error:  # the example belongs to one region only
                assert error.errors.keys() <= {"postal_code", "region"}
                continue
            assert clean_address(once) == once
            kept += 1
    assert kept > len(country_names())


@pytest.mark.parametrize(
    ("stored", "written"),
    [
        (
            {"city": "Berlin", "postal_code": "10117", "country": "DE", "line2": "2. Hof"},
            ["Ada Byrne", "1 Main Street", "2. Hof", "10117 Berlin", "Germany"],
        ),
        (
            {"city": "Boston", "postal_code": "02108", "region": "MA", "country": "US"},
            ["Ada Byrne", "1 Main Street", "Boston, MA 02108", "United States"],
        ),
        (
            {"city": "Dublin", "region": "Co. Dublin", "postal_code": "D02 X285", "country": "IE"},
            ["Ada Byrne", "1 Main Street", "Dublin", "Co. Dublin", "D02 X285", "Ireland"],
        ),
        (
            {"city": "Chiyoda-ku", "region": "Tokyo", "postal_code": "100-0001", "country": "JP"},
            ["Ada Byrne", "1 Main Street", "Chiyoda-ku, Tokyo", "100-0001", "Japan"],
        ),
        (
            {
                "name": "山田",
                "line1": "千代田1-1",
                "region": "東京都",
                "postal_code": "100-0001",
                "country": "JP",
            },
            ["〒100-0001", "東京都", "千代田1-1", "山田", "Japan"],
        ),
        (  # stored before regions were known, and before they were dropped where there are none
            {"city": "Boston", "postal_code": "02108", "country": "US"},
            ["Ada Byrne", "1 Main Street", "Boston 02108", "United States"],
        ),
        (
            {"city": "Central", "postal_code": "000", "region": "HK", "country": "HK"},
            ["Ada Byrne", "1 Main Street", "Central", "HK", "000", "Hong Kong SAR China"],
        ),
        (
            {"city": "Town", "postal_code": "1", "region": "R", "country": "QQ"},
            ["Ada Byrne", "1 Main Street", "Town", "1", "R", "QQ"],
        ),
    ],
)
def test_stored_address_is_written_by_country(stored: dict[str, Any], written: list[str]) -> None:
    assert address_lines(PERSON | stored) == written


@pytest.mark.parametrize(
    ("stored", "line"),
    [
        ({"city": "Berlin", "postal_code": "10117", "country": "DE"}, "10117 BERLIN"),
        (
            {"city": "Boston", "postal_code": "02108", "region": "MA", "country": "US"},
            "BOSTON, MA 02108",
        ),
        ({"city": "Zürich", "postal_code": "8001", "country": "CH"}, "CH-8001 Zürich"),
    ],
)
def test_label_capitals_follow_the_country(stored: dict[str, Any], line: str) -> None:
    assert line in address_lines(PERSON | stored, for_label=True)


def test_form_fields_follow_the_country() -> None:
    assert country_rules("DE").rows[-1] == ("postal_code", "city")
    assert country_rules("US").rows[-1] == ("city", "region", "postal_code")
    assert country_rules("US").labels["postal_code"] == "ZIP code"
    assert "postal_code" not in country_rules("IE").required
    assert "postal_code" not in country_rules("HK").fields
    assert {one.value for one in country_rules("US").regions} >= {"CA", "NY", "TX"}
