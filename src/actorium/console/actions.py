"""`Actions`: what operators do through a console; each action is recorded before it is carried out, and its outcome."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from actorium.console.access import Operator
from actorium.console.api.queries import (
    DeadLetterAction,
    ProcessorAction,
    RecallAction,
    SagaAction,
    ScheduleAction,
    ShowEvent,
    ShowState,
    StateQuery,
    SubmissionAction,
)
from actorium.console.api.views import ActionOutcome, ActionReport, EventView, StateView
from actorium.console.log_view import LogView
from actorium.console.runtime_view import RuntimeView
from actorium.operators import OPERATOR
from actorium.store.errors import ActoriumError
from actorium.store.names import StreamName, event_id

Carry = Callable[[Any], Awaitable[str]]
"""Acts on one target; returns why nothing was done, empty if it was done."""


class Actions:
    """The actions of a console."""

    def __init__(self, view: RuntimeView, log: LogView) -> None:
        self._view = view
        self._log = log

    async def _each(
        self, operator: Operator, action: str, reason: str, targets: Sequence[tuple[str, Any]], carry: Carry
    ) -> ActionReport:
        """Record an action, carry it out on each target, and record the outcome.

        targets: each as it is recorded, and as `carry` takes it.
        """
        operators = self._view.running.operators
        ack = await operators.acts(operator.name, action, [name for name, _ in targets], reason=reason)
        outcomes = []
        for name, target in targets:
            try:
                error = await carry(target)
            except ActoriumError as refused:
                error = f"{type(refused).__name__}: {refused}"
            outcomes.append(ActionOutcome(name, error))
        errors = [f"{one.target}: {one.error}" for one in outcomes if one.error]
        await operators.acted(operator.name, ack, error="; ".join(errors))
        return ActionReport(outcomes, event_id(StreamName(OPERATOR, operator.name), ack.version))

    # --- sagas ----------------------------------------------------------------------------------------------------

    async def _sagas(self, operator: Operator, action: str, wanted: SagaAction) -> ActionReport:
        act = getattr(self._view.running.sagas, action)

        async def carry(target: Any) -> str:
            await act(self._view.saga(target.type), target.id, reason=f"{operator.name}: {wanted.reason}")
            return ""

        targets = [(f"{one.type}<{one.id}>", one) for one in wanted.targets]
        return await self._each(operator, f"sagas.{action}", wanted.reason, targets, carry)

    async def retry_sagas(self, operator: Operator, wanted: SagaAction) -> ActionReport:
        """Retry the current step of stuck sagas."""
        return await self._sagas(operator, "retry", wanted)

    async def skip_sagas(self, operator: Operator, wanted: SagaAction) -> ActionReport:
        """Treat the current step of stuck sagas as done."""
        return await self._sagas(operator, "skip", wanted)

    async def complete_sagas(self, operator: Operator, wanted: SagaAction) -> ActionReport:
        """End stuck sagas as completed."""
        return await self._sagas(operator, "complete", wanted)

    async def compensate_sagas(self, operator: Operator, wanted: SagaAction) -> ActionReport:
        """Have stuck sagas undo their steps."""
        return await self._sagas(operator, "compensate", wanted)

    # --- submitted commands ---------------------------------------------------------------------------------------

    async def cancel_submissions(self, operator: Operator, wanted: SubmissionAction) -> ActionReport:
        """Cancel submitted commands that wait."""
        cancel = self._view.running.submissions.cancel

        async def carry(id: str) -> str:
            return "" if await cancel(id, reason=f"{operator.name}: {wanted.reason}") else "it was already over"

        targets = [(id, id) for id in wanted.ids]
        return await self._each(operator, "submissions.cancel", wanted.reason, targets, carry)

    async def run_submissions(self, operator: Operator, wanted: SubmissionAction) -> ActionReport:
        """Make submitted commands due now."""
        run_now = self._view.running.submissions.run_now

        async def carry(id: str) -> str:
            return "" if await run_now(id, reason=f"{operator.name}: {wanted.reason}") else "it was due or over already"

        targets = [(id, id) for id in wanted.ids]
        return await self._each(operator, "submissions.run-now", wanted.reason, targets, carry)

    # --- processors -----------------------------------------------------------------------------------------------

    async def _processors(
        self, operator: Operator, action: str, wanted: ProcessorAction, act: Callable[[str], Awaitable[None]]
    ) -> ActionReport:
        async def carry(name: str) -> str:
            await act(name)
            return ""

        return await self._named(operator, f"processors.{action}", wanted, carry)

    async def pause_processors(self, operator: Operator, wanted: ProcessorAction) -> ActionReport:
        """Stop delivering events to processors until they are resumed, or the application restarts."""

        async def act(name: str) -> None:
            self._view.processor(name).pause()

        return await self._processors(operator, "pause", wanted, act)

    async def resume_processors(self, operator: Operator, wanted: ProcessorAction) -> ActionReport:
        """Continue processors that were paused, or that stopped at a failure."""

        async def act(name: str) -> None:
            self._view.processor(name).resume()

        return await self._processors(operator, "resume", wanted, act)

    async def reset_processors(self, operator: Operator, wanted: ProcessorAction) -> ActionReport:
        """Start processors over from the first event; projections are emptied and rebuilt."""

        async def act(name: str) -> None:
            await self._view.processor(name).reset()

        return await self._processors(operator, "reset", wanted, act)

    # --- dead letters ---------------------------------------------------------------------------------------------

    async def retry_letters(self, operator: Operator, wanted: DeadLetterAction) -> ActionReport:
        """Redeliver parked events, and the events held back behind them."""

        async def carry(target: Any) -> str:
            done = await self._view.processor(target.processor).retry(target.position)
            return "" if done else "its handler failed again"

        return await self._letters(operator, "retry", wanted, carry)

    async def discard_letters(self, operator: Operator, wanted: DeadLetterAction) -> ActionReport:
        """Skip parked events, and deliver the events held back behind them."""

        async def carry(target: Any) -> str:
            processor = self._view.processor(target.processor)
            all_handled = await processor.discard(target.position, f"{operator.name}: {wanted.reason}")
            return "" if all_handled else "discarded; an event behind it is now parked"

        return await self._letters(operator, "discard", wanted, carry)

    async def _letters(self, operator: Operator, action: str, wanted: DeadLetterAction, carry: Carry) -> ActionReport:
        targets = [(f"{one.processor} at {one.position}", one) for one in wanted.targets]
        return await self._each(operator, f"dead-letters.{action}", wanted.reason, targets, carry)

    # --- outlets and schedules ------------------------------------------------------------------------------------

    async def recall_events(self, operator: Operator, wanted: RecallAction) -> ActionReport:
        """Take back events that outlets or reactions hold: they are never handed out."""

        async def carry(target: Any) -> str:
            await self._view.processor(target.processor).recall(target.position, f"{operator.name}: {wanted.reason}")
            return ""

        targets = [(f"{one.processor} at {one.position}", one) for one in wanted.targets]
        return await self._each(operator, "outlets.recall", wanted.reason, targets, carry)

    async def pause_schedules(self, operator: Operator, wanted: ScheduleAction) -> ActionReport:
        """Let schedules fire no more until they are resumed, also after a restart."""
        pause = self._view.running.schedules.pause

        async def carry(name: str) -> str:
            return "" if await pause(name, reason=f"{operator.name}: {wanted.reason}") else "it was paused before"

        return await self._named(operator, "schedules.pause", wanted, carry)

    async def resume_schedules(self, operator: Operator, wanted: ScheduleAction) -> ActionReport:
        """Let paused schedules fire again."""
        resume = self._view.running.schedules.resume

        async def carry(name: str) -> str:
            return "" if await resume(name, reason=f"{operator.name}: {wanted.reason}") else "it was not paused"

        return await self._named(operator, "schedules.resume", wanted, carry)

    async def run_schedules(self, operator: Operator, wanted: ScheduleAction) -> ActionReport:
        """Submit the commands of schedules once more, now."""
        run_now = self._view.running.schedules.run_now

        async def carry(name: str) -> str:
            await run_now(name)
            return ""

        return await self._named(operator, "schedules.run-now", wanted, carry)

    async def _named(
        self, operator: Operator, action: str, wanted: ScheduleAction | ProcessorAction, carry: Carry
    ) -> ActionReport:
        targets = [(name, name) for name in wanted.names]
        return await self._each(operator, action, wanted.reason, targets, carry)

    # --- hidden values --------------------------------------------------------------------------------------------

    async def show_event(self, operator: Operator, wanted: ShowEvent) -> EventView:
        """Show the hidden values of an event."""
        record = await self._log.at(wanted.position)
        name = event_id(record.stream, record.version)
        await self._record_showing(operator, name, wanted.reason)
        return self._log.event(record, shown=True)

    async def show_state(self, operator: Operator, wanted: ShowState) -> StateView:
        """Show the hidden values of a state."""
        name = event_id(StreamName(wanted.type, wanted.id), wanted.version)
        await self._record_showing(operator, name, wanted.reason)
        return await self._view.state(StateQuery(wanted.type, wanted.id, wanted.version), shown=True)

    async def _record_showing(self, operator: Operator, name: str, reason: str) -> None:
        await self._view.running.operators.acts(operator.name, "values.show", [name], reason=reason)
