"""The commands behind the published figures, in small: what they find must be nothing."""

import pytest

from tests.faults import measure
from tests.faults.rig import Rig

COUNTS = {
    "oversells": (64, 2_000),
    "double-charges": (8, 500),
    "refunds": (8, 500),
    "mails": (50, 2_000),
    "deadlocks": (100, 5_000),
}


@pytest.mark.parametrize("name", COUNTS)
def test_a_figure(rig: Rig, seed: int, is_long: bool, name: str) -> None:
    with rig.database(pool_size=40):
        figures = measure.MEASURES[name](rig, COUNTS[name][is_long], seed)

    print(figures)
    assert figures["wrong"] == []


@pytest.mark.faults
def test_lost_messages(rig: Rig, seed: int) -> None:
    with rig.database(pool_size=40):
        figures = measure.webhooks(rig, 500, seed)

    print(figures)
    assert figures["wrong"] == []
