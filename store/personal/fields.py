"""Which classes of message hold personal data, and the encryption of what is new in a message."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import msgspec.inspect

from actorium.store.errors import ConfigurationError
from actorium.store.personal.values import Personal, is_new

Encrypt = Callable[[str, str], Personal[str]]
"""Returns a value of a subject (the first argument) with a text (the second), encrypted."""


def holds_personal(message_class: type[msgspec.Struct]) -> bool:
    """Return whether messages of a class can hold `Personal` values.

    Raises ConfigurationError for a `Personal` of anything but `str`, or as the key of a dict.
    """
    return any(_found(msgspec.inspect.type_info(message_class), message_class.__qualname__, set()))


def _found(node: Any, path: str, seen: set[type]) -> Iterator[bool]:
    if isinstance(node, list | tuple):
        for part in node:
            yield from _found(part, path, seen)
    elif isinstance(node, msgspec.inspect.Field):
        yield from _found(node.type, f"{path}.{node.name}", seen)
    elif isinstance(node, msgspec.inspect.Type):
        kind = getattr(node, "cls", None)
        if (typing.get_origin(kind) or kind) is Personal:
            if typing.get_args(kind) != (str,):
                raise ConfigurationError(
                    f"{path} has the type {kind}: write Personal[str], and store anything else as text, such as a date "
                    "with isoformat()"
                )
            yield True
            return
        if isinstance(node, msgspec.inspect.DictType) and any(_found(node.key_type, path, set())):
            raise ConfigurationError(f"{path} has Personal[str] as the key of a dict: JSON has no such keys")
        if isinstance(kind, type):
            if kind in seen:
                return
            seen.add(kind)
        for name in node.__struct_fields__:
            yield from _found(getattr(node, name), path, seen)


def subject_reader(message_class: type[msgspec.Struct]) -> Callable[[Any], str] | None:
    """Return the function that gives the subject of a message with a `subject_field`; None if it has none.

    Raises ConfigurationError if that is not a field of type `str`.
    """
    name: str = getattr(message_class, "subject_field", "")
    if not name:
        return None
    for field in msgspec.structs.fields(message_class):
        if field.name == name and field.type is str:
            return lambda message: str(getattr(message, name))
    raise ConfigurationError(
        f"{message_class.__qualname__}.subject_field is {name!r}: it must name a field of the class of type str"
    )


def encrypted(value: Any, subject: str, encrypt: Encrypt) -> Any:
    """Return a message, or any part of one, with its new `Personal` values encrypted.

    subject: that of the values that do not have one.
    """
    if isinstance(value, Personal):
        if not is_new(value):
            return value
        return encrypt(value.subject or subject, value.value)
    if isinstance(value, msgspec.Struct):
        changed = {}
        for name in value.__struct_fields__:
            before = getattr(value, name)
            after = encrypted(before, subject, encrypt)
            if after is not before:
                changed[name] = after
        return msgspec.structs.replace(value, **changed) if changed else value
    if isinstance(value, list | tuple | set | frozenset):
        parts = [encrypted(part, subject, encrypt) for part in value]
        return value if all(map(_is_same, parts, value)) else type(value)(parts)
    if isinstance(value, dict):
        items = {key: encrypted(part, subject, encrypt) for key, part in value.items()}
        return value if all(items[key] is part for key, part in value.items()) else items
    return value


def _is_same(one: object, other: object) -> bool:
    return one is other
