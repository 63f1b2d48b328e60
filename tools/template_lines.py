"""No line of a template is longer than 120 characters; ``python -m tools.template_lines`` looks.

Folders that are not done yet are named in ``NOT_YET``: whoever finishes one takes it off the list.
"""

import sys
from pathlib import Path

TEMPLATES = Path(__file__).parents[1] / "templates"
MAX_LENGTH = 120
NOT_YET = ("admin",)


def long_lines(folder: Path, *, without: tuple[str, ...] = ()) -> list[str]:
    """Returns where a line of a template below ``folder`` is too long: file, number, length."""
    return [
        f"{file.relative_to(folder)}:{number}: {len(line)} characters"
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.relative_to(folder).parts[0] not in without
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if len(line) > MAX_LENGTH
    ]


def main() -> int:
    """Print what is too long, and the folders that could be taken off the list. 1 if anything."""
    found = long_lines(TEMPLATES, without=NOT_YET)
    found += [f"{name} is done: take it off NOT_YET" for name in NOT_YET if is_done(name)]
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


def is_done(name: str) -> bool:
    """Whether a folder of the templates has no long line left."""
    return not long_lines(TEMPLATES / name)


if __name__ == "__main__":
    sys.exit(main())
