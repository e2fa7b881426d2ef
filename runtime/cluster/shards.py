"""Shards: which shard a stream belongs to, and which node should own each shard and each follower. All of it is pure.

Each node ranks the shards by a hash of its own name (rendezvous hashing), so less than half of the other nodes' shards
move when a node joins or leaves. The ranks are dealt so that the nodes have the same number of shards, within one.

Sagas are carried out in shares, each of `SHARDS / SHARES` shards. A node has whole shares, as far as they can be dealt
evenly, so that most of a share's sagas are actors of the node that carries them out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b, shake_128
from struct import unpack
from zlib import crc32

from actorium.store.shared import SHARDS
from actorium.store.tables.shares import SHARES

_MASK = SHARDS - 1
assert SHARDS & _MASK == 0, "the number of shards is a power of two"
_PER_SHARE = SHARDS // SHARES
assert SHARES * _PER_SHARE == SHARDS, "a share consists of whole shards"


def shard_of(stream_type: str, id: str) -> int:
    """Return the shard of a stream. It is the same in every process and version: the placement of a log rests on it."""
    return crc32(f"{stream_type}\0{id}".encode()) & _MASK


@lru_cache(maxsize=64)
def dealt(names: tuple[str, ...]) -> tuple[int, ...]:
    """Return for each shard the index of the node that should own it; the names differ."""
    assert names, "shards are dealt among at least one node"
    if len(names) == 1:
        return (0,) * SHARDS
    shares = shares_dealt(names)
    ranked = sorted(
        (
            (shares[shard // _PER_SHARE] == node, weight, shard, node)
            for node, name in enumerate(names)
            for shard, weight in enumerate(_weights(name, SHARDS))
        ),
        reverse=True,
    )
    return _evenly(((one, node) for _, _, one, node in ranked), SHARDS, len(names))


@lru_cache(maxsize=64)
def shares_dealt(names: tuple[str, ...]) -> tuple[int, ...]:
    """Return for each share the index of the node that should carry out its sagas; the names differ."""
    assert names, "shares are dealt among at least one node"
    ranked = sorted(
        (
            (weight, share, node)
            for node, name in enumerate(names)
            for share, weight in enumerate(_weights(f"{name}\0shares", SHARES))
        ),
        reverse=True,
    )
    return _evenly(((one, node) for _, one, node in ranked), SHARES, len(names))


def _evenly(ranked: Iterable[tuple[int, int]], count: int, nodes: int) -> tuple[int, ...]:
    """Give each item to the node that ranks it highest and has room; the nodes get the same number, within one."""
    each, extra = divmod(count, nodes)  # so many nodes have one more
    owners = [-1] * count
    counts = [0] * nodes
    for one, node in ranked:
        if owners[one] >= 0 or counts[node] > each or (counts[node] == each and not extra):
            continue
        extra -= counts[node] == each
        owners[one] = node
        counts[node] += 1
    assert -1 not in owners, "every item has an owner"
    return tuple(owners)


def node_for(follower: str, names: Sequence[str]) -> int:
    """Return the index of the node that should run a named follower; the names differ."""
    assert names, "a follower runs on a node"
    return max(range(len(names)), key=lambda n: (_weight(f"{follower}\0{names[n]}"), n))


def shards_of(node: int, owners: Iterable[int]) -> list[int]:
    """Return the shards that belong to a node."""
    return [shard for shard, owner in enumerate(owners) if owner == node]


def _weights(name: str, count: int) -> tuple[int, ...]:
    """Return the weights of `count` shards or shares for one node."""
    return unpack(f"<{count}Q", shake_128(name.encode()).digest(8 * count))


def _weight(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")
