"""Trouble while others work: kills, restarts and a flushed Redis, as a seed decides."""

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Self

from redis import Redis, RedisError

from tests.faults.rig import Rig


class Trouble:
    """Flushes Redis at its own pace; kills and restarts spread evenly over ``progress``."""

    def __init__(
        self,
        rig: Rig,
        *,
        seed: int,
        flush_every_s: float = 0.0,
        kills: int = 0,
        restarts: int = 0,
        victims: Sequence[str] = ("worker", "web"),
    ) -> None:
        self.done = Counter[str]()
        self._rig = rig
        self._chance = random.Random(seed)
        self._flush_every_s = flush_every_s
        plan = ["restart"] * restarts + [victims[n % len(victims)] for n in range(kills)]
        self._plan = self._chance.sample(plan, len(plan))
        self._steps = len(plan) + 1
        self._is_over = threading.Event()
        self._flusher = threading.Thread(target=self._flush)
        # One after the other: two restarts of Postgres at once would be neither.
        self._hand = ThreadPoolExecutor(1)
        self._caused: list[Future[None]] = []
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        if self._flush_every_s:
            self._flusher.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """No trouble outlives the work that it was for."""
        self._is_over.set()
        if self._flush_every_s:
            self._flusher.join()
        self._hand.shutdown()
        for each in self._caused:
            each.result()

    def progress(self, part: float) -> None:
        """So much of the work is done: cause what is due by now, without holding the work up."""
        while self._plan and part >= 1 - len(self._plan) / self._steps:
            self._caused.append(self._hand.submit(self._cause, self._plan.pop()))

    def took_longer_than(self, seconds: float) -> bool:
        """Whether it is time to give up waiting."""
        return time.monotonic() - self._began > seconds

    def _cause(self, what: str) -> None:
        time.sleep(self._chance.uniform(0, 0.5))
        if what == "restart":
            self._rig.restart_postgres()
            self.done["Postgres restarted"] += 1
        elif self._rig.kill(what, self._chance):
            self.done[f"{what} killed"] += 1

    def _flush(self) -> None:
        redis = Redis.from_url(self._rig.redis_url)
        while not self._is_over.wait(self._flush_every_s):
            with suppress(RedisError):
                redis.flushall()
                self.done["Redis flushed"] += 1
