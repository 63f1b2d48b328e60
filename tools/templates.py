"""Templates stay readable, and only show: ``python -m tools.templates`` names what does not.

No line is longer than 120 characters. A page asks for a value, it does not work one out: no
arithmetic (texts are joined with ``~``), no filter that sums, sorts or picks, and no chain of
branches that compares one value with word after word, as ``order.status == "paid"`` and then
``order.status == "refunded"`` would. Python works such a thing out (the view, a property, a table
of words), and the template shows it. An inline ``x if y`` says its ``else``: without one, Jinja
makes an object that complains, and in an attribute raises an error and catches it, for each cell
of a list.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from jinja2 import Environment, nodes

TEMPLATES = Path(__file__).parents[1] / "templates"
MAX_LENGTH = 120
ARITHMETIC = (
    *(nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Pow),
    nodes.Neg,
)
WORKING_FILTERS = {
    *("abs", "max", "min", "round", "sum"),
    *("dictsort", "groupby", "map", "reject", "rejectattr", "select", "selectattr", "sort"),
    "unique",
}
_env = Environment(extensions=["jinja2.ext.i18n"], trim_blocks=True, lstrip_blocks=True)
_env.newstyle_gettext = True  # type: ignore[attr-defined]  # the old style writes a % of its own


def faults(folder: Path) -> Iterator[str]:
    """Yields what is wrong with the templates below ``folder``: file, line, and what it is."""
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            source = file.read_text()
            found = sorted([*long_lines(source), *logic(source)])
            yield from (f"{file.relative_to(folder)}:{line}: {what}" for line, what in found)


def long_lines(source: str) -> Iterator[tuple[int, str]]:
    """Yields the number of each line that is too long, and its length."""
    for number, line in enumerate(source.splitlines(), 1):
        if len(line) > MAX_LENGTH:
            yield number, f"{len(line)} characters"


def logic(source: str) -> Iterator[tuple[int, str]]:
    """Yields the line of each thing that a template works out itself, and what to do instead."""
    tree = _env.parse(source)
    for sum_ in tree.find_all(ARITHMETIC):
        if not (isinstance(sum_, nodes.Neg) and isinstance(sum_.node, nodes.Const)):
            yield sum_.lineno, "arithmetic: work it out in Python"
    for filter_ in tree.find_all(nodes.Filter):
        if filter_.name in WORKING_FILTERS:
            yield filter_.lineno, f"the filter {filter_.name}: work it out in Python"
    for branch in tree.find_all(nodes.If):
        yield from _chains(branch.lineno, [branch.test, *(one.test for one in branch.elif_)])
    inner = set()
    for choice in tree.find_all(nodes.CondExpr):
        tests = [choice.test]
        rest = choice.expr2
        while isinstance(rest, nodes.CondExpr):
            inner.add(id(rest))
            tests.append(rest.test)
            rest = rest.expr2
        if choice.expr2 is None:
            yield choice.lineno, "an inline if without else: add else ''"
        if id(choice) not in inner:
            yield from _chains(choice.lineno, tests)


def _chains(line: int, tests: list[nodes.Expr]) -> Iterator[tuple[int, str]]:
    """What two or more of these tests compare with words."""
    compared = Counter(name for test in tests for name in set(_compared(test)))
    for name, count in compared.items():
        if count > 1:
            yield line, f"{count} branches compare {name} with words: decide in Python"


def _compared(test: nodes.Expr) -> Iterator[str]:
    """The names that a test compares with a word, or with some words."""
    compares = [test] if isinstance(test, nodes.Compare) else test.find_all(nodes.Compare)
    for compare in compares:
        for operand in compare.ops:
            words = (
                operand.expr.items
                if isinstance(operand.expr, nodes.Tuple | nodes.List)
                else [operand.expr]
            )
            if any(isinstance(word, nodes.Const) and isinstance(word.value, str) for word in words):
                yield _name(compare.expr)


def _name(node: nodes.Node) -> str:
    """How a template writes this value."""
    match node:
        case nodes.Name():
            return node.name
        case nodes.Getattr():
            return f"{_name(node.node)}.{node.attr}"
        case nodes.Call():
            return f"{_name(node.node)}(…)"
    return type(node).__name__.lower()


def main() -> int:
    """Print what is wrong. Returns 1 if anything."""
    found = list(faults(TEMPLATES))
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
