"""`RoutedDispatcher`: the entry for commands in a node of a cluster: it delivers here, or sends to the stream's owner.

A command is delivered here only while this node serves its shard. That is checked when it arrives, and again when it
has waited for room. Reads never travel: the state of a stream that belongs to another node is folded from the log,
which holds every acknowledged command.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import msgspec

from actorium.actors.actor import Actor
from actorium.actors.commands import Ack, Command, check_headers, checked_id
from actorium.actors.envelope import Envelope
from actorium.actors.errors import HydrationFailed
from actorium.actors.kind import ActorKind
from actorium.actors.status import Status
from actorium.runtime.cluster.directory import Directory
from actorium.runtime.cluster.remote import RemoteCommands
from actorium.runtime.cluster.shards import shard_of
from actorium.runtime.commands.answer_batch import Answer, Take
from actorium.runtime.commands.dispatcher import Dispatcher, time_out
from actorium.runtime.commands.observed import ObservedDispatcher
from actorium.runtime.errors import NewerCodeNeeded
from actorium.store.errors import ActoriumError, UnknownEventType
from actorium.store.raised import let_through

# A command of another node has a little less time left than one from here. If its deadline is within this time before
# the last one, it is moved to that one, because deadlines in order are cheaper. Its sender still times out punctually.
_LATE_S = 0.05
_IDLE, _READY = Status.IDLE, Status.READY


class _ShardMoved(Exception):
    """A command was not delivered, because its shard is being handed over."""


class PeerAttempt(msgspec.Struct, eq=False):
    """An attempt of another node whose reply is still to come; a later attempt for the same command takes it over.

    attempts: where it is kept, by its number, until it is answered.
    moved: tells that node that its command was not delivered here.
    """

    peer: int
    number: int
    stream_type: str
    attempts: dict[int, PeerAttempt]
    moved: Callable[[PeerAttempt], None]


class RoutedDispatcher(Dispatcher):
    """A dispatcher that knows which streams belong to this node.

    Attributes set by the node, before the first command: `directory`, `remote`, `fold`, which returns the state of an
    actor as the log has it, `give_away`, which hands over a shard that holds an event of newer code, and
    `newer_code_needed`, which returns the error for a reader of such an event.
    """

    directory: Directory
    remote: RemoteCommands
    fold: Callable[[ActorKind[Actor], str], Coroutine[Any, Any, Any]]
    give_away: Callable[[int, UnknownEventType], bool]
    newer_code_needed: Callable[[BaseException], NewerCodeNeeded | None]

    def __init__(self, *wanted: Any, **more: Any) -> None:
        super().__init__(*wanted, **more)
        self.waiting_here: set[asyncio.Task[None]] = set()

    # --- the entry ------------------------------------------------------------------------------------------------

    def send(self, command: Command, command_id: str | None, timeout_s: float) -> Awaitable[Ack]:
        """Do what `Dispatcher.send` does, wherever the stream is."""
        known = self._handlers.get(command.__class__)
        to = command.to if known is not None else None
        if known is None or type(to) is not str or self.directory.serves(known[0].type, to):
            return super().send(command, command_id, timeout_s)
        return self._ask_elsewhere(self.envelope(command, command_id, None, "", "", None, timeout_s))

    def ask(self, envelope: Envelope) -> Awaitable[Ack]:
        """Do what `Dispatcher.ask` does, wherever the stream is."""
        if self.directory.serves(envelope.stream_type, envelope.to):
            return super().ask(envelope)
        return self._ask_elsewhere(envelope)

    async def _ask_when_there_is_room(self, kind: ActorKind[Actor], envelope: Envelope, answer: Answer) -> Any:
        try:
            return await super()._ask_when_there_is_room(kind, envelope, answer)
        except _ShardMoved:
            return await self._ask_elsewhere(msgspec.structs.replace(envelope, future=None))

    def ask_nowait(self, envelope: Envelope, take: Take, about: Any = None) -> Answer | None:
        """Do what `Dispatcher.ask_nowait` does, wherever the stream is."""
        if self.directory.serves(envelope.stream_type, envelope.to):
            return super().ask_nowait(envelope, take, about)
        assert envelope.future is None, "an envelope is delivered once"
        envelope.future = answer = self._answer()
        answer.about, answer.take = about, take
        if self.remote.begin(envelope, answer):
            return answer
        envelope.future = None
        return None

    async def tell(self, envelope: Envelope) -> None:
        """Do what `Dispatcher.tell` does; for another node, return when the command has room on its way there."""
        if self.directory.serves(envelope.stream_type, envelope.to):
            try:
                await super().tell(envelope)
                return
            except _ShardMoved:
                pass
        check_headers(envelope.headers)
        envelope.deadline = self._time() + envelope.timeout_s
        envelope.future = answer = self._answer()
        answer.add_done_callback(lambda told: told.cancelled() or told.exception())
        if not self.remote.begin(envelope, answer):
            await self._wait_for_window(envelope, answer)

    def read(self, stream_type: str, id: str, timeout_s: float) -> Awaitable[Any]:
        """Return an awaitable of a copy of an actor's latest state; it raises NotFound if the stream is empty."""
        return self.ask(Envelope(stream_type, checked_id(id, "id"), None, None, timeout_s=timeout_s))

    def begin_stream(self, stream_type: str, id: str) -> None:
        """Do what `Dispatcher.begin_stream` does, if the stream is here."""
        if self.directory.serves(stream_type, id):
            super().begin_stream(stream_type, id)

    # --- elsewhere ------------------------------------------------------------------------------------------------

    def _ask_elsewhere(self, envelope: Envelope) -> Awaitable[Any]:
        if envelope.handler is None:
            return self._read_elsewhere(envelope)
        if envelope.headers:  # middleware may have changed them
            check_headers(envelope.headers)
        envelope.deadline = self._time() + envelope.timeout_s
        envelope.future = answer = self._answer()
        if not self.remote.begin(envelope, answer):
            return self._ask_when_the_window_opens(envelope, answer)
        self._deadlines.add(envelope)
        return answer

    async def _ask_when_the_window_opens(self, envelope: Envelope, answer: Answer) -> Any:
        await self._wait_for_window(envelope, answer)
        if not answer.done():
            self._deadlines.add(envelope)
        return await answer

    async def _wait_for_window(self, envelope: Envelope, answer: Answer) -> None:
        command = self.remote.made(envelope, answer)
        try:
            await command.window.enter(command.size_bytes, max(0.0, envelope.deadline - self._time()))
        except BaseException:
            answer.cancel()
            raise
        self.remote.enter(command)

    async def _read_elsewhere(self, envelope: Envelope) -> Any:
        kind = self._kinds[envelope.stream_type]
        try:
            async with asyncio.timeout(envelope.timeout_s):
                return await self.fold(kind, envelope.to)
        except HydrationFailed as error:
            needed = self.newer_code_needed(error)
            if needed is None:
                raise
            raise needed from error
        except TimeoutError:
            future = envelope.future = self._loop.create_future()
            time_out(envelope)
            return await future

    def _answer(self) -> Answer:
        answer = Answer(loop=self._loop)
        answer.take = answer.context = None
        answer.batch = self.answers
        return answer

    def forget_answered(self) -> None:
        """Free the envelopes of commands that another node has answered, long before their deadlines."""
        self._deadlines.sweep()

    def fail_remote(self, error: ActoriumError) -> None:
        """Fail the commands that were sent to other nodes, and stop waiting for room here, because the runtime ends."""
        self.remote.close(error)
        for task in self.waiting_here:
            task.cancel()

    # --- here -----------------------------------------------------------------------------------------------------

    def ask_here(self, envelope: Envelope, answer: Answer, moved: Callable[[Envelope], None]) -> None:
        """Deliver a command of a stream that is served here; `answer`, its future, gets the reply.

        moved: called instead, with nothing delivered, if its shard is handed over while it waits for room.
        """
        kind, admission = self._kinds[envelope.stream_type], self.admission
        in_flight, actor = admission.in_flight, kind.live.get(envelope.to)
        if (
            (ready := self._shortcut)
            and actor is not None
            and actor.status is _IDLE
            and actor.pending is None
            and in_flight < admission.limit
            and not (admission.queue or admission.mailbox_queues)
        ):  # as in `Dispatcher.send`: hot path
            actor.used_at = self._time()
            actor.mailbox = [envelope]
            actor.status = _READY
            admission.in_flight = in_flight + 1
            ready.append(actor)
            delivered = True
        else:
            try:
                delivered = self._try_deliver(kind, envelope, self._time())
            except ActoriumError as refusal:
                answer.set_exception(refusal)
                return
        if not delivered:
            task = self._loop.create_task(self._deliver_here(kind, envelope, answer, moved))
            self.waiting_here.add(task)
            task.add_done_callback(self.waiting_here.discard)
        elif (deadline := envelope.deadline) and not answer.done():
            deadlines = self._deadlines
            last = deadlines.last
            if deadline < last <= deadline + _LATE_S:
                deadline = envelope.deadline = last
            if deadline >= last:  # `Deadlines.add`, inlined: hot path
                deadlines.last = deadline
                deadlines.line.append(envelope)
            else:
                deadlines.add(envelope)

    async def _deliver_here(
        self, kind: ActorKind[Actor], envelope: Envelope, answer: Answer, moved: Callable[[Envelope], None]
    ) -> None:
        try:
            await self._deliver_in_turn(kind, envelope, envelope.deadline or self._time() + envelope.timeout_s)
        except _ShardMoved:
            moved(envelope)
            return
        except BaseException as raised:
            let_through(raised)
            if not answer.done():
                answer.set_exception(raised)
            return
        if envelope.deadline and not answer.done():
            self._deadlines.add(envelope)

    def sends_on(self, actor: Actor, error: ActoriumError) -> bool:
        """Send the mail of an actor that only newer code can hydrate to a node that has it; return False for others."""
        unknown = error.__cause__
        if not isinstance(unknown, UnknownEventType):
            return False
        if not self.give_away(shard_of(actor.kind.type, actor.id), unknown):
            return False
        mail, actor.mailbox = [*(actor.mailbox or ())], None
        actor.hydration_failed(error, status=Status.COLD)
        self.admission.answered(len(mail))
        for envelope in mail:
            self._send_on(envelope, error)
        return True

    def _send_on(self, envelope: Envelope, error: ActoriumError) -> None:
        answer: Any = envelope.future
        if answer is None:
            answer = envelope.future = self._answer()
            answer.add_done_callback(lambda told: told.cancelled() or told.exception())
        if answer.done():
            return
        attempt = getattr(answer, "about", None)
        if isinstance(attempt, PeerAttempt):
            answer.cancel()
            attempt.moved(attempt)
        elif envelope.handler is None:
            answer.set_exception(self.newer_code_needed(error) or error)
        else:
            self._send_away(envelope, answer)

    def come_home(self, envelope: Envelope, answer: Answer) -> None:
        """Deliver a command that waited for the owner of its stream, which is this node now."""
        envelope.future = answer
        self.ask_here(envelope, answer, lambda envelope: self._send_away(envelope, answer))

    def _send_away(self, envelope: Envelope, answer: Answer) -> None:
        """Send a command to the owner of its stream after all; it goes ahead of those that wait for the window."""
        command = self.remote.made(envelope, answer)
        command.window.force(command.size_bytes)
        self.remote.enter(command)

    async def _deliver_in_turn(self, kind: ActorKind[Actor], envelope: Envelope, deadline: float) -> None:
        self._require_served(envelope)
        await super()._deliver_in_turn(kind, envelope, deadline)

    def _try_deliver(
        self,
        kind: ActorKind[Actor],
        envelope: Envelope,
        now: float,
        is_next: bool = False,
        decide_now: bool = False,
    ) -> bool:
        if is_next:  # it has waited; all others were checked in this step
            self._require_served(envelope)
        return super()._try_deliver(kind, envelope, now, is_next, decide_now)

    def _require_served(self, envelope: Envelope) -> None:
        if not self.directory.serves(envelope.stream_type, envelope.to):
            raise _ShardMoved(f"{envelope.stream_type}<{envelope.to}> is being handed over to another node")


class ObservedRoutedDispatcher(ObservedDispatcher, RoutedDispatcher):
    """A routed dispatcher whose deliveries are observed."""
