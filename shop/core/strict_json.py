"""Reading JSON that strangers send: bounded in depth, and only what JSON is (RFC 8259).

Python's own reader takes ``NaN``, makes ``1e999`` infinite, and runs out of stack on ten thousand
brackets; Postgres gives up on such a value later. All of that is a ``ValueError`` here.
"""

import json
import math
import re
from typing import Any

MAX_DEPTH = 32
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


def parse(text: str | bytes, *, max_depth: int = MAX_DEPTH) -> Any:
    """Returns the value in ``text`` (UTF-8). Raises ``ValueError`` for anything else than JSON, and
    for objects and lists inside each other more than ``max_depth`` deep."""
    plain = text.decode() if isinstance(text, bytes) else text
    depth = 0
    for found in _BRACKET.finditer(_STRING.sub('""', plain)):
        depth += 1 if found[0] in "[{" else -1
        if depth > max_depth:
            raise ValueError(f"nested more than {max_depth} deep")
    try:
        return json.loads(plain, parse_constant=_refused, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deep") from None


def is_storable(data: object) -> bool:
    """Whether every text in a JSON value can be kept: Postgres refuses NUL, and an encoder refuses
    half of a surrogate pair."""
    waiting = [data]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            if "\0" in one or any("\ud800" <= c <= "\udfff" for c in one):
                return False
        elif isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            waiting += one
    return True


def _refused(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("the number is too large")
    return value
