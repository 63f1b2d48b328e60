"""A process dies before or after every step that matters; no money is orphaned, no order stuck."""

import random

from shop.core.failpoints import PLACES
from tests.faults.failpoints import IN_THE_RELAY, Run, wait_until_idle
from tests.faults.rig import Rig

SHORT = 6


def test_a_process_that_dies_anywhere_leaves_nothing_wrong(
    rig: Rig, seed: int, is_long: bool
) -> None:
    quick = [place for place in PLACES if place.partition("-")[2] not in IN_THE_RELAY]
    places = PLACES if is_long else random.Random(seed).sample(quick, SHORT)

    with rig.database(pool_size=20):
        outcomes = Run(rig, seed=seed).over(places)

        assert [one for one in outcomes if one.problem] == []
        assert wait_until_idle(rig) == []
