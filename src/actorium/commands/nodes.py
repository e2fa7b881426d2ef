"""`actorium nodes` and `actorium shards`: the nodes of a cluster, and what each of them owns."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import groupby

import msgspec

from actorium.commands.json_report import JsonFile, screen_beside, write_json
from actorium.store.errors import ConfigurationError
from actorium.store.event_store import Examinable
from actorium.store.shared import ClusterStore, Member, Members, Placement
from actorium.store.urls import open_store
from actorium.store.wording import counted


class ListedNode(msgspec.Struct, frozen=True):
    """A node as it is listed; `state` is "serving", "leaving", "lost" (its connection is gone) or "expired"."""

    name: str
    number: int
    state: str
    code: str
    shards: int
    followers: tuple[str, ...]


class ListedShards(msgspec.Struct, frozen=True):
    """A run of shards with one owner; `node` is empty if nobody owns them."""

    first: int
    last: int
    node: str


def nodes(store: str, /, *, json: JsonFile = None) -> None:
    """List the nodes of a cluster, with the shards and followers that each of them owns.

    The log is opened read-only; the nodes may be running.

    Parameters
    ----------
    store
        The URL of the log, such as postgresql://localhost/bank.
    """
    members, placement = asyncio.run(_state(store))
    listed = [_listed(one, placement) for one in members.nodes]
    screen = screen_beside(json)
    for one in listed:
        code = f", code {one.code}" if one.code else ""
        screen.say(f"{one.name} (number {one.number}{code}): {one.state}, {counted(one.shards, 'shard')}")
        for name in one.followers:
            screen.say(f"  {name}")
    if not listed:
        screen.say("no node has joined")
    if json is not None:
        write_json(listed, json)


def shards(store: str, /, *, json: JsonFile = None) -> None:
    """List the shards of a log by their owners.

    The log is opened read-only; the nodes may be running.

    Parameters
    ----------
    store
        The URL of the log, such as postgresql://localhost/bank.
    """
    members, placement = asyncio.run(_state(store))
    names = {one.number: one.name for one in members.nodes}
    owners = [names.get(owner, "") for owner in placement.shards]
    listed = [
        ListedShards(run[0], run[-1], name)
        for name, numbers in groupby(range(len(owners)), key=owners.__getitem__)
        if (run := list(numbers))
    ]
    screen = screen_beside(json)
    for name, count in sorted(Counter(owners).items()):
        ranges = ", ".join(_range(one) for one in listed if one.node == name)
        screen.say(f"{name or 'nobody'}: {counted(count, 'shard')}: {ranges}")
    if json is not None:
        write_json(listed, json)


async def _state(url: str) -> tuple[Members, Placement]:
    store = open_store(url)
    if not (isinstance(store, ClusterStore) and isinstance(store, Examinable)):
        raise ConfigurationError(f"{store.describe()} is a log for one process: only a log in PostgreSQL has nodes")
    if not await store.exists():
        raise ConfigurationError(f"there is no log yet: {store.describe()}")
    await store.open(read_only=True)
    try:
        return await store.cluster_state()
    finally:
        await store.close()


def _listed(one: Member, placement: Placement) -> ListedNode:
    state = "leaving" if one.is_leaving else "serving"
    if not one.has_session:
        state = "lost"
    if not one.has_lease:
        state = "expired"
    owned = placement.shards.count(one.number)
    followers = sorted(name for name, owner in placement.followers.items() if owner == one.number)
    return ListedNode(one.name, one.number, state, one.code, owned, tuple(followers))


def _range(run: ListedShards) -> str:
    return str(run.first) if run.first == run.last else f"{run.first}-{run.last}"
