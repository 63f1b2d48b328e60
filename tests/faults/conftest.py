"""One running shop for all faults of a run."""

from collections.abc import Iterator

import pytest

from tests.faults.rig import Rig
from tests.faults.rig import rig as made_rig
from tests.support.stack import RunningShop


@pytest.fixture(scope="package")
def rig(tmp_path_factory: pytest.TempPathFactory, seed: int) -> Iterator[Rig]:
    """A whole shop without the demo, in processes of its own, that can be broken in every way."""
    with made_rig(tmp_path_factory.mktemp("faults") / "rig", seed=seed) as running:
        yield running
        assert running.doctor() == []


@pytest.fixture(autouse=True)
def doctor_is_content(request: pytest.FixtureRequest, is_long: bool) -> Iterator[None]:
    """In the long form the doctor looks after each fault, otherwise once after all of them."""
    yield
    if is_long and "rig" in request.fixturenames:
        assert request.getfixturevalue("rig").doctor() == []


@pytest.fixture
def shop(rig: Rig) -> RunningShop:
    """The same, for those who only buy."""
    return rig.shop
