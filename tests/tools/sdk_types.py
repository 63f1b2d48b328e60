"""Checks JSON against the types of the installed SDK, which Stripe makes from its OpenAPI."""

import types
import typing
from typing import Any, ClassVar, Literal, Union, get_args, get_origin

import stripe
from stripe._object_classes import get_object_class
from stripe._stripe_object import StripeObject

Json = dict[str, Any]


def problems(value: Json) -> list[str]:
    """Return what is wrong with an API object, each with its path; nothing when it is right.

    Wrong are: fields that the SDK does not know, required ones that are missing, values of another
    type, and words outside an enumeration.
    """
    if value.get("object") == "list":
        return [one for item in value["data"] for one in problems(item)] + _page_problems(value)
    kind = class_of(value)
    if kind is None:
        return [f"there is no object {value.get('object')!r}"]
    if value.get("deleted"):
        return [] if set(value) == {"id", "object", "deleted"} else ["a stub has more fields"]
    return _object_problems(value, kind, str(value["object"]))


def class_of(value: Json) -> type[StripeObject] | None:
    """Return the SDK's class for an API object, or None."""
    name = value.get("object")
    kind: Any = get_object_class("V1", name) if isinstance(name, str) else StripeObject
    return None if kind is StripeObject else kind


def event_types() -> set[str]:
    """Return the types of events that the SDK knows."""
    (words, *_rest) = get_args(_fields(stripe.Event)["type"])
    return set(get_args(words)) if get_origin(words) is Literal else {words, *_rest}


def _page_problems(value: Json) -> list[str]:
    return [] if set(value) == {"object", "data", "has_more", "url"} else ["a list's fields"]


def _fields(kind: type[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in reversed(kind.__mro__):
        if issubclass(one, StripeObject) and one is not StripeObject:
            found |= {
                name: hint
                for name, hint in vars(one).get("__annotations__", {}).items()
                if not name.startswith("_") and get_origin(hint) is not ClassVar
            }
    return found


def _object_problems(value: Json, kind: type[Any], path: str) -> list[str]:
    fields = _fields(kind)
    wrong = [f"{path}.{name}: the SDK has no such field" for name in value if name not in fields]
    for name, hint in fields.items():
        if name not in value:
            if not _takes_none(hint):
                wrong.append(f"{path}.{name}: is missing")
        elif not _fits(value[name], hint):
            wrong.append(f"{path}.{name}: {value[name]!r} does not fit {_spelled(hint)}")
        else:
            wrong += _inner_problems(value[name], hint, f"{path}.{name}")
    return wrong


def _options(hint: Any) -> list[Any]:
    if get_origin(hint) in (Union, types.UnionType):
        return [one for part in get_args(hint) for one in _options(part)]
    return [hint]


def _takes_none(hint: Any) -> bool:
    return type(None) in _options(hint)


def _fits(value: Any, hint: Any) -> bool:
    options = _options(hint)
    words = [word for one in options if get_origin(one) is Literal for word in get_args(one)]
    if words and isinstance(value, str | bool):
        # `Union[Literal[…], str]` means: of this version only these, of a later one maybe others.
        return value in words
    return any(_fits_one(value, one) for one in options)


def _fits_one(value: Any, hint: Any) -> bool:
    if hint is type(None):
        return value is None
    if hint in (int, str, bool):
        return type(value) is hint
    if hint is float:
        return type(value) in (int, float)
    if get_origin(hint) in (list, typing.List):  # noqa: UP006 - as the SDK spells it
        return isinstance(value, list) and all(_fits(one, get_args(hint)[0]) for one in value)
    if hint is Any or get_origin(hint) is dict:
        return True
    return isinstance(value, dict)


def _inner_problems(value: Any, hint: Any, path: str) -> list[str]:
    if isinstance(value, list):
        items = [one for one in _options(hint) if get_origin(one) is list]
        inner = get_args(items[0])[0] if items else Any
        return [
            problem
            for place, one in enumerate(value)
            for problem in _inner_problems(one, inner, f"{path}[{place}]")
        ]
    if not isinstance(value, dict):
        return []
    if class_of(value) is not None:
        return [f"{path} is {one}" for one in problems(value)]
    kinds = [
        one
        for one in _options(hint)
        if isinstance(one, type) and issubclass(one, StripeObject) and one is not StripeObject
    ]
    if not kinds or kinds[0].__name__ == "UntypedStripeObject":
        return []
    return _object_problems(value, kinds[0], path)


def _spelled(hint: Any) -> str:
    return str(hint).replace("typing.", "")[:120]
