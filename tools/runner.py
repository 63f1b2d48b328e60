"""Runs several programs side by side: logs, restarts with back-off, one clean end.

Each program leads a process group of its own, so that Ctrl-C reaches this process alone, which then
stops all in order.
"""

import contextlib
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools import leftovers
from tools.errors import CannotStart, failure
from tools.leftovers import Footprint
from tools.servers import Server

QUICK_SECONDS = 30
MAX_QUICK_DEATHS = 5
FIRST_PAUSE = 0.5
STOP_SECONDS = 15
TAIL_LINES = 15

Say = Callable[[str], None]


@dataclass(frozen=True)
class Command:
    """One program of the stack."""

    name: str
    argv: Sequence[str]
    # The others call it until their end, so it stops after them.
    stops_last: bool = False


@dataclass
class _Watched:
    """Something that runs, dies, and is started again."""

    name: str
    start: Callable[[], None]
    is_alive: Callable[[], bool]
    describe_end: Callable[[], str]
    started_at: float = 0.0
    quick_deaths: int = 0
    start_again_at: float | None = None


@dataclass
class _Child:
    """A running program with the thread that copies its words."""

    command: Command
    process: subprocess.Popen[str]
    footprint: Footprint | None
    last_words: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    copier: threading.Thread | None = None

    def finish_copying(self) -> None:
        """Wait for the rest of its words, not long: a child of its own may keep the pipe open."""
        if self.copier:
            self.copier.join(1)


class Runner:
    """Starts programs, keeps them running, stops them."""

    def __init__(
        self,
        *,
        environment: Mapping[str, str],
        folder: Path,
        log: Callable[[str], Path],
        say: Say,
        echo: Say,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Describe how programs run; nothing is started yet.

        environment: settings of every program. folder: where they run. log: a name's log file.
        say: takes our sentences. echo: takes the programs' lines.
        pause: sleeps, or raises to end a wait.
        """
        self._environment = dict(environment)
        self._folder = folder
        self._log = log
        self._say = say
        self._echo = echo
        self._pause = pause
        self._children: dict[str, _Child] = {}
        self._watched: list[_Watched] = []

    @property
    def footprints(self) -> tuple[Footprint, ...]:
        """The programs that were started, to be ended should this process be killed."""
        return tuple(child.footprint for child in self._children.values() if child.footprint)

    def start(self, command: Command) -> None:
        """Start a program and keep it running from now on."""
        watched = _Watched(
            name=command.name,
            start=lambda: self._launch(command),
            is_alive=lambda: self._children[command.name].process.poll() is None,
            describe_end=lambda: _describe(self._children[command.name].process.returncode),
        )
        self._begin(watched)

    def watch(self, server: Server) -> None:
        """Keep an embedded server running that was started already."""

        def start() -> None:
            server.start()

        self._watched.append(
            _Watched(
                server.name,
                start,
                server.is_alive,
                lambda: "unexpectedly",
                started_at=time.monotonic(),
            )
        )

    def run(self, command: Command) -> None:
        """Run a program to its end; raises `CannotStart` with its last words when it fails."""
        self._launch(command)
        child = self._children[command.name]
        while (code := child.process.poll()) is None:
            self._pause(0.05)
        if code != 0:
            what = f"{command.name} failed {_describe(code)}"
            raise CannotStart(failure(what, self._tail(command.name)))
        child.finish_copying()
        del self._children[command.name]

    def tick(self) -> bool:
        """Look after everything once, and say whether something was started.

        Raises `CannotStart` when a program died too often, with its last words.
        """
        started = False
        now = time.monotonic()
        for watched in self._watched:
            if watched.start_again_at is not None:
                if now >= watched.start_again_at:
                    self._begin(watched, again=True)
                    started = True
            elif not watched.is_alive():
                self._plan_restart(watched, now)
        return started

    def stop(self) -> None:
        """Stop every program and wait for it; watched servers are left to their owner."""
        self._watched.clear()
        for is_last in (False, True):
            self._stop([c for c in self._children.values() if c.command.stops_last is is_last])
        self._children.clear()

    def _stop(self, children: list[_Child]) -> None:
        alive = [child for child in children if child.process.poll() is None]
        leaders = [child.footprint for child in alive if child.footprint]
        leftovers.signal_groups(leaders, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for child in alive:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.1, deadline - time.monotonic()))
        leftovers.signal_groups(leaders, signal.SIGKILL)
        for child in alive:
            child.process.wait()
            child.finish_copying()

    def _begin(self, watched: _Watched, *, again: bool = False) -> None:
        watched.start_again_at = None
        watched.started_at = time.monotonic()
        watched.start()
        if not again:
            self._watched.append(watched)

    def _plan_restart(self, watched: _Watched, now: float) -> None:
        if now - watched.started_at >= QUICK_SECONDS:
            watched.quick_deaths = 0
        watched.quick_deaths += 1
        if watched.quick_deaths >= MAX_QUICK_DEATHS:
            what = f"{watched.name} ended {watched.quick_deaths} times shortly after its start, "
            raise CannotStart(failure(what + "so it is given up", self._tail(watched.name)))
        pause = FIRST_PAUSE * 2 ** (watched.quick_deaths - 1)
        self._say(
            f"{watched.name} ended {watched.describe_end()}; it is started again in {pause:g} s."
        )
        watched.start_again_at = now + pause

    def _launch(self, command: Command) -> None:
        process = subprocess.Popen(
            command.argv,
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        child = _Child(command, process, Footprint.of(process.pid))
        child.copier = threading.Thread(target=self._copy, args=(command.name, child), daemon=True)
        child.copier.start()
        self._children[command.name] = child

    def _copy(self, name: str, child: _Child) -> None:
        """Copy what a program says into its log and onto the terminal, until it ends."""
        assert child.process.stdout is not None
        # Unbuffered: what a full disk does not take is not tried again when the log is closed.
        with self._log(name).open("ab", buffering=0) as log, child.process.stdout as words:
            for line in words:
                child.last_words.append(line.rstrip())
                # A full disk must not block the program on a pipe that nobody empties.
                with contextlib.suppress(OSError):
                    log.write(line.encode())
                self._echo(f"{name:<9}| {line.rstrip()}")

    def _tail(self, name: str) -> str:
        child = self._children.get(name)
        if child:
            child.finish_copying()
            return "\n".join(child.last_words)
        return "\n".join(self._log(name).read_text(errors="replace").splitlines()[-TAIL_LINES:])


def _describe(code: int | None) -> str:
    if code is not None and code < 0:
        return f"by {signal.Signals(-code).name}"
    return f"with exit code {code}"
