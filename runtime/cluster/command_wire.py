"""`CommandWire`: the JSON of commands on their way between nodes, by stream type and stable name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from actorium.actors.actor import Actor
from actorium.actors.commands import Command, CommandHandler, command_type_of
from actorium.actors.fingerprint import encode_any_keys
from actorium.actors.kind import ActorKind
from actorium.store.errors import InvalidCommand, UnknownEventType
from actorium.store.events import as_json
from actorium.store.raised import let_through, text_of
from actorium.store.shapes.storable import decoders_of


class CommandForm(NamedTuple):
    """How the commands of one class are encoded and decoded."""

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


class CommandUnknown(Exception):
    """The code of this node does not handle a command of another node, or not all of its fields."""


class CommandWire:
    """Encodes and decodes the commands that the actors of this runtime handle.

    forms: the forms of classes that hold more than JSON can say, such as events of any class.
    more: further handlers, each with the type of the streams that it is for.
    """

    def __init__(
        self,
        kinds: Iterable[ActorKind[Actor]],
        forms: Mapping[type[Command], CommandForm],
        more: Iterable[tuple[str, CommandHandler]] = (),
    ) -> None:
        self._handlers: dict[tuple[str, str], tuple[CommandHandler, CommandForm]] = {}
        self._special = frozenset(forms)
        self._forms = {command: (command_type_of(command), form) for command, form in forms.items()}
        own = [(kind.type, handler) for kind in kinds for handler in kind.handlers.values()]
        for stream_type, handler in (*own, *more):
            command = handler.command_class
            plain = (command_type_of(command), CommandForm(_encode, decoders_of(command).decode))
            name, form = self._forms.setdefault(command, plain)
            self._handlers[stream_type, name] = (handler, form)

    def encode(self, command: Command, encoded: bytes = b"") -> tuple[str, bytes]:
        """Return the name of a command and the JSON of its fields.

        encoded: that JSON, if the caller has it already.
        """
        name, form = self._forms[command.__class__]
        if encoded and command.__class__ not in self._special:
            return name, encoded
        return name, form.encode(command)

    def decode(
        self, stream_type: str, name: str, fields: bytes, *, may_have_more: bool
    ) -> tuple[Command, CommandHandler]:
        """Return a command and its handler.

        may_have_more: the sender's code may have fields that this node's code would ignore.

        Raises CommandUnknown if newer code is needed, InvalidCommand if the fields do not fit.
        """
        found = self._handlers.get((stream_type, name))
        if found is None:
            raise CommandUnknown(
                f"no aggregate of this node handles {name} for {stream_type}: its code is newer than the sender's and "
                "no longer has the command, so deploy code that does not send it before code that does not have it"
            )
        handler, form = found
        try:
            command = form.decode(fields)
            if may_have_more and msgspec.json.decode(fields).keys() - {*command.__struct_fields__}:
                raise CommandUnknown(f"{name} has fields that this node's code does not know")
            return command, handler
        except CommandUnknown:
            raise
        except UnknownEventType as error:  # in a command that takes an event along
            raise CommandUnknown(str(error)) from error
        except BaseException as error:
            let_through(error)
            raise InvalidCommand(f"{name} from another node cannot be read: {text_of(error)}") from error


def _encode(command: Command) -> bytes:
    try:
        return as_json(command)
    except TypeError:
        return encode_any_keys(command)
