"""Whether the documents name what is there: every link, file and name of code is looked up.

``python -m tools.docs`` prints what is missing and ends with 1. Decisions speak of their own
day, so that only their links are looked up.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).parents[1]
NAMED = (
    "README.md", "CONTRIBUTING.md", "STYLE.md", "SECURITY.md", "docs/*.md", "docs/operations/*.md",
)  # fmt: skip
LINKED = (*NAMED, "CHANGELOG.md", "bench/*.md", "docs/decisions/*.md")
CODE = (
    "app.py", "gunicorn.conf.py", ".env.example", "pyproject.toml", "bin/*", "bench/**/*.py",
    "migrations/**/*.py", "shop/**/*.py", "shop/**/*.js", "templates/**/*.html", "tests/**/*.py",
    "tools/**/*.py",
)  # fmt: skip
# Where names stand that are not there, on purpose.
APART = {"tools/docs.py", "tests/tools/test_docs.py"}

LINK = re.compile(r"\]\(([^)\s]+)\)")
QUOTED = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
SUFFIXES = "py|html|css|js|md|txt|toml|lock|svg|woff2|sh|sql"
FILE = re.compile(rf"(?:[\w.-]+/)+[\w.-]*|[\w.-]+\.(?:{SUFFIXES})")
DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
# A name that is no word of English: an underscore inside, or a capital after a small letter.
NAME = re.compile(r"[A-Za-z]\w*_\w+|[A-Z]\w*[a-z][A-Z]\w*")

# What is named though the code does not have it.
ALLOWED = {
    "test_refund_restocks_unsent_units": "an example of a test's name",
    "order.can_cancel": "an example of what a template asks",
    "born_on": "an example of a column",
    "js.stripe.com": "Stripe's",
    "js.stripe.com/endive/stripe.js": "Stripe's",
    "var/": "made by bin/dev",
    "var/owner.json": "made by bin/dev",
    "var/dev.env": "made by bin/dev",
    "var/postgres": "made by bin/dev",
    "var/valkey": "made by bin/dev",
}


@dataclass
class Code:
    """What the code defines: ``modules`` by dotted name, ``classes`` by name, every ``word``."""

    modules: dict[str, set[str]] = field(default_factory=dict)
    classes: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    words: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)

    def has(self, dotted: str) -> bool:
        """Whether this is a module, something in one, an attribute of a class, or a text."""
        parts = dotted.split(".")
        if dotted in self.texts or any(self._ends(name, parts) for name in self.modules):
            return True
        *above, last = parts
        if any(last in names for name, names in self.modules.items() if self._ends(name, above)):
            return True
        owner = "".join(word.capitalize() for word in above[-1].split("_"))
        return last in self.classes.get(above[-1], set()) | self.classes.get(owner, set())

    @staticmethod
    def _ends(module: str, parts: list[str]) -> bool:
        return module.split(".")[-len(parts) :] == parts


@cache
def code() -> Code:
    """Everything that a document may name."""
    found = Code()
    for pattern in CODE:
        for file in PROJECT.glob(pattern):
            if not file.is_file() or str(file.relative_to(PROJECT)) in APART:
                continue
            text = file.read_text()
            found.words.update(re.findall(r"\w+", text))
            if file.suffix == ".py":
                path = file.relative_to(PROJECT).with_suffix("")
                dotted = ".".join(path.parts).removesuffix(".__init__")
                found.modules[dotted] = _read(ast.parse(text), found)
    return found


def _read(module: ast.Module, found: Code) -> set[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.texts.add(node.value)
        elif isinstance(node, ast.ClassDef):
            found.classes[node.name] |= set(_bound(node.body))
    return set(_bound(module.body))


def _bound(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        match node:
            case ast.FunctionDef() | ast.ClassDef():
                yield node.name
            case ast.Import() | ast.ImportFrom():
                yield from (one.asname or one.name for one in node.names)
            case ast.Assign():
                yield from (one.id for one in node.targets if isinstance(one, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name


def missing_in(text: str, *, where: Path, names: bool = True) -> list[str]:
    """Returns the links of a document that lead nowhere, and of its ``names`` those of nothing."""
    found = [f"link {one}" for one in LINK.findall(text) if not _leads(one, where)]
    if names:
        found += [f"`{one}`" for one in QUOTED.findall(FENCED.sub("", text)) if not _is_there(one)]
    return list(dict.fromkeys(found))


def _leads(link: str, where: Path) -> bool:
    path = link.partition("#")[0]
    return "://" in link or link.startswith("mailto:") or (where.parent / path).exists()


def _is_there(quoted: str) -> bool:
    name = re.sub(r"\(.*\)$", "", quoted)
    if name in ALLOWED or (FILE.fullmatch(name) and _is_file(name)):
        return True
    if DOTTED.fullmatch(name):
        return code().has(name)
    if FILE.fullmatch(name):
        return False
    return not NAME.fullmatch(name) or name in code().words


def _is_file(name: str) -> bool:
    if "/" not in name:
        return any(Path(known).name == name for known in _files())
    return any((PROJECT / above / name).exists() for above in (".", "shop"))


@cache
def _files() -> tuple[str, ...]:
    kept = (one for one in PROJECT.iterdir() if not one.name.startswith(".") and one.name != "var")
    below = (file for one in kept if one.is_dir() for file in one.rglob("*"))
    return tuple(map(str, (*PROJECT.glob("*"), *below)))


def documents(patterns: tuple[str, ...]) -> list[Path]:
    """Returns the documents that these patterns name, in order."""
    return sorted({file for pattern in patterns for file in PROJECT.glob(pattern)})


def main() -> int:
    """Print what is missing, a line each. Returns 1 if anything is."""
    named = documents(NAMED)
    lines = [
        f"{file.relative_to(PROJECT)}: {what} is not there"
        for file in documents(LINKED)
        for what in missing_in(file.read_text(), where=file, names=file in named)
    ]
    print(*lines, sep="\n", end="\n" if lines else "")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
