"""Check that a message survives the round trip through JSON: that it comes back as it was.

Usually it is decoded and compared. Some classes need no round trip, because the exact types of their fields decide. A
`str`, an `int`, a `bool` and None come back from JSON as they were. A message that holds nothing else is its own
checked copy, if nobody can change it. Everything else has to be decoded to know: a float may be NaN, a subclass loses
its class, a constraint may be broken, a list is shared with whoever made it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import msgspec.inspect

from actorium.store.shapes.sameness import first_change

M = TypeVar("M", bound=msgspec.Struct)

Check = Callable[[Any, bytes], Any]
"""Returns a message as its JSON decodes, given both; raises InvalidMessage if that is a different message."""

_EXACT = (
    (msgspec.inspect.StrType(), "str"),
    (msgspec.inspect.IntType(), "int"),
    (msgspec.inspect.BoolType(), "bool"),
)


class InvalidMessage(ValueError):
    """The fields of a command or an event do not match its class, or do not survive JSON."""


def checked_copy(message: M, encoded: bytes, decode: Callable[[bytes], M]) -> M:
    """Return the message as its JSON decodes; raise InvalidMessage if that is a different message."""
    try:
        copy = decode(encoded)
    except msgspec.ValidationError as error:
        raise InvalidMessage(f"{type(message).__name__}: {error}") from None
    if copy != message:
        change = first_change(message, copy)  # None: equal, with times in the ambiguous hour of their zone
        if change is not None:
            raise InvalidMessage(
                f"{type(message).__name__} changes when it is stored as JSON: {change.name}={change.before} comes back "
                f"as {change.after}"
            )
    return copy


def check_of(message_class: type[msgspec.Struct], decode: Callable[[bytes], Any]) -> Check:
    """Return the check of one class of message: `checked_copy`, but faster if the types of the fields suffice."""

    def by_copy(message: Any, encoded: bytes) -> Any:
        return checked_copy(message, encoded, decode)

    condition = exact_condition(message_class)
    if condition is None:
        return by_copy
    # Generated code, as in `dataclasses`: this runs for two messages per command, and a loop over the fields would cost
    # more than decoding them.
    check: Check = eval(f"lambda message, encoded: message if {condition} else by_copy(message, encoded)", locals())
    return check


def exact_condition(message_class: type[msgspec.Struct]) -> str | None:
    """Return a Python expression about `message` that is true only if JSON keeps the message.

    The message must have been encoded without an error, which refuses text that is not Unicode. Returns None for a
    class whose messages have to be decoded.
    """
    config = message_class.__struct_config__
    if not config.frozen or config.dict or hasattr(message_class, "__post_init__"):
        return None
    if message_class.__eq__ is not msgspec.Struct.__eq__:  # it may find a copy different
        return None
    info = msgspec.inspect.type_info(message_class)
    if not isinstance(info, msgspec.inspect.StructType):
        return None
    tests = [_test(f"message.{field.name}", field.type) for field in info.fields]
    return None if None in tests else " and ".join(f"({test})" for test in tests) or "True"


def _test(value: str, kind: msgspec.inspect.Type) -> str | None:
    tests = []
    for part in kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,):
        if isinstance(part, msgspec.inspect.NoneType):
            tests.append(f"{value} is None")
            continue
        name = next((name for exact, name in _EXACT if part == exact), None)
        if name is None:
            return None  # of another type, or with a constraint
        tests.append(f"type({value}) is {name}")
    return " or ".join(tests)
