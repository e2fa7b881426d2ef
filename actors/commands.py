"""Commands, the checks on their way in, the handlers that take them, and their replies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeGuard

import msgspec

from actorium.actors.fingerprint import (
    encode_any_keys,
    encode_sorted,
    fingerprint_of,
    fingerprint_without_texts,
)
from actorium.store.errors import InvalidCommand
from actorium.store.events import Event, MessageMeta
from actorium.store.personal.fields import holds_personal
from actorium.store.raised import let_through, repr_of, text_of
from actorium.store.shapes.round_trip import Check, InvalidMessage
from actorium.store.shapes.storable import decoders_of

MAX_ID_LENGTH = 512  # an id is a key in an index of the log, not a document


def checked_id(id: object, what: str) -> str:
    """Return `id` if it can be a key of the log; otherwise raise InvalidCommand that names it as `what`."""
    if isinstance(id, str) and 0 < len(id) <= MAX_ID_LENGTH and "\0" not in id and (id.isascii() or is_unicode(id)):
        return id
    raise InvalidCommand(
        f"{what}={id!r:.100}: must be a string of 1 to {MAX_ID_LENGTH} Unicode characters, none of them NUL"
    )


def checked_text(text: object, what: str) -> str:
    """Return `text` if the log can store it; otherwise raise InvalidCommand that names it as `what`."""
    if is_unicode(text):
        return text
    raise InvalidCommand(f"{what}={text!r:.100}: must be a string of Unicode characters")


def is_unicode(text: object) -> TypeGuard[str]:
    """Return whether the value is a string without lone surrogates, which JSON and SQLite reject."""
    if not isinstance(text, str):
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def copied_headers(headers: object) -> dict[str, str]:
    """Return a copy of headers; raise InvalidCommand for anything but a mapping."""
    if not isinstance(headers, Mapping):
        raise InvalidCommand(f"headers={headers!r}: must be a mapping of strings to strings")
    return dict(headers)


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise InvalidCommand for headers that cannot be stored and read back unchanged."""
    for name, value in headers.items():
        if not (is_unicode(name) and is_unicode(value)):
            raise InvalidCommand(f"headers={{{name!r}: {value!r}}}: names and values must be strings")


def checked_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Return a copy of headers that can be stored; raise InvalidCommand for anything else."""
    if not headers:
        return {}
    copied = copied_headers(headers)
    check_headers(copied)
    return copied


class Command(msgspec.Struct, frozen=True, gc=False, metaclass=MessageMeta):
    """Base class for commands: an intent addressed to one aggregate; subclasses add fields.

    to: the id of the aggregate.
    subject_field: the field, of type `str`, that names whom its `Personal` fields are about; `to` if it is not set.
    """

    command_type: ClassVar[str] = ""
    subject_field: ClassVar[str] = ""

    to: str


def command_type_of(command_class: type[Command]) -> str:
    """Return the stable name of a command class: its own `command_type`, or else its class name."""
    own = command_class.__dict__.get("command_type")
    return own if isinstance(own, str) and own else command_class.__name__


class Ack(msgspec.Struct, frozen=True, gc=False):
    """The acknowledgement of a command: its events are durable in the log and have been applied.

    version: the version of the stream after the events.
    position: the position of the last event in the log; without events, the end of the log as known at that time.
    duplicate: the command had already taken effect; the other fields describe the first time.
    """

    stream_id: str
    version: int
    position: int
    events: tuple[Event, ...]
    command_id: str
    duplicate: bool = False


class CommandCodec:
    """Checks one class of command on its way in: its fields, its size, and that JSON does not change it.

    fingerprint: computes the fingerprint of an admitted command from its copy and its JSON.
    """

    __slots__ = ("_check", "_command_class", "_name", "_stream_type", "fingerprint")

    def __init__(self, command_class: type[Command], stream_type: str) -> None:
        self._command_class = command_class
        self._stream_type = stream_type
        self._name = command_type_of(command_class)
        self.fingerprint: Callable[[Any, bytes], int] = self._first_fingerprint
        self._check: Check = decoders_of(command_class).check

    def admit(self, command: Command, max_payload_bytes: int) -> tuple[Any, bytes]:
        """Return a checked copy of a command and its JSON; raise InvalidCommand if a field is wrong."""
        try:
            try:
                encoded = encode_sorted(command)
            except TypeError:  # `sorted_json`, inlined: hot path
                encoded = encode_any_keys(command)
            check = self._check  # first: a call of an attribute that is not a method is slow in CPython 3.11
            copy = check(command, encoded)
        except BaseException as error:  # a field may hold any object, with its own `__eq__`
            let_through(error)
            said = text_of(error) if isinstance(error, InvalidMessage | TypeError | ValueError) else repr_of(error)
            raise InvalidCommand(f"{self._name} was not sent: {said}") from error
        if len(encoded) > max_payload_bytes:
            raise InvalidCommand(
                f"{self._name} was not sent: it takes {len(encoded)} bytes, but the limit max_payload_bytes is "
                f"{max_payload_bytes}"
            )
        to = copy.to
        if not to or len(to) > MAX_ID_LENGTH or "\0" in to:
            raise InvalidCommand(
                f"{self._name} was not sent: `to` must be the aggregate's id, 1 to {MAX_ID_LENGTH} characters, "
                f"not {to[:40]!r}"
            )
        return copy, encoded

    def _first_fingerprint(self, command: Command, encoded: bytes) -> int:
        """Compute a fingerprint, and replace this method with the function of the class.

        The function is built here and not with the codec: a struct knows its defaults only when its class is complete.
        """
        fingerprint = fingerprint_of(self._stream_type, self._name, self._command_class)
        if holds_personal(self._command_class):
            fingerprint = fingerprint_without_texts(fingerprint)
        self.fingerprint = fingerprint
        return fingerprint(command, encoded)


class CommandHandler(msgspec.Struct, frozen=True):
    """One `@create` or `@decide` method: the command it handles and the events it declares."""

    command_class: type[Command]
    method: Callable[..., Any]
    creates: bool
    wants_metadata: bool
    returns: tuple[type[Event], ...]
    codec: CommandCodec
