"""`Directory`: which node owns which shard, as this node knows it, and which shards it serves itself.

Invariants, true between any two awaits:
- this node serves a shard only while the placement names it as the owner, or did when it was last read: what it
  believes may be old, and no write rests on it;
- a shard is served only once the end of the log at its take-over is known here, so that nothing which its former owner
  wrote is missing from an answer;
- `placement` never goes back to an older version;
- an owner that is not a member counts as gone only if the members were read after the placement;
- a shard is not handed over to a node whose code cannot read every event that the code here can write.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from zlib import crc32

from msgspec.structs import replace

from actorium.runtime.cluster.description import NodeDescription, description
from actorium.runtime.cluster.shards import dealt, node_for, shards_of, shares_dealt
from actorium.store.shared import SHARDS, Member, Members, Placement

_MASK = SHARDS - 1


class Directory:
    """What one node knows of the others."""

    def __init__(self) -> None:
        self.me = 0
        self.members: Mapping[int, Member] = {}
        self.placement = Placement()
        self._addresses: Mapping[int, str] = {}
        self._mine = NodeDescription()
        self._described: Mapping[int, NodeDescription] = {}
        # Shards that need newer code than this node has: the node to give them to, or a type of event it must read.
        self._beyond: dict[int, int | str] = {}
        self.shares: dict[str, int] = {}  # the share of the sagas that each such follower carries out
        self._members_at = 0  # the version of the placement when the members were read
        self.listeners: list[Callable[[], None]] = []
        # The owner of each shard; 0 for a shard whose owner is not a member.
        self._owners = [0] * SHARDS
        self._with_other_commands: frozenset[int] = frozenset()
        # For each shard that is served here, the version of the placement since which it is; 0 for all others.
        self._serving = [0] * SHARDS

    def joined(self, number: int, described: NodeDescription) -> None:
        """Note the number of this node, and what it tells the others."""
        self.me, self._mine = number, described

    def saw(self, members: Members) -> None:
        """Take the nodes from a renewal."""
        before, self.members = self.members.keys(), {one.number: one for one in members.nodes}
        self._members_at = members.placement_version
        self._described = {one.number: description(one.about) for one in members.nodes}
        self._beyond = {shard: to for shard, to in self._beyond.items() if to in self.members or isinstance(to, str)}
        told = ((one.number, description(one.about).wire) for one in members.nodes if one.number != self.me)
        self._addresses = {number: wire for number, wire in told if wire}
        self._with_other_commands = frozenset(
            number
            for number, theirs in self._described.items()
            if theirs.commands != self._mine.commands and theirs.is_as_new_as(self._mine)
        )
        self._find_owners()
        if before != self.members.keys():
            self._tell()

    def read(self, placement: Placement) -> None:
        """Take a placement that was read or written."""
        if placement.version > self.placement.version:
            self.placement = placement
            self._beyond = {shard: to for shard, to in self._beyond.items() if placement.shards[shard] == self.me}
            self._find_owners()
            self._tell()

    def _find_owners(self) -> None:
        members = self.members
        self._owners = [owner if owner in members else 0 for owner in self.placement.shards]

    def addresses(self) -> Mapping[int, str]:
        """Return the addresses of the other nodes that are on a bus."""
        return self._addresses

    @property
    def followers(self) -> frozenset[str]:
        """The names of the followers that this node has told the others."""
        return self._mine.followers

    @property
    def knows_owners(self) -> bool:
        """Whether an owner that is not a member is gone, and did not join after the members were read."""
        return self._members_at >= self.placement.version

    @property
    def is_leaving(self) -> bool:
        """Whether the other nodes know that this one is stopping."""
        me = self.members.get(self.me)
        return me is not None and me.is_passive

    def _tell(self) -> None:
        for listener in self.listeners:
            listener()

    # --- where a stream is ----------------------------------------------------------------------------------------

    def serves(self, stream_type: str, id: str) -> bool:
        """Return whether this node carries out the commands of a stream now."""
        return self._serving[crc32(f"{stream_type}\0{id}".encode()) & _MASK] > 0  # `shard_of`, inlined: hot path

    def epoch(self, stream_type: str, id: str) -> int:
        """Return since which version of the placement this node serves a stream; 0 if it does not."""
        return self._serving[crc32(f"{stream_type}\0{id}".encode()) & _MASK]

    def owner(self, stream_type: str, id: str) -> int:
        """Return the number of the node that owns a stream; 0 if none does."""
        return self._owners[crc32(f"{stream_type}\0{id}".encode()) & _MASK]

    def begin(self, shards: Iterable[int]) -> None:
        """Serve shards, now that the log is known up to where they were taken over."""
        for shard in shards:
            assert self.placement.shards[shard] == self.me, f"shard {shard} belongs to another node"
            if not self._serving[shard]:
                self._serving[shard] = max(1, self.placement.version)
        self._tell()

    def end(self, shards: Iterable[int]) -> None:
        """Serve shards no more: they are about to be handed over."""
        for shard in shards:
            self._serving[shard] = 0

    @property
    def served(self) -> list[int]:
        """The shards that are served here."""
        return [shard for shard, epoch in enumerate(self._serving) if epoch]

    @property
    def unserved(self) -> list[int]:
        """The shards that belong to this node and are not served, although they are not being handed over."""
        mine, goal = shards_of(self.me, self.placement.shards), self._goal()
        idle = [shard for shard in mine if not self._serving[shard] and goal[shard] == self.me]
        return [shard for shard in idle if shard not in self._beyond]

    # --- what should change ---------------------------------------------------------------------------------------

    def misplaced(self) -> dict[int, int]:
        """Return the shards of this node that another should own, with that one's number."""
        goal = self._goal()
        mine = shards_of(self.me, self.placement.shards)
        return {shard: goal[shard] for shard in mine if goal[shard] not in (0, self.me)}

    def taken(self, followers: Iterable[str]) -> Placement | None:
        """Return the placement in which this node has the free shards and followers that it should have.

        followers: the names of those that this node can run.

        None: there are none.
        """
        assert self.knows_owners, "a node that joined lately is not taken for gone"
        before, wanted = self.placement, self._wanted()
        free = {shard for shard, owner in enumerate(before.shards) if owner not in self.members}
        mine = {shard for shard in free if wanted[shard] == self.me}
        names = {name for name in followers if self.follower_owner(name) == 0 and self.should_run(name)}
        if not mine and not names:
            return None
        return replace(
            before,
            version=before.version + 1,
            shards=tuple(self.me if shard in mine else owner for shard, owner in enumerate(before.shards)),
            followers={**before.followers, **dict.fromkeys(names, self.me)},
        )

    def given(self, followers: Iterable[str]) -> Placement:
        """Return the placement in which this node has followers that no node owns."""
        before = self.placement
        owners = {**before.followers, **dict.fromkeys(followers, self.me)}
        return replace(before, version=before.version + 1, followers=owners)

    def released(self, followers: Iterable[str]) -> Placement:
        """Return the placement in which followers of this node belong to nobody."""
        before = self.placement
        owners = {name: owner for name, owner in before.followers.items() if name not in set(followers)}
        return replace(before, version=before.version + 1, followers=owners)

    # --- followers ------------------------------------------------------------------------------------------------

    def follower_owner(self, name: str) -> int:
        """Return the number of the node that runs a follower; 0 if none does."""
        owner = self.placement.followers.get(name, 0)
        return owner if owner in self.members else 0

    def should_run(self, name: str) -> bool:
        """Return whether this node should run a follower: one of those with the newest code does."""
        nodes = [one for one in self._staying() if name in self._described[one.number].followers]
        codes = [self._described[one.number] for one in nodes]
        newest = [
            one for one, code in zip(nodes, codes, strict=True) if all(code.is_as_new_as(other) for other in codes)
        ]
        nodes = newest or nodes
        if not nodes:
            return False
        names, share = tuple(one.name for one in nodes), self.shares.get(name)
        index = node_for(name, names) if share is None else shares_dealt(names)[share]
        return nodes[index].number == self.me

    def _wanted(self) -> tuple[int, ...]:
        """Return the number of the node that should own each shard; 0 if no node stays."""
        nodes = self._staying()
        if not nodes:
            return (0,) * SHARDS
        return _dealt(nodes)

    def _goal(self) -> Sequence[int]:
        """Return what `_wanted` does, but for the shards of this node consider what the code of others can read."""
        wanted, staying = self._wanted(), self._staying()
        able = [one for one in staying if one.number == self.me or self._is_as_new(one.number)]
        if not self._beyond and len(able) == len(staying):
            return wanted
        others = [one for one in able if one.number != self.me]
        goal = self._instead(wanted, {one.number for one in able}, others, stays=len(others) < len(able))
        for shard, to in self._beyond.items():
            if isinstance(to, str):
                readers = [one for one in others if self._described[one.number].reads_more_of(to, self._mine)]
                goal[shard] = _dealt(readers)[shard] if readers else self.me
            elif to in (one.number for one in others):
                goal[shard] = to
        return goal

    def _instead(
        self, wanted: Sequence[int], able: Collection[int], others: Sequence[Member], *, stays: bool
    ) -> list[int]:
        """Return `wanted` with this node, or another able one if it leaves, in place of those that are not able."""
        if stays:
            return [owner if owner in able else self.me for owner in wanted]
        instead = _dealt(others) if others else (0,) * SHARDS
        return [owner if owner in able else instead[shard] for shard, owner in enumerate(wanted)]

    # --- two versions of the code ---------------------------------------------------------------------------------

    def give_away(self, shard: int, to: int | str) -> bool:
        """Serve a shard no more, because a command or an event needs newer code than this node has.

        to: the number of a node with that code; or a type of event, which some node can read, now or later.

        Returns False, with nothing changed, if that node's code is not as new as this one's.
        """
        if isinstance(to, int) and not (to in self.members and self._is_as_new(to)):
            return False
        if self.placement.shards[shard] == self.me:
            self._beyond[shard] = to
            self.end((shard,))
        return True

    def may_send_more(self, node: int, stream_type: str, command: str) -> bool:
        """Return whether a node's code, not older than this one's, has other fields in a command."""
        if node not in self._with_other_commands:
            return False
        name = f"{stream_type}/{command}"
        return self._described[node].commands.get(name) != self._mine.commands.get(name)

    def _is_as_new(self, node: int) -> bool:
        return self._described[node].is_as_new_as(self._mine)

    def _staying(self) -> list[Member]:
        """Return the nodes that are there, not starting or leaving, in an order that all nodes agree on."""
        there = [one for one in self.members.values() if not one.is_passive and (one.has_lease or one.has_session)]
        return sorted(there, key=lambda one: one.name)


def _dealt(nodes: Sequence[Member]) -> tuple[int, ...]:
    """Return for each shard the number of the node that should own it, if these nodes share them."""
    return _numbered(tuple(one.name for one in nodes), tuple(one.number for one in nodes))


@lru_cache(maxsize=64)
def _numbered(names: tuple[str, ...], numbers: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(numbers[index] for index in dealt(names))
