"""Every failpoint in turn: a process dies there, and what it was doing ends well by itself."""

import random
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from shop.core.db import session
from shop.core.failpoints import PLACES
from tests import cast as people
from tests.faults import books
from tests.faults.rig import Rig
from tests.faults.stories import Actors, reach, story_of
from tests.support.stack import eventually

AT_ONCE = 6
DIES_WITHIN_S = 90.0
# Lost is what nobody asks about for two minutes; then it is asked about once a minute.
ENDS_WELL_WITHIN_S = 200.0
IN_THE_RELAY = {
    "dispatch-events", "publish", "enqueue", "enqueue-overdue", "expire-order", "cancel-intent",
    "close-attempt", "seal-audit",
}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What became of one place: how long until it died and until all was well, or what is wrong."""

    place: str
    died_after_s: float = 0.0
    well_after_s: float = 0.0
    problem: str = ""


class Run:
    """One run over some places, in an order that ``seed`` decides."""

    def __init__(self, rig: Rig, *, seed: int) -> None:
        self._rig = rig
        self._chance = random.Random(seed)
        self._relay = threading.Lock()
        self._pot = people.product(f"Pot {seed}", stock=10_000)

    def over(self, places: Sequence[str] = PLACES) -> list[Outcome]:
        """Try each place once, a few at a time. Returns what became of each, in the given order."""
        shuffled = self._chance.sample(places, len(places))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = {one.place: one for one in map(_told, pool.map(self._try, shuffled))}
        return [found[place] for place in places]

    def _try(self, place: str) -> Outcome:
        in_the_relay = place.partition("-")[2] in IN_THE_RELAY
        try:
            if not in_the_relay:
                return self._die_and_recover(place)
            with self._relay:  # one death at a time, and not more than its supervisor forgives
                eventually(self._rig.relay_may_die, within_s=60, what="the relay is idle")
                self._rig.note_relay_death()
                return self._die_and_recover(place)
        except Exception as error:
            return Outcome(place, problem=repr(error))
        finally:
            session.remove()

    def _die_and_recover(self, place: str) -> Outcome:
        mark = self._rig.failpoints / place
        mark.touch()
        began = time.monotonic()
        who = Actors(self._rig, self._pot.id, self._pot.product_id, place)
        end = story_of(place)(who)
        eventually(lambda: not mark.exists(), within_s=DIES_WITHIN_S, what="somebody died there")
        died = time.monotonic()
        reach(end)
        return Outcome(place, died - began, time.monotonic() - died)


def _told(one: Outcome) -> Outcome:
    print(f"  {one.place:24} {one.died_after_s:6.1f} {one.well_after_s:6.1f}  {one.problem}")
    return one


def wait_until_idle(rig: Rig, *, skip_waits: bool = False) -> list[str]:
    """Wait until nothing is left to do. Returns what is wrong then.

    ``skip_waits``: what failed twice waits for a minute, then for five: do not wait with it.
    """
    deadline = time.monotonic() + ENDS_WELL_WITHIN_S
    while books.unfinished() and time.monotonic() < deadline:
        if skip_waits:
            books.skip_waits()
        time.sleep(0.2)
    wrong = books.wrong(rig.shop.stripe_url)
    while wrong and time.monotonic() < deadline:
        time.sleep(1)
        wrong = books.wrong(rig.shop.stripe_url)
    return wrong + books.unfinished_said()
