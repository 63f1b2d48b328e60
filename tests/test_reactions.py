"""The relay knows every event it may meet, though it imports only the table of reactions."""

import ast
import subprocess
import sys
from pathlib import Path

import shop

PACKAGE = Path(shop.__file__).parent
KNOWN = "import shop.reactions; from shop.core.events import Event; print(*Event.registry)"


def declared_events() -> set[str]:
    """The names of all classes below ``Event`` that stand anywhere in the shop's code."""
    parents: dict[str, set[str]] = {}
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                named = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
                parents.setdefault(node.name, set()).update(named)
    found = {"Event"}
    while more := {name for name, above in parents.items() if above & found} - found:
        found |= more
    return found - {"Event"}


def test_who_imports_the_reactions_knows_every_event() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", KNOWN],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    declared = declared_events()
    assert {"OrderPaid", "ReviewAdded", "MailQueued"} <= declared
    assert declared - set(answer.stdout.split()) == set()
