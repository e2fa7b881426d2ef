"""Find fields of stored JSON that its class no longer has and that decoding ignores."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec


def lost_fields(value: Any, stored: Any, path: str = "") -> Iterator[str]:
    """Yield the path of each field of stored JSON that the decoded value does not have.

    value: the result of decoding `stored` to its class.
    stored: the same JSON as plain values.
    """
    if isinstance(stored, dict):
        parts: Iterable[tuple[Any, Any]]
        if isinstance(value, Mapping) and len(value) == len(stored):  # its keys may not be strings; their order is kept
            parts = zip(stored, value.values(), strict=True)
        else:
            known = _fields_of(value)
            yield from (f"{path}{name}" for name in stored if known is not None and name not in known)
            parts = ((name, part) for name, part in (known or {}).items() if name in stored)
        for name, part in parts:
            yield from lost_fields(part, stored[name], f"{path}{name}.")
    elif isinstance(stored, list) and isinstance(value, list | tuple | msgspec.Struct):
        elements = msgspec.structs.astuple(value) if isinstance(value, msgspec.Struct) else value  # array_like
        for part, stored_part in zip(elements, stored, strict=False):
            yield from lost_fields(part, stored_part, path)


def _fields_of(value: Any) -> Mapping[str, Any] | None:
    """Return the fields of a value by their names in JSON; None if it has no fields."""
    if isinstance(value, msgspec.Struct):
        names, fields = value.__struct_encode_fields__, value.__struct_fields__
        found = {name: getattr(value, field) for name, field in zip(names, fields, strict=True)}
        tag = value.__struct_config__.tag_field
        return found if tag is None else {tag: None, **found}
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if (attributes := getattr(type(value), "__attrs_attrs__", None)) is not None:
        return {attribute.name: getattr(value, attribute.name) for attribute in attributes}
    return value if isinstance(value, Mapping) else None  # a TypedDict: unknown keys are not in it
