"""Servers and lines misbehave while people buy. Whatever it was, afterwards everything adds up."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from redis import Redis

from tests import cast as people
from tests.faults.buyers import Errand, crowd
from tests.faults.failpoints import wait_until_idle
from tests.faults.mailserver import Manners
from tests.faults.rig import Rig


@pytest.fixture
def buyers(is_long: bool) -> int:
    """How many buy while it is bad."""
    return 200 if is_long else 16


@pytest.fixture
def chance(seed: int, request: pytest.FixtureRequest) -> random.Random:
    """What decides when and whom it meets."""
    return random.Random(f"{seed}-{request.node.name}")


@contextmanager
def meanwhile(trouble: Callable[[], None], *, most: int = 1_000) -> Iterator[None]:
    """Cause trouble again and again until the block is over, at least once."""
    is_over = threading.Event()

    def repeat() -> None:
        for _ in range(most):
            trouble()
            if is_over.is_set():
                return

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def everybody_buys(rig: Rig, number: int, name: str) -> None:
    """Each of them gets one, however long it takes."""
    pot = people.product(f"{name} pot", stock=number)
    errand = Errand(rig.shop.base_url, rig.shop.stripe_url, pot.id)
    results = crowd(errand, processes=2, threads=number // 2, name=name)
    assert Counter(code for code, _ in results) == {"paid": number}


@pytest.mark.faults
def test_random_kills(rig: Rig, buyers: int, chance: random.Random) -> None:
    def kill() -> None:
        rig.kill(chance.choice(["web", "worker", "relay"]), chance)
        time.sleep(chance.uniform(1, 3))

    with rig.database():
        with meanwhile(kill):
            everybody_buys(rig, buyers, "killed")
        assert wait_until_idle(rig) == []


def test_postgres_restarts_at_once(rig: Rig, buyers: int, chance: random.Random) -> None:
    def restart() -> None:
        time.sleep(chance.uniform(1, 3))
        rig.restart_postgres()
        time.sleep(chance.uniform(3, 6))

    with rig.database():
        with meanwhile(restart, most=3):
            everybody_buys(rig, buyers, "restarted")
        assert wait_until_idle(rig) == []


def test_redis_hangs(rig: Rig, buyers: int) -> None:
    with rig.database():
        with rig.hanging_redis():
            everybody_buys(rig, buyers, "hung")
        assert wait_until_idle(rig) == []


@pytest.mark.faults
def test_redis_is_gone_and_comes_back_empty(rig: Rig, buyers: int) -> None:
    with rig.database():
        rig.stop_redis()
        try:
            everybody_buys(rig, buyers, "gone")
        finally:
            rig.start_redis()
        assert wait_until_idle(rig) == []


@pytest.mark.faults
def test_redis_is_flushed_again_and_again(rig: Rig, buyers: int, chance: random.Random) -> None:
    def flush() -> None:
        with Redis.from_url(rig.redis_url) as redis:
            redis.flushall()
        time.sleep(chance.uniform(0.1, 2))

    with rig.database(), meanwhile(flush):
        everybody_buys(rig, buyers, "flushed")
        assert wait_until_idle(rig) == []


def test_the_answers_to_commits_are_lost(rig: Rig, buyers: int) -> None:
    before = rig.database_line.swallowed

    with rig.database():
        rig.database_line.swallow = 0.05
        try:
            everybody_buys(rig, buyers, "swallowed")
        finally:
            rig.database_line.heal()
        assert rig.database_line.swallowed > before
        assert wait_until_idle(rig) == []


@pytest.mark.faults
def test_the_line_to_postgres_is_slow_and_cut(rig: Rig, buyers: int, chance: random.Random) -> None:
    def cut() -> None:
        rig.database_line.latency_s = chance.choice([0.0, 0.002, 0.01])
        time.sleep(chance.uniform(0.5, 3))
        rig.database_line.cut()

    with rig.database():
        with meanwhile(cut):
            everybody_buys(rig, buyers, "cut")
        rig.database_line.heal()
        assert wait_until_idle(rig) == []


@pytest.mark.faults
def test_the_line_to_redis_is_slow(rig: Rig, buyers: int) -> None:
    with rig.database():
        rig.redis_line.latency_s = 0.5
        try:
            everybody_buys(rig, buyers, "slowed")
        finally:
            rig.redis_line.heal()
        assert wait_until_idle(rig) == []


def test_the_mail_server_refuses_and_hangs_up(rig: Rig, buyers: int) -> None:
    with rig.database():
        rig.mail.manners = Manners(refuse=0.2, refuse_later=0.1, hang_up=0.1)
        try:
            everybody_buys(rig, buyers, "refused")
        finally:
            rig.mail.manners = Manners()
        assert wait_until_idle(rig, skip_waits=True) == []
        assert rig.mail.doubled() == {}


@pytest.mark.faults
def test_the_mail_server_is_gone(rig: Rig, buyers: int) -> None:
    with rig.database():
        rig.mail.stop()
        try:
            everybody_buys(rig, buyers, "unmailed")
        finally:
            rig.mail.start()
        assert wait_until_idle(rig, skip_waits=True) == []


@pytest.mark.faults
def test_slow_mail_server_gets_each_email_once(rig: Rig) -> None:
    """Each of its answers takes so long that they add up to more than a reaction's lease."""
    with rig.database():
        rig.mail.manners = Manners(slow=1.0, pause_s=17)
        try:
            everybody_buys(rig, 4, "dawdled")
            time.sleep(150)
        finally:
            rig.mail.manners = Manners()
        assert wait_until_idle(rig, skip_waits=True) == []
        assert rig.mail.doubled() == {}
