"""Which classes of message hold personal data, and the encryption of what is new in a message."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator
from operator import is_
from typing import Any

import msgspec
import msgspec.inspect

from actorium.store.errors import ConfigurationError
from actorium.store.personal.values import NO_KEY, Personal, is_new

Encrypt = Callable[[str, str], Personal[str]]
"""Returns a value of a subject (the first argument) with a text (the second), encrypted."""


def holds_personal(message_class: type[msgspec.Struct]) -> bool:
    """Return whether messages of a class can hold `Personal` values.

    The answer is kept in the class: reading its annotations takes as long as many commands, and each start asks.

    Raises ConfigurationError for a `Personal` of anything but `str`, or as the key of a dict.
    """
    holds: bool | None = vars(message_class).get("__holds_personal__")
    if holds is None:
        holds = any(_found(msgspec.inspect.type_info(message_class), message_class.__qualname__, set()))
        message_class.__holds_personal__ = holds  # type: ignore[attr-defined]
    return holds


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


def encrypted(message: Any, subject: str, encrypt: Encrypt) -> Any:
    """Return a message with its new `Personal` values encrypted.

    subject: that of the values that do not have one.
    """

    def ready(value: Personal[Any]) -> Personal[Any]:
        return encrypt(value.subject or subject, value.value) if is_new(value) else value

    return _replaced(message, ready)


def without_texts(message: Any) -> Any:
    """Return a message whose `Personal` values name their subjects and nothing else."""
    return _replaced(message, lambda value: Personal(value.subject, NO_KEY, b""))


def _replaced(value: Any, replace: Callable[[Personal[Any]], Personal[Any]]) -> Any:
    """Return a value, or any part of one, with its `Personal` values replaced; the value itself if none changes."""
    if isinstance(value, Personal):
        return replace(value)
    if isinstance(value, msgspec.Struct):
        parts = {name: _replaced(getattr(value, name), replace) for name in value.__struct_fields__}
        changed = {name: part for name, part in parts.items() if part is not getattr(value, name)}
        return msgspec.structs.replace(value, **changed) if changed else value
    if isinstance(value, list | tuple | set | frozenset):
        items = [_replaced(part, replace) for part in value]
        return value if all(map(is_, items, value)) else type(value)(items)
    if isinstance(value, dict):
        kept = {key: _replaced(part, replace) for key, part in value.items()}
        return value if all(kept[key] is part for key, part in value.items()) else kept
    return value
