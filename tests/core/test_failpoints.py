import ast
import os
import signal
from pathlib import Path

import pytest

from shop.config import SettingsError
from shop.core import failpoints
from tests.conftest import PROJECT, make_settings

CALLS = {"transaction", "before", "after", "around", "call_stripe"}


def test_process_dies_once_at_its_failpoint(tmp_path: Path) -> None:
    (tmp_path / "before-sync-payment").touch()

    ends = [_end_of_a_child(tmp_path) for _ in range(2)]

    assert [os.WTERMSIG(end) for end in ends] == [signal.SIGKILL, 0]
    assert list(tmp_path.iterdir()) == []


def test_a_typo_is_refused_where_failpoints_are_on(tmp_path: Path) -> None:
    failpoints.configure(tmp_path)
    try:
        with pytest.raises(LookupError, match="settel"):
            failpoints.before("settel")
    finally:
        failpoints.configure(None)


def test_failpoint_table_and_code_name_the_same_steps() -> None:
    used = {
        argument.value
        for file in (PROJECT / "shop").rglob("*.py")
        for call in ast.walk(ast.parse(file.read_text()))
        if isinstance(call, ast.Call) and _name(call.func) in CALLS
        for argument in call.args[:1]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }

    assert used - {""} == failpoints.STEPS


def test_production_refuses_failpoints(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="SHOP_FAILPOINTS is for tests"):
        make_settings(
            "postgresql://x/y", "redis://z", tmp_path,
            SHOP_ENV="production", SHOP_FAILPOINTS=str(tmp_path),
        )  # fmt: skip


def _end_of_a_child(folder: Path) -> int:
    child = os.fork()
    if child == 0:
        failpoints.configure(folder)
        failpoints.before("sync-payment")
        os._exit(0)
    return os.waitpid(child, 0)[1]


def _name(function: ast.expr) -> str:
    return getattr(function, "attr", "") or getattr(function, "id", "")
