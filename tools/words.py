"""The sentences of the shop, for translators: `python -m tools.words` fails when
translations/messages.pot is not what the code says, or when a page, a script or a refusal says
something without gettext; `python -m tools.words --write` writes the file again.

What is read, and how, stands in pyproject.toml under [tool.babel]. The file has no dates and no
line numbers, so that only a changed sentence changes it.
"""

import ast
import contextlib
import re
import sys
import tempfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from babel.messages.frontend import CommandLineInterface
from babel.messages.jslexer import Token, tokenize, unquote_string
from jinja2 import Environment, nodes

ROOT = Path(__file__).parents[1]
POT = ROOT / "translations" / "messages.pot"
TEMPLATES = ROOT / "templates"
SCRIPTS = ("shop/static/js", "shop/admin/static/js", "shop/store/scripts")
# Folders in which everything that people read goes through gettext: of templates, and of code.
CONVERTED = ("admin/", "components/", "email/", "layouts/", "store/")
REFUSING = (
    "admin",
    "analytics",
    "cart",
    "catalog",
    "checkout",
    "core",
    "customers",
    "discounts",
    "doctor",
    "inventory",
    "media",
    "notifications",
    "orders",
    "payments",
    "realtime",
    "reviews",
    "store",
)
# Errors for programs, programmers and whoever sets the shop up, and those whose sentence is stored;
# they stay English.
TECHNICAL = {
    "AssertionError",
    "BadSignature",
    "CannotApply",
    "LookupError",
    "RedisError",
    "RuntimeError",
    "SMTPServerDisconnected",
    "StorageRefused",
    "TypeError",
    "Unreadable",
    "ValueError",
    "_Refused",
}
# What the visible attributes of HTML are called.
SPOKEN = {
    *("alt", "aria-label", "aria-roledescription", "content", "label", "placeholder", "title"),
    *("data-confirm", "data-label"),
}
# Functions of scripts whose strings are for programs: selectors, names, faults of ours.
FOR_PROGRAMS = {
    *("closest", "matches", "need", "querySelector", "querySelectorAll", "getElementById"),
    *("Error", "get", "includes", "info", "setRequestHeader", "warn"),
}
# Where a script keeps what no person reads.
UNSEEN = {"className", "cookie", "rootMargin"}
SAYING = {"_", "gettext", "ngettext"}
# Not words of a language: HTML's unit of width, and "times" where there is no ×.
SIGNS = {"w", "x"}
_EXTRACT = (
    "pybabel --quiet extract --add-location=file --sort-output --project=shop --version=1"
    " --keywords=lazy_gettext --keywords=lazy_ngettext:1,2 --mapping-file=pyproject.toml"
).split()
_CHANGING = ('"POT-Creation-Date', '"Generated-By', '"Report-Msgid-Bugs-To')
_HOLE = "\N{OBJECT REPLACEMENT CHARACTER}"
_GETTEXT = re.compile(r"\b(_|n?gettext)\(")
_ATTRIBUTES = re.compile(r'[a-z-]+="[^"]*"')
_CODE = re.compile(r"[a-z]+(_[a-z]+)*")  # a protocol's word for why, not a sentence
_CODE_IN_TEXT = re.compile(r"\$\{(?:[^{}]|\{[^{}]*\})*\}")
_BESIDE_HOLE = re.compile(f"[a-z]{{2}},? {_HOLE}|{_HOLE},? [a-z]{{2}}")
_WORD = re.compile(r"[^\W\d_]+")
_SENTENCE = re.compile(r"^[A-Z][a-z]|[a-z] [a-z]")
# Classes of buttons and cells, HTML, widths for images, and the names of the admin's views.
_MARKUP = re.compile(r"\s*(<|\(min-width|(icon-)?btn |end num|[A-Za-z]+View(\.\w+)?$)")


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Returns the exit code: 0 fine or written, 1 something is to be done."""
    chosen = sys.argv[1:] if arguments is None else arguments
    fresh = extracted()
    if chosen == ["--write"]:
        POT.write_text(fresh)
        return 0
    faults = list(silent_sentences(TEMPLATES, CONVERTED))
    for package in REFUSING:
        for path in sorted((ROOT / "shop" / package).rglob("*.py")):
            where = path.relative_to(ROOT)
            faults += [f"{where}:{told}" for told in silent_refusals(path.read_text())]
    for folder in SCRIPTS:
        for path in sorted((ROOT / folder).glob("*.js")):
            where = path.relative_to(ROOT)
            faults += [f"{where}:{told}" for told in silent_strings(path.read_text())]
    if not POT.exists() or POT.read_text() != fresh:
        faults.append(
            f"{POT.relative_to(ROOT)} is not what the code says: python -m tools.words --write"
        )
    print("\n".join(faults))
    return 1 if faults else 0


def extracted() -> str:
    """Returns the template for new languages, as it follows from the code."""
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "messages.pot"
        with contextlib.chdir(ROOT):
            CommandLineInterface().run(  # type: ignore[no-untyped-call]
                [*_EXTRACT, f"--output-file={written}", "."]
            )
        lines = written.read_text().splitlines(keepends=True)
    start = next(n for n, line in enumerate(lines) if line.startswith("msgid"))
    return "".join(line for line in lines[start:] if not line.startswith(_CHANGING))


def silent_sentences(folder: Path, converted: tuple[str, ...]) -> Iterator[str]:
    """Yields every text of these templates that a person sees and gettext does not."""
    env = Environment(extensions=["jinja2.ext.i18n"], trim_blocks=True, lstrip_blocks=True)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix not in {".html", ".txt"} or not name.startswith(converted or ("/",)):
            continue
        source = path.read_text()
        for text in [*_written(env, source, path.suffix == ".html"), *_named(env, source)]:
            yield f"templates/{name}: outside of gettext: {text}"


def silent_refusals(source: str) -> Iterator[str]:
    """Yields the line and text of what is raised or flashed for people without gettext."""
    for node in ast.walk(ast.parse(source)):
        call = node.exc if isinstance(node, ast.Raise) else node
        if not isinstance(call, ast.Call) or not call.args:
            continue
        name = ast.unparse(call.func).rpartition(".")[2]
        is_refusal = isinstance(node, ast.Raise) and name not in TECHNICAL
        text = call.args[0]
        is_plain = isinstance(text, ast.JoinedStr) or (
            isinstance(text, ast.Constant)
            and isinstance(text.value, str)
            and not _CODE.fullmatch(text.value)
        )
        if (is_refusal or name == "flash") and is_plain:
            yield f"{call.lineno}: outside of gettext: {ast.unparse(text)}"


def silent_strings(source: str) -> Iterator[str]:
    """Yields the line and text of what a script says without gettext, as far as strings show it."""
    comments = {"linecomment", "multilinecomment"}
    tokens = [one for one in tokenize(source, jsx=False, dotted=False) if one.type not in comments]
    calls: list[str] = []  # the functions whose parentheses are open
    statement: set[str] = set()
    for n, token in enumerate(tokens):
        if token.value in {";", "{", "}"}:
            statement = set()
        elif token.value == "(":
            calls.append(tokens[n - 1].value if n and tokens[n - 1].type == "name" else "")
        elif token.value == ")" and calls:
            calls.pop()
        elif token.type == "name":
            statement.add(token.value)
        elif token.type in {"string", "template_string"}:
            called = next((name for name in reversed(calls) if name), "")
            is_hidden = _GETTEXT.search(token.value) or (
                called in SAYING and tokens[n - 1].value == "(" and "${" in token.value
            )
            if token.type == "template_string" and is_hidden:
                yield f"{token.lineno}: not as gettext needs it: {token.value}"
            elif called not in SAYING | FOR_PROGRAMS and UNSEEN.isdisjoint(statement):
                beside = [one.value for one in tokens[max(n - 2, 0) : n + 2]]
                for text in _said(token, " ".join(beside[:-2]), beside[-1]):
                    yield f"{token.lineno}: outside of gettext: {text}"


def _said(token: Token, before: str, after: str) -> Iterator[str]:
    """The sentences in a string of a script; none if it is a key or compared with something."""
    is_key = after == ":" and before.endswith(("{", ","))
    if is_key or before in {"== =", "!= ="} or after in {"==", "!="}:
        return
    text = _CODE_IN_TEXT.sub(_HOLE, unquote_string(token.value))
    if text.startswith("<"):
        reader = _Reader()
        reader.feed(text)
        yield from reader.found
    elif _SENTENCE.search(text) or _BESIDE_HOLE.search(text):
        yield text


def _written(env: Environment, source: str, is_html: bool) -> Iterator[str]:
    """What stands between the tags of Jinja, except inside ``{% trans %}``."""
    parts: list[str] = []
    block: list[str] = []
    is_translated = False
    for _line, kind, value in env.lex(source):
        if kind == "block_begin":
            block = []
        elif kind == "block_end":
            if block and block[0] in {"trans", "endtrans"}:
                is_translated = block[0] == "trans"
        elif kind == "name":
            block.append(value)
        elif kind == "variable_begin":
            parts.append(_HOLE)
        elif kind == "data" and not is_translated:
            parts.append(value)
    text = "".join(parts)
    if not is_html:
        yield from (line.strip() for line in text.splitlines() if _speaks(line))
        return
    reader = _Reader()
    reader.feed(text)
    reader.close()
    yield from reader.found


def _named(env: Environment, source: str) -> Iterator[str]:
    """Literals that an expression shows or hands to a macro."""
    for shown in env.parse(source).find_all(
        (nodes.Output, nodes.Assign, nodes.CallBlock, nodes.For)
    ):
        for const in _literals(shown):
            if _SENTENCE.search(const) and not _MARKUP.match(const):
                yield const


def _literals(node: nodes.Node) -> Iterator[str]:
    if isinstance(node, nodes.Const):
        if isinstance(node.value, str):
            yield node.value
        return
    if isinstance(node, nodes.Compare) or _is_translated(node):
        return
    for child in node.iter_child_nodes():
        yield from _literals(child)


def _is_translated(node: nodes.Node) -> bool:
    if not (isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name)):
        return False
    return node.node.name in SAYING


def _speaks(text: str) -> bool:
    """Whether there are words left once values, and what a macro adds to a tag, are taken away."""
    said = _ATTRIBUTES.sub("", text.replace(_HOLE, " "))
    return any(word not in SIGNS for word in _WORD.findall(said))


class _Reader(HTMLParser):
    """Collects the texts and the visible attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._is_code = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at the attributes that people read."""
        given = dict(attrs)
        self._is_code = tag in {"script", "style", "code", "kbd"}
        for name, value in attrs:
            is_spoken = name in SPOKEN and (name != "content" or given.get("name") == "description")
            if is_spoken and _speaks(value or ""):
                self.found.append(f'{name}="{value}"')

    def handle_endtag(self, tag: str) -> None:
        """Leave scripts, styles and code."""
        self._is_code = False

    def handle_data(self, data: str) -> None:
        """Look at a text."""
        if not self._is_code and _speaks(data):
            self.found.append(data.strip())


if __name__ == "__main__":
    sys.exit(main())
