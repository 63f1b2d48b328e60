"""The embedded Valkey."""

from pathlib import Path

import pytest
import redis

from tools.errors import CannotStart
from tools.valkey import Valkey


def test_data_survives_a_stop(tmp_path: Path) -> None:
    server = Valkey(tmp_path / "valkey", log=tmp_path / "valkey.log")
    redis.from_url(server.start()).set("word", "kept")
    server.stop()

    client = redis.from_url(server.start())

    assert client.get("word") == b"kept"
    server.stop()


def test_nobody_gets_in_without_the_password(tmp_path: Path) -> None:
    server = Valkey(tmp_path / "valkey", log=tmp_path / "valkey.log", durable=False)
    address = server.start().partition("@")[2]

    with pytest.raises(redis.AuthenticationError):
        redis.from_url(f"redis://{address}").ping()

    server.stop()


def test_production_gets_no_embedded_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_ENV", "production")

    with pytest.raises(CannotStart, match="In production, set REDIS_URL"):
        Valkey(tmp_path / "valkey", log=tmp_path / "valkey.log").start()
