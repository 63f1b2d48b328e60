"""Fields that take what they say and nothing that merely looks like it."""

import re
from datetime import date
from typing import Any

from marshmallow import RAISE, ValidationError, fields, validate
from marshmallow import Schema as MarshmallowSchema

from shop.catalog.fields import Declared, Field, Flag, Pairs, Text
from shop.catalog.fields import Whole as WholeColumn
from shop.core import clock

MAX_ID = 2**63 - 1
MAX_INT = 2**31 - 1


class Schema(MarshmallowSchema):
    """Parent of all schemas here: a field that is not listed is an error."""

    class Meta:
        unknown = RAISE


class Whole(fields.Integer):
    """A JSON number without a fraction: no text, no 2.0, and ``true`` is not 1."""

    def __init__(self, **details: Any) -> None:
        said = {"invalid": "This must be a whole number."} | details.pop("error_messages", {})
        super().__init__(error_messages=said, **details)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.make_error("invalid", input=value)
        return value


class Digits(fields.Integer):
    """A whole number in an address or a form, in ASCII digits: not "5_0", "+5" or "٥"."""

    def __init__(self, **details: Any) -> None:
        said = {"invalid": "This must be a whole number."} | details.pop("error_messages", {})
        super().__init__(error_messages=said, **details)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> int:
        if not re.fullmatch(r"[0-9]{1,19}", str(value)):
            raise self.make_error("invalid", input=value)
        return int(value)


def identity(**details: Any) -> Whole:
    """The number of a thing, in a body."""
    return Whole(validate=validate.Range(1, MAX_ID), **details)


def money(**details: Any) -> Whole:
    """An amount in minor units, not negative."""
    return Whole(validate=validate.Range(0, 2_000_000_000), **details)


def day(**details: Any) -> fields.Date:
    """A day of a year that we know."""

    def known(given: date) -> None:
        if given.year not in clock.YEARS:
            raise ValidationError(f"A date lies between {clock.YEARS[0]} and {clock.YEARS[-1]}.")

    return fields.Date(validate=known, **details)


def line(longest: int, *, least: int = 0, **details: Any) -> fields.String:
    """Text of bounded length."""
    return fields.String(validate=validate.Length(least, longest), **details)


def taken(declared: Declared, *, is_new: bool = False) -> dict[str, fields.Field[Any]]:
    """Returns what a schema takes for each declared field; ``is_new``: of a thing to be made."""
    return {name: _taken(one, required=is_new and one.is_needed) for name, one in declared.items()}


def shown_fields(declared: Declared) -> dict[str, fields.Field[Any]]:
    """Returns how a schema tells each declared field; only staff see what is not public."""
    return {name: _shown_field(one, required=one.is_public) for name, one in declared.items()}


def _taken(one: Field[Any], **details: Any) -> fields.Field[Any]:
    if one.is_nullable:
        details["allow_none"] = True
    match one:
        case Text():
            return line(one.most, least=one.least, **details)
        case Pairs():
            return fields.Dict(
                keys=line(one.longest_name, least=1),
                values=line(one.longest_value),
                validate=validate.Length(max=one.most),
                **details,
            )
        case WholeColumn():
            return Whole(validate=validate.Range(one.least, one.most), **details)
        case Flag():
            return fields.Boolean(truthy={True}, falsy={False}, **details)
    raise TypeError(f"the API takes no {type(one).__name__}")


def _shown_field(one: Field[Any], **details: Any) -> fields.Field[Any]:
    if one.is_nullable:
        details["allow_none"] = True
    match one:
        case Text():
            return fields.String(**details)
        case Pairs():
            return fields.Dict(keys=fields.String(), values=fields.String(), **details)
        case WholeColumn():
            return fields.Integer(**details)
        case Flag():
            return fields.Boolean(**details)
    raise TypeError(f"the API tells no {type(one).__name__}")
