"""`Flow`: how many commands are in the runtime, who waits for room, and who is refused for lack of time.

Invariants, true between any two awaits:

- `in_flight` counts envelopes that were delivered to a mailbox and not answered yet, and never passes the limit;
- a sender that waits is in one line: that of an aggregate whose mailbox is full, or else that of the runtime;
- a place is never promised, it is filled: whoever makes room delivers for the one who waits. So nobody passes by, no
  wake-up is lost with a sender that leaves, and what goes to one aggregate arrives in the order in which it was sent;
- who is refused at once was never counted, and stood in no line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from actorium.actors.actor import Actor
from actorium.actors.commands import Envelope
from actorium.actors.kind import ActorKind
from actorium.runtime.deadlines import Deadlines
from actorium.runtime.errors import Overloaded
from actorium.runtime.pace import Pace
from actorium.store.events import StreamName

# How much of its time a command may spend behind others; the rest is for its own way, and for what nobody foresaw.
_PART_FOR_WAITING = 1 / 3


class Line(dict[int, "Sender"]):
    """Senders by number, the first to be let in first, and how fast they are."""

    __slots__ = ("pace",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.pace = Pace(loop.time)
        self.pace.begin(loop.time())


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
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        limit: int,
        mailbox_limit: int,
        max_wait_s: float,
    ) -> None:
        self._loop = loop
        self._deadlines = Deadlines(loop, self._time_out)
        self.limit = limit
        self._mailbox_limit = mailbox_limit
        self._max_wait_s = max_wait_s
        self.in_flight = 0
        self.waiting = 0
        self.refused = 0
        self._arrivals = 0
        self.line = Line(loop)  # those who wait for room in the runtime; what is in flight goes before them
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

    @property
    def ahead(self) -> int:
        """How many commands go before one that comes now."""
        return self.in_flight + len(self.line)

    @property
    def expected_wait_s(self) -> float:
        """How long a command that comes now waits behind others, at the pace of the last; 0 where that is not known."""
        return self.ahead * self.line.pace.each_s

    def require_time(self, timeout_s: float) -> None:
        """Refuse a command that would spend too much of its time behind others, while it has cost nothing yet.

        Raises Overloaded.
        """
        line = self.line
        expected_s = (self.in_flight + len(line)) * line.pace.each_s  # written out, as each command comes by here
        if expected_s > timeout_s * _PART_FOR_WAITING or expected_s > self._max_wait_s:
            self._refuse_if_late(timeout_s, expected_s)

    def answered(self, count: int) -> None:
        """Count envelopes as answered, and let as many senders in, as soon as the loop comes round."""
        self.in_flight -= count
        if count:
            self.line.pace.gone(count, self.ahead)
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
        before = len(line)
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
        if len(line) < before:
            line.pace.gone(before - len(line), len(line))
        if not line and self.mailbox_lines.get(stream) is line:
            del self.mailbox_lines[stream]

    async def room(self, kind: ActorKind, envelope: Envelope, full: Actor | None, deadline: float) -> None:
        """Wait until a command is delivered, in the line of a full mailbox or of the runtime.

        Raises Overloaded at the deadline, or at once where that many wait for the mailbox, and whatever its delivery
        raises; then it was not delivered.
        """
        if full is not None:
            self._require_time_in_line(full, envelope.timeout_s)
        self._arrivals = number = self._arrivals + 1
        sender = Sender(number, kind, envelope, self._loop.create_future(), self.line)
        if full is None:
            self._join(sender, self.line)
        else:
            self._join_mailbox_line(sender, full)
        number = self._deadlines.add(deadline, sender)
        self.waiting += 1
        try:
            await sender.delivered
        except BaseException:
            self._leave(sender)
            raise
        finally:
            self.waiting -= 1
            self._deadlines.waiting.pop(number, None)

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
        self._deadlines.close()

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
        line = self.mailbox_lines.get(stream)
        if line is None:
            line = self.mailbox_lines[stream] = Line(self._loop)
        later = [] if not line or next(reversed(line)) < sender.number else [n for n in line if n > sender.number]
        self._join(sender, line)
        for number in later:  # it came before them, and waited in the runtime's line meanwhile
            line[number] = line.pop(number)

    def _leave(self, sender: Sender) -> None:
        """Take a sender out that was not delivered; who waits behind it for the same mailbox moves up."""
        sender.line.pop(sender.number, None)
        if sender.full is not None:
            self.mail_taken(sender.kind.live.get(sender.full.id) or Actor(sender.kind, sender.full.id))

    # --- refusals -------------------------------------------------------------------------------------------------

    def _require_time_in_line(self, full: Actor, timeout_s: float) -> None:
        line = self.mailbox_lines.get(full.stream)
        if line is not None:
            self._refuse_if_late(timeout_s, len(line) * line.pace.each_s + self.expected_wait_s)

    def _refuse_if_late(self, timeout_s: float, expected_s: float) -> None:
        if expected_s > min(timeout_s * _PART_FOR_WAITING, self._max_wait_s) >= 0:
            raise self._overloaded("too many commands are before it: see Settings.max_wait_s", expected_s)

    def _time_out(self, sender: Sender) -> None:
        if not sender.delivered.done():
            sender.delivered.set_exception(self._no_room(sender))

    def _no_room(self, sender: Sender) -> Overloaded:
        line = sender.line
        if line is self.line:
            why = f"{self.limit} commands are in flight, the limit max_in_flight"
        else:
            why = f"{sender.full} has {self._mailbox_limit} commands waiting, the limit mailbox_limit"
        return self._overloaded(f"no room in time: {why}", sender.envelope.timeout_s)

    def _overloaded(self, why: str, retry_after_s: float) -> Overloaded:
        self.refused += 1
        return Overloaded(why, retry_after_s=retry_after_s)
