"""Stripe's form encoding (`a[b][0]=c`) and typed readers that refuse with Stripe's sentences."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

from tools.stripe.refusals import Invalid

_PART = re.compile(r"\[([^\[\]]*)\]")
MAX_DEPTH = 8


def decode(text: str) -> dict[str, Any]:
    """Nested mapping of a form body or query string. Raises Invalid for a contradictory one."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=2000)
    except ValueError as problem:
        raise Invalid("The request body is not a readable form.") from problem
    tree: dict[str, Any] = {}
    for name, value in pairs:
        head, _, rest = name.partition("[")
        path = [head, *_PART.findall("[" + rest)] if rest else [head]
        if len(path) > MAX_DEPTH:
            raise Invalid(f"The parameter {name} is nested too deep.", param=name)
        node = tree
        for index, part in enumerate(path[:-1]):
            key = part or str(len(node))
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise Invalid("Invalid hash", param="[".join(path[: index + 1]))
        last = path[-1] or str(len(node))
        if isinstance(node.get(last), dict):
            raise Invalid("Invalid hash", param=name)
        node[last] = value
    return tree


class Params:
    """The parameters of one request: read each by name, then `close()` refuses what is left."""

    def __init__(self, values: dict[str, Any], prefix: str = "") -> None:
        self._values = values
        self._prefix = prefix
        self._read: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def name(self, name: str) -> str:
        """The full name of a nested parameter, as the sender wrote it."""
        return f"{self._prefix}[{name}]" if self._prefix else name

    def raw(self, name: str) -> Any:
        """The undecoded value, or None."""
        self._read.add(name)
        return self._values.get(name)

    def text(self, name: str, *, limit: int = 5000) -> str | None:
        """A string; the empty one counts as unset, as with Stripe."""
        value = self.raw(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise Invalid("Invalid string: must be a single value", param=self.name(name))
        if len(value) > limit:
            raise Invalid(
                f"Invalid string: must be at most {limit} characters", param=self.name(name)
            )
        return value

    def required(self, name: str) -> str:
        """A string that must be there."""
        value = self.text(name)
        if value is None:
            raise Invalid(
                f"Missing required param: {self.name(name)}.",
                code="parameter_missing",
                param=self.name(name),
            )
        return value

    def integer(self, name: str, *, least: int = 0, most: int = 99_999_999) -> int | None:
        """A whole number within bounds, or None when it is not given."""
        value = self.text(name)
        if value is None:
            return None
        if not re.fullmatch(r"-?[0-9]{1,18}", value):
            raise Invalid(
                f"Invalid integer: {value[:40]}",
                code="parameter_invalid_integer",
                param=self.name(name),
            )
        number = int(value)
        if number < least:
            raise Invalid(
                f"This value must be greater than or equal to {least}.",
                code="parameter_invalid_integer",
                param=self.name(name),
            )
        if number > most:
            raise Invalid(
                f"This value must be less than or equal to {most}.",
                code="amount_too_large" if "amount" in name else "parameter_invalid_integer",
                param=self.name(name),
            )
        return number

    def choice(self, name: str, choices: tuple[str, ...]) -> str | None:
        """One of a closed set of words, or None when it is not given."""
        value = self.text(name)
        if value is not None and value not in choices:
            raise Invalid(
                f"Invalid {self.name(name)}: must be one of {', '.join(choices)}",
                param=self.name(name),
            )
        return value

    def boolean(self, name: str) -> bool | None:
        """true or false, or None when it is not given."""
        value = self.choice(name, ("true", "false"))
        return None if value is None else value == "true"

    def words(self, name: str) -> list[str] | None:
        """A list of strings, or None when it is not given."""
        value = self.raw(name)
        if value is None:
            return None
        items = list(value.values()) if isinstance(value, dict) else [value]
        if not all(isinstance(item, str) for item in items):
            raise Invalid("Invalid array", param=self.name(name))
        return items

    def group(self, name: str) -> "Params | None":
        """A nested mapping as parameters of its own, or None when it is not given."""
        value = self.raw(name)
        if value is None or value == "":
            return None
        if not isinstance(value, dict):
            raise Invalid("Invalid object", param=self.name(name))
        return Params(value, self.name(name))

    def metadata(self, before: dict[str, str]) -> dict[str, str]:
        """The metadata after this request: given keys are set, empty ones removed."""
        value = self.raw("metadata")
        if value is None:
            return before
        if value == "":
            return {}
        if not isinstance(value, dict):
            raise Invalid("Invalid object", param="metadata")
        merged = dict(before)
        for key, entry in value.items():
            if not isinstance(entry, str):
                raise Invalid("Metadata values must be strings", param=f"metadata[{key}]")
            if len(key) > 40 or len(entry) > 500:
                raise Invalid(
                    "Metadata keys can have up to 40 characters and values up to 500.",
                    param=f"metadata[{key}]",
                )
            if entry:
                merged[key] = entry
            else:
                merged.pop(key, None)
        if len(merged) > 50:
            raise Invalid("You can specify up to 50 metadata keys.", param="metadata")
        return merged

    def address(self, name: str) -> dict[str, str | None] | None:
        """A postal address in Stripe's fields, or None when it is not given."""
        group = self.group(name)
        if group is None:
            return None
        fields = ("city", "country", "line1", "line2", "postal_code", "state")
        address = {field: group.text(field) for field in fields}
        group.close()
        return address

    def close(self) -> None:
        """Refuse parameters that nobody read: Stripe does, and it finds typing mistakes."""
        unknown = [name for name in self._values if name not in self._read]
        if unknown:
            full = self.name(unknown[0])
            raise Invalid(
                f"Received unknown parameter: {full}", code="parameter_unknown", param=full
            )
