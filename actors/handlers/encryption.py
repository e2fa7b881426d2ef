"""Handlers of an aggregate whose commands or events hold personal data: they encrypt what is new.

A command is encrypted when it is admitted, so everything that is kept of it is encrypted. An event is encrypted when it
is decided, because a handler may make a value of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from actorium.actors.commands import Command, CommandCodec, CommandHandler, checked_id, is_unicode
from actorium.store.errors import InvalidCommand, StoreUnavailable
from actorium.store.events import Event
from actorium.store.personal.fields import Encrypt, encrypted, holds_personal, subject_reader
from actorium.store.personal.values import Personal
from actorium.store.raised import let_through


class EncryptingCommandCodec(CommandCodec):
    """Encrypts the personal data of commands, and checks them as encrypted."""

    __slots__ = ("_encrypt", "_subject_of")

    def __init__(self, command_class: type[Command], stream_type: str, encrypt: Encrypt) -> None:
        super().__init__(command_class, stream_type)
        self._encrypt = encrypt
        self._subject_of = subject_reader(command_class)

    def admit(self, command: Command, max_payload_bytes: int) -> tuple[Any, bytes]:
        """Return a checked and encrypted copy of a command, and its JSON; raise InvalidCommand."""
        subject = command.to if self._subject_of is None else self._subject_of(command)
        try:
            ready = encrypted(command, subject, self._encrypt)
        except InvalidCommand as wrong:
            raise InvalidCommand(f"{type(command).__name__} was not sent: {wrong}") from None
        except StoreUnavailable:
            raise
        except BaseException as raised:  # its text could show what is personal
            let_through(raised)
            raise InvalidCommand(f"{type(command).__name__} was not sent: {type(raised).__name__}") from None
        return super().admit(ready, max_payload_bytes)


def encrypting(
    handlers: Mapping[type[Command], CommandHandler],
    stream_type: str,
    event_classes: Iterable[type[Event]],
    encrypt: Encrypt,
) -> Mapping[type[Command], CommandHandler]:
    """Return handlers that encrypt the personal data of their commands and events; others are returned unchanged."""
    encrypt = _checking(encrypt)
    subject_of = {event: subject_reader(event) for event in event_classes if holds_personal(event)}
    ready: dict[type[Command], CommandHandler] = {}
    for command, handler in handlers.items():
        if holds_personal(command):
            codec = EncryptingCommandCodec(command, stream_type, encrypt)
            handler = msgspec.structs.replace(handler, codec=codec)
        if subject_of:
            handler = msgspec.structs.replace(handler, method=_encrypting(handler.method, subject_of, encrypt))
        ready[command] = handler
    return ready


def _checking(encrypt: Encrypt) -> Encrypt:
    """Return a function that encrypts only what the log can hold, about a subject that can be forgotten."""

    def checked(subject: str, text: str) -> Personal[str]:
        checked_id(subject, "the subject of personal data")
        if not is_unicode(text):
            raise InvalidCommand(f"the personal text about {subject!r} must be a string of Unicode characters")
        return encrypt(subject, text)

    return checked


def _encrypting(
    method: Callable[..., Any], subject_of: Mapping[type[Event], Callable[[Any], str] | None], encrypt: Encrypt
) -> Callable[..., Any]:
    def one(state: Any, event: Any) -> Any:
        if type(event) not in subject_of:
            return event
        read = subject_of[type(event)]
        return encrypted(event, state.id if read is None else read(event), encrypt)

    def decide(state: Any, *arguments: Any) -> Any:
        decided = method(state, *arguments)
        if decided is None or isinstance(decided, Event):
            return one(state, decided)
        return tuple(one(state, event) for event in decided)

    decide.__qualname__ = method.__qualname__
    return decide
