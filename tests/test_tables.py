"""SQL text goes down the floors, as imports do: it names own tables and those of lower packages.

Import contracts do not see what stands in a string, so these tests read the strings. What goes up
or writes to another package's table all the same is listed here, with its reason.
"""

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from sqlalchemy import Table

import shop
from shop import tables
from shop.core.db import Base

PACKAGE = Path(shop.__file__).parent
NAMED = re.compile(r'\b(FROM|JOIN|INTO|UPDATE)\s+(?:ONLY\s+)?\(?\s*"?([a-z_]+)"?')
Named = dict[str, set[str]]

READS_UPWARDS: Mapping[str, set[str]] = {
    # A page says in one statement what can be bought and how it is liked.
    "catalog": {"review", "stock_level"},
    # What the cart's own unpaid order holds must not look sold out to its own buyer.
    "cart": {"order", "order_line"},
    # "For a first order" asks whether there was one, by a statement that orders gave an index.
    "discounts": {"order"},
}
WRITES_ELSEWHERE: Mapping[str, set[str]] = {
    # The network is part of the rule about unpaid holds: after two days it is emptied again.
    "checkout": {"order"},
    # Repairs set right what no operation of the owner could have broken.
    "doctor": {"discount", "discount_code", "discount_holder", "product"},
    # The ledger's statement tells what it did, so that a level is locked for one statement only.
    "inventory": {"event"},
    # What "most popular" sorts by is counted in the statement that writes the sale down.
    "orders": {"product"},
}


def owners() -> dict[str, str]:
    """The package of each table of ours."""
    found = {}
    for module in tables.MODULES:
        for one in vars(module).values():
            is_imported = isinstance(one, type) and one.__module__ != module.__name__
            table = getattr(one, "__table__", one)
            if isinstance(table, Table) and not is_imported:
                found[table.name] = module.__name__.split(".")[1]
    return found


def floors() -> dict[str, int]:
    """How high each package stands, by the import contracts; 0 is the ground."""
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    return {
        name: height
        for height, layer in enumerate(reversed(layers))
        for name in re.findall(r"\w+", layer)
    }


def named() -> Iterator[tuple[str, str, str]]:
    """Package, SQL word and table, for each table that the text of a statement names."""
    for file in PACKAGE.rglob("*.py"):
        package = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for word, table in NAMED.findall(node.value):
                    yield package, word, table


def test_sql_text_names_tables_of_lower_floors() -> None:
    owner, floor = owners(), floors()
    upwards: Named = {}

    for package, _, table in named():
        if table in owner and owner[table] != package and floor[owner[table]] >= floor[package]:
            upwards.setdefault(package, set()).add(table)

    assert upwards == READS_UPWARDS


def test_sql_text_writes_to_own_tables() -> None:
    owner = owners()
    elsewhere: Named = {}

    for package, word, table in named():
        if word in {"INTO", "UPDATE"} and owner.get(table, package) != package:
            elsewhere.setdefault(package, set()).add(table)

    assert elsewhere == WRITES_ELSEWHERE


def test_every_table_has_an_owner() -> None:
    ours = {name for name in Base.metadata.tables if not name.startswith("ab_")}
    assert ours
    assert ours - owners().keys() == set()
