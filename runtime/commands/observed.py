"""The parts of the command path that replace the plain ones when instruments observe commands.

Without instruments nothing here runs. With them, commands and replies are collected and reported once per iteration
of the event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from actorium.actors.actor import Actor
from actorium.actors.envelope import Envelope
from actorium.actors.errors import Rejected
from actorium.actors.hydration import Hydrator
from actorium.actors.kind import ActorKind
from actorium.actors.pending import PendingAppend
from actorium.runtime.commands.dispatcher import Dispatcher
from actorium.runtime.commands.replies import Replies
from actorium.runtime.instrument import Instruments, ObservedAnswer, ObservedBatch, ObservedCommand, Tell
from actorium.store.errors import ActoriumError, Transient
from actorium.store.event_store import AppendBatch, Appended, EventStore
from actorium.store.writers.group_commit_writer import AppendsBatches


class CommandObserver:
    """Collects commands and replies between two iterations of the event loop.

    Invariant: `_open` holds the commands that are received and not answered, so at most `Settings.max_in_flight`.

    headers: only commands with one of these are observed; None for all.
    """

    def __init__(
        self,
        received: Tell | None,
        answered: Tell | None,
        headers: frozenset[str] | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._headers = headers
        self._tell_received = received
        self._tell_answered = answered
        self._loop = loop
        self._open: dict[int, tuple[ObservedCommand, float]] = {}
        self._received: list[ObservedCommand] = []
        self._answered: list[ObservedAnswer] = []
        self._is_scheduled = False

    @classmethod
    def of(cls, instruments: Instruments, loop: asyncio.AbstractEventLoop) -> CommandObserver | None:
        """Return an observer for these instruments; None if none of them observes commands."""
        received, answered = instruments.teller("commands_received"), instruments.teller("commands_answered")
        if received is None and answered is None:
            return None
        return cls(received, answered, instruments.command_headers, loop)

    @property
    def is_idle(self) -> bool:
        """Whether no observed command waits for its answer."""
        return not self._open

    def received(self, envelope: Envelope) -> None:
        """Record an envelope that a mailbox accepted; a read of an actor's state is not a command."""
        if envelope.command is None or (self._headers is not None and self._headers.isdisjoint(envelope.headers)):
            return
        command = ObservedCommand(
            envelope.command, envelope.command_id, envelope.correlation_id, envelope.causation_id, envelope.headers
        )
        self._open[id(envelope)] = (command, self._loop.time())
        self._received.append(command)
        self._schedule()

    def refused(self, envelope: Envelope) -> None:
        """Forget an envelope that its mailbox refused after all."""
        if self._open.pop(id(envelope), None) is not None:
            self._received.pop()

    def answered(self, envelope: Envelope, outcome: Any) -> None:
        """Record the reply to an envelope: an error, None for a dropped command, or an acknowledgement."""
        noted = self._open.pop(id(envelope), None)
        if noted is None:
            return
        command, received_at = noted
        error = outcome if isinstance(outcome, Exception) else None
        if error is not None:
            ended = "rejected" if isinstance(error, Rejected) else "failed"
        else:
            ended = "dropped" if outcome is None else "acknowledged"
        self._answered.append(ObservedAnswer(command, ended, error, self._loop.time() - received_at))  # type: ignore[arg-type]
        self._schedule()

    def flush(self) -> None:
        """Report the collected commands and replies."""
        self._is_scheduled = False
        received, self._received = self._received, []
        answered, self._answered = self._answered, []
        if received and self._tell_received is not None:
            self._tell_received(received)
        if answered and self._tell_answered is not None:
            self._tell_answered(answered)

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self.flush)


class ObservedDispatcher(Dispatcher):
    """A dispatcher whose deliveries are observed."""

    def __init__(self, *wanted: Any, observer: CommandObserver) -> None:
        super().__init__(*wanted)
        self._observer = observer
        self._shortcut = deque()  # always empty, so that `send` delivers through `_try_deliver`

    def _try_deliver(
        self,
        kind: ActorKind[Actor],
        envelope: Envelope,
        now: float,
        is_next: bool = False,
        decide_now: bool = False,
    ) -> bool:
        self._observer.received(envelope)  # first: an actor that cannot start answers within the call
        try:
            is_delivered = super()._try_deliver(kind, envelope, now, is_next, decide_now)
        except BaseException:
            self._observer.refused(envelope)
            raise
        if not is_delivered:
            self._observer.refused(envelope)
        return is_delivered


class ObservedReplies(Replies):
    """Replies that report to an observer."""

    def __init__(self, *wanted: Any, observer: CommandObserver) -> None:
        super().__init__(*wanted)
        self._observer = observer

    def committed(self, requests: Sequence[PendingAppend[Actor]], outcome: Appended | Transient) -> None:
        """Take the writer's report on one batch, and note its acknowledgements."""
        super().committed(requests, outcome)
        if isinstance(outcome, Appended) and not self._observer.is_idle:
            for request, position in zip(requests, outcome.outcomes, strict=True):
                if type(position) is int and request.outcome is None:  # otherwise its actor recovers
                    self._observer.answered(request.envelope, request)

    def acknowledge(self, request: PendingAppend[Actor], position: int) -> None:
        """Reply to a command whose events are durable."""
        super().acknowledge(request, position)
        self._observer.answered(request.envelope, request)

    def answer(self, envelope: Envelope, outcome: Any) -> None:
        """Send the final reply to an envelope."""
        super().answer(envelope, outcome)
        self._observer.answered(envelope, outcome)


class ObservedHydrator(Hydrator):
    """A hydrator that reports each hydrated actor.

    Invariant: `_since` holds the actors that are being hydrated.
    """

    def __init__(
        self,
        store: EventStore,
        failed: Callable[[Actor, ActoriumError], None],
        succeeded: Callable[[Actor], None],
        *,
        tell: Tell,
        time: Callable[[], float],
    ) -> None:
        self._since: dict[Actor, float] = {}
        self._time = time

        def hydrated(actor: Actor) -> None:
            succeeded(actor)
            tell(actor.kind.type, actor.id, actor.version, time() - self._since.pop(actor))

        def not_hydrated(actor: Actor, error: ActoriumError) -> None:
            self._since.pop(actor, None)
            failed(actor, error)

        super().__init__(store, not_hydrated, hydrated)

    def request(self, actor: Actor) -> None:
        """Hydrate an actor; report it when that has succeeded."""
        self._since[actor] = self._time()
        super().request(actor)


class ObservedStore:
    """A store for the writer that reports each commit."""

    def __init__(self, store: AppendsBatches, tell: Callable[..., None], loop: asyncio.AbstractEventLoop) -> None:
        self._store = store
        self._tell = tell
        self._time = loop.time

    async def append(self, batch: AppendBatch) -> Appended:
        """Write a batch and report its outcome."""
        began = self._time()
        try:
            appended = await self._store.append(batch)
        except Exception as error:
            self._tell_of(batch, began, error)
            raise
        self._tell_of(batch, began, None)
        return appended

    def _tell_of(self, batch: AppendBatch, began: float, error: Exception | None) -> None:
        events = [event for append in batch.appends for event in append.events]
        self._tell(
            ObservedBatch(
                appends=len(batch.appends),
                events=len(events),
                size_bytes=sum(len(event.payload) for event in events),
                command_ids=[append.command.command_id for append in batch.appends if append.command is not None],
                took_s=self._time() - began,
                error=error,
            )
        )
