"""The groups of a simulated runtime, as on `Runtime`: its sagas and its submitted commands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Protocol

from actorium.actors.errors import HydrationFailed
from actorium.application import Runtime
from actorium.sagas.model.saga import Saga
from actorium.sagas.model.submission_views import SubmissionView
from actorium.sagas.model.views import SagaSummary, SagaView
from actorium.store.errors import StatementFailed, Transient

# The errors after which a client repeats a request.
TRY_AGAIN = (Transient, HydrationFailed, TimeoutError)


class Ask(Protocol):
    """Calls the runtime of a node until there is an answer, and returns it."""

    async def __call__(
        self, what: str, call: Callable[[Runtime], Awaitable[Any]], again_for: tuple[type[Exception], ...] = ...
    ) -> Any: ...


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
