"""The folder of one development stack: data, logs, secrets, and who is running in it.

Promises: one stack at a time; files with secrets are readable by their owner only, and never half
written.
"""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from tools.errors import CannotStart
from tools.leftovers import Footprint

MAX_LOG_BYTES = 5_000_000


@dataclass(frozen=True)
class RunRecord:
    """What runs in the folder, written at once, so that the next run tidies up a killed one."""

    supervisor: Footprint
    children: tuple[Footprint, ...]
    is_ready: bool


class VarFolder:
    """One development stack's folder, made when missing."""

    def __init__(self, path: Path) -> None:
        """path: `var`, or what SHOP_VAR names. Raises `CannotStart` when it cannot be written."""
        self.path = path.absolute()
        self.logs = self.path / "log"
        try:
            # Postgres may have to pass as another user, who must not look around.
            self.path.mkdir(parents=True, exist_ok=True)
            self.path.chmod(0o711)
            self.logs.mkdir(exist_ok=True, mode=0o700)
        except (PermissionError, FileExistsError, NotADirectoryError) as error:
            raise CannotStart(
                f"{self.path} cannot be used ({error.strerror}). Mend that, "
                "or name another folder in SHOP_VAR."
            ) from None

    def open_log(self, name: str) -> Path:
        """The log file of one process; a large one is put aside first, keeping one older."""
        log = self.logs / f"{name}.log"
        if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        log.touch(mode=0o600)
        return log

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder for one stack; the system lets go of it however the process dies.

        Raises `CannotStart` when another stack runs here.
        """
        with self._lock_file() as file:
            if not _try_lock(file):
                record = self.read_record()
                who = f" (process {record.supervisor.pid})" if record else ""
                raise CannotStart(
                    f"A shop is already running in {self.path}{who}. Stop it with bin/dev --stop, "
                    "or run a second one: SHOP_VAR=<another folder> bin/dev --port <another port>"
                )
            yield

    def is_locked(self) -> bool:
        """Whether a stack runs here."""
        with self._lock_file() as file:
            return not _try_lock(file)

    def clear(self) -> None:
        """Delete all but the lock and the logs. Embedded servers remove their own data."""
        for entry in self.path.iterdir():
            if entry == self.logs or entry.name == "dev.lock":
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def secret(self, name: str, *, prefix: str = "") -> str:
        """A random secret, made on first use and the same from then on."""
        path = self.path / "secrets.json"
        known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        if name not in known:
            known[name] = prefix + secrets.token_hex(24)
            self.write_private("secrets.json", json.dumps(known, indent=2) + "\n")
        return known[name]

    def write_private(self, name: str, text: str) -> None:
        """Replace a file that only its owner may read, at once or not at all."""
        handle, side = tempfile.mkstemp(prefix=f".{name}.", dir=self.path)
        try:
            with open(handle, "w") as file:
                file.write(text)
                file.flush()
                os.fsync(handle)
            os.replace(side, self.path / name)
        except BaseException:
            os.unlink(side)
            raise

    def write_settings(self, settings: Mapping[str, str]) -> None:
        """Write `dev.env`, by which a `flask shop …` in a second terminal finds this stack."""
        lines = [f"{name}='{value}'\n" for name, value in settings.items()]
        head = (
            "# Written by bin/dev at each start. Your own settings go into .env in the project.\n"
        )
        self.write_private("dev.env", head + "".join(lines))

    def write_record(self, record: RunRecord) -> None:
        """Remember what runs here."""
        content = {
            "supervisor": vars(record.supervisor),
            "children": [vars(child) for child in record.children],
            "is_ready": record.is_ready,
        }
        self.write_private("run.json", json.dumps(content, indent=2) + "\n")

    def read_record(self) -> RunRecord | None:
        """What ran here last, or None."""
        try:
            content = json.loads((self.path / "run.json").read_text())
            return RunRecord(
                supervisor=Footprint(**content["supervisor"]),
                children=tuple(Footprint(**child) for child in content["children"]),
                is_ready=content["is_ready"],
            )
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def delete_record(self) -> None:
        """After a clean stop nothing is left to tidy up."""
        (self.path / "run.json").unlink(missing_ok=True)

    def read_owner(self) -> dict[str, str] | None:
        """The first owner's sign-in, as `flask shop init` left it; None when there is none."""
        try:
            owner: dict[str, str] = json.loads((self.path / "owner.json").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return owner

    def _lock_file(self) -> TextIO:
        return (self.path / "dev.lock").open("a")


def _try_lock(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
