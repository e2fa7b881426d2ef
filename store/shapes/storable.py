"""Check, when they are defined, that classes of message can be stored as JSON and read back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import msgspec.inspect

from actorium.store.errors import ConfigurationError

Decode = Callable[[bytes], Any]

MAX_NESTING = 100
"""The deepest nesting of lists and objects; a copy of a state needs about five frames per level."""
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]')


def decoder_of(message_class: type[msgspec.Struct]) -> Decode:
    """Return the function that decodes messages of a class from JSON.

    Raises:
        ConfigurationError: a field has a type that JSON cannot carry; the message names the field and the type.
    """
    name = message_class.__qualname__
    try:
        decode: Decode = msgspec.json.Decoder(message_class).decode
        info = msgspec.inspect.type_info(message_class)
    except (TypeError, NameError) as error:
        raise ConfigurationError(f"{name} cannot be stored as JSON: {error}") from error
    for path, custom in _custom_types(info, name, set()):
        raise ConfigurationError(
            f"{path} has the type {custom.cls.__qualname__}, which JSON cannot carry: use a msgspec.Struct, a "
            "dataclass, a TypedDict, an Enum or one of the built-in types"
        )
    return decode


def admitting_decoder_of(message_class: type[msgspec.Struct]) -> Decode:
    """Return `decoder_of` a class for incoming messages, which rejects what could not be read back everywhere.

    The function raises msgspec.ValidationError for JSON nested deeper than MAX_NESTING.

    Raises:
        ConfigurationError: as `decoder_of`.
    """
    decode = decoder_of(message_class)
    if not _has_no_bottom(msgspec.inspect.type_info(message_class), ()):
        return decode

    def admit(payload: bytes) -> Any:
        if payload.count(b"[") + payload.count(b"{") > MAX_NESTING and _nesting_of(payload) > MAX_NESTING:
            raise msgspec.ValidationError(f"it is nested deeper than {MAX_NESTING} levels")
        return decode(payload)

    return admit


def _nesting_of(payload: bytes) -> int:
    """Return how deep lists and objects are nested in JSON."""
    depth = deepest = 0
    for found in _STRING_OR_BRACKET.finditer(payload):
        first = payload[found.start()]
        if first in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif first in b"]}":
            depth -= 1
    return deepest


def _has_no_bottom(node: Any, above: tuple[type, ...]) -> bool:
    """Return whether values of a type may be nested to any depth: they hold `Any`, or values of their own type."""
    if isinstance(node, list | tuple):
        return any(_has_no_bottom(part, above) for part in node)
    if isinstance(node, msgspec.inspect.Field):
        return _has_no_bottom(node.type, above)
    if isinstance(node, msgspec.inspect.AnyType):
        return True
    if not isinstance(node, msgspec.inspect.Type):
        return False
    kind = getattr(node, "cls", None)
    if isinstance(kind, type) and not isinstance(node, msgspec.inspect.EnumType):
        if kind in above:
            return True
        above = (*above, kind)
    return any(_has_no_bottom(getattr(node, name), above) for name in node.__struct_fields__)


def _custom_types(node: Any, path: str, seen: set[type]) -> Iterator[tuple[str, msgspec.inspect.CustomType]]:
    """Yield the types inside a type that msgspec does not know, each with its path."""
    if isinstance(node, list | tuple):
        for part in node:
            yield from _custom_types(part, path, seen)
    elif isinstance(node, msgspec.inspect.CustomType):
        yield path, node
    elif isinstance(node, msgspec.inspect.Field):
        yield from _custom_types(node.type, f"{path}.{node.name}", seen)
    elif isinstance(node, msgspec.inspect.Type):
        kind = getattr(node, "cls", None)
        if isinstance(kind, type):
            if kind in seen:
                return
            seen.add(kind)
        for name in node.__struct_fields__:
            yield from _custom_types(getattr(node, name), path, seen)
