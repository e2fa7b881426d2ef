"""The fingerprint of a command: it detects a `command_id` that is reused for a different command.

It covers the stream type, the command's type, and every field that differs from its default, in any order. So a field
with a default can be added between two sends of one command, and a field that the sender left out stays out when its
default changes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from struct import Struct
from typing import Any

import msgspec

from actorium.store.personal.fields import without_texts

# Older logs hold a CRC-32 of all fields instead of 64 bits. Those values can no longer be computed.
_NARROW_END = 2**32

_FINGERPRINT = Struct(">q")

NOT_DONE = -1
"""Marks an event recorded under the id of a command that did not take effect; no command has this fingerprint."""

encode_sorted = msgspec.json.Encoder(order="sorted").encode


def encode_any_keys(value: Any) -> bytes:
    """Return JSON for values that `encode_sorted` does not accept: keys that are numbers, UUIDs or Enum members.

    The keys are sorted as text. Raises TypeError for a value that JSON cannot represent.
    """
    return encode_sorted(msgspec.to_builtins(value, str_keys=True, order="sorted"))


def sorted_json(value: Any) -> bytes:
    """Return JSON with sorted keys, the form that is hashed; raise TypeError for a value that JSON cannot represent."""
    try:
        return encode_sorted(value)
    except TypeError:
        return encode_any_keys(value)


def is_narrow(fingerprint: int) -> bool:
    """Whether a fingerprint is a CRC-32 of an older version, which cannot be compared with today's."""
    return 0 <= fingerprint < _NARROW_END


Fingerprint = Callable[[msgspec.Struct, bytes], int]
"""Returns the fingerprint, a signed 64-bit number, of a command and its `encode_sorted` form."""


def fingerprint_of(stream_type: str, command_type: str, command_class: type[msgspec.Struct]) -> Fingerprint:
    """Return the function that computes the fingerprints of one class of command."""
    begun = blake2b(msgspec.json.encode([stream_type, command_type]), digest_size=_FINGERPRINT.size)
    begin, unpack = begun.copy, _FINGERPRINT.unpack

    # Closures, not a class: every command passes through here.
    def plain(command: msgspec.Struct, encoded: bytes) -> int:
        digest = begin()
        digest.update(encoded)
        fingerprint: int = unpack(digest.digest())[0]
        # One in 2**32 would look like a 32-bit fingerprint, or be `NOT_DONE`.
        return fingerprint if fingerprint < NOT_DONE or fingerprint >= _NARROW_END else fingerprint - _NARROW_END

    reachable = _structs(command_class)
    if not any(_has_default(field) for struct in reachable for field in msgspec.structs.fields(struct)):
        return plain
    content: Callable[[Any], Any] = _without_defaults if len(reachable) > 1 else _own_content(command_class)

    def without_defaults(command: msgspec.Struct, encoded: bytes) -> int:
        return plain(command, sorted_json(content(command)))

    return without_defaults


def fingerprint_without_texts(fingerprint: Fingerprint) -> Fingerprint:
    """Return a function like `fingerprint` that leaves out the texts of personal data.

    A hash of a name or a date of birth can be guessed, and what is encrypted changes with the key: a command that is
    sent again after its subject was forgotten must still be recognised.
    """

    def without_texts_of(command: msgspec.Struct, encoded: bytes) -> int:
        bare = without_texts(command)
        return fingerprint(bare, sorted_json(bare))

    return without_texts_of


def _structs(struct: type[msgspec.Struct]) -> set[type[msgspec.Struct]]:
    """Return the struct classes that a value of a class may contain, including the class itself."""
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
    """Return a function that builds the content of a struct without nested structs."""
    fields = _fields_of(struct)

    def content(value: msgspec.Struct) -> dict[str, Any]:
        return {name: own for attribute, name, default in fields if (own := getattr(value, attribute)) != default}

    return content


def _without_defaults(value: Any) -> Any:
    """Return the JSON form of a value, without the fields of structs that equal their defaults."""
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
    """Return the attribute, JSON name and default of each field; NODEFAULT, which equals nothing, if none."""
    return [
        (
            field.name,
            field.encode_name,
            field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default,
        )
        for field in msgspec.structs.fields(struct)
    ]
