"""The disk for images is full: an upload says so, leaves nothing behind, and the shop goes on."""

import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import text

from shop.core.db import session
from tests import cast as people
from tests.faults.failpoints import wait_until_idle
from tests.faults.rig import Rig
from tests.faults.stories import Actors, form
from tests.support.stack import eventually


@contextmanager
def tiny_disk(folder: Path) -> Iterator[None]:
    """Mount a disk of 64 kB over the folder; skips the test where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a tiny disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_upload_to_a_full_disk_leaves_nothing(rig: Rig) -> None:
    image = BytesIO()
    Image.frombytes("RGB", (400, 400), os.urandom(400 * 400 * 3)).save(image, "PNG")
    folder = rig.shop.var / "media"
    with rig.database():
        pot = people.product("Photographed pot", stock=1)
        who = Actors(rig, pot.id, pot.product_id, "painter")
        url = f"{rig.shop.base_url}/api/v1/products/{pot.product_id}/images"
        before = _images()

        with tiny_disk(folder):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(form(url, image.getvalue(), who.staff_headers))
            said = json.load(refused.value)
            assert (refused.value.code, said["code"]) == (503, "unavailable")
            assert "no room" in said["detail"]
            assert _images() == before
            assert [path for path in folder.rglob("*") if path.is_file()] == []

        with urllib.request.urlopen(form(url, image.getvalue(), who.staff_headers)) as answer:
            assert answer.status == 201
        eventually(lambda: wait_until_idle(rig) == [], within_s=60, what="the image is ready")


def _images() -> int:
    session.rollback()
    return int(session.scalar(text("SELECT count(*) FROM media_file")) or 0)
