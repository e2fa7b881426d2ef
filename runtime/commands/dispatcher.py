"""`Dispatcher`: a command's way from the caller into the mailbox of its actor.

Everything that can be wrong with a command is found here, before the mailbox: its type, its fields, its size, the
room there is. Invariant: an envelope that is delivered is counted in flight until `Answers` answers it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

import msgspec

from actorium.actors.actor import Actor, Status
from actorium.actors.commands import Ack, Command, CommandHandler, Envelope, checked_id, checked_text, is_unicode
from actorium.actors.kind import ActorKind
from actorium.runtime.commands.admission import Admission
from actorium.runtime.commands.deadlines import Deadlines
from actorium.runtime.commands.live_actors import LiveActors
from actorium.runtime.commands.scheduler import Scheduler
from actorium.runtime.commands.supervision import Supervisor
from actorium.runtime.errors import CommandTimeout
from actorium.runtime.settings import Settings
from actorium.store.errors import ConfigurationError, InvalidCommand
from actorium.store.source import Source

_READY, _IDLE, _COLD, _FAILED = Status.READY, Status.IDLE, Status.COLD, Status.FAILED


class Dispatcher:
    """Checks commands, finds their actors and delivers to their mailboxes."""

    def __init__(
        self,
        kinds: Mapping[type[Command], tuple[ActorKind[Actor], CommandHandler]],
        loop: asyncio.AbstractEventLoop,
        source: Source,
        settings: Settings,
        admission: Admission,
        deadlines: Deadlines[Envelope],
        live: LiveActors,
        scheduler: Scheduler,
        supervisor: Supervisor,
    ) -> None:
        self._kinds = kinds
        self._loop = loop
        self._time = loop.time
        self._new_id = source.new_id
        self._max_payload_bytes = settings.max_payload_bytes
        self._mailbox_limit = settings.mailbox_limit
        self._admission = admission
        admission.deliver = self._deliver_waiting
        self._deadlines = deadlines
        self._live = live
        self._scheduler = scheduler
        self._supervisor = supervisor

    def envelope(
        self,
        command: Command,
        command_id: str | None,
        expected_version: int | None,
        correlation_id: str,
        causation_id: str,
        headers: Mapping[str, str] | None,
        timeout_s: float = 0.0,
    ) -> Envelope:
        """Return a checked command in its envelope; raise ConfigurationError or InvalidCommand."""
        known = self._kinds.get(type(command)) or self._known(command)
        handler = known[1]
        copy, fingerprint = handler.codec.admit(command, self._max_payload_bytes)
        if expected_version is not None:
            _check_version(expected_version)
        fresh = command_id is None
        return Envelope(
            copy.to,
            copy,
            handler,
            None,
            self._new_id() if command_id is None else checked_id(command_id, "command_id"),
            fingerprint,
            fresh,
            correlation_id,
            causation_id,
            dict(headers) if headers else {},
            expected_version,
            0,
            timeout_s,
        )

    def send(self, envelope: Envelope) -> Awaitable[Ack]:
        """Deliver a command and wait for its answer, for the time that its envelope says."""
        if envelope.future is not None:
            # Middleware sends it again: as an envelope of its own, and its id may be in the log by now.
            envelope = msgspec.structs.replace(envelope, future=None, fresh=False, attempts=0, deadline=0)
        command = envelope.command
        assert command is not None, "an envelope for `send` holds a command"
        return self.ask(self._kinds[type(command)][0], envelope, envelope.timeout_s)

    async def read(self, kind: ActorKind[Actor], id: str, timeout_s: float) -> Any:
        """Return a copy of an actor's latest state."""
        return await self.ask(kind, Envelope(checked_id(id, "id"), None, None), timeout_s)

    def kind_of(self, command: Command) -> ActorKind[Actor]:
        """Return the kind of actor that handles a command; raise ConfigurationError if none does."""
        return self._known(command)[0]

    def _known(self, command: Command) -> tuple[ActorKind[Actor], CommandHandler]:
        known = self._kinds.get(type(command))
        if known is None:
            raise ConfigurationError(
                f"no aggregate of this runtime handles {type(command).__name__}: give Runtime([…]) the aggregate whose "
                "@create or @decide takes it"
            )
        return known

    def _kind(self, envelope: Envelope) -> ActorKind[Actor]:
        assert envelope.command is not None, "an envelope for `send` or `tell` holds a command"
        return self._kinds[type(envelope.command)][0]

    def ask(self, kind: ActorKind[Actor], envelope: Envelope, timeout_s: float) -> Awaitable[Any]:
        """Deliver an envelope to an actor of a kind, and return what gives its answer when awaited.

        Where there is room that is the future itself: a coroutine around it would be entered twice per command.
        """
        if not timeout_s >= 0 or envelope.headers or envelope.correlation_id != "" or envelope.causation_id != "":
            _check(envelope, timeout_s)
        now = self._time()
        envelope.timeout_s = timeout_s
        envelope.future = future = self._loop.create_future()
        if not self._try_deliver(kind, envelope, now):
            return self._ask_when_there_is_room(kind, envelope, future, now + timeout_s)
        envelope.deadline = self._deadlines.add(now + timeout_s, envelope)
        return future

    async def _ask_when_there_is_room(
        self, kind: ActorKind[Actor], envelope: Envelope, future: asyncio.Future[Any], deadline: float
    ) -> Any:
        await self._deliver(kind, envelope, deadline)
        if not future.done():
            envelope.deadline = self._deadlines.add(deadline, envelope)
        return await future

    async def tell(self, envelope: Envelope) -> None:
        """Deliver a command that nobody waits for, in the time that its envelope says; return when a mailbox has it."""
        timeout_s = envelope.timeout_s
        _check(envelope, timeout_s)
        kind = self._kind(envelope)
        now = self._time()
        if not self._try_deliver(kind, envelope, now):
            await self._deliver(kind, envelope, now + timeout_s)

    async def _deliver(self, kind: ActorKind[Actor], envelope: Envelope, deadline: float) -> None:
        """Wait for room and delivery; raise Overloaded at the deadline, or at once where it would pass."""
        actor = self._actor(kind, envelope.to, self._time())
        must_wait = actor.is_full(self._mailbox_limit) or self._admission.is_awaited(actor)
        try:
            await self._admission.room(kind, envelope, actor if must_wait else None, deadline)
        except BaseException:
            if envelope.future is not None:
                envelope.future.cancel()  # it may have been delivered in the same breath: it need not be decided
            raise

    def _deliver_waiting(self, kind: ActorKind[Actor], envelope: Envelope) -> Actor | None:
        """Deliver for a sender that waits, there being room in the runtime; return its actor if that one is full."""
        now = self._time()
        actor = self._actor(kind, envelope.to, now)
        if actor.is_full(self._mailbox_limit):
            return actor
        self._put(actor, envelope, now)
        return None

    def _try_deliver(self, kind: ActorKind[Actor], envelope: Envelope, now: float) -> bool:
        """Deliver if there is room in the runtime and in the mailbox, and nobody waits for it."""
        admission = self._admission
        if (
            admission.in_flight >= admission.limit or admission.queue
        ):  # `has_room`, written out: each command comes by here
            return False
        actor = kind.live.get(envelope.to)
        if actor is None:
            actor = self._live.create(kind, envelope.to, now)
        elif (actor.mailbox is not None or actor.pending is not None) and actor.is_full(self._mailbox_limit):
            return False
        if admission.mailbox_queues and admission.is_awaited(actor):
            return False
        self._put(actor, envelope, now)
        return True

    def _actor(self, kind: ActorKind[Actor], id: str, now: float) -> Actor:
        actor = kind.live.get(id)
        if actor is None:
            return self._live.create(kind, id, now)
        return actor

    def _put(self, actor: Actor, envelope: Envelope, now: float) -> None:
        status = actor.status
        if status is _FAILED:
            refusal = self._supervisor.refusal(actor, now)
            if refusal is not None:
                raise refusal
            status = _COLD
        actor.used_at = now
        admission = self._admission
        if not admission.in_flight:
            admission.queue.throughput.begin(now)
        admission.in_flight += 1
        mailbox = actor.mailbox
        if mailbox is None:
            actor.mailbox = [envelope]
        else:
            mailbox.append(envelope)
        if status is _IDLE:
            actor.status = _READY
            self._scheduler.make_ready(actor)
        elif status is _COLD:
            actor.status = Status.HYDRATING
            actor.kind.host.hydrate(actor)


def _check_version(version: object) -> None:
    if not isinstance(version, int) or isinstance(version, bool) or version < 0:
        raise InvalidCommand(f"expected_version={version!r}: a whole number, 0 for a stream that is empty")


def _check(envelope: Envelope, timeout_s: float) -> None:
    """Raise InvalidCommand for metadata that the log would not give back, ConfigurationError for an endless wait."""
    if not timeout_s >= 0:
        raise ConfigurationError(f"timeout_s={timeout_s!r}: seconds, 0 or more")
    checked_text(envelope.correlation_id, "correlation_id")
    checked_text(envelope.causation_id, "causation_id")
    for name, value in envelope.headers.items():
        if not (is_unicode(name) and is_unicode(value)):
            raise InvalidCommand(f"headers={{{name!r}: {value!r}}}: names and values are strings")


def time_out(envelope: Envelope) -> None:
    """End the waiting of a command's sender, its time being over; what becomes of the command is not known."""
    future = envelope.future
    if future is not None and not future.done():
        future.set_exception(_timed_out(envelope))


def _timed_out(envelope: Envelope) -> CommandTimeout:
    if envelope.command is None:
        return CommandTimeout(f"{envelope.to!r} was not read within {envelope.timeout_s:g} s", command_id="")
    return CommandTimeout(
        f"{type(envelope.command).__name__} to {envelope.to!r} had no answer within {envelope.timeout_s:g} s: its "
        f"outcome is unknown; send it again with command_id={envelope.command_id!r}",
        command_id=envelope.command_id,
    )
