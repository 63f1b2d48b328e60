"""`bin/test` on a machine that lacks what the browser tests need: a copy of it among stand-ins."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.stack import PROJECT

INSTALLED = "installed"


class Machine:
    """A folder with `bin/test` and stand-ins for all that it starts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._put("bin/setup", "exit 0")
        self._put(".venv/bin/playwright", f"test -e {INSTALLED}")
        runs = 'case $* in *pytest*) echo "pytest runs" ;; *) echo . ;; esac'
        self._put(".venv/bin/python", runs)
        self._put("path/apt-get", f'case $1 in install) echo "$@" >>{INSTALLED} ;; esac')
        shutil.copy(PROJECT / "bin" / "test", folder / "bin" / "test")

    def run(self, *, user: int) -> subprocess.CompletedProcess[str]:
        """Run `bin/test` as somebody with this number; 0 is the administrator."""
        self._put("path/id", f"echo {user}")
        path = f"{self.folder / 'path'}:{os.environ['PATH']}"
        return subprocess.run(
            [self.folder / "bin" / "test"],
            env={"PATH": path},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def installed(self) -> str:
        """What `apt-get` was asked for."""
        note = self.folder / INSTALLED
        return note.read_text() if note.exists() else ""

    def _put(self, name: str, script: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_library_of_playwright_is_installed_once(machine: Machine) -> None:
    first = machine.run(user=0)
    again = machine.run(user=0)

    assert "pytest runs" in first.stdout
    assert "pytest runs" in again.stdout
    assert machine.installed().count("libatomic1") == 1


def test_missing_packages_are_named_without_root(machine: Machine) -> None:
    refused = machine.run(user=1000)

    assert refused.returncode == 1
    assert "sudo apt install libatomic1" in refused.stderr
    assert "pytest runs" not in refused.stdout
    assert machine.installed() == ""
