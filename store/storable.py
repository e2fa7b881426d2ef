"""Which classes of message can be stored as JSON and read back: checked when they are defined."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import msgspec.inspect

from actorium.store.errors import ConfigurationError

Decode = Callable[[bytes], Any]


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


def _custom_types(node: Any, path: str, seen: set[type]) -> Iterator[tuple[str, msgspec.inspect.CustomType]]:
    """Yield the types inside a type that msgspec does not know, each with where it is."""
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
