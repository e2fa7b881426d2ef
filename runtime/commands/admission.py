"""`Admission`: how many commands are in the runtime, who waits for room, and who is refused for lack of time.

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
from actorium.actors.envelope import Envelope
from actorium.runtime.commands.deadlines import Deadlines
from actorium.runtime.commands.throughput import Throughput
from actorium.runtime.errors import Overloaded
from actorium.store.names import StreamName

# How much of its time a command may spend behind others; the rest is for its own way, and for what nobody foresaw.
_PART_FOR_WAITING = 1 / 3


class WaitQueue(dict[int, "WaitingSender"]):
    """Senders by number, the first to be let in first, and how fast they are."""

    __slots__ = ("throughput",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.throughput = Throughput(loop.time)
        self.throughput.begin(loop.time())


class WaitingSender(msgspec.Struct, eq=False):
    """One who waits for room; `number` counts arrivals, `full` is the actor whose mailbox was full."""

    number: int
    envelope: Envelope
    delivered: asyncio.Future[None]
    queue: WaitQueue
    full: Actor | None = None


class Admission:
    """Counts commands in flight, and lines up senders where there is no room for theirs.

    `deliver` puts the envelope of a sender that waits into its mailbox and returns None, or returns the actor whose
    mailbox is full.
    """

    def __init__(
        self,
        deliver: Callable[[Envelope], Actor | None],
        *,
        limit: int,
        mailbox_limit: int,
        max_wait_s: float,
    ) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._deliver = deliver
        self._deadlines = Deadlines(loop, self._time_out)
        self.limit = limit
        self._mailbox_limit = mailbox_limit
        self._max_wait_s = max_wait_s
        self.in_flight = 0
        self.waiting = 0
        self.refused = 0
        self._arrivals = 0
        self.queue = WaitQueue(loop)  # those who wait for room in the runtime; what is in flight goes before them
        self.mailbox_queues: dict[StreamName, WaitQueue] = {}  # those who wait for room in a mailbox
        self._letting_in = False
        self._idle: asyncio.Future[None] | None = None

    @property
    def has_room(self) -> bool:
        """Whether another command may be delivered without passing by somebody who waits."""
        return self.in_flight < self.limit and not self.queue

    @property
    def somebody_waits_for_a_mailbox(self) -> bool:
        """Whether `mail_taken` has anybody to let in."""
        return bool(self.mailbox_queues)

    def is_awaited(self, actor: Actor) -> bool:
        """Whether somebody waits for this actor's mailbox."""
        return actor.stream in self.mailbox_queues

    @property
    def ahead(self) -> int:
        """How many commands go before one that comes now."""
        return self.in_flight + len(self.queue)

    @property
    def expected_wait_s(self) -> float:
        """How long a command that comes now waits behind others, at the pace of the last; 0 where that is not known."""
        return self.ahead * self.queue.throughput.each_s

    def require_time(self, timeout_s: float) -> None:
        """Refuse a command that would spend too much of its time behind others, while it has cost nothing yet.

        Raises Overloaded.
        """
        queue = self.queue
        # `expected_wait_s`, inlined: hot path.
        expected_s = (self.in_flight + len(queue)) * queue.throughput.each_s
        if expected_s > timeout_s * _PART_FOR_WAITING or expected_s > self._max_wait_s:
            self._refuse_if_late(timeout_s, expected_s)

    def answered(self, count: int) -> None:
        """Count envelopes as answered, and let as many senders in, as soon as the loop comes round."""
        self.in_flight -= count
        assert self.in_flight >= 0, "an envelope was answered twice"
        if count:
            self.queue.throughput.gone(count, self.ahead)
        if self.queue and not self._letting_in:
            self._letting_in = True
            self._loop.call_soon(self._let_in)
        if self.in_flight == 0 and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def mail_taken(self, actor: Actor) -> None:
        """Let as many of those in who wait for an actor's mailbox as there is room now."""
        stream = actor.stream
        queue = self.mailbox_queues.get(stream)
        if queue is None:
            return
        before = len(queue)
        moved = 0
        while queue and actor.load + moved < self._mailbox_limit:
            sender = queue.pop(next(iter(queue)))
            if self.has_room:
                self._admit(sender)
                if sender.queue is queue and sender.number in queue:
                    break  # full after all
            else:
                moved += 1
                self._join(sender, self.queue)
        if len(queue) < before:
            queue.throughput.gone(before - len(queue), len(queue))
        if not queue and self.mailbox_queues.get(stream) is queue:
            del self.mailbox_queues[stream]

    async def room(self, envelope: Envelope, full: Actor | None, deadline: float) -> None:
        """Wait until a command is delivered, in the line of a full mailbox or of the runtime.

        Raises Overloaded at the deadline, or at once where that many wait for the mailbox, and whatever its delivery
        raises; then it was not delivered.
        """
        if full is not None:
            self._require_time_in_queue(full, envelope.timeout_s)
        self._arrivals = number = self._arrivals + 1
        sender = WaitingSender(number, envelope, self._loop.create_future(), self.queue)
        if full is None:
            self._join(sender, self.queue)
        else:
            self._join_mailbox_queue(sender, full)
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
        for queue in (self.queue, *self.mailbox_queues.values()):
            for sender in queue.values():
                if not sender.delivered.done():
                    sender.delivered.set_exception(error)
            queue.clear()
        self.mailbox_queues.clear()
        self._deadlines.close()

    # --- the lines ------------------------------------------------------------------------------------------------

    def _let_in(self) -> None:
        self._letting_in = False
        queue = self.queue
        while queue and self.in_flight < self.limit:
            self._admit(queue.pop(next(iter(queue))))

    def _admit(self, sender: WaitingSender) -> None:
        if sender.delivered.done():
            return  # it is leaving
        assert self.in_flight < self.limit, "a sender was let in where there is no room"
        try:
            full = self._deliver(sender.envelope)
        except Exception as refusal:
            sender.delivered.set_exception(refusal)
            return
        if full is None:
            sender.delivered.set_result(None)
        else:
            self._join_mailbox_queue(sender, full)

    def _join(self, sender: WaitingSender, queue: WaitQueue) -> None:
        assert sender.number not in sender.queue, "a sender stands in one queue"
        sender.queue = queue
        queue[sender.number] = sender

    def _join_mailbox_queue(self, sender: WaitingSender, full: Actor) -> None:
        sender.full = full
        stream = full.stream
        queue = self.mailbox_queues.get(stream)
        if queue is None:
            queue = self.mailbox_queues[stream] = WaitQueue(self._loop)
        later = [] if not queue or next(reversed(queue)) < sender.number else [n for n in queue if n > sender.number]
        self._join(sender, queue)
        for number in later:  # it came before them, and waited in the runtime's line meanwhile
            queue[number] = queue.pop(number)

    def _leave(self, sender: WaitingSender) -> None:
        """Take a sender out that was not delivered; who waits behind it for the same mailbox moves up."""
        sender.queue.pop(sender.number, None)
        full = sender.full
        if full is not None:
            self.mail_taken(full.kind.live.get(full.id) or full)  # one that was passivated meanwhile has no mail

    # --- refusals -------------------------------------------------------------------------------------------------

    def _require_time_in_queue(self, full: Actor, timeout_s: float) -> None:
        queue = self.mailbox_queues.get(full.stream)
        if queue is not None:
            self._refuse_if_late(timeout_s, len(queue) * queue.throughput.each_s + self.expected_wait_s)

    def _refuse_if_late(self, timeout_s: float, expected_s: float) -> None:
        if expected_s > min(timeout_s * _PART_FOR_WAITING, self._max_wait_s) >= 0:
            raise self._overloaded("too many commands are before it: see Settings.max_wait_s", expected_s)

    def _time_out(self, sender: WaitingSender) -> None:
        if not sender.delivered.done():
            sender.delivered.set_exception(self._no_room(sender))

    def _no_room(self, sender: WaitingSender) -> Overloaded:
        queue = sender.queue
        if queue is self.queue:
            why = f"{self.limit} commands are in flight, the limit max_in_flight"
        else:
            assert sender.full is not None, "who waits for a mailbox knows whose"
            why = f"{sender.full.stream} has {self._mailbox_limit} commands waiting, the limit mailbox_limit"
        return self._overloaded(f"no room in time: {why}", sender.envelope.timeout_s)

    def _overloaded(self, why: str, retry_after_s: float) -> Overloaded:
        self.refused += 1
        return Overloaded(why, retry_after_s=retry_after_s)
