"""Shards: a stable hash of streams, and owners that are even within one and rarely move."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from actorium.runtime.cluster.shards import dealt, node_for, shard_of
from actorium.store.shared import NODES_MAX, SHARDS

NAMES = st.sets(st.text(min_size=1, max_size=8), min_size=1, max_size=12).map(lambda names: tuple(sorted(names)))


def test_the_shard_of_a_stream_never_changes() -> None:
    assert [shard_of("Account", id) for id in ("alice", "bob", "ä/€")] == [225, 61, 438]
    assert shard_of("Transfer", "alice") == 997


def test_streams_are_spread_over_all_shards() -> None:
    counts = Counter(shard_of("Account", f"account-{n}") for n in range(100 * SHARDS))
    assert len(counts) == SHARDS
    assert max(counts.values()) < 200


@given(NAMES)
@settings(max_examples=60, deadline=None)
def test_shards_are_dealt_evenly_within_one(names: tuple[str, ...]) -> None:
    counts = Counter(dealt(names))
    assert sum(counts.values()) == SHARDS
    assert max(counts.values()) - min(counts[n] for n in range(len(names))) <= 1


def test_shards_are_dealt_evenly_among_the_most_nodes() -> None:
    assert set(Counter(dealt(tuple(f"node-{n:02}" for n in range(NODES_MAX)))).values()) == {SHARDS // NODES_MAX}


@given(NAMES, st.integers(0, 11))
@settings(max_examples=60, deadline=None)
def test_a_node_that_leaves_moves_less_than_half_of_the_other_shards(names: tuple[str, ...], which: int) -> None:
    if len(names) == 1:
        return
    gone = names[which % len(names)]
    left = tuple(name for name in names if name != gone)
    before, after = dealt(names), dealt(left)
    moved = sum(names[before[n]] != left[after[n]] for n in range(SHARDS) if names[before[n]] != gone)
    assert moved < SHARDS // 2


@given(NAMES, st.text(min_size=1, max_size=8))
@settings(deadline=None)
def test_a_follower_moves_only_if_its_node_leaves(names: tuple[str, ...], follower: str) -> None:
    owner = names[node_for(follower, names)]
    for gone in names:
        left = tuple(name for name in names if name != gone)
        if left and gone != owner:
            assert left[node_for(follower, left)] == owner
