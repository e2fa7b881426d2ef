"""`NodeDescription`: what a node tells the others of itself when it joins."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from actorium.store.events import as_json
from actorium.store.shared import NODES_MAX


class NodeDescription(msgspec.Struct, frozen=True, omit_defaults=True):
    """What other nodes need to know of a node; all of it stays the same while the node runs.

    wire: its address on the bus; empty if it hears only through the database.
    """

    wire: str = ""

    def encode(self) -> str:
        """Return it as `Member.about`."""
        return as_json(self).decode()


@lru_cache(maxsize=4 * NODES_MAX)
def description(about: str) -> NodeDescription:
    """Return what `Member.about` says; nothing, if another version of Actorium wrote something else."""
    try:
        return _decode_description(about)
    except msgspec.DecodeError:
        return NodeDescription()


_decode_description = msgspec.json.Decoder(NodeDescription).decode
