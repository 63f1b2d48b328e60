"""JSON of strangers: nothing deep, nothing that is no JSON, and what is fine stays as it is."""

import json

import pytest

from shop.core import strict_json


@pytest.mark.parametrize(
    "text",
    [
        "[" * 33 + "]" * 33,
        '{"a":' * 33 + "1" + "}" * 33,
        "[" * 10_000_000,
        '["' + "[" * 5 + '", ' + "[" * 40,
        "NaN",
        "[Infinity]",
        "1e999",
        "9" * 5000,
        '"unclosed',
        '"\\',
        "",
        b"\xff",
    ],
    ids=range(12),
)
def test_what_is_deep_or_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        strict_json.parse(text)


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, 2.5, None, True, 'ü \\ " [[[[ {{{{ ]']},
        json.loads("[" * 32 + "]" * 32),
        ["[" * 100, '"' + "[" * 100, "\\" * 3 + '"' + "{" * 100],
        "text",
        0,
    ],
)
def test_what_is_json_is_read_as_it_stands(value: object) -> None:
    assert strict_json.parse(json.dumps(value)) == value
