"""`NodeDescription`: what a node tells the others of itself, so that two versions of the code work together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from zlib import crc32

import msgspec

from actorium.actors.commands import Command
from actorium.store.events import as_json
from actorium.store.shared import NODES_MAX


class NodeDescription(msgspec.Struct, frozen=True, omit_defaults=True):
    """What other nodes need to know of a node; all of it stays the same while the node runs.

    wire: its address on the bus; empty if it hears only through the database.
    reads: the shapes of events that its code can read, as `name/schema version`.
    commands: the commands that its code handles, as `stream type/name`, with a hash of their fields.
    followers: the names of the followers that it can run.
    """

    wire: str = ""
    reads: frozenset[str] = frozenset()
    commands: Mapping[str, int] = {}
    followers: frozenset[str] = frozenset()

    def encode(self) -> str:
        """Return it as `Member.about`."""
        return as_json(self).decode()

    def is_as_new_as(self, other: NodeDescription) -> bool:
        """Return whether its code can read every event that the other's code can read or write."""
        return self.reads >= other.reads

    def reads_more_of(self, event_type: str, other: NodeDescription) -> bool:
        """Return whether its code can read shapes of an event type that the other's code cannot."""
        return any(shape.rpartition("/")[0] == event_type for shape in self.reads - other.reads)


def reads_of(shapes: Iterable[tuple[str, int]]) -> frozenset[str]:
    """Return the shapes of events that a codec can read."""
    return frozenset(f"{name}/{schema_version}" for name, schema_version in shapes)


def hash_of_fields(command: type[Command]) -> int:
    """Return a hash of the names of a command's fields."""
    return crc32("/".join(sorted(command.__struct_fields__)).encode())


@lru_cache(maxsize=4 * NODES_MAX)
def description(about: str) -> NodeDescription:
    """Return what `Member.about` says; nothing, if another version of Actorium wrote something else."""
    try:
        return _decode(about)
    except msgspec.DecodeError:
        return NodeDescription()


_decode = msgspec.json.Decoder(NodeDescription).decode
