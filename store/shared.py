"""`SharedStore` and `ClusterStore`: stores whose log several processes open.

Every adapter of `SharedStore` guarantees the following (`actorium.testing.SharedStoreContract` checks it):
- `open` joins: it takes the log if nobody holds it. Otherwise it raises StoreInUse, which names the holder, or waits,
  as the store was told when it was created;
- a holder renews its lease while it is open. It is gone once it has closed, its process has died, or its lease has run
  out; a lease only says when somebody may take over, and how long the holder may answer from memory;
- taking over fences: from that moment nothing that the former holder sent is written, however late it arrives. Its
  `append` and `save` raise Fenced, and so do its reads once it knows. Opened again, it joins like any other;
- `close` leaves: the next one takes over at once;
- versions and positions have no gap, whoever wrote them.

A `ClusterStore` can also be opened by several nodes at once, each with `join` instead of `open`. Every adapter
guarantees the following (`actorium.testing.ClusterStoreContract` checks it):
- a log is held by one runtime or by nodes, never by both; a name is used by one node at a time;
- every node may append and save. What a fenced node sent is not written, however late it arrives;
- a checkpoint of a follower is saved only by the node that the placement names as its owner at that moment;
- the placement changes as a whole, from the version that the caller has seen, and only for a node that is not fenced;
- a node number is never used again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Protocol, TypeGuard, runtime_checkable
from weakref import WeakKeyDictionary

import msgspec

from actorium.store.errors import Fenced
from actorium.store.event_store import EventStore, Head
from actorium.store.events import EncodedRecord

SHARDS = 1_024
"""The number of shards of a log; every stream belongs to one. It never changes in the life of a log."""

NODES_MAX = 64
"""The number of nodes that a log may have at once."""


@runtime_checkable
class SharedStore(EventStore, Protocol):
    """A store that another runtime can take over while this one still runs."""

    async def until_lost(self) -> Fenced:
        """Return the reason once another runtime has taken over the log; wait if none has. The store is open."""
        ...

    @property
    def holds_lease(self) -> bool:
        """Whether the lease has not run out by this process's own clock, so nobody else can have written yet.

        Until then, what is in memory is the latest. A process that was frozen may have been replaced since.
        """
        ...

    async def confirm_lease(self) -> None:
        """Return once the lease is held, after a renewal if it has run out; raise Fenced if the log was taken over."""
        ...

    async def watch(self, position: int, poll_s: float) -> Head:
        """Return the end of the log once it is beyond a position, whoever wrote.

        It hears of the appends of others, and looks every `poll_s` seconds because such a hint may be lost.
        """
        ...


class Member(msgspec.Struct, frozen=True):
    """A node as the log knows it.

    number: identifies one run of the node.
    name: the name that its operator gave it.
    code: the version of its code.
    about: what it tells the other nodes of itself; the store keeps it as it is.
    has_lease: its lease has not run out.
    has_session: its connection to the log is there. It ends with the process, so a killed node loses it at once.
    is_passive: it is starting or stopping: it takes nothing, and passes on what it owns.
    """

    number: int
    name: str
    code: str = ""
    about: str = ""
    has_lease: bool = True
    has_session: bool = True
    is_passive: bool = False


class Members(msgspec.Struct, frozen=True):
    """The nodes of a log in the order of their numbers, and the version of its placement."""

    nodes: tuple[Member, ...]
    placement_version: int


class Placement(msgspec.Struct, frozen=True):
    """Who owns what: the number of a node for each shard and for each named follower; 0 for nobody.

    A node that is not a member any more owns nothing, whatever is written here.
    """

    version: int = 0
    shards: tuple[int, ...] = (0,) * SHARDS
    followers: Mapping[str, int] = {}


@runtime_checkable
class ClusterStore(SharedStore, Protocol):
    """A shared store that several nodes open at once."""

    @property
    def lease_s(self) -> float:
        """How long a node that shows no sign of life keeps what it owns, in seconds."""
        ...

    async def join(self, name: str, code: str = "", about: str = "") -> int:
        """Open the store as one of several nodes; return the node's number.

        code, about: see `Member`.

        If another node has the name, it waits until that one is gone, for a little longer than a lease.

        Raises StoreInUse if a runtime without a cluster holds the log, if the name stays in use, or if there are
        already `NODES_MAX` nodes; and the errors of `open`.
        """
        ...

    async def renew(self, *, is_passive: bool = False) -> Members:
        """Extend the lease of this node by `lease_s` seconds and return all nodes; raise Fenced, or StoreUnavailable.

        is_passive: tell the others that this node is still starting, or stopping. A node that has joined is passive
            until its first renewal says otherwise.

        The node that joined calls this several times per lease; the store does not do it by itself.
        """
        ...

    async def read_wanted(self, after_position: int, limit: int, left_out: Collection[str]) -> list[EncodedRecord]:
        """Do what `read_log` does without most of the events of some shapes; what is returned then has gaps.

        left_out: the shapes, as `name/schema version`. The last of the `limit` events is returned in any case: its
            position says how far the log was read.
        """
        ...

    async def fence(self, node: int) -> bool:
        """Remove a node whose lease has run out or whose session is gone; return False if it has both, or has left.

        From then on nothing that it sent is written.
        """
        ...

    async def placement(self) -> Placement:
        """Return the current placement."""
        ...

    async def cluster_state(self) -> tuple[Members, Placement]:
        """Return the nodes and the placement to somebody who need not be a node; the store is open."""
        ...

    async def place(self, after: Placement) -> bool:
        """Make `after` the placement if the current one has the version before it; return whether it was.

        Raises Fenced if this node was fenced.
        """
        ...

    async def pass_on(self, shards: Mapping[int, int]) -> None:
        """Give shards of this node to others, whatever else has changed in the placement; raise Fenced if it was.

        shards: the number of the new owner for each. One that does not belong to this node stays as it is.

        Several nodes may do this at once without disturbing each other.
        """
        ...

    async def tell(self, node: int, message: bytes) -> None:
        """Send a message, which is UTF-8 text, to a node; it may be lost. Raises StoreUnavailable."""
        ...

    async def hear(self, receive: Callable[[bytes], None], missed: Callable[[], None]) -> None:
        """Call `receive` with each message that is sent to this node, until the store is closed.

        missed: called when messages may have been lost, and new ones arrive again.
        """
        ...


_kinds: WeakKeyDictionary[type, type | None] = WeakKeyDictionary()


def kind_of(store: EventStore) -> type[SharedStore] | None:
    """Return ClusterStore, SharedStore, or None for a store of one process.

    Each class of stores is checked once: a check of a protocol looks all its methods up, which takes 0.1 ms.
    """
    known = type(store)
    if known not in _kinds:
        is_shared = isinstance(store, SharedStore)
        _kinds[known] = None if not is_shared else ClusterStore if isinstance(store, ClusterStore) else SharedStore
    return _kinds[known]


def is_shared(store: EventStore) -> TypeGuard[SharedStore]:
    """Return whether another runtime can take over a store while this one still runs."""
    return kind_of(store) is not None
