"""`SagaEngine`: runs the sagas and submitted commands of one runtime with its routers, its agenda and its runners."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any

import anyio.abc
import msgspec

from actorium.actors.actor import Actor
from actorium.actors.aggregate import Aggregate
from actorium.actors.commands import Ack, Command, checked_id, checked_text
from actorium.actors.envelope import Envelope
from actorium.actors.errors import AlreadyExists, CommandConflict, NotFound
from actorium.actors.fingerprint import NOT_DONE
from actorium.actors.kind import ActorKind
from actorium.runtime.cluster.followers import FirstStart
from actorium.runtime.commands.derived_ids import derived_id, known_command_id
from actorium.runtime.component import Component
from actorium.runtime.engine import Engine
from actorium.runtime.environment import RuntimeEnvironment
from actorium.runtime.errors import FollowerElsewhere, RuntimeClosed
from actorium.runtime.processors.lagging_checkpoint import LaggingCheckpoint
from actorium.runtime.processors.processor import Processor
from actorium.runtime.processors.start_position import StartPosition
from actorium.runtime.read_side import ReadSide
from actorium.runtime.services.link import ServiceLink
from actorium.runtime.settings import Settings
from actorium.sagas.agenda.agenda import Agenda
from actorium.sagas.agenda.agenda_run import AgendaParts
from actorium.sagas.agenda.agenda_runs import AgendaRuns
from actorium.sagas.agenda.submission_table import listed
from actorium.sagas.errors import SagaTimeout
from actorium.sagas.execution.end_waiters import EndWaiters
from actorium.sagas.execution.missing_classes import refuse_lost_sagas
from actorium.sagas.execution.router import Router
from actorium.sagas.execution.services import Send, Services, commands_by_name
from actorium.sagas.model.messages import Repair
from actorium.sagas.model.progress import metadata_of
from actorium.sagas.model.recording import issued_command
from actorium.sagas.model.saga import Saga
from actorium.sagas.model.stream import SagaStream
from actorium.sagas.model.submission_views import SubmissionView, view_of
from actorium.sagas.model.submissions import SUBMISSION, Cancel, Hasten, Submission, Submit
from actorium.sagas.model.views import SagaSummary, SagaView, lines_of
from actorium.store.errors import ConfigurationError, InvalidCommand
from actorium.store.event_store import StreamRead
from actorium.store.events import Event, RecordedEvent, event_type_of, utc_of
from actorium.store.names import StreamName
from actorium.store.tables.own_rows import ReadSagas

_PAGE = 1_000
_ENDED = ("completed", "undone", "failed")


class SagaEngine(Component):
    """Turns events into commands through sagas, and sends submitted commands.

    streams: the actor class for each saga class.
    aggregates: the classes whose commands sagas may send.
    engine: carries out commands.
    reads: drives everything that follows the log, including the sagas' routers.
    environment: the store, the limits and the instruments.
    send: `Runtime.send`.
    accepts: whether the runtime accepts commands; None if each command must pass through middleware, which is async
        and needs a task.
    link: leads to the other services, if there are any.
    """

    def __init__(
        self,
        streams: dict[type[Saga], type[SagaStream]],
        aggregates: Sequence[type[Aggregate]],
        engine: Engine,
        reads: ReadSide,
        environment: RuntimeEnvironment,
        send: Send,
        accepts: Callable[[], bool] | None,
        link: ServiceLink | None = None,
    ) -> None:
        store, source, settings = environment.store, environment.source, environment.settings
        self._streams = streams
        self._environment = environment
        self._store = store
        self._source = source
        self._timeout_s, self._unreadable_types = settings.default_timeout_s, settings.unreadable_types
        self._poll_s = settings.poll_s
        self._dispatcher = engine.dispatcher
        self._reads = reads
        self._kinds = {saga: engine.kinds[stream] for saga, stream in streams.items()}
        self._submissions = engine.kinds[Submission]
        for kind in (*self._kinds.values(), self._submissions):
            kind.evolve_without_copies()  # these streams replace values and never change them in place
        for kind in self._kinds.values():
            kind.metadata_of = metadata_of
        by_name = commands_by_name(aggregates, link)
        for stream in streams.values():
            if stream.commands != by_name:  # setting it makes the interpreter forget how to call the class's methods
                stream.commands = by_name
        self._services = Services(
            engine.dispatcher,
            store,
            source,
            by_name,
            send,
            accepts,
            environment.is_stopping,
            self._timeout_s,
            link,
            settings.max_payload_bytes,
        )
        self._definitions = {saga.__definition__.saga_type: saga.__definition__ for saga in streams}
        self._end_waiters = EndWaiters()
        self._agenda = AgendaRuns(AgendaParts(self._services, self._definitions, reads, environment, self._end_waiters))
        self._starts: dict[type[Saga], FirstStart] = {}
        self._routers = {saga: self._router(saga, settings) for saga in streams}
        for saga, router in self._routers.items():
            if reads.place(router, start=self._starts[saga]):
                reads.add(saga, router)

    def _router(self, saga: type[Saga], settings: Settings) -> Processor:
        definition = saga.__definition__
        name = f"saga {definition.saga_type}"
        checkpoint = LaggingCheckpoint(name, self._store, self._reads.saving(name))
        # The end of the log at the start: later events must not be mistaken for earlier ones.
        new_after = self._reads.log_reader.log_tail.position if saga.begins_at == "now" else 0
        start_position = StartPosition(checkpoint, self._store, new_after)
        log_tail = self._reads.log_reader.log_tail
        router = Router(definition, checkpoint, start_position, self._services, lambda: log_tail.position)
        self._starts[saga] = FirstStart(router.is_new, router.save_start)
        delivery = self._reads.concurrent_delivery(router, checkpoint, settings.handler_retry)
        return Processor(
            router,
            delivery,
            checkpoint,
            self._reads.placed_reader,
            self._environment,
            plain_name=definition.saga_type,
            lane=router.lane,
        )

    async def run(self) -> None:
        """Carry out due intents until cancelled."""
        try:
            await self._agenda.carry_out()
        finally:
            self._end_waiters.close(RuntimeClosed("the runtime is stopping; the saga continues after the next start"))

    async def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Wait until all recorded events are known, then deliver events to their sagas.

        When it returns, it is stored where the sagas begin that are new to the log.

        Raises ConfigurationError, before it changes anything, if sagas lack their class or are at a missing step.
        """
        self._agenda.open(tasks)
        if self._reads.is_on_nodes:
            definitions = (saga.__definition__ for saga in self._streams)
            await refuse_lost_sagas(self._store, definitions, self._unreadable_types)
            return
        if not self._streams and not await self._has_history():
            return  # no sagas or submitted commands: the first submission starts the agenda
        await self._agenda.follow()
        await self._agenda.save()
        await refuse_lost_sagas(self._store, (saga.__definition__ for saga in self._streams), self._unreadable_types)
        for start in self._starts.values():
            await start.save()
        for saga, router in self._routers.items():
            self._reads.add(saga, router)
            self._reads.log_reader.log_tail.follow(router)
            tasks.start_soon(router.run)

    async def _has_history(self) -> bool:
        names = {event_type_of(event_class) for event_class in Agenda.event_classes}
        return any(stored.type in names for stored in await self._store.event_types())

    # --- submitted commands ---------------------------------------------------------------------------------------

    async def submit(self, wanted: Envelope, due_us: int) -> Ack:
        """Record a checked command; it is sent when it is due."""
        await self._agenda.follow()
        command = wanted.command
        assert command is not None, "an envelope to submit holds a command"
        issued = issued_command(command)
        id = wanted.command_id
        submit = Submit(id, issued, due_us, wanted.headers, wanted.correlation_id, wanted.causation_id)
        cause = f"submit {id}"
        try:
            ack = await self._dispatcher.ask(self._submission(submit, derived_id(cause), wanted))
        except AlreadyExists:  # submitted before derived ids existed: the log shows whether it was the same command
            ack = await self._dispatcher.ask(self._submission(submit, cause, wanted))
        return msgspec.structs.replace(ack, command_id=id)

    def _submission(self, submit: Submit, command_id: str, wanted: Envelope) -> Envelope:
        return Envelope(
            SUBMISSION,
            submit.to,
            submit,
            self._submissions.definition.handlers[Submit],
            command_id=command_id,
            known_fingerprint=wanted.fingerprint,
            fresh=wanted.fresh,
            correlation_id=wanted.correlation_id or submit.to,
            causation_id=wanted.causation_id,
            headers=wanted.headers,
            timeout_s=wanted.timeout_s,
        )

    async def cancel(self, command_id: str, reason: str) -> bool:
        """Cancel a submitted command, so that it can no longer take effect; return False if it was over before."""
        command_id = known_command_id(command_id)
        cancel = Cancel(command_id, checked_text(reason, "reason"))
        link = self._services.link
        if link is not None:
            service = link.service_of((await self.submission(command_id)).command_type)
            if service and not await link.void(service, command_id, "", self._timeout_s):
                return False
        try:  # under the command's own id: either it took effect, or it never will
            identity = {"command_id": command_id, "known_fingerprint": NOT_DONE, "fresh": False}
            ack = await self._ask(self._submissions, cancel, **identity)
        except CommandConflict:
            await self.submission(command_id)  # the id may be that of a command that was not submitted
            return False
        return bool(ack.events) and not ack.duplicate

    async def hasten(self, command_id: str, reason: str) -> bool:
        """Make a submitted command due now; return False if it was due or over before."""
        hasten = Hasten(known_command_id(command_id), self._source.now_us(), checked_text(reason, "reason"))
        await self.submission(hasten.to)
        return bool((await self._ask(self._submissions, hasten)).events)

    async def submission(self, command_id: str) -> SubmissionView:
        """Return a submitted command; raise NotFound if there is none."""
        command_id = known_command_id(command_id)
        stream = StreamName(self._submissions.type, command_id)
        (page,) = await self._store.read_streams([StreamRead(stream, 0, _PAGE)])
        codec = self._submissions.codec
        view = view_of(command_id, (one for record in page.events for one in codec.recorded(record)))
        if view is None:
            raise NotFound(f"no command was submitted with the id {command_id!r}")
        return view

    async def submissions(self, status: str | None) -> AsyncIterator[SubmissionView]:
        """Yield the submitted commands, in one status or any, by id."""
        await self._written()
        async for view in listed(self._store, status):
            yield view

    # --- sagas ----------------------------------------------------------------------------------------------------

    async def ended(self, saga: type[Saga], id: str, within_s: float) -> SagaView:
        """Return a saga once it has ended or is stuck; raise SagaTimeout, or NotFound if it has not started by then."""
        kind = self._kind(saga)
        checked_id(id, "id")
        try:
            async with asyncio.timeout(within_s):
                while True:
                    with self._end_waiters.awaited(StreamName(kind.type, id)) as end:
                        position = self._reads.log_reader.log_tail.position
                        if await self._has_ended(kind, id):
                            break
                        if self._agenda.is_here(kind.type, id):
                            await end
                        else:  # another node's agenda sees the end first
                            await self._reads.log_reader.log_tail.beyond(position, self._poll_s)
        except TimeoutError:
            view = await self.view(saga, id)
            if view.status not in _ENDED:
                raise SagaTimeout(
                    f"{kind.type}<{id}> has not ended within {within_s:.12g} s: it is {view.status} at "
                    f"{view.step or 'no step'}, and continues; ask again"
                ) from None
            return view
        return await self.view(saga, id)

    async def _has_ended(self, kind: ActorKind[Actor], id: str) -> bool:
        try:
            stream: SagaStream = await self._dispatcher.read(kind.type, id, self._timeout_s)
        except NotFound:
            return False
        return stream.status in _ENDED

    async def view(self, saga: type[Saga], id: str) -> SagaView:
        """Return a saga with its history; raise NotFound if there is none."""
        kind = self._kind(saga)
        stream: SagaStream = await self._dispatcher.read(kind.type, id, self._timeout_s)
        recorded: list[RecordedEvent[Event]] = []
        version = 0
        while True:
            (page,) = await self._store.read_streams([StreamRead(StreamName(kind.type, id), version, _PAGE)])
            for record in page.events:
                version = record.version
                recorded += kind.codec.recorded(record)
            if page.is_last:
                break
        waiting_at = [*stream.open, *stream.stuck_at]
        return SagaView(
            type=kind.type,
            id=id,
            status=stream.status,
            step=", ".join(waiting_at),
            reason=stream.reason,
            state=msgspec.json.decode(stream.state),
            history=tuple(lines_of(recorded)),
        )

    async def list(self, saga: type[Saga] | None, status: str | None) -> AsyncIterator[SagaSummary]:
        """Yield the sagas, of one class or all, in one status or any, by type and id."""
        await self._written()
        kind = None if saga is None else self._kind(saga).type
        after: tuple[str, str] | None = None
        while True:
            rows = await self._store.read_rows(ReadSagas(_PAGE, kind, status, after))
            for row in rows:
                yield SagaSummary(
                    type=row.type,
                    id=row.id,
                    status=row.status,
                    step=row.step,
                    reason=row.reason,
                    started_at=utc_of(row.started_us),
                    updated_at=utc_of(row.updated_us),
                )
            if len(rows) < _PAGE:
                return
            after = (rows[-1].type, rows[-1].id)

    async def repair(self, saga: type[Saga], id: str, action: str, reason: str) -> None:
        """Carry out an operator's action on a stuck saga."""
        checked_id(id, "id")
        if not checked_text(reason, "reason").strip():
            raise InvalidCommand(f"{saga.__name__}<{id}>: an operator's action needs a reason, which is stored with it")
        kind = self._kind(saga)
        await self._dispatcher.read(kind.type, id, self._timeout_s)  # raises NotFound
        repair = Repair(id, action, reason, self._source.now_us())
        await self._ask(kind, repair)
        # Events that arrived while it was stuck are waiting: deliver them now.
        router = self._reads.processors[saga]
        with suppress(FollowerElsewhere):
            for letter in router.dead_letters():
                if letter.stream == StreamName(kind.type, id):
                    await router.retry(letter.position)

    def _kind(self, saga: type[Saga]) -> ActorKind[Actor]:
        kind = self._kinds.get(saga)
        if kind is None:
            raise ConfigurationError(f"{saga!r} is not a saga of this runtime: add it to Runtime([…])")
        return kind

    async def _ask(self, kind: ActorKind[Actor], command: Command, **identity: Any) -> Ack:
        handler = kind.definition.handlers[type(command)]
        identity = identity or {"command_id": self._source.new_id()}
        return await self._dispatcher.ask(
            Envelope(kind.type, command.to, command, handler, timeout_s=self._timeout_s, **identity)
        )

    async def _written(self) -> None:
        """Wait until the list includes everything committed so far."""
        await self._agenda.follow()
        await self._agenda.written(self._reads.log_reader.log_tail.position, self._timeout_s)
