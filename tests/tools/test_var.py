"""The folder of a development stack: one at a time, secrets for their owner only."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values

from tools import leftovers
from tools.errors import CannotStart
from tools.leftovers import Footprint
from tools.var import RunRecord, VarFolder


def test_second_stack_in_same_folder_is_refused(tmp_path: Path) -> None:
    first, second = VarFolder(tmp_path), VarFolder(tmp_path)

    with (
        first.lock(),
        pytest.raises(CannotStart, match=r"already running.*bin/dev --stop"),
        second.lock(),
    ):
        pass

    assert not first.is_locked()


def test_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    hold = (
        "import sys, time; from pathlib import Path; from tools.var import VarFolder;\n"
        "with VarFolder(Path(sys.argv[1])).lock(): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", hold, tmp_path], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    var = VarFolder(tmp_path)
    assert var.is_locked()

    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()

    assert not var.is_locked()


def test_a_secret_stays_the_same_and_is_private(tmp_path: Path) -> None:
    made = VarFolder(tmp_path).secret("webhook", prefix="whsec_")

    again = VarFolder(tmp_path).secret("webhook", prefix="whsec_")

    assert made == again
    assert made.startswith("whsec_")
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600


def test_settings_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    settings = {"DATABASE_URL": "postgresql://shop@/shop?host=%2Fvar%2Fpg", "BASE_URL": "http://x"}

    VarFolder(tmp_path).write_settings(settings)

    assert dotenv_values(tmp_path / "dev.env") == settings
    assert stat.S_IMODE((tmp_path / "dev.env").stat().st_mode) == 0o600


def test_only_very_process_that_was_noted_is_ended(tmp_path: Path) -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    noted = Footprint.of(sleeper.pid)
    assert noted is not None
    var = VarFolder(tmp_path)
    var.write_record(RunRecord(noted, (noted,), is_ready=True))
    same_pid_later = Footprint(sleeper.pid, noted.started + 100)

    assert leftovers.end([same_pid_later]) == 0
    assert sleeper.poll() is None

    record = var.read_record()
    assert record is not None
    assert leftovers.end(record.children) == 1
    assert sleeper.wait() == -signal.SIGTERM


def test_a_broken_record_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"supervisor": ')

    assert VarFolder(tmp_path).read_record() is None
