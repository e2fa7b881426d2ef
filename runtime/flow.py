"""`Flow`: how many commands are in the runtime, and who waits for room.

Invariants, true between any two awaits:

- `in_flight` counts envelopes that were delivered to a mailbox and not answered yet, and never passes the limit;
- a sender that waits is in one line: that of an aggregate whose mailbox is full, or else that of the runtime;
- a place is never promised, it is filled: whoever makes room delivers for the one who waits. So nobody passes by, no
  wake-up is lost with a sender that leaves, and what goes to one aggregate arrives in the order in which it was sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from actorium.actors.actor import Actor
from actorium.actors.commands import Envelope
from actorium.actors.kind import ActorKind
from actorium.runtime.deadlines import Deadlines
from actorium.runtime.errors import MailboxFull
from actorium.store.events import StreamName

Line = dict[int, "Sender"]
"""Senders by number, the first to be let in first."""


class Sender(msgspec.Struct, eq=False):
    """One who waits for room; `number` counts arrivals, `full` names the aggregate whose mailbox was full."""

    number: int
    kind: ActorKind
    envelope: Envelope
    delivered: asyncio.Future[None]
    line: Line
    full: StreamName | None = None


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
        self._arrivals = 0
        self.line: Line = {}  # those who wait for room in the runtime
        self.mailbox_lines: dict[StreamName, Line] = {}  # those who wait for room in a mailbox
        self._letting_in = False
        self._idle: asyncio.Future[None] | None = None
        # Delivers and returns None, or returns the actor whose mailbox is full; set by the dispatcher.
        self.deliver: Callable[[ActorKind, Envelope], Actor | None]

    @property
    def has_room(self) -> bool:
        """Whether another command may be delivered without passing by somebody who waits."""
        return self.in_flight < self.limit and not self.line

    @property
    def somebody_waits_for_a_mailbox(self) -> bool:
        """Whether `mail_taken` has anybody to let in."""
        return bool(self.mailbox_lines)

    def is_awaited(self, actor: Actor) -> bool:
        """Whether somebody waits for this actor's mailbox."""
        return actor.stream in self.mailbox_lines

    def answered(self, count: int) -> None:
        """Count envelopes as answered, and let as many senders in, as soon as the loop comes round."""
        self.in_flight -= count
        if self.line and not self._letting_in:
            self._letting_in = True
            self._loop.call_soon(self._let_in)
        if self.in_flight == 0 and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def mail_taken(self, actor: Actor) -> None:
        """Let as many of those in who wait for an actor's mailbox as there is room now."""
        stream = actor.stream
        line = self.mailbox_lines.get(stream)
        if line is None:
            return
        moved = 0
        while line and actor.load + moved < self._mailbox_limit:
            sender = line.pop(next(iter(line)))
            if self.has_room:
                self._admit(sender)
                if sender.line is line and sender.number in line:
                    break  # full after all
            else:
                moved += 1
                self._join(sender, self.line)
        if not line and self.mailbox_lines.get(stream) is line:
            del self.mailbox_lines[stream]

    async def room(self, kind: ActorKind, envelope: Envelope, full: Actor | None, deadline: float) -> None:
        """Wait until a command is delivered, in the line of a full mailbox or of the runtime.

        Raises MailboxFull at the deadline, and whatever its delivery raises; then it was not delivered.
        """
        self._arrivals = number = self._arrivals + 1
        sender = Sender(number, kind, envelope, self._loop.create_future(), self.line)
        if full is None:
            self._join(sender, self.line)
        else:
            self._join_mailbox_line(sender, full)
        self._deadlines.add(deadline, sender.delivered, self._no_room, sender)
        self.waiting += 1
        try:
            await sender.delivered
        except BaseException:
            self._leave(sender)
            raise
        finally:
            self.waiting -= 1

    async def idle(self) -> None:
        """Return when no command is in flight."""
        while self.in_flight:
            if self._idle is None or self._idle.done():
                self._idle = self._loop.create_future()
            await asyncio.shield(self._idle)

    def close(self, error: Exception) -> None:
        """Refuse everybody who waits for room."""
        for line in (self.line, *self.mailbox_lines.values()):
            for sender in line.values():
                if not sender.delivered.done():
                    sender.delivered.set_exception(error)
            line.clear()
        self.mailbox_lines.clear()

    # --- the lines ------------------------------------------------------------------------------------------------

    def _let_in(self) -> None:
        self._letting_in = False
        line = self.line
        while line and self.in_flight < self.limit:
            self._admit(line.pop(next(iter(line))))

    def _admit(self, sender: Sender) -> None:
        if sender.delivered.done():
            return  # it is leaving
        try:
            full = self.deliver(sender.kind, sender.envelope)
        except Exception as refusal:
            sender.delivered.set_exception(refusal)
            return
        if full is None:
            sender.delivered.set_result(None)
        else:
            self._join_mailbox_line(sender, full)

    def _join(self, sender: Sender, line: Line) -> None:
        sender.line = line
        line[sender.number] = sender

    def _join_mailbox_line(self, sender: Sender, full: Actor) -> None:
        stream = sender.full = full.stream
        line = self.mailbox_lines.setdefault(stream, {})
        later = [] if not line or next(reversed(line)) < sender.number else [n for n in line if n > sender.number]
        self._join(sender, line)
        for number in later:  # it came before them, and waited in the runtime's line meanwhile
            line[number] = line.pop(number)

    def _leave(self, sender: Sender) -> None:
        """Take a sender out that was not delivered; who waits behind it for the same mailbox moves up."""
        sender.line.pop(sender.number, None)
        if sender.full is not None:
            self.mail_taken(sender.kind.live.get(sender.full.id) or Actor(sender.kind, sender.full.id))

    def _no_room(self, sender: Sender) -> MailboxFull:
        if sender.line is self.line:
            why = f"{self.limit} commands are in flight, the limit max_in_flight"
        else:
            why = f"{sender.full} has {self._mailbox_limit} commands waiting, the limit mailbox_limit"
        return MailboxFull(f"no room in time: {why}; nothing was done, send again later")
