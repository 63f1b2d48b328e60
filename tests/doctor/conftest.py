"""One healthy shop for all tests that leave it as it is, and copies for those that spoil it."""

import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from flask import Flask

from shop import audit, catalog, discounts
from shop.core import db, redis
from shop.media import storage
from tests import conftest as shared
from tests.doctor.healthy import Shop, Stripe
from tests.support import servers


@dataclass
class Sample:
    """A shop that was made once: its database, its images, and who is who."""

    name: str
    url: str
    folder: Path
    shop: Shop


def _open(url: str, folder: Path) -> None:
    db.configure(url, pool_size=5)
    storage.configure(f"file:{folder}")
    catalog.clear_cache()
    discounts.clear_cache()


def _close() -> None:
    db.session.remove()
    db.engine().dispose()


@pytest.fixture(scope="session")
def sample(
    app: Flask, running: servers.Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sample]:
    """A shop with orders in every state, in a database of its own with real commits."""
    name, url = shared._fresh(running)
    folder = tmp_path_factory.mktemp("media")
    redis.client().flushall()
    _open(url, folder)
    with pytest.MonkeyPatch.context() as patch:
        shop = Shop(Stripe(patch))
    audit.seal()
    _close()
    yield Sample(name, url, folder, shop)
    shared._drop(running, name)


@pytest.fixture
def healthy(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """That shop, for tests that leave it as it is."""
    sample.shop.stripe.answers(monkeypatch)
    _open(sample.url, sample.folder)
    yield sample.shop
    _close()


@pytest.fixture
def own_shop(
    sample: Sample, running: servers.Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shop]:
    """A copy of it that this test may spoil."""
    name = f"shop_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(running.postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {sample.name}")
    folder = Path(shutil.copytree(sample.folder, tmp_path / "media"))
    sample.shop.stripe.answers(monkeypatch)
    _open(sample.url.replace(sample.name, name), folder)
    yield sample.shop
    _close()
    shared._drop(running, name)
