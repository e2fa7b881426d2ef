"""`audit`: read a bank's whole log and check that every command occurs once and no stream has a gap."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from actorium import Runtime
from actorium.store.names import StreamName


class Audit(msgspec.Struct):
    """The contents of a log.

    positions: where each command took effect.
    duplicated: the ids of commands that took effect twice.
    gaps: descriptions of versions or positions that do not follow the previous one.
    """

    events: int = 0
    streams: dict[StreamName, int] = {}
    positions: dict[str, int] = {}
    duplicated: list[str] = []
    gaps: list[str] = []

    def lost(self, acknowledged: Mapping[str, int]) -> list[str]:
        """Return the acknowledged commands that are not at the position given in the reply."""
        return [id for id, position in acknowledged.items() if self.positions.get(id) != position]


async def audit(runtime: Runtime) -> Audit:
    """Read a log from its first event to its current end; raise the store's error for a damaged event."""
    found = Audit()
    end = runtime.statistics().position
    if end == 0:
        return found
    async for recorded in runtime.events():
        found.events += 1
        if recorded.position != found.events:
            found.gaps.append(f"position {recorded.position} found, {found.events} expected")
        version = found.streams.get(recorded.stream, 0) + 1
        if recorded.version != version:
            found.gaps.append(f"{recorded.stream} has version {recorded.version}, {version} expected")
        found.streams[recorded.stream] = recorded.version
        # Every command of this bank has exactly one event.
        id = recorded.metadata.command_id
        if id in found.positions:
            found.duplicated.append(id)
        found.positions[id] = recorded.position
        if recorded.position >= end:
            break
    return found
