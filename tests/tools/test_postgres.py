"""The embedded Postgres: data outlives stops and crashes, and what cannot work says what to do."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tools.errors import CannotStart
from tools.leftovers import Footprint
from tools.postgres import MAX_SOCKET_PATH_LENGTH, Postgres


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for data, emptied afterwards: as root the data may lie elsewhere."""
    data = tmp_path / "postgres"
    yield data
    server_on(data).remove()


def server_on(folder: Path, *, durable: bool = False) -> Postgres:
    return Postgres(folder, log=folder.parent / "postgres.log", durable=durable)


def note(url: str, word: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS note (word text)")
        connection.execute("INSERT INTO note VALUES (%s)", (word,))


def notes(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT word FROM note")]


def test_the_data_is_still_there_after_a_stop(folder: Path) -> None:
    server = server_on(folder)
    note(server.start(), "kept")
    server.stop()

    url = server.start()

    assert notes(url) == ["kept"]
    assert not server_on(folder).is_alive()
    server.stop()
    assert not server.is_alive()


def test_killed_server_comes_up_again_with_its_data(folder: Path) -> None:
    server = server_on(folder, durable=True)
    note(server.start(), "kept")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    while server.is_alive():
        time.sleep(0.01)
    next_run = server_on(folder, durable=True)

    url = next_run.start()

    assert notes(url) == ["kept"]
    next_run.stop()


def test_server_left_by_killed_run_is_ended_first(folder: Path) -> None:
    leave_behind = (
        "import os, sys; from pathlib import Path; from tools.postgres import Postgres;"
        "folder = Path(sys.argv[1]);"
        "server = Postgres(folder, log=folder.parent / 'postgres.log', durable=False);"
        "server.start(); print(server.pid, flush=True); os._exit(1)"
    )
    command = [sys.executable, "-c", leave_behind, str(folder)]
    left = Footprint.of(int(subprocess.run(command, capture_output=True, text=True).stdout))
    assert left is not None
    assert left.is_alive()

    server = server_on(folder)
    note(server.start(), "works")

    assert not left.is_alive()
    server.stop()


def test_stale_pid_file_does_not_stop_the_start(folder: Path) -> None:
    server = server_on(folder)
    server.start()
    server.stop()
    data = folder.resolve()
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n0\n5432\n{data}\n\n0\nready\n")

    note(server.start(), "works")

    server.stop()


def test_data_of_another_major_version_is_refused(folder: Path) -> None:
    server = server_on(folder)
    server.start()
    server.stop()
    (folder / "PG_VERSION").write_text("17\n")

    with pytest.raises(CannotStart, match=r"holds data of Postgres 17.*pg_dump.*--fresh"):
        server.start()

    assert (folder / "base").exists()


def test_a_half_made_data_folder_is_made_again(folder: Path) -> None:
    half = folder.with_name("postgres.new")
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")

    server = server_on(folder)
    note(server.start(), "works")

    server.stop()


def test_folder_with_something_else_in_it_is_refused(folder: Path) -> None:
    server = server_on(folder)
    server.start()
    server.stop()
    (folder / "PG_VERSION").unlink()

    with pytest.raises(CannotStart, match="not the data of a Postgres server"):
        server.start()


def test_a_path_too_long_for_a_socket_works(folder: Path) -> None:
    long = folder / ("long" * (MAX_SOCKET_PATH_LENGTH // 4))
    server = server_on(long)

    note(server.start(), "works")

    server.remove()
    assert not long.exists()


def test_production_gets_no_embedded_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_ENV", "production")

    with pytest.raises(CannotStart, match="In production, set DATABASE_URL"):
        server_on(folder).start()

    assert not folder.exists()
