"""`AgendaRun`: the agenda with everything that it drives. `AgendaFollower`: runs one on the node that owns it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import anyio
import msgspec

from actorium.runtime.environment import RuntimeEnvironment
from actorium.runtime.errors import QueryTimeout
from actorium.runtime.processors.processor import Processor
from actorium.runtime.read_side import ReadSide
from actorium.runtime.settings import Settings
from actorium.sagas.execution.agenda import Agenda
from actorium.sagas.execution.agenda_tables import AgendaCheckpoint, AgendaTables
from actorium.sagas.execution.end_waiters import EndWaiters
from actorium.sagas.execution.intent_runner import IntentRunner, IntentRunners
from actorium.sagas.execution.notices import SagaNotices
from actorium.sagas.execution.services import Services
from actorium.sagas.execution.step_runner import StepRunner
from actorium.sagas.execution.submission_runner import SubmissionRunner
from actorium.sagas.model.definition import SagaDefinition
from actorium.store.event_store import EventStore

AGENDA = "sagas agenda 2"
"""The name under which the agenda's progress is saved."""


_LOOK_AGAIN_S = 0.1
_SAVED_FOR_OTHERS_S = 1.0


class AgendaRun:
    """One run of the agenda, from the saved state to the end of the runtime, or until another node takes it over."""

    def __init__(
        self,
        services: Services,
        definitions: Mapping[str, SagaDefinition],
        reads: ReadSide,
        environment: RuntimeEnvironment,
        end_waiters: EndWaiters,
    ) -> None:
        settings, instruments = environment.settings, environment.instruments
        if reads.is_on_nodes:  # other nodes read what is saved here, and cannot ask for it
            settings = msgspec.structs.replace(settings, poll_s=min(settings.poll_s, _SAVED_FOR_OTHERS_S))
        self.runners = _runners(services, definitions, settings)
        checkpoint = AgendaCheckpoint(AGENDA, services.store, reads.saving(AGENDA))
        self.agenda = Agenda(
            checkpoint,
            services,
            self.runners,
            AgendaTables(),
            end_waiters,
            SagaNotices(definitions, instruments),
            instruments,
            head=lambda: reads.log_reader.log_tail.position,
            settings=settings,
        )
        self.processor = Processor(
            self.agenda,
            self.agenda,
            checkpoint,
            reads.patient_reader,
            environment,
            plain_name="agenda",
        )

    async def carry_out(self) -> None:
        """Carry out due intents until cancelled."""
        self.runners.open()
        try:
            await self.agenda.run()
        finally:
            with anyio.CancelScope(shield=True):
                await self.runners.close()


class AgendaFollower:
    """The agenda as a follower that runs on one node at a time.

    begin: makes a run and shows its processor. end: hides the processor of a run that has ended.
    """

    name = AGENDA

    def __init__(self, begin: Callable[[], AgendaRun], end: Callable[[AgendaRun], None]) -> None:
        self._begin = begin
        self._end = end

    async def run(self) -> None:
        """Follow the log and carry out intents until cancelled."""
        current = self._begin()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(current.processor.run)
                await current.carry_out()
        finally:
            self._end(current)

    async def mirror(self) -> None:
        """Wait until cancelled: nothing here shows the progress of another node's agenda."""
        await asyncio.get_running_loop().create_future()


async def written_elsewhere(store: EventStore, position: int, timeout_s: float) -> None:
    """Wait until another node's agenda has written its tables up to a position; raise QueryTimeout."""
    try:
        async with asyncio.timeout(timeout_s):
            while await store.load_checkpoint(AGENDA) < position:  # noqa: ASYNC110  # another process writes
                await asyncio.sleep(_LOOK_AGAIN_S)
    except TimeoutError:
        raise QueryTimeout(
            f"the list of sagas did not reach position {position} within {timeout_s:g} s: no node carries them out, or "
            "it is behind; ask again"
        ) from None


def _runners(services: Services, definitions: Mapping[str, SagaDefinition], settings: Settings) -> IntentRunners:
    steps, submissions = (
        IntentRunner(
            policy,
            services.source,
            max_running=settings.max_running_intents,
            max_waiting=settings.max_waiting_intents,
        )
        for policy in (StepRunner(definitions, services), SubmissionRunner(services))
    )
    return IntentRunners(steps, submissions)
