"""`ClusterModel`: a log that several nodes open at once, in plain Python: members, fencing, placement, messages.

Invariants between any two awaits:
- `writers` holds the numbers of the members, or that of the one runtime that holds the log without a cluster;
- nothing of a node that is not a member is written, whatever the node believes.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from msgspec.structs import replace

from actorium.store.errors import Fenced, StoreInUse
from actorium.store.event_store import SaveCheckpoint, SaveFailure
from actorium.store.events import EncodedRecord
from actorium.store.shared import NODES_MAX, Member, Members, Placement
from actorium.testing.shared_model import SharedModel, SharedModelStore

R = TypeVar("R")

_LOOKS_PER_LEASE = 10
_LEASES_TO_WAIT = 2


class _Enrolled:
    """A node, as the log knows it."""

    def __init__(self, number: int, name: str, code: str, about: str, expires_s: float) -> None:
        self.number = number
        self.name = name
        self.code = code
        self.about = about
        self.expires_s = expires_s
        self.has_session = True
        self.is_passive = True


class ClusterModel(SharedModel):
    """The server of a log that nodes share."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        super().__init__(now_s)
        self._members: dict[int, _Enrolled] = {}
        self.current = Placement()
        self._hearing: dict[int, tuple[asyncio.AbstractEventLoop, Callable[[bytes], None]]] = {}

    def holder(self) -> str | None:
        live = next((one.name for one in self._members.values() if not self._is_gone(one)), None)
        return live or super().holder()

    def enter(self, name: str, code: str, about: str, lease_s: float) -> int | None:
        """Make a node a member and return its number; return None while its name, or the whole log, is in use.

        A member with the same name that is gone is fenced. Raises StoreInUse if there are too many nodes.
        """
        if super().holder() is not None:
            return None
        same = [one for one in self._members.values() if one.name == name]
        if any(not self._is_gone(one) for one in same):
            return None
        for one in same:
            self._remove(one.number)
        if len(self._members) >= NODES_MAX:
            raise StoreInUse(f"the log has {NODES_MAX} nodes already: stop one of them first")
        number = next(self._numbers)
        self._members[number] = _Enrolled(number, name, code, about, self.now_s() + lease_s)
        self.writers = frozenset(self._members)
        return number

    def renew_member(self, number: int, lease_s: float, is_passive: bool) -> Members:
        """Extend a node's lease; raise Fenced if it is not a member."""
        self._require_named(number)
        member = self._members[number]
        member.expires_s, member.is_passive = self.now_s() + lease_s, is_passive
        return self.members()

    def members(self) -> Members:
        """Return the nodes."""
        now_s = self.now_s()
        nodes = [
            Member(one.number, one.name, one.code, one.about, one.expires_s > now_s, one.has_session, one.is_passive)
            for one in self._members.values()
        ]
        return Members(tuple(nodes), self.current.version)

    def fence(self, by: int, number: int) -> bool:
        """Remove a member that is gone."""
        self._require_named(by)
        member = self._members.get(number)
        if member is None or not self._is_gone(member):
            return False
        self._remove(number)
        return True

    def place(self, by: int, after: Placement) -> bool:
        """Replace the placement if it has the version before `after`."""
        self._require_named(by)
        if after.version != self.current.version + 1:
            return False
        self.current = after
        return True

    def pass_on(self, by: int, shards: Mapping[int, int]) -> None:
        """Give shards of a member to others."""
        self._require_named(by)
        before = self.current
        owners = [shards.get(shard, by) if owner == by else owner for shard, owner in enumerate(before.shards)]
        self.current = replace(before, version=before.version + 1, shards=tuple(owners))

    def leave(self, writer: int) -> None:
        if writer in self._members:
            self._remove(writer)
        else:
            super().leave(writer)

    def end_session(self, writer: int) -> None:
        if writer in self._members:
            self._members[writer].has_session = False
        else:
            super().end_session(writer)

    def _is_gone(self, member: _Enrolled) -> bool:
        return not member.has_session or member.expires_s <= self.now_s()

    def _remove(self, number: int) -> None:
        del self._members[number]
        self._hearing.pop(number, None)
        self.writers -= {number}

    async def save(self, writer: int, checkpoints: Sequence[SaveCheckpoint]) -> Mapping[int, SaveFailure]:
        self._require_named(writer)
        owners = self.current.followers
        owned = [n for n, one in enumerate(checkpoints) if not one.follower or owners.get(one.follower) == writer]
        failed = await super().save(writer, [checkpoints[n] for n in owned])
        found: dict[int, SaveFailure] = {owned[n]: failure for n, failure in failed.items()}
        for index in set(range(len(checkpoints))).difference(owned):
            found[index] = Fenced(f"{checkpoints[index].follower} belongs to another node: nothing of it was saved")
        return found

    def hear(self, number: int, receive: Callable[[bytes], None]) -> None:
        """Call `receive` with messages to a node, on the event loop that runs now."""
        self._hearing[number] = (asyncio.get_running_loop(), receive)

    def tell(self, number: int, message: bytes) -> None:
        """Pass a message to a node, if it is there."""
        hearing = self._hearing.get(number)
        if hearing is not None:
            loop, receive = hearing
            if not loop.is_closed():
                loop.call_soon_threadsafe(receive, message)


class ClusterModelStore(SharedModelStore):
    """One process's store on a `ClusterModel`; it is opened with `open`, or with `join` as one of several nodes."""

    def __init__(self, model: ClusterModel, *, name: str = "", waits: bool = False, lease_s: float = 3.0) -> None:
        super().__init__(model, name=name, waits=waits, lease_s=lease_s)
        self._cluster = model

    @property
    def lease_s(self) -> float:
        return self._lease_s

    async def join(self, name: str, code: str = "", about: str = "") -> int:
        if self.writer is not None:
            raise StoreInUse("the store is already open: call close() before join()", pid=os.getpid())
        await self._model.open()
        loop = asyncio.get_running_loop()
        until = loop.time() + _LEASES_TO_WAIT * self._lease_s
        while (number := self._cluster.enter(name, code, about, self._lease_s)) is None:
            if loop.time() > until:
                raise StoreInUse(
                    f"the node {name} cannot join: its name, or the log, is in use: stop the other process"
                )
            await asyncio.sleep(self._lease_s / _LOOKS_PER_LEASE)
        self.writer = number
        self._held_until_s = self._model.now_s() + self._lease_s
        self._lost = loop.create_future()
        return number

    async def renew(self, *, is_passive: bool = False) -> Members:
        sent_s = self._model.now_s()
        members = self._fenced_or(lambda node: self._cluster.renew_member(node, self._lease_s, is_passive))
        self._held_until_s = sent_s + self._lease_s
        return members

    async def read_wanted(self, after_position: int, limit: int, left_out: Collection[str]) -> list[EncodedRecord]:
        records = await self.read_log(after_position, limit)
        return [one for one in records if one is records[-1] or f"{one.type}/{one.schema_version}" not in left_out]

    async def fence(self, node: int) -> bool:
        return self._fenced_or(lambda me: self._cluster.fence(me, node))

    async def placement(self) -> Placement:
        return self._fenced_or(lambda me: self._cluster.current)

    async def cluster_state(self) -> tuple[Members, Placement]:
        self._require_open()
        return self._cluster.members(), self._cluster.current

    async def place(self, after: Placement) -> bool:
        return self._fenced_or(lambda me: self._cluster.place(me, after))

    async def pass_on(self, shards: Mapping[int, int]) -> None:
        self._fenced_or(lambda me: self._cluster.pass_on(me, shards))

    async def tell(self, node: int, message: bytes) -> None:
        self._require_open()
        self._cluster.tell(node, message)

    async def hear(self, receive: Callable[[bytes], None], missed: Callable[[], None]) -> None:
        self._cluster.hear(self._require_open(), receive)

    def _fenced_or(self, work: Callable[[int], R]) -> R:
        """Return the result of a statement; note that the log was lost if it says so."""
        try:
            return work(self._require_open())
        except Fenced as reason:
            self._lose(reason)
            raise
