"""The fingerprint of a command: by it a second use of a `command_id` for something else is found.

It covers the stream type, the command's type, and every field that differs from its default, whatever the order of the
fields. So a field with a default can be added between two sends of one command, and what the sender left out stays left
out when a default changes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from struct import Struct
from typing import Any

import msgspec

# Before it had 64 bits, a fingerprint was a CRC-32 of all fields: what such a log holds cannot be computed any more.
_NARROW_END = 2**32

_FINGERPRINT = Struct(">q")

encode_sorted = msgspec.json.Encoder(order="sorted").encode


def encode_any_keys(value: Any) -> bytes:
    """Return what `encode_sorted` does not take as JSON: keys that are numbers, UUIDs or members of an Enum.

    They are sorted as the texts they become. Raises TypeError for what JSON cannot carry.
    """
    return encode_sorted(msgspec.to_builtins(value, str_keys=True, order="sorted"))


def is_narrow(fingerprint: int) -> bool:
    """Whether a fingerprint is a CRC-32 of an older version, which says nothing about a command of today."""
    return 0 <= fingerprint < _NARROW_END


Fingerprint = Callable[[msgspec.Struct, bytes], int]
"""Returns the fingerprint of a command, given also as `encode_sorted` encodes it: a signed number of 64 bits."""


def fingerprint_of(stream_type: str, command_type: str, command_class: type[msgspec.Struct]) -> Fingerprint:
    """Return the function that computes the fingerprints of one class of command."""
    begun = blake2b(msgspec.json.encode([stream_type, command_type]), digest_size=_FINGERPRINT.size)
    begin, unpack = begun.copy, _FINGERPRINT.unpack

    # Closures, not a class: every command comes by here.
    def plain(command: msgspec.Struct, encoded: bytes) -> int:
        digest = begin()
        digest.update(encoded)
        fingerprint: int = unpack(digest.digest())[0]
        # One in four thousand million would pass for a narrow one.
        return fingerprint if fingerprint < 0 or fingerprint >= _NARROW_END else fingerprint - _NARROW_END

    reachable = _structs(command_class)
    if not any(_has_default(field) for struct in reachable for field in msgspec.structs.fields(struct)):
        return plain
    content: Callable[[Any], Any] = _without_defaults if len(reachable) > 1 else _own_content(command_class)

    def without_defaults(command: msgspec.Struct, encoded: bytes) -> int:
        held = content(command)
        try:
            return plain(command, encode_sorted(held))
        except TypeError:
            return plain(command, encode_any_keys(held))

    return without_defaults


def _structs(struct: type[msgspec.Struct]) -> set[type[msgspec.Struct]]:
    """Return the struct classes that a value of a class may hold, the class itself among them."""
    found: set[type[msgspec.Struct]] = set()
    waiting: list[Any] = [msgspec.inspect.type_info(struct)]
    while waiting:
        info = waiting.pop()
        if isinstance(info, msgspec.inspect.StructType):
            if info.cls in found:
                continue
            found.add(info.cls)
        if isinstance(info, msgspec.inspect.Type | msgspec.inspect.Field):
            waiting += [getattr(info, name) for name in info.__struct_fields__]
        elif isinstance(info, tuple):
            waiting += info
    return found


def _has_default(field: msgspec.structs.FieldInfo) -> bool:
    return field.default is not msgspec.NODEFAULT or field.default_factory is not msgspec.NODEFAULT


def _own_content(struct: type[msgspec.Struct]) -> Callable[[Any], dict[str, Any]]:
    """Return a function that makes the content of a struct that holds no other."""
    fields = _fields_of(struct)

    def content(value: msgspec.Struct) -> dict[str, Any]:
        return {name: own for attribute, name, default in fields if (own := getattr(value, attribute)) != default}

    return content


def _without_defaults(value: Any) -> Any:
    """Return what JSON holds of a value, the fields of structs left out that are what they are by default."""
    if isinstance(value, msgspec.Struct):
        content = {
            name: _without_defaults(own)
            for attribute, name, default in _fields_of(type(value))
            if (own := getattr(value, attribute)) != default
        }
        config = value.__struct_config__
        return {**content, config.tag_field: config.tag} if config.tag_field is not None else content
    if isinstance(value, dict):
        return {key: _without_defaults(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_defaults(one) for one in value]
    return value


@cache
def _fields_of(struct: type[msgspec.Struct]) -> list[tuple[str, str, Any]]:
    """Return attribute, name in JSON and default of each field; NODEFAULT, which equals nothing, for none."""
    return [
        (
            field.name,
            field.encode_name,
            field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default,
        )
        for field in msgspec.structs.fields(struct)
    ]
