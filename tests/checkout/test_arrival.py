"""When a shipment should arrive, by the shop's clock and its cut-off."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from shop import checkout

WAY = checkout.ShippingOption("post", "Post", 490, None, min_days=1, max_days=2)
THURSDAY = datetime(2026, 3, 5, 12, 30, tzinfo=UTC)  # 13:30 in Berlin, 7:30 in New York


@pytest.fixture
def usual() -> Iterator[checkout.Terms]:
    """The terms of sale, put back afterwards."""
    before = checkout.terms()
    yield before
    checkout.configure(before)


@pytest.mark.parametrize(
    ("zone", "hour", "arrives"),
    [
        ("Europe/Berlin", 14, (6, 9)),
        ("Europe/Berlin", 13, (9, 10)),
        ("America/New_York", 8, (6, 9)),
        ("America/New_York", 0, (9, 10)),
        ("Europe/Berlin", 24, (6, 9)),
    ],
)
def test_order_after_cut_off_leaves_next_working_day(
    usual: checkout.Terms, zone: str, hour: int, arrives: tuple[int, int]
) -> None:
    checkout.configure(replace(usual, zone=ZoneInfo(zone), cut_off_hour=hour))

    first, last = arrives
    assert WAY.arrives(THURSDAY) == (date(2026, 3, first), date(2026, 3, last))
