"""What keeps `bin/dev` from starting gets a sentence that says what to do; nothing is left over."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.stack import PROJECT
from tools.var import VarFolder


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        yield port


def bin_dev(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools", *arguments],
        cwd=PROJECT,
        env=os.environ | {"SHOP_ENV": "development", "SHOP_VAR": str(folder)} | settings,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_taken_port_is_named_and_another_one_offered(tmp_path: Path, taken_port: int) -> None:
    refused = bin_dev(tmp_path, "--port", str(taken_port - 1))

    assert refused.returncode == 1
    assert f"Port {taken_port} is taken by another program." in refused.stderr
    assert f"bin/dev --port {taken_port + 99}" in refused.stderr
    assert not (tmp_path / "postgres").exists()


def test_running_shop_in_same_folder_is_not_disturbed(tmp_path: Path) -> None:
    with VarFolder(tmp_path).lock():
        for way in ([], ["--detach"], ["--fresh"]):
            refused = bin_dev(tmp_path, *way)

            assert refused.returncode == 1
            assert "already running" in refused.stderr


def test_production_is_refused(tmp_path: Path) -> None:
    refused = bin_dev(tmp_path, SHOP_ENV="production")

    assert refused.returncode == 1
    assert "bin/dev is for development" in refused.stderr


def test_listen_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    refused = bin_dev(tmp_path, "--host", "192.0.2.1", "--port", "61000")

    assert refused.returncode == 1
    assert "Nothing can listen on 192.0.2.1" in refused.stderr


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("")

    refused = bin_dev(tmp_path / "var")

    assert refused.returncode == 1
    assert "cannot be used" in refused.stderr
    assert "SHOP_VAR" in refused.stderr


def test_external_database_that_does_not_answer_is_named(tmp_path: Path) -> None:
    given = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/shop", "REDIS_URL": "redis://x"}

    refused = bin_dev(tmp_path, "--port", "61000", **given)

    assert refused.returncode == 1
    assert "The database that DATABASE_URL names does not answer" in refused.stderr


def test_stopping_what_does_not_run_is_no_error(tmp_path: Path) -> None:
    stopped = bin_dev(tmp_path, "--stop")

    assert stopped.returncode == 0
    assert "No shop is running" in stopped.stdout
