"""`CaseActions`: what operators do about cases; each action is recorded before it is carried out, and its outcome."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from actorium.actors.errors import NotAllowed
from actorium.application import Runtime
from actorium.console.access import Operator
from actorium.console.cases.case_reader import CaseReader, selection_of
from actorium.console.cases.forms import (
    DIFFERENCES_MAX,
    CaseActed,
    CaseAction,
    CaseOpening,
    CasePlanning,
    SagaSettling,
)
from actorium.corrections.cases.correcting import command_of
from actorium.corrections.corrections import Corrections
from actorium.corrections.what_if.differences import WhatIf
from actorium.operators import OPERATOR
from actorium.sagas.model.saga import Saga
from actorium.store.errors import ActoriumError, ConfigurationError, InvalidCommand
from actorium.store.names import StreamName, event_id

Work = Callable[[Corrections, str], Awaitable[object]]
"""Takes a step of a case, in the name of a person."""


class CaseActions:
    """The steps of cases, as operators take them.

    running: returns the running application, or raises NotRunning.
    saga: returns the class of a type of sagas, or raises NotFound.
    """

    def __init__(self, running: Callable[[], Runtime], saga: Callable[[str], type[Saga]], reader: CaseReader) -> None:
        self._running = running
        self._saga = saga
        self._reader = reader

    async def _act(self, operator: Operator, action: str, wanted: CaseAction, work: Work) -> CaseActed:
        """Record an action, carry it out, and record its outcome; raise what it raised."""
        by = wanted.by or operator.name
        if by != operator.name and not operator.names_others:
            raise NotAllowed(f"{operator.name} cannot act in the name of {by}: leave out `by`")
        runtime = self._running()
        ack = await runtime.operators.acts(operator.name, f"cases.{action}", [wanted.id], reason=wanted.reason)
        error = ""
        try:
            found = await work(runtime.corrections, by)
            case = self._reader.view(await runtime.corrections.get(wanted.id))
        except ConfigurationError as wrong:  # of the request, not of the application
            error = str(wrong)
            raise InvalidCommand(error) from wrong
        except ActoriumError as refused:
            error = f"{type(refused).__name__}: {refused}"
            raise
        finally:
            await runtime.operators.acted(operator.name, ack, error=error)
        recorded_as = event_id(StreamName(OPERATOR, operator.name), ack.version)
        if not isinstance(found, WhatIf):
            return CaseActed(case, recorded_as)
        shown = msgspec.structs.replace(found, differences=found.differences[:DIFFERENCES_MAX])
        return CaseActed(case, recorded_as, shown)

    async def open(self, operator: Operator, wanted: CaseOpening) -> CaseActed:
        """Open a case for wrong events."""
        selection = selection_of(wanted.selection)
        return await self._act(
            operator,
            "open",
            wanted,
            lambda cases, by: cases.open(selection, by=by, reason=wanted.reason, id=wanted.id, hold=wanted.hold),
        )

    async def plan(self, operator: Operator, wanted: CasePlanning) -> CaseActed:
        """Plan what is done about the events of a case."""
        catalog = self._running().catalog
        commands = {event: command_of(catalog, one.type, one.fields) for event, one in wanted.commands.items()}
        return await self._act(
            operator,
            "plan",
            wanted,
            lambda cases, by: cases.plan(
                wanted.id,
                by=by,
                right=wanted.right,
                commands=commands,
                skip=wanted.skip,
                repair=wanted.repair,
                rerun=wanted.rerun,
            ),
        )

    async def dry_run(self, operator: Operator, wanted: CaseAction) -> CaseActed:
        """Try the plan of a case on a copy of the log in memory."""
        return await self._act(operator, "dry-run", wanted, lambda cases, _: cases.dry_run(wanted.id))

    async def approve(self, operator: Operator, wanted: CaseAction) -> CaseActed:
        """Approve the plan of a case."""
        return await self._act(operator, "approve", wanted, lambda cases, by: cases.approve(wanted.id, by=by))

    async def apply(self, operator: Operator, wanted: CaseAction) -> CaseActed:
        """Apply an approved case, or continue with it."""
        return await self._act(operator, "apply", wanted, lambda cases, _: cases.apply(wanted.id))

    async def settle(self, operator: Operator, wanted: SagaSettling) -> CaseActed:
        """Decide what becomes of a saga that the events of a case touched."""
        saga = self._saga(wanted.saga_type)
        return await self._act(
            operator,
            "settle",
            wanted,
            lambda cases, by: cases.settle_saga(wanted.id, saga, wanted.saga_id, wanted.action, by=by),
        )

    async def close(self, operator: Operator, wanted: CaseAction) -> CaseActed:
        """Close an applied case."""
        return await self._act(operator, "close", wanted, lambda cases, by: cases.close(wanted.id, by=by))

    async def cancel(self, operator: Operator, wanted: CaseAction) -> CaseActed:
        """Give a case up before it is applied."""
        return await self._act(
            operator, "cancel", wanted, lambda cases, by: cases.cancel(wanted.id, by=by, reason=wanted.reason)
        )
