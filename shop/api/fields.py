"""Fields that take what they say and nothing that merely looks like it."""

import re
from datetime import date
from typing import Any

from marshmallow import RAISE, ValidationError, fields, validate
from marshmallow import Schema as MarshmallowSchema

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
