"""Lines of templates stay readable, folder by folder."""

from pathlib import Path

import pytest

from tools import template_lines


def test_no_line_of_finished_folder_is_too_long(capsys: pytest.CaptureFixture[str]) -> None:
    status = template_lines.main()

    assert (status, capsys.readouterr().out) == (0, "")


def test_long_line_is_named(tmp_path: Path) -> None:
    for name in ("email", "store"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text("short\n" + "é" * 120 + "\n" + "é" * 121)

    assert template_lines.long_lines(tmp_path, without=("store",)) == [
        "email/a.txt:3: 121 characters"
    ]
