"""Applies the plan of a case. Every step can be repeated, so it can be continued after a kill at any point.

Invariants: each correction has an id derived from the case and its number, so it takes effect once; the marks of the
case are in force before a projection is repaired; what is recorded as applied, repaired or run again without an error
is not done again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from actorium.actors.commands import Ack, Command
from actorium.actors.envelope import Envelope
from actorium.catalog import Catalog
from actorium.correction_case import (
    CORRECTION,
    AppliedCorrection,
    BeginCase,
    CorrectionCase,
    FollowerState,
    PlannedCorrection,
    RecordApplied,
    RecordRepair,
    RecordRerun,
    WantReruns,
)
from actorium.corrections.cases.correcting import Correctable
from actorium.corrections.cases.keeper import orders_of
from actorium.corrections.cases.repair import repair
from actorium.corrections.cases.rerun import rerun
from actorium.corrections.cases.services import CaseServices
from actorium.corrections.impact.selection import Selection, selected
from actorium.runtime.commands.derived_ids import derived_id
from actorium.runtime.environment import RuntimeEnvironment
from actorium.runtime.errors import FollowerElsewhere
from actorium.runtime.processors.outlet import CORRECTS_HEADER
from actorium.store.errors import Refused
from actorium.store.events import EncodedRecord
from actorium.store.names import StreamName, event_id

_AT_ONCE = 50
"""How many corrections are under way at once."""
_PAUSE_S, _PAUSE_S_MAX = 0.02, 0.5
"""How long to wait for other nodes before looking at the case again, at first and at most."""


class CaseApplication:
    """Carries out the plan of one case in a running runtime."""

    def __init__(self, catalog: Catalog, environment: RuntimeEnvironment, services: CaseServices) -> None:
        self._catalog = catalog
        self._environment = environment
        self._store = environment.store
        self._services = services
        self._correctable = Correctable(catalog)
        projections = [one.__definition__ for one in catalog.projections]
        self.in_memory = frozenset(f"projection {one.name}" for one in projections if not one.has_tables)
        """The followers of which each node of a cluster has its own."""

    async def apply(self, id: str) -> CorrectionCase:
        """Apply an approved case, or continue with one that was begun; return it."""
        await self.ask(BeginCase(id))
        await self.ask(WantReruns(id))
        self._services.keeper.take(await self.state(id))
        case = await self.obeyed(id)
        records = await self.records(case)
        if case.status == "applying":
            await self.ask(RecordApplied(id, await self._carried_out(case, records)))
            case = await self.state(id)
        if self._services.look is None:
            await self.finish(case, records)
        else:
            await self._finished_elsewhere(case, records, self._services.look)
        return await self.state(id)

    async def obeyed(self, id: str) -> CorrectionCase:
        """Return a case once its followers do what it says, wherever they run.

        Raises FollowerElsewhere if the node that runs one does not confirm it in time.
        """
        time = asyncio.get_running_loop().time
        until, pause_s = time() + self._environment.settings.default_timeout_s, _PAUSE_S
        while True:
            case = await self.state(id)
            if self._services.look is None:
                return case
            missing = [name for does, name in self.orders(case) if name not in case.confirmed.get(does, ())]
            if not missing:
                return case
            if time() >= until:
                raise FollowerElsewhere(
                    f"no node has confirmed case {id} for {', '.join(missing)}: repeat the call, and see "
                    "`actorium nodes` if that does not help"
                )
            self._services.look()
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _PAUSE_S_MAX)

    def orders(self, case: CorrectionCase) -> list[tuple[FollowerState, str]]:
        """Return what a case demands of its followers that run on one node at a time."""
        followers = self._services.keeper.followers
        return [(does, name) for does, name in orders_of(case) if name in followers and name not in self.in_memory]

    async def finish(self, case: CorrectionCase, records: dict[str, EncodedRecord]) -> None:
        """Repair the projections and run the reactions of a case whose corrections are applied.

        A node leaves what does not run there to others. Raises FollowerElsewhere if a follower moves meanwhile.
        """
        for name in case.repairs:
            if name not in case.repaired and self._is_mine(f"projection {name}"):
                await self._repair(case, name, records)
        for name, events in case.reruns.items():
            if self._is_mine(f"reaction {name}"):
                left = [event for event in events if event not in case.rerun.get(name, {})]
                await self._rerun(case, name, left, records)

    def has_work(self, case: CorrectionCase) -> bool:
        """Return whether `finish` has something to do in this process."""
        return case.status == "applied" and any(map(self._is_mine, case.missing))

    def _is_mine(self, follower: str) -> bool:
        """Return whether this process is responsible for a follower; without a cluster, also for one without code."""
        if self._services.look is None:
            return True
        processor = self._services.keeper.followers.get(follower)
        return processor is not None and not processor.is_elsewhere

    async def _finished_elsewhere(
        self, case: CorrectionCase, records: dict[str, EncodedRecord], look: Callable[[], None]
    ) -> None:
        """Return once the nodes that run the followers of a case have repaired projections and run reactions."""
        followers, pause_s = self._services.keeper.followers, _PAUSE_S
        for name, events in case.reruns.items():
            if f"reaction {name}" not in followers:
                await self._rerun(case, name, [one for one in events if one not in case.rerun.get(name, {})], records)
        while followers.keys() & case.missing:
            look()
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _PAUSE_S_MAX)
            case = await self.state(case.id)

    async def records(self, case: CorrectionCase) -> dict[str, EncodedRecord]:
        """Return the wrong events of a case by id."""
        found = await selected(self._store, self._catalog.codec, Selection(events=case.events))
        return {event_id(record.stream, record.version): record for record in found}

    async def state(self, id: str) -> CorrectionCase:
        """Return a case; raise NotFound if there is none with this id."""
        dispatcher = self._services.engine.dispatcher
        case: CorrectionCase = await dispatcher.read(CORRECTION, id, self._environment.settings.default_timeout_s)
        return case

    async def ask(self, command: Command) -> Ack:
        """Send a command to a case."""
        engine = self._services.engine
        handler = engine.kinds[CorrectionCase].definition.handlers[type(command)]
        copy, encoded = handler.codec.admit(command, self._environment.settings.max_payload_bytes)
        return await engine.dispatcher.ask(
            Envelope(
                CORRECTION,
                command.to,
                copy,
                handler,
                command_id=self._environment.source.new_id(),
                known_fingerprint=None,
                encoded=encoded,
                correlation_id=correlation_of(command.to),
                timeout_s=self._environment.settings.default_timeout_s,
            )
        )

    async def _carried_out(
        self, case: CorrectionCase, records: dict[str, EncodedRecord]
    ) -> tuple[AppliedCorrection, ...]:
        numbered = list(enumerate(case.corrections, 1))
        outcomes: list[AppliedCorrection] = []
        for first in range(0, len(numbered), _AT_ONCE):
            some = numbered[first : first + _AT_ONCE]
            outcomes += await asyncio.gather(*(self._correct(case.id, n, one, records) for n, one in some))
        return tuple(outcomes)

    async def _correct(
        self, case: str, number: int, planned: PlannedCorrection, records: dict[str, EncodedRecord]
    ) -> AppliedCorrection:
        handler = self._correctable.handler(planned)
        settings = self._environment.settings
        wanted = self._correctable.command(planned, records[planned.event])
        command, encoded = handler.codec.admit(wanted, settings.max_payload_bytes)
        envelope = Envelope(
            planned.stream_type,
            planned.stream_id,
            command,
            handler,
            command_id=derived_id(f"correction/{case}/{number}"),
            known_fingerprint=None,
            encoded=encoded,
            fresh=False,
            correlation_id=correlation_of(case),
            causation_id=event_id(StreamName(CORRECTION, case), 1),
            headers={CORRECTS_HEADER: planned.event},
            timeout_s=settings.default_timeout_s,
        )
        try:
            ack = await self._services.engine.dispatcher.ask(envelope)
        except Refused as refusal:
            return AppliedCorrection(planned.event, 0, str(refusal))
        return AppliedCorrection(planned.event, ack.position if ack.events or ack.duplicate else 0)

    async def _repair(self, case: CorrectionCase, name: str, records: dict[str, EncodedRecord]) -> None:
        follower = f"projection {name}"
        projection = next((one for one in self._catalog.projections if one.__definition__.name == name), None)
        processor = self._services.keeper.followers.get(follower)
        if projection is None or processor is None:
            return  # the code has no such projection any more
        events = [recorded for record in records.values() for recorded in self._catalog.codec.recorded(record)]
        # If the projection skips the events, only their rows differ; if its code was wrong, any row may.
        all_rows = not any(mark.follower == follower for mark in case.marks)
        done = await repair(
            projection, processor, self._store, self._services.reads.log_reader, events, all_rows=all_rows
        )
        await self.ask(RecordRepair(case.id, name, done.rows, done.rebuilt))

    async def _rerun(
        self, case: CorrectionCase, name: str, events: Sequence[str], records: dict[str, EncodedRecord]
    ) -> None:
        """Run a reaction again for some events in the order of the log, and record each outcome."""
        reaction = next((one for one in self._catalog.reactions if one.name == name and one.may_rerun), None)
        processor = self._services.keeper.followers.get(f"reaction {name}")
        parts = [one for record in records.values() for one in self._catalog.codec.recorded(record)]
        recorded = {one.event_id: one for one in parts}
        for id in events:
            one = recorded.get(id)
            error = "the code has no such reaction with rerun=True any more"
            if reaction is not None and processor is not None:
                error = "the reaction does not handle this event any more"
                if one is not None and isinstance(one.event, reaction.handler.event_classes):
                    error = await rerun(reaction, processor, one, case.id, self._environment.source)
            await self.ask(RecordRerun(case.id, name, id, 0 if one is None else one.position, error))


def correlation_of(case: str) -> str:
    """Return the id of the flow to which all events of a case and its corrections belong."""
    return f"correction/{case}"
