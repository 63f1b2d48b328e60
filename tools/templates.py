"""Templates stay readable, and only show: ``python -m tools.templates`` names what does not.

- No line is longer than 120 characters.
- A template asks for a value, it does not work one out: no arithmetic (texts are joined with
  ``~``), no filter that sums, sorts or picks, and no chain of branches that compares one value with
  word after word, as ``order.status == "paid"`` and then ``order.status == "refunded"`` would.
  Python decides such things (the view, a property, a table of words), and the template shows them.
- An inline ``x if y`` has its ``else``. Without one, Jinja makes an object that stands for nothing,
  and inside an attribute raises an error and catches it, for each cell of a list.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
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
_env.newstyle_gettext = True  # type: ignore[attr-defined]  # else {% trans %} becomes a sum with %


def faults(folder: Path) -> Iterator[str]:
    """Yields what is wrong with the templates below ``folder``: file, line, and what it is."""
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            source = file.read_text()
            for line, what in sorted([*long_lines(source), *logic(source)]):
                yield f"{file.relative_to(folder)}:{line}: {what}"


def long_lines(source: str) -> Iterator[tuple[int, str]]:
    """Yields the number of each line that is too long, and its length."""
    for number, line in enumerate(source.splitlines(), 1):
        if len(line) > MAX_LENGTH:
            yield number, f"{len(line)} characters"


def logic(source: str) -> Iterator[tuple[int, str]]:
    """Yields the line of each thing that a template works out itself, and what to do instead."""
    tree = _env.parse(source)
    for value in tree.find_all(ARITHMETIC):
        if not (isinstance(value, nodes.Neg) and isinstance(value.node, nodes.Const)):
            yield value.lineno, "arithmetic: work it out in Python"
    for used in tree.find_all(nodes.Filter):
        if used.name in WORKING_FILTERS:
            yield used.lineno, f"the filter {used.name}: work it out in Python"
    for branch in tree.find_all(nodes.If):
        yield from _chain(branch.lineno, [branch.test, *(one.test for one in branch.elif_)])
    yield from _inline_choices(tree)


def _inline_choices(tree: nodes.Template) -> Iterator[tuple[int, str]]:
    """What is wrong with each ``x if y else z``; those after an ``else`` belong to the first."""
    later = set()
    for choice in tree.find_all(nodes.CondExpr):
        tests, rest = [choice.test], choice.expr2
        while isinstance(rest, nodes.CondExpr):
            later.add(id(rest))
            tests.append(rest.test)
            rest = rest.expr2
        if id(choice) in later:
            continue
        if rest is None:
            yield choice.lineno, "an inline if without else: add else ''"
        yield from _chain(choice.lineno, tests)


def _chain(line: int, tests: Sequence[nodes.Node]) -> Iterator[tuple[int, str]]:
    """What more than one of these tests compares with words."""
    compared = Counter(name for test in tests for name in set(_compared(test)))
    for name, count in compared.items():
        if count > 1:
            yield line, f"{count} branches compare {name} with words: decide in Python"


def _compared(test: nodes.Node) -> Iterator[str]:
    """The names that a test compares with a word, or with several at once."""
    for compare in [test] if isinstance(test, nodes.Compare) else test.find_all(nodes.Compare):
        assert isinstance(compare, nodes.Compare)
        for operand in compare.ops:
            right = operand.expr
            words = right.items if isinstance(right, nodes.Tuple | nodes.List) else [right]
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
