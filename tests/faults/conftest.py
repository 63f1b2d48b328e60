"""One running shop for all faults of a run."""

from collections.abc import Iterator

import pytest

from tests.support.stack import RunningShop, running_shop


@pytest.fixture(scope="package")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    """A whole shop without the demo, in processes of its own."""
    with running_shop(tmp_path_factory.mktemp("shop"), "--no-demo") as running:
        yield running
