"""`Admission`: counts the commands in the runtime, queues senders that wait for room, and refuses commands under load.

Invariants, true between any two awaits:

- `in_flight` counts envelopes that were delivered to a mailbox and have no reply yet; it never exceeds the limit;
- a waiting sender is in exactly one queue: the queue of an aggregate whose mailbox is full, or the queue of the
  runtime;
- room is not reserved: the code that frees it delivers for the next waiting sender. So no command overtakes a waiting
  one, no wake-up is lost when a sender leaves, and commands to one aggregate arrive in the order in which they were
  sent;
- a command that is refused immediately is not counted and was in no queue;
- `part` of a `WaitLimit` is PART_IN_OVERLOAD only after `_REFUSALS_IN_OVERLOAD` refusals, and PART_FOR_WAITING
  otherwise.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import msgspec

from actorium.actors.actor import Actor
from actorium.actors.envelope import Envelope
from actorium.runtime.commands.deadlines import Deadlines
from actorium.runtime.commands.throughput import Throughput
from actorium.runtime.errors import Overloaded
from actorium.store.names import StreamName
from actorium.store.wording import counted

PART_FOR_WAITING = 1 / 3
"""The share of its timeout that a command may spend waiting; the rest is for its own processing and for surprises."""

PART_IN_OVERLOAD = 1 / 12
"""The same in an overload: a burst may wait, but a queue that never empties only adds to the latency of everything."""

# So many refusals, with less than this time between them, are an overload, not a few impatient senders.
_REFUSALS_IN_OVERLOAD = 100
_OVERLOAD_ENDS_AFTER_S = 1.0


class WaitLimit:
    """How long a command may wait.

    part: the share of its timeout.
    max_wait_s: the limit for every command, in seconds.
    """

    def __init__(self, time: Callable[[], float], max_wait_s: float = math.inf) -> None:
        self._time = time
        self.max_wait_s = max_wait_s
        self.part = PART_FOR_WAITING
        self._refusals = 0  # in the current overload
        self._refused_at = 0.0

    def is_late(self, timeout_s: float, expected_s: float) -> bool:
        """Return whether to refuse a command that would wait longer than `part` of its timeout."""
        now = self._time()
        if now - self._refused_at > _OVERLOAD_ENDS_AFTER_S:
            self.part = PART_FOR_WAITING
            self._refusals = 0
            if expected_s <= timeout_s * PART_FOR_WAITING and expected_s <= self.max_wait_s:
                return False
        self._refused_at = now
        self._refusals += 1
        if self._refusals >= _REFUSALS_IN_OVERLOAD:
            self.part = PART_IN_OVERLOAD
        return True


class WaitQueue(dict[int, "WaitingSender"]):
    """Senders by number, in the order in which they are admitted, and the queue's throughput."""

    __slots__ = ("throughput",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.throughput = Throughput(loop.time)
        self.throughput.begin(loop.time())


class WaitingSender(msgspec.Struct, eq=False):
    """A sender that waits for room.

    number: counts arrivals.
    future: ends when its command is delivered, or with the reason why it is not.
    full: the actor whose mailbox was full.
    """

    number: int
    envelope: Envelope
    future: asyncio.Future[None]
    deadline: float
    queue: WaitQueue
    full: Actor | None = None


class Admission(WaitLimit):
    """Counts commands in flight, and queues senders while there is no room for their commands.

    `deliver` puts the envelope of a waiting sender into its mailbox and returns None, or returns the actor if its
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
        super().__init__(loop.time, max_wait_s)
        self._deliver = deliver
        self._deadlines = Deadlines(loop, self._time_out)
        self.limit = limit
        self._mailbox_limit = mailbox_limit
        self.in_flight = 0
        self.waiting = 0
        self.refused = 0
        self._arrivals = 0
        self.queue = WaitQueue(loop)  # senders that wait for room in the runtime, behind the commands in flight
        self.mailbox_queues: dict[StreamName, WaitQueue] = {}  # senders that wait for room in a mailbox
        self._letting_in = False
        self._idle: asyncio.Future[None] | None = None

    @property
    def has_room(self) -> bool:
        """Whether another command may be delivered without overtaking a waiting sender."""
        return self.in_flight < self.limit and not self.queue

    @property
    def somebody_waits_for_a_mailbox(self) -> bool:
        """Whether `mail_taken` has a sender to admit."""
        return bool(self.mailbox_queues)

    def is_awaited(self, actor: Actor) -> bool:
        """Whether a sender waits for room in this actor's mailbox."""
        return actor.stream in self.mailbox_queues

    @property
    def ahead(self) -> int:
        """The number of commands ahead of one that arrives now."""
        return self.in_flight + len(self.queue)

    @property
    def expected_wait_s(self) -> float:
        """Seconds that a command arriving now is expected to wait, from the measured throughput; 0 if not known."""
        return self.ahead * self.queue.throughput.each_s

    def require_time(self, timeout_s: float) -> None:
        """Refuse a command that would spend too much of its timeout waiting, before it has cost anything.

        Raises Overloaded.
        """
        expected_s = self.expected_wait_s
        if (expected_s > timeout_s * self.part or expected_s > self.max_wait_s) and self.is_late(timeout_s, expected_s):
            raise self.too_late(expected_s)

    def too_late(self, expected_s: float) -> Overloaded:
        """Return the error of a refused command. The sender raises it: each further frame would cost a tenth."""
        self.refused += 1
        return Overloaded("too many commands are ahead of it: see Settings.max_wait_s", retry_after_s=expected_s)

    def answered(self, count: int) -> None:
        """Count envelopes as answered, and admit as many senders in the loop's next iteration."""
        self.in_flight -= count
        assert self.in_flight >= 0, "an envelope was answered twice"
        if count:
            self.queue.throughput.gone(count, self.ahead)
        if self.queue and not self._letting_in:
            self._let_in_soon()
        if self.in_flight == 0 and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def mail_taken(self, actor: Actor) -> None:
        """Admit senders that wait for an actor's mailbox, as many as now fit."""
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
                    break  # it is full again
            else:
                moved += 1
                self._join(sender, self.queue)
        if len(queue) < before:
            queue.throughput.gone(before - len(queue), len(queue))
        if not queue and self.mailbox_queues.get(stream) is queue:
            del self.mailbox_queues[stream]

    async def room(self, envelope: Envelope, full: Actor | None, deadline: float) -> None:
        """Wait until a command is delivered, in the queue of a full mailbox or in the queue of the runtime.

        Raises Overloaded at the deadline, or immediately if the mailbox has too many waiting senders. Also raises any
        error of the delivery. After an error, the command was not delivered.
        """
        if full is not None:
            self._require_time_in_queue(full, envelope.timeout_s)
        self._arrivals = number = self._arrivals + 1
        sender = WaitingSender(number, envelope, self._loop.create_future(), deadline, self.queue)
        if full is not None:
            self._join_mailbox_queue(sender, full)
        else:
            self._join(sender, self.queue)
            if self.in_flight < self.limit and not self._letting_in:
                self._let_in_soon()  # the last command was answered before this task began
        self._deadlines.add(sender)
        self.waiting += 1
        try:
            await sender.future
        except BaseException:
            self._leave(sender)
            raise
        finally:
            self.waiting -= 1
            self._deadlines.sweep()

    async def idle(self) -> None:
        """Return when no command is in flight."""
        while self.in_flight:
            if self._idle is None or self._idle.done():
                self._idle = self._loop.create_future()
            await asyncio.shield(self._idle)

    def close(self, error: Exception) -> None:
        """Refuse every waiting sender."""
        for queue in (self.queue, *self.mailbox_queues.values()):
            for sender in queue.values():
                if not sender.future.done():
                    sender.future.set_exception(error)
            queue.clear()
        self.mailbox_queues.clear()
        self._deadlines.close()

    # --- the queues -----------------------------------------------------------------------------------------------

    def _let_in_soon(self) -> None:
        self._letting_in = True
        self._loop.call_soon(self._let_in)

    def _let_in(self) -> None:
        self._letting_in = False
        queue = self.queue
        while queue and self.in_flight < self.limit:
            self._admit(queue.pop(next(iter(queue))))

    def _admit(self, sender: WaitingSender) -> None:
        if sender.future.done():
            return  # its caller is leaving
        assert self.in_flight < self.limit, "a sender was admitted without room"
        try:
            full = self._deliver(sender.envelope)
        except Exception as refusal:
            sender.future.set_exception(refusal)
            return
        if full is None:
            sender.future.set_result(None)
        else:
            self._join_mailbox_queue(sender, full)

    def _join(self, sender: WaitingSender, queue: WaitQueue) -> None:
        assert sender.number not in sender.queue, "a sender is in one queue only"
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
        for number in later:  # they arrived after it, while it waited in the runtime's queue
            queue[number] = queue.pop(number)

    def _leave(self, sender: WaitingSender) -> None:
        """Remove a sender that was not delivered; those behind it for the same mailbox move up."""
        sender.queue.pop(sender.number, None)
        full = sender.full
        if full is not None:
            self.mail_taken(full.kind.live.get(full.id) or full)  # if it was passivated since, it has no mail

    # --- refusals -------------------------------------------------------------------------------------------------

    def _require_time_in_queue(self, full: Actor, timeout_s: float) -> None:
        queue = self.mailbox_queues.get(full.stream)
        if queue is not None:
            expected_s = len(queue) * queue.throughput.each_s + self.expected_wait_s
            if expected_s > min(timeout_s * PART_FOR_WAITING, self.max_wait_s):
                raise self.too_late(expected_s)

    def _time_out(self, sender: WaitingSender) -> None:
        if not sender.future.done():
            sender.future.set_exception(self._no_room(sender))

    def _no_room(self, sender: WaitingSender) -> Overloaded:
        queue = sender.queue
        if queue is self.queue:
            why = f"{counted(self.limit, 'command')} in flight (the limit max_in_flight)"
        else:
            assert sender.full is not None, "a sender that waits for a mailbox knows the actor"
            why = (
                f"{sender.full.stream} has {counted(self._mailbox_limit, 'command')} waiting (the limit mailbox_limit)"
            )
        return self._overloaded(f"no room became free in time: {why}", sender.envelope.timeout_s)

    def _overloaded(self, why: str, retry_after_s: float) -> Overloaded:
        self.refused += 1
        return Overloaded(why, retry_after_s=retry_after_s)
