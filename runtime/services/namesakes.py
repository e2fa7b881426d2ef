"""`Namesakes`: notices that another application with another log is on the bus under the name of this service.

Processes of one service share its log: they are nodes of a cluster, or one has replaced the other. Two logs under one
name are a mistake, because the bus would spread the commands for that name over both. When a process hears that another
one of its name has joined, the two compare the first events of their logs.

Invariants: both say that the logs differ; the process that started later takes no more commands of other services, and
the one that started earlier goes on. Empty logs cannot be told apart: they are compared again with the next command.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from hashlib import sha256

import msgspec

from actorium.store.event_store import EventStore
from actorium.store.events import utc_of
from actorium.store.log import logger
from actorium.store.raised import let_through

log = logger("actorium.services")

_EMPTY = "an empty log"


class Meeting(msgspec.Struct, frozen=True):
    """What a process says about itself to another one of its name.

    to: the process that is told.
    log: what identifies its log; empty as long as nothing is known about an empty log.
    place: the host and the process.
    started_us: when it joined the bus, in microseconds since the epoch.
    """

    to: str
    log: str
    place: str
    started_us: int


class Namesakes:
    """The other processes with the name of this service.

    tell: sends a meeting to the process that it is for.
    give_way: called if another process with another log started earlier.
    """

    def __init__(
        self,
        name: str,
        instance: str,
        store: EventStore,
        now_us: int,
        tell: Callable[[Meeting], Awaitable[None]],
        give_way: Callable[[], Awaitable[None]],
    ) -> None:
        self._name = name
        self._instance = instance
        self._store = store
        self._started_us = now_us
        self._tell = tell
        self._give_way = give_way
        self._place = f"{socket.gethostname()} pid {os.getpid()}"
        self._log = ""
        self._strangers: set[str] = set()
        self._undecided: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.gives_way = False
        """Whether this process takes no commands of other services, because another one of its name started earlier."""
        self.problem = ""
        """What is wrong, and at which two places; empty if every process of this name has the same log."""

    @property
    def is_undecided(self) -> bool:
        """Whether the log was empty when it was last compared with that of another process."""
        return bool(self._undecided)

    def heard(self, instance: str, meeting: Meeting | None) -> None:
        """Take what another process of this name says: that it has joined the bus, or a meeting for this process."""
        if instance == self._instance or self.gives_way or (meeting is not None and meeting.to != self._instance):
            return
        self._run(self._answer(instance) if meeting is None else self._compare(instance, meeting))

    def compare_again(self) -> None:
        """Compare the log with those of the processes that could not be told apart."""
        undecided, self._undecided = self._undecided, set()
        for instance in undecided:
            self._run(self._answer(instance))

    def end(self) -> None:
        """Stop what is under way."""
        for task in self._tasks:
            task.cancel()

    def _run(self, work: Awaitable[None]) -> None:
        task = asyncio.get_running_loop().create_task(self._do(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _do(self, work: Awaitable[None]) -> None:
        try:
            await work
        except BaseException as raised:
            # The log or the bus is away. The next process of this name that joins is compared again.
            let_through(raised)

    async def _answer(self, instance: str) -> None:
        mine = await self._identity()
        if not mine:
            self._undecided.add(instance)
        await self._tell(Meeting(instance, mine, self._place, self._started_us))

    async def _compare(self, instance: str, meeting: Meeting) -> None:
        mine = await self._identity()
        self._undecided.discard(instance)
        if not meeting.log:
            await self._answer(instance) if mine else self._undecided.add(instance)
        elif mine != meeting.log and instance not in self._strangers:
            # Its log had an event when it told, and this one has none now: it is another log, although it is empty.
            self._strangers.add(instance)
            await self._report(instance, meeting, mine or _EMPTY)

    async def _report(self, instance: str, other: Meeting, mine: str) -> None:
        self.gives_way = (self._started_us, self._instance) > (other.started_us, instance)
        here, there = f"{mine} at {self._place}", f"{other.log} at {other.place}"
        effect = "this process started later and takes no commands of other services"
        if not self.gives_way:
            effect = "the other process started later and takes no commands of other services"
        self.problem = f"two logs are on the bus as {self._name}: {here}, and {there}; {effect}"
        remedy = "give one of the two services another name, or both the same log"
        log.error("service_name_taken", service=self._name, here=here, there=there, effect=effect, remedy=remedy)
        await self._tell(Meeting(instance, mine, self._place, self._started_us))
        if self.gives_way:
            await self._give_way()

    async def _identity(self) -> str:
        """Return what identifies the log: its first event, which never changes; empty if it has none."""
        if not self._log:
            for first in await self._store.read_log(0, 1):
                key = f"{first.stream}/{first.type}/{first.recorded_us}"
                began = utc_of(first.recorded_us).isoformat(timespec="seconds")
                self._log = f"log {sha256(key.encode()).hexdigest()[:12]} (begun {began})"
        return self._log
