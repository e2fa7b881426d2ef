"""`AgendaRun`: the agenda with everything that it drives. `AgendaFollower`: runs a share on the node that owns it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import anyio

from actorium.runtime.environment import RuntimeEnvironment
from actorium.runtime.log.event_reader import EventReader
from actorium.runtime.processors.processor import Processor
from actorium.runtime.read_side import ReadSide
from actorium.runtime.settings import Settings
from actorium.sagas.agenda.agenda import Agenda
from actorium.sagas.agenda.agenda_checkpoint import AgendaCheckpoint, share_name
from actorium.sagas.agenda.agenda_tables import AgendaTables
from actorium.sagas.agenda.due_queue import DueQueue
from actorium.sagas.agenda.unpassed_reader import UnpassedReader
from actorium.sagas.execution.end_waiters import EndWaiters
from actorium.sagas.execution.intent_runner import IntentRunner, IntentRunners
from actorium.sagas.execution.notices import SagaNotices
from actorium.sagas.execution.services import Services
from actorium.sagas.execution.step_runner import StepRunner
from actorium.sagas.execution.submission_runner import SubmissionRunner
from actorium.sagas.model.definition import SagaDefinition
from actorium.store.shared import ClusterStore


class AgendaParts(NamedTuple):
    """What every run of the agenda in one runtime uses."""

    services: Services
    definitions: Mapping[str, SagaDefinition]
    reads: ReadSide
    environment: RuntimeEnvironment
    end_waiters: EndWaiters


class AgendaRun:
    """One run of the agenda, from the saved state to the end of the runtime, or until another node takes it over.

    share: the share of the sagas that it carries out; None for all.
    reader: reads the events of the share.
    """

    def __init__(self, parts: AgendaParts, share: int | None = None, reader: EventReader | None = None) -> None:
        services, definitions, reads, environment, end_waiters = parts
        settings, instruments = environment.settings, environment.instruments
        self.runners = _runners(services, definitions, settings)
        self._settings = settings
        self._due = DueQueue(settings.max_waiting_intents)
        checkpoint = AgendaCheckpoint(services.store, reads.saving, share)
        self.agenda = Agenda(
            checkpoint,
            services,
            self.runners,
            self._due,
            AgendaTables(),
            end_waiters,
            SagaNotices(definitions, instruments),
            instruments,
            head=lambda: reads.log_reader.log_tail.position,
            settings=settings,
        )
        if reader is None:
            is_for_nodes = isinstance(services.store, ClusterStore)
            reader = UnpassedReader(reads.patient_reader, checkpoint) if is_for_nodes else reads.patient_reader
        self.processor = Processor(
            self.agenda,
            self.agenda,
            checkpoint,
            reader,
            environment,
            plain_name="agenda" if share is None else f"agenda share {share}",
        )

    async def carry_out(self) -> None:
        """Carry out due intents until cancelled."""
        self.runners.open()
        try:
            await self.agenda.run()
        finally:
            with anyio.CancelScope(shield=True):
                await self.runners.close()

    def limit(self, parts: int) -> None:
        """Keep to an equal part of the limits, which this many runs share."""
        running, waiting = self._settings.max_running_intents, self._settings.max_waiting_intents
        self._due.limit = max(1, waiting // parts)
        self.runners.limit(max_running=max(1, running // parts), max_waiting=max(1, waiting // parts))


class AgendaFollower:
    """A share of the agenda as a follower that runs on one node at a time.

    begin: makes a run of a share and shows its processor. end: hides the processor of a run that has ended.
    """

    def __init__(self, share: int, begin: Callable[[int], AgendaRun], end: Callable[[int, AgendaRun], None]) -> None:
        self.name = share_name(share)
        self._share = share
        self._begin = begin
        self._end = end

    async def run(self) -> None:
        """Follow the log and carry out intents until cancelled."""
        current = self._begin(self._share)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(current.processor.run)
                await current.carry_out()
        finally:
            self._end(self._share, current)

    async def mirror(self) -> None:
        """Do nothing: nothing here shows the progress of another node's share."""


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
