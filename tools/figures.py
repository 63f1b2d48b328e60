"""How the code is cut: ``python -m tools.figures [folder]`` prints a table to compare versions by.

Counts Python below ``shop`` and the templates: lines and modules of each package, what is long,
how often ``Any`` stands for a type, and how often the word of a state is written as a string.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

STATES = frozenset(
    """pending confirmed completed cancelled expired unpaid processing authorised partly_paid paid
    overpaid partly_refunded refunded disputed unfulfilled partly_shipped shipped delivered draft
    active archived open closed merged queued sent kept failed due dead done created started
    succeeded requested receive adjust count reserve release commit ship restock write_off
    transfer""".split()
)
LONG_FILE, LONG_FUNCTION, LONG_LINE = 300, 40, 120


def figures(root: Path) -> Iterator[tuple[str, int]]:
    """Yields what is counted in the project at ``root``, and how much of it there is."""
    shop = root / "shop"
    files = [path for path in sorted(shop.rglob("*.py")) if "dev" not in path.parts]
    texts = {path: path.read_text() for path in files}
    trees = {path: ast.parse(text) for path, text in texts.items()}
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    yield "lines of Python in shop", sum(text.count("\n") for text in texts.values())
    for package in sorted({path.relative_to(shop).parts[0] for path in files}):
        own = [path for path in files if path.relative_to(shop).parts[0] == package]
        if len(own) > 1:
            yield f"… {package}: modules", len(own)
            yield f"… {package}: lines", sum(texts[path].count("\n") for path in own)
    longer = [path for path, text in texts.items() if text.count("\n") > LONG_FILE]
    yield f"files of more than {LONG_FILE} lines", len(longer)
    functions = [n for n in nodes if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    long_functions = [f for f in functions if (f.end_lineno or 0) - f.lineno >= LONG_FUNCTION]
    yield f"functions of more than {LONG_FUNCTION} lines", len(long_functions)
    yield "Any", sum(len(re.findall(r"\bAny\b", text)) for text in texts.values())
    literals = [n for n in nodes if isinstance(n, ast.Constant) and n.value in STATES]
    yield "words of states as strings", len(literals)
    templates = list((root / "templates").rglob("*.html"))
    lines = [line for path in templates for line in path.read_text().splitlines()]
    yield "lines of templates", len(lines)
    yield f"… longer than {LONG_LINE}", sum(len(line) > LONG_LINE for line in lines)
    built = shop / "store" / "static"
    scripts = [path for path in shop.rglob("*.js") if not path.is_relative_to(built)]
    yield "lines of scripts", sum(path.read_text().count("\n") for path in scripts)


def main() -> None:
    """Print the table for the folder that is named, or for this project."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1]
    for name, count in figures(root):
        print(f"{count:>8,}  {name}")


if __name__ == "__main__":
    main()
