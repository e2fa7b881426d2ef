"""`Handover`: drains shards, so that another node can take them over without a conflict."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from actorium.actors.actor import Actor
from actorium.runtime.cluster.directory import Directory
from actorium.runtime.cluster.shards import shard_of
from actorium.runtime.commands.live_actors import LiveActors

SHARDS_AT_ONCE = 64
"""How many shards are drained together: their commands wait meanwhile."""
_LOOK_AGAIN_S = (0.001, 0.05)
# Actors looked at in one step, so that a million of them do not block the loop.
_ACTORS_PER_STEP = 10_000


class Handover:
    """Drains shards of this node."""

    def __init__(self, directory: Directory, live: LiveActors) -> None:
        self._directory = directory
        self._live = live

    async def drain(self, shards: Collection[int]) -> None:
        """Serve shards no more, wait until their commands are decided and durable, and drop their actors.

        From the first step on, commands for them are not delivered here.
        """
        self._directory.end(shards)
        pause_s, longest_s = _LOOK_AGAIN_S
        busy = await self._actors_of(shards)
        while busy := self._left_of(busy):
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, longest_s)

    async def _actors_of(self, shards: Collection[int]) -> list[Actor]:
        wanted = set(shards)
        found: list[Actor] = []
        for count, actor in enumerate(self._live, 1):
            if shard_of(actor.kind.type, actor.id) in wanted:
                found.append(actor)
            if count % _ACTORS_PER_STEP == 0:
                await asyncio.sleep(0)
        return found

    def _left_of(self, actors: list[Actor]) -> list[Actor]:
        """Drop the idle ones among some actors; return the others."""
        there = [actor for actor in actors if actor.kind.live.get(actor.id) is actor]
        self._live.drop([actor for actor in there if actor.is_idle])
        return [actor for actor in there if actor.kind.live.get(actor.id) is actor]
