"""The process runner: what dies is started again, what cannot live is given up, nothing is left."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tools import runner as runner_module
from tools.errors import CannotStart
from tools.runner import Command, Runner


class Heard:
    """What a runner said, and a runner that says it."""

    def __init__(self, folder: Path, log: Path | None = None) -> None:
        self.sentences: list[str] = []
        self.lines: list[str] = []
        self.runner = Runner(
            environment=os.environ,
            folder=folder,
            log=lambda name: log or folder / f"{name}.log",
            say=self.sentences.append,
            echo=self.lines.append,
        )


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[Heard]:
    heard = Heard(tmp_path)
    yield heard
    heard.runner.stop()


def python(name: str, script: str) -> Command:
    return Command(name, [sys.executable, "-c", script])


def wait_for(condition: Callable[[], object], *, ticking: Runner | None = None) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        if ticking:
            ticking.tick()
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_output_goes_to_log_and_terminal_with_name(heard: Heard, tmp_path: Path) -> None:
    heard.runner.run(python("greeter", "print('good morning')"))

    assert (tmp_path / "greeter.log").read_text() == "good morning\n"
    assert heard.lines == ["greeter  | good morning"]


def test_program_that_dies_is_said_and_started_again(heard: Heard, tmp_path: Path) -> None:
    once = "import os, sys, time; print(os.getpid(), flush=True); first = not os.path.exists('x');"
    once += "open('x', 'w'); sys.exit(3) if first else time.sleep(60)"

    heard.runner.start(python("worker", once))
    wait_for(lambda: len(heard.lines) == 2, ticking=heard.runner)

    assert heard.sentences == ["worker ended with exit code 3; it is started again in 0.5 s."]


def test_program_that_keeps_dying_is_given_up(
    heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "FIRST_PAUSE", 0.01)
    heard.runner.start(python("relay", "import sys; print('no way'); sys.exit(1)"))

    with pytest.raises(CannotStart, match=r"relay ended 5 times(.|\n)*no way"):
        wait_for(lambda: False, ticking=heard.runner)

    assert len(heard.sentences) == 4


def test_a_failed_step_says_its_last_words(heard: Heard) -> None:
    with pytest.raises(CannotStart, match=r"init failed with exit code 2(.|\n)*table is missing"):
        heard.runner.run(python("init", "print('table is missing'); exit(2)"))


def test_step_without_disk_space_says_so(heard: Heard) -> None:
    complaint = "print('could not extend file: No space left on device'); exit(1)"

    with pytest.raises(
        CannotStart, match=r"^init failed with exit code 1: the disk is full\. Free"
    ):
        heard.runner.run(python("init", complaint))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full disk to try")
def test_full_disk_costs_log_lines_and_nothing_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    heard = Heard(tmp_path, log=Path("/dev/full"))

    heard.runner.run(python("greeter", "print('good morning ' * 10_000); print('good night')"))

    assert [line[-10:] for line in heard.lines] == ["od morning", "good night"]
    assert "Traceback" not in capfd.readouterr().err


def test_stopping_ends_child_processes_even_stubborn_ones(
    heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubborn = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "os.fork(); os.write(1, f'{os.getpid()}\\n'.encode()); time.sleep(60)"
    )
    monkeypatch.setattr(runner_module, "STOP_SECONDS", 1)
    heard.runner.start(python("web", stubborn))
    wait_for(lambda: len(heard.lines) == 2)
    pids = [int(line.rpartition(" ")[2]) for line in heard.lines]
    assert all(is_running(pid) for pid in pids)

    heard.runner.stop()

    wait_for(lambda: not any(is_running(pid) for pid in pids))


def test_a_dead_server_is_started_again(heard: Heard) -> None:
    class Server:
        name = "valkey"
        pid = None
        starts = 0

        def start(self) -> str:
            self.starts += 1
            return "redis://"

        def stop(self) -> None:
            """Nothing to stop."""

        def is_alive(self) -> bool:
            return self.starts > 0

    server = Server()
    heard.runner.watch(server)

    wait_for(lambda: server.starts, ticking=heard.runner)

    assert heard.sentences == ["valkey ended unexpectedly; it is started again in 0.5 s."]


def test_what_the_others_call_stops_after_them(heard: Heard) -> None:
    last_word = (
        "import signal, sys, time\n"
        "def end(*_): time.sleep(0.3); print('ended', flush=True); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end); print('up', flush=True); time.sleep(60)"
    )
    stand_in = python("stripe", last_word)
    heard.runner.start(Command(stand_in.name, stand_in.argv, stops_last=True))
    heard.runner.start(python("worker", last_word))
    wait_for(lambda: len(heard.lines) == 2)

    heard.runner.stop()

    assert heard.lines[2:] == ["worker   | ended", "stripe   | ended"]
