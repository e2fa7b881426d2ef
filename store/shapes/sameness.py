"""Compare a value with its JSON round trip: equal, and of the same types at every level."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, time
from operator import is_
from typing import Any, NamedTuple

import msgspec


def is_same(one: Any, other: Any) -> bool:
    """Return whether two values are equal and have the same types at every level.

    `1`, `1.0` and `True` differ, and so do a `dict` and a `defaultdict`. Aware times are the same if they are the same
    instant at the same offset, whatever object holds their time zone. Python's own `==` disagrees for times in the
    ambiguous hour of a time zone (PEP 495).
    """
    if one is other:
        return True
    if isinstance(one, datetime) and isinstance(other, datetime):
        return _is_same_time(one, other)
    if type(one) is not type(other):
        return False
    if isinstance(one, msgspec.Struct):
        return all(is_same(getattr(one, name), getattr(other, name)) for name in one.__struct_fields__)
    if isinstance(one, dict):
        return _are_same(one, other) and _are_same(one.values(), other.values())
    if isinstance(one, list | tuple):
        return _are_same(one, other)
    if isinstance(one, set | frozenset):
        return bool(one == other) and sorted(map(_kind, one)) == sorted(map(_kind, other))
    if isinstance(one, time):
        return bool(one == other) and one.fold == other.fold
    equality: Any = type(one).__eq__
    if equality is object.__eq__:  # equal only to itself: compare its content
        return is_same(getattr(one, "__dict__", None), getattr(other, "__dict__", None))
    return bool(one == other)


def _are_same(ones: Collection[Any], others: Collection[Any]) -> bool:
    if len(ones) != len(others):
        return False
    # Usually the items are identical, which takes a tenth of the time to find out.
    return all(map(is_, ones, others)) or all(map(is_same, ones, others))


def _is_same_time(one: datetime, other: datetime) -> bool:
    if one.tzinfo is None or other.tzinfo is None:
        return bool(one == other) and one.tzinfo is other.tzinfo and one.fold == other.fold
    walls = one.replace(tzinfo=None, fold=0), other.replace(tzinfo=None, fold=0)
    return one.utcoffset() == other.utcoffset() and bool(walls[0] == walls[1])


def _kind(value: object) -> str:
    return type(value).__qualname__


class FieldChange(NamedTuple):
    """A field that differs between two structs, with its values as text."""

    name: str
    before: str
    after: str


def first_change(message: msgspec.Struct, copy: msgspec.Struct) -> FieldChange | None:
    """Return the first field that differs in a copy; None if none does."""
    for name in message.__struct_fields__:
        before, after = getattr(message, name), getattr(copy, name)
        if not is_same(before, after):
            return FieldChange(name, f"{before!r:.200}", f"{after!r:.200}")
    return None
