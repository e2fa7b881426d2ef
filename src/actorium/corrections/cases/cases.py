"""`Cases`: opens, plans, tries, approves, applies and closes cases in a running application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from typing import Any

import msgspec

from actorium.actors.commands import Command, checked_id, checked_text
from actorium.actors.errors import AlreadyExists, Rejected
from actorium.catalog import Catalog
from actorium.correction_case import (
    ApproveCase,
    CancelCase,
    CloseCase,
    CorrectionCase,
    OpenCase,
    PlanCase,
    PlannedCorrection,
    RecordDryRun,
    RecordSaga,
    SkipMark,
)
from actorium.corrections.cases.application import CaseApplication
from actorium.corrections.cases.correcting import Correctable
from actorium.corrections.cases.keeper import all_cases
from actorium.corrections.cases.report import CaseReport, report_of
from actorium.corrections.cases.restart import restart
from actorium.corrections.cases.scenario import scenario_of
from actorium.corrections.cases.services import CaseServices
from actorium.corrections.impact.examination import examined
from actorium.corrections.impact.other_services import SERVICE_S, OtherServices
from actorium.corrections.impact.report import Impact
from actorium.corrections.impact.selection import Selection, selected
from actorium.corrections.what_if.differences import WhatIf
from actorium.corrections.what_if.edits import Added, Edits
from actorium.corrections.what_if.questions import what_if
from actorium.runtime.commands.read_only import refuse_to_write
from actorium.runtime.environment import RuntimeEnvironment
from actorium.runtime.processors.outlet import Outlet
from actorium.runtime.processors.reactions import reaction_of
from actorium.runtime.projections.projection import Projection
from actorium.runtime.services.link import ServiceLink
from actorium.runtime.services.service import Service
from actorium.sagas.model.saga import Saga
from actorium.store.errors import ConfigurationError, InvalidCommand
from actorium.store.events import EncodedRecord
from actorium.store.names import StreamName, event_id

EVENTS_MAX = 2_000
"""So many wrong events can be in one case; its plan is one event of the log."""
_ACTIONS = ("leave", "retry", "skip", "complete", "compensate", "restart")


class Cases:
    """The cases of wrong events.

    Any node of a cluster accepts them. The nodes that run the projections, reactions and outlets of a case do what it
    says, and a call returns when they have. Projections in memory on other nodes follow about `Settings.poll_s` seconds
    later. `open` and `apply` raise FollowerElsewhere if a node did not confirm in time: repeat the call.

    Every method raises RuntimeClosed while the runtime is not running, NotFound for a case that does not exist, and
    Rejected for a step that the status of the case does not allow.
    """

    def __init__(
        self,
        environment: RuntimeEnvironment,
        catalog: Catalog,
        running: Callable[[], CaseServices],
        service: Service | None,
        link: ServiceLink | None,
    ) -> None:
        self._service = service
        self._environment = environment
        self._store = environment.store
        self._catalog = catalog
        self._running = running
        self._others = None if link is None else OtherServices(self._store, catalog, link, running)

    async def open(
        self, selection: Selection, *, by: str, reason: str, id: str | None = None, hold: bool = False
    ) -> CorrectionCase:
        """Open a case for the selected events; return it.

        selection: the wrong events, or the right ones that were handled wrongly; at most 2,000.
        by: the person who opens it.
        reason: why; must not be empty.
        id: the id of the case; with it, the call can be repeated.
        hold: whether the outlets and reactions that follow these events wait until the case is closed.

        Raises InvalidCommand for an empty selection, name or reason.
        """
        work = self._work()
        _require_text(by, "by")
        _require_text(reason, "reason")
        chosen = await selected(self._store, self._catalog.codec, selection)
        if not 0 < len(chosen) <= EVENTS_MAX:
            raise InvalidCommand(f"a case has 1 to {EVENTS_MAX:,} events, not {len(chosen):,}: select others")
        id = checked_id(id, "id") if id is not None else self._environment.source.new_id()
        held = self._followers_of(chosen) if hold else ()
        events = tuple(event_id(record.stream, record.version) for record in chosen)
        try:
            await work.ask(OpenCase(id, events, by, reason, held))
        except AlreadyExists:
            if (await work.state(id)).events != events:
                raise
        await self._taken(id)
        return await work.obeyed(id)

    async def get(self, id: str) -> CorrectionCase:
        """Return a case."""
        return await self._work().state(checked_id(id, "id"))

    async def list(self) -> AsyncIterator[CorrectionCase]:
        """Iterate over all cases in order of id."""
        self._running()
        async for case in all_cases(self._store, self._catalog.codec):
            yield case

    async def impact_of(self, id: str) -> Impact:
        """Return what the events of a case touched."""
        case = await self.get(id)
        return await self._impact(Selection(events=case.events), SERVICE_S)

    async def _impact(self, selection: Selection, services_timeout_s: float) -> Impact:
        """Return what some events touched here, and in the services around."""
        self._running()
        found = await examined(self._store, self._catalog, selection, self._service)
        if self._others is None:
            return found.impact
        return msgspec.structs.replace(found.impact, services=await self._others.touched(found, services_timeout_s))

    async def plan(
        self,
        id: str,
        *,
        by: str,
        right: Mapping[str, Mapping[str, Any] | None] | None = None,
        commands: Mapping[str, Command] | None = None,
        skip: Collection[object] = (),
        repair: Collection[type[Projection] | str] = (),
        rerun: Collection[object] = (),
    ) -> CorrectionCase:
        """Plan what is done about the events of a case; a different plan replaces it, and must be approved again.

        by: the person who plans it.
        right: for the ids of wrong events, the fields that should have had other values, or None if the event should
            not have happened. The `@correct` method of the aggregate decides what corrects it.
        commands: for the ids of wrong events, a command that corrects them instead.
        skip: projections, outlets and `@react` functions that treat all events of the case as if they had not happened,
            now and whenever they read the log again. The rows of projections are repaired. Names such as "outlet bank",
            "reaction thank" and "projection Balances" stand for them too.
        repair: projections, or their names, whose code was wrong and is right now: their rows are compared with the
            log.
        rerun: `@react(…, rerun=True)` functions, or their names, that are called again with those events of the case
            that they handle, once the projections are repaired. The idempotency key is another one than before, the
            same on each attempt.

        Raises InvalidCommand for an event that is not in the case or that nothing corrects, and ConfigurationError for
        a follower that is not in the runtime, and for a reaction that cannot run again.
        """
        work = self._work()
        case = await work.state(id)
        records = await work.records(case)
        corrections = [
            *(self._planned(records, event, fields) for event, fields in (right or {}).items()),
            *(self._planned_command(records, event, command) for event, command in (commands or {}).items()),
        ]
        positions = tuple(sorted(record.position for record in records.values()))
        followers = [self._follower(one) for one in skip]
        repairs = [name.removeprefix("projection ") for name in followers if name.startswith("projection ")]
        named = [self._follower(f"projection {one}" if isinstance(one, str) else one) for one in repair]
        repairs += [name.removeprefix("projection ") for name in named]
        marks = tuple(SkipMark(name, positions) for name in followers)
        reruns = self._reruns(rerun, records.values(), skipping=followers)
        repairs_once = tuple(dict.fromkeys(repairs))
        plan = PlanCase(id, _require_text(by, "by"), tuple(corrections), marks, repairs_once, reruns)
        await work.ask(plan)
        return await work.state(id)

    async def dry_run(self, id: str) -> WhatIf:
        """Try the plan of a case on a copy of the log in memory; return what would be different, and record it."""
        work = self._work()
        case = await work.state(id)
        records = await work.records(case)
        correctable = Correctable(self._catalog)
        added = [
            Added(
                correctable.command(one, records[one.event]),
                None,
                correctable.handler(one),
                StreamName(one.stream_type, one.stream_id),
            )
            for one in case.corrections
        ]
        skipped = {mark.follower.partition(" ")[2]: frozenset(case.events) for mark in case.marks}
        found = await what_if(self._store, self._catalog, Edits(added=added, skipped=skipped))
        await work.ask(RecordDryRun(id, dict(found.counts)))
        return found

    async def approve(self, id: str, *, by: str) -> CorrectionCase:
        """Approve the plan of a case. Unless `Settings.second_approver` is False, its opener cannot."""
        work = self._work()
        second_person = self._environment.settings.second_approver
        await work.ask(ApproveCase(id, _require_text(by, "by"), second_person))
        return await work.state(id)

    async def apply(self, id: str) -> CorrectionCase:
        """Apply an approved case: correct the events, repair the projections, run reactions again; return the case.

        It can be called again after any error, and after a kill at any point: each correction takes effect once. A
        reaction runs at least once for each planned event; after a failure, the next call tries it again.
        """
        return await self._work().apply(id)

    async def settle_saga(self, id: str, saga: type[Saga], saga_id: str, action: str, *, by: str) -> CorrectionCase:
        """Decide what becomes of a saga that the wrong events touched, once the case is applied.

        action: "leave" it; "retry", "skip", "complete" or "compensate" it if it is stuck, as in `runtime.sagas`; or
            "restart" it if it has ended: a new run with the id `<saga_id>~<id>` begins with the event that started the
            saga, with its right values if the case corrects it. Its commands take effect again, and `self.id` is
            the new id.

        Raises Rejected if the saga is not stuck or has not ended, as the action needs it.
        """
        if action not in _ACTIONS:
            raise ConfigurationError(f"settle_saga({action!r}): must be one of {', '.join(_ACTIONS)}")
        work = self._work()
        case = await work.state(id)
        if action == "restart":
            if case.status != "applied":
                raise Rejected(f"the case is {case.status}: it must be applied", status=case.status)
            new_id = await restart(self._catalog, self._environment, self._running(), case, saga, saga_id)
            action = f"restarted as {new_id}"
        elif action != "leave":
            await self._running().sagas.repair(saga, saga_id, action, f"correction {id}: {case.reason}")
        saga_type = saga.__definition__.saga_type
        await work.ask(RecordSaga(id, saga_type, checked_id(saga_id, "saga_id"), action, _require_text(by, "by")))
        return await work.state(id)

    async def close(self, id: str, *, by: str) -> CaseReport:
        """Close an applied case; the outlets and reactions that it held go on. Returns its report."""
        await self._work().ask(CloseCase(id, _require_text(by, "by")))
        await self._taken(id)
        return await self.report(id)

    async def cancel(self, id: str, *, by: str, reason: str) -> CorrectionCase:
        """Give a case up before it is applied; the outlets and reactions that it held go on."""
        await self._work().ask(CancelCase(id, _require_text(by, "by"), _require_text(reason, "reason")))
        return await self._taken(id)

    async def report(self, id: str) -> CaseReport:
        """Return the report on a case: its history, its corrections and what they touched."""
        case = await self.get(id)
        return await report_of(self._store, self._catalog, case, self._service)

    async def scenario(self, id: str, *, app: str) -> str:
        """Return the Python source of a simulation that applies the case again, under faults and crashes.

        app: the application, as `module:name`.

        Raises InvalidCommand if a command of a corrected stream cannot be rebuilt from its events.
        """
        return await scenario_of(self._store, self._catalog, await self.get(id), app)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _work(self) -> CaseApplication:
        if self._environment.read_only:
            refuse_to_write("changing cases of corrections")
        return CaseApplication(self._catalog, self._environment, self._running())

    async def _taken(self, id: str) -> CorrectionCase:
        """Put what a case says into force, and return it."""
        case = await self._work().state(id)
        self._running().keeper.take(case)
        return case

    def _followers_of(self, records: Collection[EncodedRecord]) -> tuple[str, ...]:
        """Return the outlets and reactions that follow one of the events."""
        classes = {type(one.event) for record in records for one in self._catalog.codec.recorded(record)}

        def follows(wanted: Collection[type]) -> bool:
            return any(issubclass(one, tuple(wanted)) for one in classes)

        outlets = [f"outlet {one.name}" for one in self._catalog.outlets if follows(one.types)]
        reactions = [f"reaction {one.name}" for one in self._catalog.reactions if follows(one.handler.event_classes)]
        return (*outlets, *reactions)

    def _reruns(
        self, wanted: Collection[object], records: Collection[EncodedRecord], *, skipping: Collection[str]
    ) -> dict[str, tuple[str, ...]]:
        """Return, for each reaction that is to run again, the ids of the events that it handles."""
        recorded = [one for record in records for one in self._catalog.codec.recorded(record)]
        reactions = {f"reaction {one.name}": one for one in self._catalog.reactions}
        found: dict[str, tuple[str, ...]] = {}
        for one in wanted:
            name = self._follower(f"reaction {one.removeprefix('reaction ')}" if isinstance(one, str) else one)
            reaction = reactions.get(name)
            if reaction is None or not reaction.may_rerun:
                raise ConfigurationError(f"{name} cannot run again: declare it as @react(…, rerun=True) if it may")
            if name in skipping:
                raise ConfigurationError(f"{name} cannot both skip the events of the case and run again for them")
            events = tuple(one.event_id for one in recorded if isinstance(one.event, reaction.handler.event_classes))
            if not events:
                raise ConfigurationError(f"{name} handles none of the events of the case: it has nothing to run again")
            found[reaction.name] = events
        return found

    def _follower(self, handler: object) -> str:
        name = handler if isinstance(handler, str) else ""
        if isinstance(handler, Outlet):
            name = f"outlet {handler.name}"
        elif isinstance(handler, type) and issubclass(handler, Projection):
            name = f"projection {handler.__definition__.name}"
        elif (reaction := reaction_of(handler)) is not None:
            name = f"reaction {reaction.name}"
        if name not in self._running().keeper.followers:
            raise ConfigurationError(f"{handler!r} is not a projection, @react function or outlet of this runtime")
        return name

    def _planned(
        self, records: Mapping[str, EncodedRecord], event: str, right: Mapping[str, Any] | None
    ) -> PlannedCorrection:
        return Correctable(self._catalog).planned(_in_case(records, event), right)

    def _planned_command(self, records: Mapping[str, EncodedRecord], event: str, command: Command) -> PlannedCorrection:
        return Correctable(self._catalog).planned_command(_in_case(records, event), command)


def _in_case(records: Mapping[str, EncodedRecord], event: str) -> EncodedRecord:
    if event not in records:
        raise InvalidCommand(f"{event!r} is not an event of this case")
    return records[event]


def _require_text(text: str, what: str) -> str:
    if not checked_text(text, what).strip():
        raise InvalidCommand(f"{what} must not be empty: it is stored with the case")
    return text
