"""Contracts: what a service offers and what it uses of others, as JSON Schema, and how two of them are compared.

A sender's value must fit the receiver: every field that the receiver requires is there, with a type that it takes, and
no field that the sender must give is silently dropped. The two sides need not share code, only names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from actorium.actors.commands import Command, command_type_of
from actorium.runtime.services.service import RemoteService, Service
from actorium.store.events import Event, event_type_of

Schema = dict[str, Any]
_NOTES = ("title", "description", "default", "examples")
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_LIMITS = (*_NUMBERS, "minLength", "maxLength", "pattern", "minItems", "maxItems", "format", "contentEncoding")
_DEPTH_MAX = 32


class Uses(msgspec.Struct, frozen=True):
    """What one service uses of another: its commands and events, by name."""

    commands: dict[str, Schema] = {}
    events: dict[str, Schema] = {}


class Contract(msgspec.Struct, frozen=True):
    """What a service offers and uses.

    accepts: the commands that it accepts, by name.
    only_from: the services from which it accepts a command, if not from all.
    publishes: its events, by name.
    uses: what it uses of other services, by their names.
    """

    service: str
    accepts: dict[str, Schema] = {}
    only_from: dict[str, list[str]] = {}
    publishes: dict[str, Schema] = {}
    uses: dict[str, Uses] = {}


def contract_of(service: Service | None, name: str, remotes: Iterable[RemoteService]) -> Contract:
    """Return the contract of a service, or of a client, which offers nothing."""
    uses = {
        remote.name: Uses(_schemas(remote.commands.values()), _schemas(remote.events.values())) for remote in remotes
    }
    if service is None:
        return Contract(name, uses=uses)
    only_from = {
        command_type_of(command): sorted(names) for command, names in service.accepts.items() if names is not None
    }
    return Contract(name, _schemas(service.accepts), only_from, _schemas(service.publishes), uses)


def _schemas(messages: Collection[type[Command] | type[Event]]) -> dict[str, Schema]:
    found: dict[str, Schema] = {}
    for message in messages:
        name = event_type_of(message) if issubclass(message, Event) else command_type_of(message)
        found[name] = msgspec.json.schema(message)
    return found


class Misfit(msgspec.Struct, frozen=True):
    """Why a message of one service does not fit another; `message` is its stored name.

    is_refused: it is a command that the other service does not accept, whatever its fields.
    """

    message: str
    reason: str
    is_refused: bool = False


def problems_between(user: Contract, offerer: Contract) -> list[Misfit]:
    """Return what one service uses of another that the other does not offer, or not in this form."""
    uses = user.uses.get(offerer.service)
    if uses is None:
        return []
    found: list[Misfit] = []
    for name, schema in uses.commands.items():
        accepted = offerer.accepts.get(name)
        if accepted is None:
            found.append(Misfit(name, f"{offerer.service} does not accept {name}", is_refused=True))
        elif user.service not in offerer.only_from.get(name, [user.service]):
            reason = f"{offerer.service} does not accept {name} from {user.service}"
            found.append(Misfit(name, reason, is_refused=True))
        else:
            found += _named(name, misfits(schema, accepted, user.service, offerer.service))
    for name, schema in uses.events.items():
        published = offerer.publishes.get(name)
        if published is None:
            found.append(Misfit(name, f"{offerer.service} does not publish {name}"))
        else:
            found += _named(name, misfits(published, schema, offerer.service, user.service, drops=True))
    return found


def _named(name: str, reasons: Iterable[str]) -> list[Misfit]:
    return [Misfit(name, f"{name}{reason}") for reason in reasons]


def misfits(sent: Schema, taken: Schema, sender: str, receiver: str, *, drops: bool = False) -> list[str]:
    """Return how values of one schema do not fit another, each beginning with the path of the field.

    drops: the receiver may leave fields out, as readers of events do.
    """
    return _Comparison(sent, taken, sender, receiver, drops).compare(sent, taken, "", _DEPTH_MAX)


class _Comparison:
    """A comparison of two schemas, each with definitions of its own."""

    def __init__(self, sent: Schema, taken: Schema, sender: str, receiver: str, drops: bool) -> None:
        self._sent = sent
        self._taken = taken
        self._sender = sender
        self._receiver = receiver
        self._drops = drops

    def compare(self, sent: Schema, taken: Schema, path: str, depth: int) -> list[str]:
        """Return the misfits of two schemas at a path."""
        sent, taken = _resolved(sent, self._sent), _resolved(taken, self._taken)
        if not depth or (sent == taken and "$ref" not in str(sent)) or not taken:
            return []
        if "anyOf" in sent:
            return [one for part in sent["anyOf"] for one in self.compare(part, taken, path, depth - 1)]
        if "anyOf" in taken:
            found = [self.compare(sent, part, path, depth - 1) for part in taken["anyOf"]]
            return [] if [] in found else self._other_type(sent, taken, path)
        if "enum" in sent or "enum" in taken:
            return self._values(sent, taken, path)
        if sent.get("type") == "object" and taken.get("type") == "object":
            return self._objects(sent, taken, path, depth)
        if sent.get("type") == "array" and taken.get("type") == "array":
            return self.compare(sent.get("items") or {}, taken.get("items") or {}, f"{path}[]", depth - 1)
        if sent.get("type") != taken.get("type") and (sent.get("type"), taken.get("type")) != ("integer", "number"):
            return self._other_type(sent, taken, path)
        limits = {name: taken[name] for name in _LIMITS if name in taken and taken[name] != sent.get(name)}
        return [f"{path}: {self._receiver} requires {limits}, {self._sender} does not"] if limits else []

    def _objects(self, sent: Schema, taken: Schema, path: str, depth: int) -> list[str]:
        there: Mapping[str, Schema] = sent.get("properties", {})
        here: Mapping[str, Schema] = taken.get("properties", {})
        found: list[str] = []
        for name, schema in here.items():
            field = f"{path}.{name}"
            if name in there:
                found += self.compare(there[name], schema, field, depth - 1)
            elif name in taken.get("required", ()):
                found.append(f"{field}: {self._receiver} requires it, {self._sender} does not have it")
        for name in sent.get("required", ()):
            if name not in here and not self._drops and "additionalProperties" not in taken:
                found.append(f"{path}.{name}: {self._sender} gives it, {self._receiver} does not have it")
        values = sent.get("additionalProperties"), taken.get("additionalProperties")
        if isinstance(values[0], dict) and isinstance(values[1], dict):
            found += self.compare(values[0], values[1], f"{path}{{}}", depth - 1)
        return found

    def _values(self, sent: Schema, taken: Schema, path: str) -> list[str]:
        if "enum" in taken and "enum" in sent:
            more = [value for value in sent["enum"] if value not in taken["enum"]]
            return [f"{path}: {self._sender} may give {more}, {self._receiver} does not take it"] if more else []
        if "enum" in sent and _type_of(sent["enum"]) == taken.get("type"):
            return []
        return self._other_type(sent, taken, path)

    def _other_type(self, sent: Schema, taken: Schema, path: str) -> list[str]:
        return [f"{path}: {_shown(sent)} at {self._sender}, {_shown(taken)} at {self._receiver}"]


def _resolved(schema: Schema, root: Schema) -> Schema:
    while "$ref" in schema:
        schema = root.get("$defs", {}).get(schema["$ref"].rpartition("/")[2], {})
    return {name: value for name, value in schema.items() if name not in _NOTES}


def _type_of(values: list[Any]) -> str:
    return "string" if all(isinstance(one, str) for one in values) else "integer"


def _shown(schema: Schema) -> str:
    if "anyOf" in schema:
        return " or ".join(_shown(one) for one in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    return str(schema.get("type", schema.get("enum", "anything")))
