"""`Followers`: runs each follower of the log on one node, and shows its progress on the others.

A follower (a projection in tables, a reaction, an outlet, the router of a saga class, the agenda) belongs to the node
that the placement names. Its checkpoints say whose they are, and the log refuses those of any other node. So two nodes
never both move a checkpoint, whatever they believe.

Invariants, true between any two awaits:
- a follower runs here only while the placement names this node as its owner, as far as is known here;
- it is released only after it has stopped and its last save has its outcome.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, NamedTuple, Protocol

import anyio
import anyio.abc
import msgspec

from actorium.runtime.cluster.directory import Directory
from actorium.runtime.cluster.newer_code import NewerCode
from actorium.runtime.component import Component
from actorium.runtime.log.log_tail import LogTail
from actorium.runtime.processors.processor import Processor
from actorium.runtime.waits import end, ended
from actorium.store.event_store import SaveCheckpoint
from actorium.store.log import logger
from actorium.store.raised import error_text, let_through
from actorium.store.shared import ClusterStore

log = logger("actorium.runtime")

Save = Callable[[SaveCheckpoint], "asyncio.Future[None]"]

_LOOK_AGAIN_S = 0.1
# The owner of a follower is fenced a lease after it died, and another node then stores where the follower begins.
_PATIENCE_LEASES = 2
_MIRROR_S = (0.02, 0.5)


class PlacedFollower(Protocol):
    """A follower of the log that runs on one node at a time."""

    name: str

    async def run(self) -> None:
        """Follow the log until cancelled; this node owns it."""

    async def mirror(self) -> None:
        """Keep its progress in memory, if it has any, up to date until cancelled; another node or none runs it."""


class Placing(Protocol):
    """What this needs from the node."""

    directory: Directory
    first_starts: FirstStarts
    newer_code: NewerCode
    is_fenced: bool

    async def release(self, followers: Collection[str]) -> None:
        """Give up followers; return once the placement says so."""

    def look(self) -> None:
        """Take what this node should have soon."""

    async def know_log(self) -> None:
        """Learn the end of the log: nothing that the former owner of a follower has seen is beyond it."""

    async def leave(self) -> None:
        """Tell the other nodes that this one is stopping, so that they take what it gives up."""


class FirstStart(NamedTuple):
    """What stores where a follower begins.

    is_new: whether that is not stored yet. save: stores it.
    """

    is_new: Callable[[], Awaitable[bool]]
    save: Callable[[], Awaitable[Any]]


class FirstStarts(Component):
    """Stores where followers begin that are new to the log, before this node accepts commands.

    Otherwise a crash after the first commands could let a follower begin behind them. When several nodes start at
    once, only the one that owns a follower stores where it begins; the others wait for it, or for its end.

    Where an inbox begins is known only to the bus, which is opened later: `ServiceFeeds` has it stored with `save`.
    """

    def __init__(self, store: ClusterStore, directory: Directory) -> None:
        self._store = store
        self._directory = directory
        self._starts: dict[str, FirstStart] = {}

    def add(self, follower: str, start: FirstStart) -> None:
        """Add a follower before the start."""
        self._starts[follower] = start

    async def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Return when it is stored where each follower begins; raise the errors of the store."""
        await self._save(self._starts, math.inf, is_passive=True)

    async def save(self, starts: Mapping[str, FirstStart]) -> Collection[str]:
        """Store where some followers begin that this node may not take yet, although it serves already.

        Returns the names of those that another node owns and has not stored within two leases: it cannot, or its code
        does not store them. Raises the errors of the store.
        """
        return await self._save(starts, _PATIENCE_LEASES * self._store.lease_s, is_passive=False)

    async def _save(self, starts: Mapping[str, FirstStart], patience_s: float, *, is_passive: bool) -> Collection[str]:
        time = asyncio.get_running_loop().time
        until = time() + patience_s
        while new := await _new(starts, starts):
            mine = await self._taken(new, is_passive)
            for name in await _new(starts, mine):  # another node may have stored it meanwhile
                await starts[name].save()
            if mine:
                await self._release(mine)
            elif time() < until:
                await asyncio.sleep(_LOOK_AGAIN_S)
            else:
                break
        return new

    async def _taken(self, names: Collection[str], is_passive: bool) -> list[str]:
        """Take the followers among these that no node owns, and return them."""
        members = await self._store.renew(is_passive=is_passive)
        for one in members.nodes:
            if one.number != self._directory.me and not one.has_lease:
                await self._store.fence(one.number)
        self._directory.saw(members)
        self._directory.read(await self._store.placement())
        if not self._directory.knows_owners:
            return []
        free = [name for name in names if self._directory.follower_owner(name) == 0]
        return free if free and await self._store.place(self._directory.given(free)) else []

    async def _release(self, names: Collection[str]) -> None:
        is_released = False
        while not is_released:
            self._directory.read(await self._store.placement())
            is_released = await self._store.place(self._directory.released(names))


async def _new(starts: Mapping[str, FirstStart], names: Collection[str]) -> list[str]:
    """Return the names of those that are new to the log."""
    return [name for name in names if await starts[name].is_new()]


class Followers(Component):
    """The followers of one runtime that run on one node at a time.

    save: writes a checkpoint with the next save.
    """

    def __init__(self, node: Placing, save: Save) -> None:
        self._node = node
        self.first_starts = node.first_starts
        self._directory = node.directory
        self.newer_code = node.newer_code
        self._save = save
        self._followers: dict[str, PlacedFollower] = {}
        self._running: dict[str, tuple[bool, anyio.CancelScope]] = {}  # whether it runs, or is mirrored
        self._saving: dict[str, set[asyncio.Future[None]]] = {}
        self._ended: dict[str, asyncio.Event] = {}
        self._wake: asyncio.Future[bool] | None = None
        self._before_taking: list[Callable[[], Awaitable[None]]] = []
        self._is_open = self._is_stopping = False
        self._stopped = asyncio.Event()
        node.directory.listeners.append(self.look)

    @property
    def names(self) -> list[str]:
        """The names of those that this node can run now."""
        return list(self._followers) if self._is_open and not self._is_stopping else []

    def add(self, follower: PlacedFollower, *, share: int | None = None) -> None:
        """Add a follower before the start; share: the share of the sagas that it carries out, if it does that."""
        self._followers[follower.name] = follower
        if share is not None:
            self._directory.shares[follower.name] = share

    def before_taking(self, learn: Callable[[], Awaitable[None]]) -> None:
        """Register a function that reads the log to its end before a follower runs here; it must not raise."""
        self._before_taking.append(learn)

    def saving(self, name: str) -> Save:
        """Return a function that writes checkpoints of a follower, which the log refuses unless this node owns it."""
        flying = self._saving.setdefault(name, set())

        def save(checkpoint: SaveCheckpoint) -> asyncio.Future[None]:
            saved = self._save(msgspec.structs.replace(checkpoint, follower=name))
            flying.add(saved)
            saved.add_done_callback(flying.discard)
            # A caller that is cancelled cancels what it awaits, and the save goes on. Then nobody asks for its error.
            shielded = asyncio.shield(saved)
            for one in (saved, shielded):
                one.add_done_callback(lambda done: done.cancelled() or done.exception())
            return shielded

        return save

    # --- phases ---------------------------------------------------------------------------------------------------

    async def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Begin to take followers, now that this node accepts commands."""
        told = self._directory.followers
        assert self._followers.keys() == told, (
            f"followers that others were not told of: {told ^ self._followers.keys()}"
        )
        self._is_open = True
        tasks.start_soon(self._run, tasks)
        self._node.look()

    async def stop(self) -> None:
        """Stop and release all followers of this node."""
        await self._node.leave()
        self._is_stopping = True
        self.look()
        await self._stopped.wait()

    def look(self) -> None:
        """Look at the placement again."""
        end(self._wake)

    async def _run(self, tasks: anyio.abc.TaskGroup) -> None:
        """Start and stop followers as the placement says, until cancelled."""
        while True:
            self._wake = asyncio.get_running_loop().create_future()
            taken = {name for name in self._followers if self._should_run(name) and not self._runs(name)}
            if taken:
                await self._node.know_log()
                for learn in self._before_taking:
                    await learn()
            given_up = [name for name in self._followers if await self._arrange(name, taken, tasks)]
            if given_up:
                await self._node.release(given_up)
                log.info("followers_released", followers=given_up)
            if self._is_stopping and (self._node.is_fenced or not any(runs for runs, _ in self._running.values())):
                self._stopped.set()
            await ended(self._wake, _LOOK_AGAIN_S if self._is_stopping else 60.0)

    async def _arrange(self, name: str, taken: Collection[str], tasks: anyio.abc.TaskGroup) -> bool:
        """Start or stop a follower as the placement says; return whether it is to be released.

        taken: those for which this node has learned the end of the log; the others start with the next look.
        """
        runs, should_run = self._runs(name), self._should_run(name)
        if should_run and not runs and name not in taken:
            self.look()
        elif should_run and not runs:
            await self._switch(name, tasks, runs=True)
        elif not should_run and (runs or name not in self._running):
            await self._switch(name, tasks, runs=False)
        return not should_run and self._directory.follower_owner(name) == self._directory.me

    def _runs(self, name: str) -> bool:
        return self._running.get(name, (False,))[0]

    def _should_run(self, name: str) -> bool:
        directory = self._directory
        is_mine = directory.follower_owner(name) == directory.me
        return is_mine and not self._is_stopping and directory.should_run(name)

    async def _switch(self, name: str, tasks: anyio.abc.TaskGroup, *, runs: bool) -> None:
        """Run a follower instead of mirroring it, or the other way round."""
        known = self._running.pop(name, None)
        if known is not None:
            known[1].cancel()
            await self._ended[name].wait()
            if known[0]:
                while flying := self._saving.get(name):
                    await asyncio.wait(set(flying))
        scope = anyio.CancelScope()
        self._running[name] = (runs, scope)
        self._ended[name] = asyncio.Event()
        follower = self._followers[name]
        if runs:
            log.info("follower_taken", follower=name)
        tasks.start_soon(self._within, scope, follower.run if runs else follower.mirror, self._ended[name])

    async def _within(self, scope: anyio.CancelScope, work: Callable[[], Any], has_ended: asyncio.Event) -> None:
        try:
            with scope:
                await work()
        finally:
            has_ended.set()


class ProcessorFollower:
    """A processor that runs on one node at a time.

    log_tail: the end of the log; None if it reads something else.
    look: reads what its node has saved, if that is more than a position and dead letters.
    """

    def __init__(
        self, processor: Processor, log_tail: LogTail | None, look: Callable[[], Any] | None = None, *, poll_s: float
    ) -> None:
        self.name = processor.name
        self._processor = processor
        self._log_tail = log_tail
        self._look = look
        self._poll_s = poll_s
        processor.rest()

    async def run(self) -> None:
        """Follow the log until cancelled."""
        if self._log_tail is not None:
            self._log_tail.follow(self._processor)
        try:
            await self._processor.follow()
        finally:
            if self._log_tail is not None:
                self._log_tail.unfollow(self._processor)
            self._processor.rest()

    async def mirror(self) -> None:
        """Read the progress that another node saves: often while somebody waits for it, seldom otherwise."""
        checkpoint = self._processor.checkpoint
        pause_s, longest_s = _MIRROR_S
        while True:
            before = checkpoint.position
            try:
                await (checkpoint.refresh() if self._look is None else self._look())
            except BaseException as raised:
                let_through(raised)
                log.info("follower_not_mirrored", follower=self.name, error=error_text(raised))
            if checkpoint.is_awaited:
                pause_s = _MIRROR_S[0] if checkpoint.position > before else min(2 * pause_s, longest_s)
                await asyncio.sleep(pause_s)
            else:
                pause_s = _MIRROR_S[0]
                await ended(checkpoint.wanted(), self._poll_s)
