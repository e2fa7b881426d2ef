"""`audit`: reads a bank's whole log and says what is in it: every command once, every stream without a gap."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from actorium import Runtime
from actorium.store.names import StreamName


class Audit(msgspec.Struct):
    """What a log holds. `positions`: where each command took effect; `doubled`: ids of those that did so twice.

    `gaps` says in words where a version or a position does not follow the one before.
    """

    events: int = 0
    streams: dict[StreamName, int] = {}
    positions: dict[str, int] = {}
    doubled: list[str] = []
    gaps: list[str] = []

    def lost(self, acknowledged: Mapping[str, int]) -> list[str]:
        """Return those of some acknowledged commands that are not at the position that the reply named."""
        return [id for id, position in acknowledged.items() if self.positions.get(id) != position]


async def audit(runtime: Runtime) -> Audit:
    """Read a log from its first event to its present end; raise what the store raises for an event it cannot trust."""
    found = Audit()
    end = runtime.statistics().position
    if end == 0:
        return found
    async for recorded in runtime.events():
        found.events += 1
        if recorded.position != found.events:
            found.gaps.append(f"position {recorded.position} stands where {found.events} should")
        version = found.streams.get(recorded.stream, 0) + 1
        if recorded.version != version:
            found.gaps.append(f"{recorded.stream} has version {recorded.version} where {version} should be")
        found.streams[recorded.stream] = recorded.version
        # Every command of this bank has one event.
        id = recorded.metadata.command_id
        if id in found.positions:
            found.doubled.append(id)
        found.positions[id] = recorded.position
        if recorded.position >= end:
            break
    return found
