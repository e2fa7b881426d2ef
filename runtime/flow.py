"""`Flow`: how many commands are in the runtime, and who waits for room.

Invariants: `in_flight` counts envelopes that were delivered to a mailbox and not answered yet, and never passes the
limit; a waiter that is woken and does not use its place wakes the next one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from actorium.actors.actor import Actor
from actorium.runtime.deadlines import Deadlines
from actorium.runtime.errors import MailboxFull


class Flow:
    """Counts commands in flight, and lines up senders where there is no room for theirs."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, deadlines: Deadlines, *, limit: int, mailbox_limit: int
    ) -> None:
        self._loop = loop
        self._deadlines = deadlines
        self.limit = limit
        self._mailbox_limit = mailbox_limit
        self.in_flight = 0
        self.waiting = 0
        self._line: deque[asyncio.Future[None]] = deque()
        self._mailbox_lines: dict[Actor, deque[asyncio.Future[None]]] = {}
        self._idle: asyncio.Future[None] | None = None

    @property
    def has_room(self) -> bool:
        """Whether another command may be delivered without passing by somebody who waits."""
        return self.in_flight < self.limit and not self._line

    def answered(self, count: int) -> None:
        """Count envelopes as answered, and let as many waiters go on."""
        self.in_flight -= count
        line = self._line
        while line and count:
            waiter = line.popleft()
            if not waiter.done():
                waiter.set_result(None)
                count -= 1
        if self.in_flight == 0 and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def mail_taken(self, actor: Actor) -> None:
        """Let as many of those who wait for an actor's mailbox go on as there is room now."""
        line = self._mailbox_lines.get(actor)
        if line is None:
            return
        room = self._mailbox_limit - actor.load
        while line and room > 0:
            waiter = line.popleft()
            if not waiter.done():
                waiter.set_result(None)
                room -= 1
        if not line:
            del self._mailbox_lines[actor]

    @property
    def somebody_waits_for_a_mailbox(self) -> bool:
        """Whether `mail_taken` has anybody to wake."""
        return bool(self._mailbox_lines)

    async def room(self, deadline: float) -> None:
        """Wait until fewer commands are in flight; raise MailboxFull at the deadline."""
        await self._wait(self._line, deadline, f"{self.limit} commands are in flight, the limit max_in_flight")

    async def mailbox_room(self, actor: Actor, deadline: float) -> None:
        """Wait until an actor has taken mail; raise MailboxFull at the deadline."""
        line = self._mailbox_lines.setdefault(actor, deque())
        try:
            await self._wait(
                line, deadline, f"{actor!r} has {self._mailbox_limit} commands waiting, the limit mailbox_limit"
            )
        finally:
            if not line and self._mailbox_lines.get(actor) is line:
                del self._mailbox_lines[actor]

    async def _wait(self, line: deque[asyncio.Future[None]], deadline: float, why: str) -> None:
        waiter: asyncio.Future[None] = self._loop.create_future()
        line.append(waiter)
        self._deadlines.add(deadline, waiter, _no_room, why)
        self.waiting += 1
        try:
            await waiter
        except BaseException:
            if waiter in line:
                line.remove(waiter)
            elif waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.pass_on(line)  # woken and cancelled in one breath: the place goes to the next in line
            raise
        finally:
            self.waiting -= 1

    def pass_on(self, line: deque[asyncio.Future[None]] | None = None) -> None:
        """Wake the next in a line (by default the line for commands in flight) because a place was not used."""
        line = self._line if line is None else line
        while line:
            waiter = line.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def idle(self) -> None:
        """Return when no command is in flight."""
        while self.in_flight:
            if self._idle is None or self._idle.done():
                self._idle = self._loop.create_future()
            await asyncio.shield(self._idle)

    def close(self, error: Exception) -> None:
        """Refuse everybody who waits for room."""
        for line in (self._line, *self._mailbox_lines.values()):
            for waiter in line:
                if not waiter.done():
                    waiter.set_exception(error)
            line.clear()
        self._mailbox_lines.clear()


def _no_room(why: Any) -> MailboxFull:
    return MailboxFull(f"no room in time: {why}; nothing was done, send again later")
