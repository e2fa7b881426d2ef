"""Check, when they are defined, that classes of message can be stored as JSON and read back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
import msgspec.inspect

from actorium.store.errors import ConfigurationError
from actorium.store.shapes.round_trip import Check, check_of

Decode = Callable[[bytes], Any]

MAX_NESTING = 100
"""The deepest nesting of lists and objects; a copy of a state needs about five frames per level."""
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]')


class Decoders(NamedTuple):
    """The functions that decode the JSON of a class: of a stored message, and of an incoming one.

    `admit` also rejects JSON nested deeper than MAX_NESTING, with msgspec.ValidationError. `check` returns an incoming
    message as `admit` decodes it, or rejects it.
    """

    decode: Decode
    admit: Decode
    check: Check


def decoders_of(message_class: type[msgspec.Struct]) -> Decoders:
    """Return the functions that decode messages of a class from JSON.

    They are made once and kept in the class: reading its annotations takes longer than decoding a thousand messages.

    Raises:
        ConfigurationError: a field has a type that JSON cannot represent; the message names the field and the type.
    """
    decoders: Decoders | None = vars(message_class).get("__decoders__")
    if decoders is None:
        decoders = _decoders_of(message_class)
        message_class.__decoders__ = decoders  # type: ignore[attr-defined]
    return decoders


def _decoders_of(message_class: type[msgspec.Struct]) -> Decoders:
    name = message_class.__qualname__
    try:
        decode: Decode = msgspec.json.Decoder(message_class).decode
        info = msgspec.inspect.type_info(message_class)
    except (TypeError, NameError) as error:
        raise ConfigurationError(f"{name} cannot be stored as JSON: {error}") from error
    for path, custom in _custom_types(info, name, set()):
        raise ConfigurationError(
            f"{path} has the type {custom.cls.__qualname__}, which JSON cannot represent: use a msgspec.Struct, a "
            "dataclass, a TypedDict, an Enum or one of the built-in types"
        )
    if not _has_no_bottom(info, ()):
        return Decoders(decode, decode, check_of(message_class, decode))

    def admit(payload: bytes) -> Any:
        if payload.count(b"[") + payload.count(b"{") > MAX_NESTING and _nesting_of(payload) > MAX_NESTING:
            raise msgspec.ValidationError(f"it is nested deeper than {MAX_NESTING} levels")
        return decode(payload)

    return Decoders(decode, admit, check_of(message_class, admit))


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
