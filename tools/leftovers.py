"""Processes that an earlier, killed run may have left behind.

A pid alone proves nothing: the system gives it to somebody else after a while. So each pid is kept
together with the moment its process started, and only a process with both is ended.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Footprint:
    """One process, distinguished from a later one with the same pid."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> "Footprint | None":
        """The footprint of a running process, or None when it is gone already."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.Error:
            return None

    def is_alive(self) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        try:
            process = psutil.Process(self.pid)
            # The start time is derived from the boot time, which may wander by a clock tick.
            same: bool = abs(process.create_time() - self.started) < 1
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


def end(footprints: Iterable[Footprint], *, patience: float = 5.0) -> int:
    """End these processes with their groups, politely first, and say how many were still alive."""
    alive = [footprint for footprint in footprints if footprint.is_alive()]
    signal_groups(alive, signal.SIGTERM)
    deadline = time.monotonic() + patience
    while any(footprint.is_alive() for footprint in alive) and time.monotonic() < deadline:
        time.sleep(0.05)
    signal_groups([footprint for footprint in alive if footprint.is_alive()], signal.SIGKILL)
    return len(alive)


def signal_groups(footprints: Iterable[Footprint], number: signal.Signals) -> None:
    """Send a signal to the process group that each process leads, or to the process alone."""
    for footprint in footprints:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(footprint.pid) == footprint.pid:
                os.killpg(footprint.pid, number)
            else:
                os.kill(footprint.pid, number)
