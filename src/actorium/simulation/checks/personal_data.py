"""Decides commands with personal data again: with the keys that exist, and without making new ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actorium.actors.commands import Command, CommandHandler
from actorium.actors.definition import AggregateDefinition
from actorium.actors.handlers.encryption import encrypting
from actorium.store.personal.fields import encrypted, holds_personal, subject_reader
from actorium.store.personal.values import NO_KEY, Personal, encrypt_as_known


class PersonalDecisions:
    """The handlers of aggregates, and the commands that they take, with personal data encrypted as in a runtime."""

    def __init__(self) -> None:
        self._handlers: dict[str, Mapping[type[Command], CommandHandler]] = {}

    def handler_of(self, definition: AggregateDefinition[Any], command: Command) -> CommandHandler:
        """Return the handler of a command."""
        name = definition.stream_type
        if name not in self._handlers:
            self._handlers[name] = encrypting(definition.handlers, name, definition.evolvers, encrypt_as_known)
        return self._handlers[name][type(command)]

    def ready(self, command: Command) -> Command | None:
        """Return a command as its handler takes it; None if what it depended on was forgotten."""
        if not holds_personal(type(command)):
            return command
        is_known = True

        def encrypt(subject: str, text: str) -> Personal[str]:
            nonlocal is_known
            value = encrypt_as_known(subject, text)
            is_known = is_known and value.key != NO_KEY
            return value

        read = subject_reader(type(command))
        ready: Command = encrypted(command, command.to if read is None else read(command), encrypt)
        return ready if is_known else None
