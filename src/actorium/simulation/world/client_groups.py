"""The groups of a simulated runtime, as on `Runtime`: sagas, submitted commands, processors and dead letters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from actorium.actors.commands import Command
from actorium.actors.errors import HydrationFailed, NotFound
from actorium.application import Runtime
from actorium.correction_case import CorrectionCase
from actorium.corrections.cases.report import CaseReport
from actorium.corrections.corrections import Corrections
from actorium.corrections.impact.selection import Selection
from actorium.runtime.processors.processor import Processor
from actorium.runtime.processors.processor_statistics import ProcessorStatistics
from actorium.runtime.projections.projection import Projection
from actorium.sagas.model.saga import Saga
from actorium.sagas.model.submission_views import SubmissionView
from actorium.sagas.model.views import SagaSummary, SagaView
from actorium.store.errors import StatementFailed, Transient
from actorium.store.event_store import DeadLetter

R = TypeVar("R")

# The errors after which a client repeats a request.
TRY_AGAIN = (Transient, HydrationFailed, TimeoutError)


class Ask(Protocol):
    """Calls the runtime of a node until there is an answer, and returns it."""

    async def __call__(
        self, what: str, call: Callable[[Runtime], Awaitable[Any]], again_for: tuple[type[Exception], ...] = ...
    ) -> Any: ...


class Look(Protocol):
    """Reads something of the live process without waiting; raises ConnectionLost if no process is alive."""

    def __call__(self, read: Callable[[Runtime], R]) -> R: ...


class SimulatedSagas:
    """The sagas of a node, with the methods of `runtime.sagas`."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def get(self, saga: type[Saga], id: str, *, ended_within_s: float | None = None) -> SagaView:
        """Return a saga with its history."""
        view: SagaView = await self._ask(
            f"saga {id}", lambda runtime: runtime.sagas.get(saga, id, ended_within_s=ended_within_s)
        )
        return view

    async def list(self, saga: type[Saga] | None = None, *, status: str | None = None) -> AsyncIterator[SagaSummary]:
        """Iterate over the sagas, of one class or all, with one status or any."""

        async def listed(runtime: Runtime) -> Sequence[SagaSummary]:
            return [one async for one in runtime.sagas.list(saga, status=status)]

        for summary in await self._ask("sagas", listed, (*TRY_AGAIN, StatementFailed)):
            yield summary

    async def retry(self, saga: type[Saga], id: str, *, reason: str) -> None:
        """Retry the current step of a stuck saga."""
        await self._ask(f"retry {id}", lambda runtime: runtime.sagas.retry(saga, id, reason=reason))

    async def skip(self, saga: type[Saga], id: str, *, reason: str) -> None:
        """Make a stuck saga treat its current step as done."""
        await self._ask(f"skip {id}", lambda runtime: runtime.sagas.skip(saga, id, reason=reason))

    async def complete(self, saga: type[Saga], id: str, *, reason: str) -> None:
        """End a stuck saga as completed."""
        await self._ask(f"complete {id}", lambda runtime: runtime.sagas.complete(saga, id, reason=reason))

    async def compensate(self, saga: type[Saga], id: str, *, reason: str) -> None:
        """Undo the steps of a saga that is stuck on its way forward."""
        await self._ask(f"compensate {id}", lambda runtime: runtime.sagas.compensate(saga, id, reason=reason))


class SimulatedSubmissions:
    """The submitted commands of a node, with the methods of `runtime.submissions`."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def get(self, command_id: str) -> SubmissionView:
        """Return a submitted command."""
        view: SubmissionView = await self._ask(
            f"submission {command_id}", lambda runtime: runtime.submissions.get(command_id)
        )
        return view

    async def list(self, *, status: str | None = None) -> AsyncIterator[SubmissionView]:
        """Iterate over the submitted commands, including those scheduled for later."""

        async def listed(runtime: Runtime) -> Sequence[SubmissionView]:
            return [one async for one in runtime.submissions.list(status=status)]

        for submission in await self._ask("submissions", listed, (*TRY_AGAIN, StatementFailed)):
            yield submission

    async def cancel(self, command_id: str, *, reason: str = "") -> bool:
        """Cancel a submitted command that is waiting."""
        cancelled: bool = await self._ask(
            f"cancel {command_id}", lambda runtime: runtime.submissions.cancel(command_id, reason=reason)
        )
        return cancelled

    async def run_now(self, command_id: str, *, reason: str = "") -> bool:
        """Make a waiting command due now."""
        hastened: bool = await self._ask(
            f"run {command_id} now", lambda runtime: runtime.submissions.run_now(command_id, reason=reason)
        )
        return hastened


class SimulatedProcessor:
    """A processor of a node, with the methods of `Processor`.

    `name`, `position`, `statistics`, `dead_letters`, `pause` and `resume` concern the live process, and raise
    ConnectionLost if no process is alive. The others are repeated until they are answered.
    """

    def __init__(self, handler: object, look: Look, ask: Ask) -> None:
        self._handler = handler
        self._look = look
        self._ask = ask

    def _looked(self, read: Callable[[Processor], R]) -> R:
        return self._look(lambda runtime: read(runtime.processors[self._handler]))

    @property
    def name(self) -> str:
        """The name of the processor."""
        return self._looked(lambda live: live.name)

    @property
    def position(self) -> int:
        """The position up to which all events are finished."""
        return self._looked(lambda live: live.position)

    def statistics(self) -> ProcessorStatistics:
        """Return the current statistics of the processor."""
        return self._looked(lambda live: live.statistics())

    def dead_letters(self, *, discarded: bool = False) -> list[DeadLetter]:
        """Return the parked events, or the discarded ones, in log order."""
        return self._looked(lambda live: live.dead_letters(discarded=discarded))

    def pause(self) -> None:
        """Stop delivering events after the current page, until `resume`. A restart ends the pause."""
        self._looked(lambda live: live.pause())

    def resume(self) -> None:
        """Continue from where `pause` stopped delivery."""
        self._looked(lambda live: live.resume())

    async def reset(self) -> None:
        """Start over from the first event, as `Processor.reset` does."""
        await self._ask("reset", lambda runtime: runtime.processors[self._handler].reset())

    async def retry(self, position: int | None = None) -> int:
        """Redeliver the event parked at a position, or all parked events by default; return how many were resolved."""
        return await _once(
            self._ask, "retry of parked events", lambda runtime: runtime.processors[self._handler].retry(position), 1
        )

    async def discard(self, position: int, reason: str) -> bool:
        """Discard a parked event and deliver the events held back behind it; return whether all of them succeeded."""
        return await _once(
            self._ask,
            f"discard of {position}",
            lambda runtime: runtime.processors[self._handler].discard(position, reason),
            True,
        )

    async def recall(self, position: int, reason: str) -> None:
        """Take back an event that was not handed out yet."""
        await self._ask(
            f"recall of {position}", lambda runtime: runtime.processors[self._handler].recall(position, reason)
        )


class SimulatedProcessors(Mapping[object, SimulatedProcessor]):
    """The processors of a node, by handler, as `runtime.processors`; raises ConnectionLost if no process is alive."""

    def __init__(self, look: Look, ask: Ask) -> None:
        self._look = look
        self._ask = ask

    def __getitem__(self, handler: object) -> SimulatedProcessor:
        self._look(lambda runtime: runtime.processors[handler])  # raises for a handler that is not in the runtime
        return SimulatedProcessor(handler, self._look, self._ask)

    def __iter__(self) -> Iterator[object]:
        return iter(self._look(lambda runtime: list(runtime.processors)))

    def __len__(self) -> int:
        return self._look(lambda runtime: len(runtime.processors))


class SimulatedDeadLetters:
    """The parked events of a node, with the methods of `runtime.dead_letters`."""

    def __init__(self, look: Look, ask: Ask) -> None:
        self._look = look
        self._ask = ask

    def list(self, handler: object = None, *, discarded: bool = False) -> list[DeadLetter]:
        """Return the parked events in log order; raise ConnectionLost if no process is alive."""
        return self._look(lambda runtime: runtime.dead_letters.list(handler, discarded=discarded))

    async def retry(self, letter: DeadLetter | None = None, *, handler: object = None) -> int:
        """Redeliver parked events and the events held back behind them; return how many parked events are resolved.

        If the reply is lost, those that were resolved before it are not counted.
        """
        return await _once(
            self._ask,
            "retry of dead letters",
            lambda runtime: runtime.dead_letters.retry(letter, handler=handler),
            1,
        )

    async def discard(self, letter: DeadLetter, *, reason: str) -> bool:
        """Discard a parked event and deliver the events held back behind it; return whether all of them succeeded."""
        return await _once(
            self._ask,
            f"discard of {letter.processor} {letter.position}",
            lambda runtime: runtime.dead_letters.discard(letter, reason=reason),
            True,
        )


class SimulatedCorrections:
    """The corrections of a node, with those methods of `runtime.corrections` that change something.

    Each call is repeated until it is answered, with the same id of the case.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def open(self, selection: Selection, *, by: str, reason: str, id: str, hold: bool = False) -> CorrectionCase:
        """Open a case for the selected events."""
        return await self._case(id, "open", lambda its: its.open(selection, by=by, reason=reason, id=id, hold=hold))

    async def get(self, id: str) -> CorrectionCase:
        """Return a case."""
        return await self._case(id, "get", lambda its: its.get(id))

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
        """Plan what is done about the events of a case."""
        wanted: dict[str, Any] = {"by": by, "right": right, "commands": commands}
        wanted |= {"skip": skip, "repair": repair, "rerun": rerun}
        return await self._case(id, "plan", lambda its: its.plan(id, **wanted))

    async def approve(self, id: str, *, by: str) -> CorrectionCase:
        """Approve the plan of a case."""
        return await self._case(id, "approve", lambda its: its.approve(id, by=by))

    async def apply(self, id: str) -> CorrectionCase:
        """Apply an approved case."""
        return await self._case(id, "apply", lambda its: its.apply(id))

    async def close(self, id: str, *, by: str) -> CaseReport:
        """Close an applied case."""
        report: CaseReport = await self._ask(
            f"close of case {id}", lambda runtime: runtime.corrections.close(id, by=by)
        )
        return report

    async def cancel(self, id: str, *, by: str, reason: str) -> CorrectionCase:
        """Give a case up before it is applied."""
        return await self._case(id, "cancel", lambda its: its.cancel(id, by=by, reason=reason))

    async def _case(
        self, id: str, step: str, call: Callable[[Corrections], Awaitable[CorrectionCase]]
    ) -> CorrectionCase:
        case: CorrectionCase = await self._ask(f"{step} of case {id}", lambda runtime: call(runtime.corrections))
        return case


async def _once(ask: Ask, what: str, call: Callable[[Runtime], Awaitable[R]], done: R) -> R:
    """Return the answer of a call; `done` if an attempt did the work and its answer was lost."""
    attempts = 0

    async def counted(runtime: Runtime) -> R:
        nonlocal attempts
        attempts += 1
        try:
            return await call(runtime)
        except NotFound:
            if attempts == 1:
                raise
            return done

    answer: R = await ask(what, counted)
    return answer
