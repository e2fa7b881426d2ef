"""The commands and events of an application as documents for other programs: JSON Schema, and AsyncAPI 3."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from actorium.actors.commands import Command, command_type_of
from actorium.catalog import Catalog
from actorium.store.events import Event, event_type_of

Document = dict[str, Any]
Message = type[Command] | type[Event]


def json_schema(catalog: Catalog) -> Document:
    """Return a JSON Schema (2020-12) with a definition for each command, each event and the types they contain."""
    messages = _messages(catalog)
    schemas, definitions = msgspec.json.schema_components(messages, ref_template="#/$defs/{name}")
    for message, schema in zip(messages, schemas, strict=True):
        definitions[_name_in(schema)] |= _about(message)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "anyOf": list(schemas),
        "$defs": dict(sorted(definitions.items())),
    }


def asyncapi(catalog: Catalog, *, title: str, version: str) -> Document:
    """Return an AsyncAPI 3.0 document: one channel per stream type, which receives commands and sends events.

    title, version: the title and version of the application.
    """
    messages = _messages(catalog)
    schemas, definitions = msgspec.json.schema_components(messages, ref_template="#/components/schemas/{name}")
    keys = _keys(messages)
    channels: Document = {}
    operations: Document = {}
    for aggregate in catalog.aggregates:
        definition = aggregate.__definition__
        commands: list[Message] = list(definition.handlers)
        events: list[Message] = list(definition.evolvers)
        channel = _key(definition.stream_type)
        channels[channel] = {
            "address": f"{definition.stream_type}/{{id}}",
            "parameters": {"id": {"description": f"The id of one {definition.stream_type}."}},
            "messages": {keys[one]: {"$ref": f"#/components/messages/{keys[one]}"} for one in [*commands, *events]},
            **_description(aggregate),
        }
        for action, handled in (("receive", commands), ("send", events)):
            if handled:
                operations[f"{channel}.{action}"] = {
                    "action": action,
                    "channel": {"$ref": f"#/channels/{channel}"},
                    "messages": [{"$ref": f"#/channels/{channel}/messages/{keys[one]}"} for one in handled],
                }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": title, "version": version},
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": {
                keys[message]: {"name": _stored_name(message), "payload": schema, **_about(message)}
                for message, schema in zip(messages, schemas, strict=True)
            },
            "schemas": dict(sorted(definitions.items())),
        },
    }


def _messages(catalog: Catalog) -> list[Message]:
    """Return all commands and events, each once: commands first, in the order of their aggregates."""
    commands: Iterable[Message] = (
        command for aggregate in catalog.aggregates for command in aggregate.__definition__.handlers
    )
    return [*dict.fromkeys(commands), *catalog.events]


def _stored_name(message: Message) -> str:
    return event_type_of(message) if issubclass(message, Event) else command_type_of(message)


def _about(message: Message) -> Document:
    """Return properties that JSON Schema has no keyword for, as extensions."""
    about: Document = {"x-kind": "command", "x-stored-name": _stored_name(message)}
    if issubclass(message, Event):
        about |= {"x-kind": "event", "x-schema-version": message.schema_version}
    return about


def _description(thing: type) -> Document:
    text = (vars(thing).get("__doc__") or "").strip()
    return {"description": text} if text else {}


def _name_in(schema: Document) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _key(name: str) -> str:
    """Return a name with only the characters allowed in a key of an AsyncAPI document."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)


def _keys(messages: Iterable[Message]) -> dict[Message, str]:
    """Return a key for each message: its stored name, with its kind if another message has that name."""
    keys: dict[Message, str] = {}
    taken: set[str] = set()
    for message in messages:
        key = _key(_stored_name(message))
        while key in taken:
            key += ".event" if issubclass(message, Event) else ".command"
        taken.add(key)
        keys[message] = key
    return keys
