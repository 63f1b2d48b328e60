"""Where customers follow a shipment."""

import pytest

from shop import orders
from shop.orders.carriers import tracking_page


@pytest.mark.parametrize("carrier", [one.name for one in orders.CARRIERS])
def test_every_known_carrier_has_a_page_for_a_number(carrier: str) -> None:
    page = tracking_page(f" {carrier.lower()} ", "AB 12/3#")

    assert page.startswith("https://")
    assert "AB12%2F3%23" in page


@pytest.mark.parametrize(
    ("carrier", "number"), [("Uncle Bob", "12"), ("", "12"), ("DHL", ""), ("DHL", "  ")]
)
def test_unknown_carriers_and_missing_numbers_have_none(carrier: str, number: str) -> None:
    assert tracking_page(carrier, number) == ""


@pytest.mark.parametrize(
    ("written", "meant"),
    [("post nl", "PostNL"), ("ÖSTERREICHISCHE POST", "Austrian Post"), ("Colissimo", "La Poste")],
)
def test_a_carrier_is_known_by_its_other_names(written: str, meant: str) -> None:
    assert tracking_page(written, "1") == tracking_page(meant, "1") != ""
