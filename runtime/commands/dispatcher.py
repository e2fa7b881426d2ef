"""`Dispatcher`: the single entry through which commands and reads reach actors.

It finds the actor for an envelope's address. All checks of a command happen here, before the mailbox: its type, its
fields, its size, and whether there is room.

Invariants: an envelope is delivered once; a delivered envelope counts as in flight until `Replies` answers it.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Awaitable, Mapping
from typing import Any

from actorium.actors.actor import Actor
from actorium.actors.commands import (
    Ack,
    Command,
    CommandHandler,
    check_headers,
    checked_id,
    checked_text,
    copied_headers,
)
from actorium.actors.envelope import Envelope
from actorium.actors.kind import ActorKind
from actorium.actors.status import Status
from actorium.runtime.arguments import checked_count
from actorium.runtime.commands.admission import Admission
from actorium.runtime.commands.answer_batch import Answer, AnswerBatch, Take
from actorium.runtime.commands.deadlines import Deadlines
from actorium.runtime.commands.derived_ids import checked_command_id
from actorium.runtime.commands.live_actors import LiveActors
from actorium.runtime.commands.supervision import Supervisor
from actorium.runtime.errors import CommandTimeout
from actorium.runtime.settings import Settings
from actorium.store.errors import ConfigurationError
from actorium.store.source import Source

_READY, _IDLE, _COLD, _FAILED = Status.READY, Status.IDLE, Status.COLD, Status.FAILED

Handlers = Mapping[type[Command], tuple[ActorKind[Actor], CommandHandler]]
"""The commands that users may send, with the kind of the actor that handles each."""


class Dispatcher:
    """Makes checked envelopes and delivers them to the mailboxes of their actors.

    kinds: all kinds of actors by stream type.
    ready: the queue of the scheduler. While it holds an actor, a callback is scheduled for it.
    """

    def __init__(
        self,
        kinds: Mapping[str, ActorKind[Actor]],
        handlers: Handlers,
        deadlines: Deadlines[Envelope],
        live: LiveActors,
        supervisor: Supervisor,
        source: Source,
        settings: Settings,
    ) -> None:
        self._kinds, self._handlers = kinds, handlers
        self._deadlines, self._live, self._supervisor = deadlines, live, supervisor
        self._new_id = source.new_id
        self._max_payload_bytes = settings.max_payload_bytes
        self._mailbox_limit = settings.mailbox_limit
        self._loop = loop = asyncio.get_running_loop()
        self._time = loop.time
        self.ready = self._shortcut = deque[Actor]()
        self.answers = AnswerBatch(loop)
        self.admission = Admission(
            self._deliver_waiting,
            limit=settings.max_in_flight,
            mailbox_limit=settings.mailbox_limit,
            max_wait_s=settings.max_wait_s,
        )

    # --- envelopes ------------------------------------------------------------------------------------------------

    def envelope(
        self,
        command: Command,
        command_id: str | None,
        expected_version: int | None,
        correlation_id: str,
        causation_id: str,
        headers: Mapping[str, str] | None,
        timeout_s: float,
    ) -> Envelope:
        """Return a checked copy of a command in an envelope.

        command_id: None for a new id, which cannot be in the log yet.
        timeout_s: seconds that `ask` and `tell` may take.

        Raises ConfigurationError if no aggregate handles the command, InvalidCommand for a wrong value.
        """
        try:
            kind, handler = self._handlers[command.__class__]  # not `type(…)`, which is a call: hot path
        except KeyError:
            raise _unhandled(type(command)) from None
        copy, encoded = handler.codec.admit(command, self._max_payload_bytes)
        fresh = command_id is None
        command_id = self._new_id() if command_id is None else checked_command_id(command_id)
        if expected_version is not None:
            checked_count(expected_version, "expected_version", "a version, or 0 for an empty stream")
        checked_text(correlation_id, "correlation_id")
        checked_text(causation_id, "causation_id")
        return Envelope(
            kind.type,
            copy.to,
            copy,
            handler,
            None,
            command_id,
            None,
            fresh,
            correlation_id,
            causation_id,
            copied_headers(headers) if headers else {},
            expected_version,
            0,
            timeout_s,
            encoded=encoded,
        )

    def stream_type_of(self, command_class: type[Command]) -> str:
        """Return the type of the streams that a command is for; raise ConfigurationError if nothing handles it."""
        known = self._handlers.get(command_class)
        if known is None:
            raise _unhandled(command_class)
        return known[0].type

    # --- the entry ------------------------------------------------------------------------------------------------

    def send(self, command: Command, command_id: str | None, timeout_s: float) -> Awaitable[Ack]:
        """Do what `Admission.require_time`, `envelope` and `ask` do for a command with nothing but an id.

        This is the common case. Three calls with fourteen arguments would be a fifth of the cost of a command on its
        way to the mailbox.
        """
        admission = self.admission
        each_s = admission.queue.throughput.each_s
        if each_s:  # it is known only while commands wait for each other
            expected_s = (admission.in_flight + len(admission.queue)) * each_s
            if (expected_s > timeout_s * admission.part or expected_s > admission.max_wait_s) and admission.is_late(
                timeout_s, expected_s
            ):
                raise admission.too_late(expected_s)
        try:
            kind, handler = self._handlers[command.__class__]
        except KeyError:
            raise _unhandled(type(command)) from None
        copy, encoded = handler.codec.admit(command, self._max_payload_bytes)
        answer = Answer(loop=self._loop)
        answer.take = answer.context = None
        answer.batch = self.answers
        time, new_id = self._time, self._new_id  # called as attributes, they would cost twice as much in CPython 3.11
        now = time()
        envelope = Envelope(
            kind.type,
            copy.to,
            copy,
            handler,
            answer,
            new_id() if command_id is None else checked_command_id(command_id),
            None,
            command_id is None,
            timeout_s=timeout_s,
            deadline=now + timeout_s,
            encoded=encoded,
        )
        in_flight, actor = admission.in_flight, kind.live.get(copy.to)
        if (
            (ready := self._shortcut)
            and actor is not None
            and actor.status is _IDLE
            and actor.pending is None
            and in_flight < admission.limit
            and not (admission.queue or admission.mailbox_queues)
        ):  # `_try_deliver`, inlined: hot path
            actor.used_at = now
            actor.mailbox = [envelope]
            actor.status = _READY
            admission.in_flight = in_flight + 1
            ready.append(actor)
        else:
            # If more callers are about to be resumed, their commands are committed together with this one.
            decides_now = in_flight == 0 and not self.answers.rest and _stack_has_room()
            if not self._try_deliver(kind, envelope, now, decide_now=decides_now):
                return self._ask_when_there_is_room(kind, envelope, answer)
            if decides_now and answer.done():
                return _after_a_pause(answer)
        deadlines = self._deadlines
        if envelope.deadline >= deadlines.last:  # `Deadlines.add`, inlined: hot path
            deadlines.last = envelope.deadline
            deadlines.line.append(envelope)
        else:
            deadlines.add(envelope)
        return answer

    def ask(self, envelope: Envelope) -> Awaitable[Ack]:
        """Deliver an envelope, waiting for room, and return an awaitable of its reply.

        If there is room, the awaitable is the future itself: a coroutine around it would be entered twice per command.
        The awaitable raises CommandTimeout after the envelope's `timeout_s`, Overloaded if there was no room by then,
        and any error of the command. This method itself raises the error of a failed actor that refuses its mail, and
        InvalidCommand for metadata that cannot be stored.
        """
        if envelope.headers:  # middleware may have changed them
            check_headers(envelope.headers)
        assert envelope.future is None, "an envelope is delivered once"
        kind = self._kinds[envelope.stream_type]
        now = self._time()
        envelope.future = answer = Answer(loop=self._loop)
        answer.take = answer.context = None
        answer.batch = self.answers
        envelope.deadline = now + envelope.timeout_s
        if not self._try_deliver(kind, envelope, now):
            return self._ask_when_there_is_room(kind, envelope, answer)
        self._deadlines.add(envelope)
        return answer

    async def _ask_when_there_is_room(self, kind: ActorKind[Actor], envelope: Envelope, answer: Answer) -> Any:
        await self._deliver(kind, envelope, envelope.deadline)
        if not answer.done():
            self._deadlines.add(envelope)
        return await answer

    def ask_nowait(self, envelope: Envelope, take: Take, about: Any = None) -> Answer | None:
        """Deliver an envelope immediately and return the future of its reply; return None if it would have to wait.

        take: called with the reply, after the replies that came before it.
        about: context for `take`, available as `answer.about`.

        A delivered envelope always gets a reply, so nothing here times out. Raises the error of a failed actor that
        refuses its mail.
        """
        assert envelope.future is None, "an envelope is delivered once"
        if not self._try_deliver(self._kinds[envelope.stream_type], envelope, self._time()):
            return None
        # No actor runs before the loop's next iteration, so there is no reply yet.
        envelope.future = answer = Answer(loop=self._loop)
        answer.about = about
        answer.take = take
        answer.context = None
        answer.batch = self.answers
        return answer

    def begin_stream(self, stream_type: str, id: str) -> None:
        """Make the actor of a stream that is known to be empty, so that its first command waits for no read."""
        kind = self._kinds[stream_type]
        if id not in kind.live:
            self._live.create(kind, id, self._time()).begin()

    def release(self, stream_type: str, id: str) -> None:
        """Drop the state of an actor that will hardly be needed again, if it is in memory and idle."""
        actor = self._kinds[stream_type].live.get(id)
        if actor is not None and actor.is_idle:
            actor.passivate()

    async def tell(self, envelope: Envelope) -> None:
        """Deliver a command without waiting for its reply; return when a mailbox has accepted it."""
        check_headers(envelope.headers)
        kind = self._kinds[envelope.stream_type]
        now = self._time()
        if not self._try_deliver(kind, envelope, now):
            await self._deliver(kind, envelope, now + envelope.timeout_s)

    def read(self, stream_type: str, id: str, timeout_s: float) -> Awaitable[Any]:
        """Return an awaitable of a copy of an actor's latest state; it raises NotFound if the stream is empty."""
        return self.ask(Envelope(stream_type, checked_id(id, "id"), None, None, timeout_s=timeout_s))

    # --- delivery -------------------------------------------------------------------------------------------------

    async def _deliver(self, kind: ActorKind[Actor], envelope: Envelope, deadline: float) -> None:
        """Wait for room and deliver; raise Overloaded at the deadline, or immediately if the wait would exceed it."""
        try:
            await self._deliver_in_turn(kind, envelope, deadline)
        except BaseException:
            if envelope.future is not None:
                envelope.future.cancel()  # it may have just been delivered: it need not be decided
            raise

    async def _deliver_in_turn(self, kind: ActorKind[Actor], envelope: Envelope, deadline: float) -> None:
        actor = kind.live.get(envelope.to) or self._live.create(kind, envelope.to, self._time())
        must_wait = actor.is_full(self._mailbox_limit) or self.admission.is_awaited(actor)
        await self.admission.room(envelope, actor if must_wait else None, deadline)

    def _deliver_waiting(self, envelope: Envelope) -> Actor | None:
        """Deliver for the next waiting sender, given room in the runtime; return its actor if the mailbox is full."""
        kind = self._kinds[envelope.stream_type]
        if self._try_deliver(kind, envelope, self._time(), is_next=True):
            return None
        actor = kind.live[envelope.to]
        assert actor.is_full(self._mailbox_limit), f"{actor!r} has room but took no mail"
        return actor

    def _try_deliver(
        self,
        kind: ActorKind[Actor],
        envelope: Envelope,
        now: float,
        is_next: bool = False,
        decide_now: bool = False,
    ) -> bool:
        """Deliver if the runtime and the mailbox have room and no other sender waits for it.

        is_next: this sender is next, so it overtakes nobody.
        decide_now: an idle actor decides the command within this call. This saves a lone caller an iteration of the
            event loop. With others in flight it would save nothing.
        """
        admission = self.admission
        # `has_room`, inlined: hot path.
        in_flight = admission.in_flight
        if (in_flight >= admission.limit or admission.queue) and not is_next:
            return False
        actor = kind.live.get(envelope.to)
        if actor is None:
            actor = self._live.create(kind, envelope.to, now)
        else:
            if (actor.mailbox is not None or actor.pending is not None) and actor.is_full(self._mailbox_limit):
                return False
            actor.used_at = now
        if admission.mailbox_queues and not is_next and admission.is_awaited(actor):
            return False
        status = actor.status
        if status is _FAILED:
            refusal = self._supervisor.refusal(actor, now)
            if refusal is not None:
                raise refusal
            status = _COLD
        if not in_flight:
            admission.queue.throughput.begin(now)
        if status is _IDLE:
            # It has no mailbox. `make_ready` comes first: if the stack is full, it raises, and nothing was delivered.
            if not decide_now:
                make_ready = kind.host.make_ready
                make_ready(actor)
            admission.in_flight = in_flight + 1
            actor.mailbox = [envelope]
            actor.status = _READY
            if decide_now:
                kind.host.turn_now(actor)
            return True
        admission.in_flight = in_flight + 1
        mailbox = actor.mailbox
        if mailbox is None:
            actor.mailbox = [envelope]
        else:
            mailbox.append(envelope)
        if status is _COLD:
            actor.status = Status.HYDRATING
            kind.host.hydrate(actor)
        return True


def _stack_has_room() -> bool:
    """Return whether at least half of the stack is left for a decision that the caller does not expect on it."""
    try:
        sys._getframe(sys.getrecursionlimit() // 2)
    except ValueError:
        return True
    return False


async def _after_a_pause(answer: Answer) -> Any:
    """Return a reply that is there already; a caller that gets only such replies must not hold up the event loop."""
    await asyncio.sleep(0)
    return await answer


def _unhandled(command_class: type[Command]) -> ConfigurationError:
    return ConfigurationError(
        f"no aggregate of this runtime handles {command_class.__name__}: add the aggregate whose @create or @decide "
        "handles it to Runtime([…])"
    )


def time_out(envelope: Envelope) -> None:
    """Stop waiting for a command whose timeout has passed; its outcome is unknown."""
    future = envelope.future
    if future is not None and not future.done():
        future.set_exception(timed_out(envelope))


def timed_out(envelope: Envelope) -> CommandTimeout:
    """Return the error of a command or a read whose timeout has passed."""
    if envelope.command is None:
        return CommandTimeout(f"{envelope.to!r} was not read within {envelope.timeout_s:g} s", command_id="")
    return CommandTimeout(
        f"{type(envelope.command).__name__} to {envelope.to!r} had no reply within {envelope.timeout_s:g} s: its "
        f"outcome is unknown; send it again with command_id={envelope.command_id!r}",
        command_id=envelope.command_id,
    )
