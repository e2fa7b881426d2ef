"""The unfinished work of a world, what is stuck in it, and the checks of a world at rest."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from actorium.actors.actor import Actor
from actorium.actors.errors import Rejected
from actorium.actors.status import Status
from actorium.application import Runtime
from actorium.runtime.errors import FollowerElsewhere
from actorium.runtime.statistics import RuntimeStatistics
from actorium.sagas.model.stream import SagaStream
from actorium.sagas.model.submissions import Submission
from actorium.simulation.checks.culprits import evolvers_of
from actorium.simulation.checks.finding import EVOLVED, Violated
from actorium.simulation.record.view import SagaSeen, View
from actorium.simulation.record.witness import Witness
from actorium.store.event_store import DeadLetter, EventStore
from actorium.store.tables.own_rows import ReadDue
from actorium.store.wording import counted

_ANY_TIME_US = 2**63 - 1
_EVERYTHING = 1 << 40


def left_to_do(view: View, witness: Witness, statistics: RuntimeStatistics, until_us: int) -> str | None:
    """Describe unfinished work; None if all that remains is commands due after `until_us`."""
    if sagas := [saga for saga in view.saga_streams() if saga.status in ("running", "undoing") or saga.open]:
        return f"{counted(len(sagas), 'open saga')}; the first is {_shown(sagas[0])}"
    if due := due_submissions(view, until_us):
        return f"{counted(len(due), 'submitted command')} due; the first is {due[0].id}"
    if statistics.in_flight or statistics.waiting_for_room or statistics.ready_actors:
        return (
            f"{counted(statistics.in_flight, 'command')} in flight, and {statistics.waiting_for_room} waiting for room"
        )
    for one in statistics.processors:
        if one.name.startswith("inbox "):
            continue  # its position counts another service's events
        if one.position < witness.position:
            return f"{one.name} is at {one.position} of {witness.position} ({one.state} {one.error})"
    return None


def due_submissions(view: View, until_us: int) -> list[Submission]:
    """Return the submitted commands that are waiting and due by a given time."""
    waiting = [one for one in view.all(Submission) if one.status == "waiting"]
    return [one for one in waiting if one.accepted is None or one.accepted.due_us <= until_us]


def parked(runtime: Runtime) -> list[DeadLetter]:
    """Return the events parked by what runs here; of the others, the nodes that run them know."""
    here = [one for one in runtime.processors.values() if one.statistics().state != "elsewhere"]
    return [letter for processor in here for letter in processor.dead_letters()]


async def retry_stuck(runtime: Runtime) -> None:
    """Do what a person does after the faults are over: retry stuck sagas, and events parked here."""
    for saga in runtime.catalog.sagas:
        async for summary in runtime.sagas.list(saga, status="failed"):
            with suppress(Rejected):  # the saga has ended or changed in the meantime
                await runtime.sagas.retry(saga, summary.id, reason="the faults are over")
    for processor in runtime.processors.values():
        with suppress(FollowerElsewhere):
            await processor.retry()


def _shown(saga: SagaStream) -> str:
    return f"{saga.saga.saga_type}<{saga.id}> ({saga.status}: {saga.reason or ', '.join(saga.open)})"


class AtRest:
    """Checks a runtime that has nothing left to do."""

    def __init__(self, view: View, witness: Witness, violated: Violated) -> None:
        self._view = view
        self._witness = witness
        self._violated = violated
        self.allowed: list[Callable[[SagaSeen], bool]] = []

    def stuck_sagas(self) -> list[SagaSeen]:
        """Return the sagas that are stuck although the scenario does not allow it."""
        return [one for one in self._view.sagas(status="failed") if not any(may(one) for may in self.allowed)]

    def look(self, runtime: Runtime) -> None:
        """Check the sagas, the dead letters and the actors in memory."""
        for saga in self.stuck_sagas():
            what = f"{saga.type}<{saga.id}> failed: {saga.reason}"
            self._violated("every saga ends", "completed or undone", what)
        for letter in parked(runtime):
            what = f"{letter.event_type} of {letter.stream} at {letter.position}: {letter.error}"
            self._violated("nothing stays parked", f"nothing parked by {letter.processor}", what)
        self._actors(runtime)

    def _actors(self, runtime: Runtime) -> None:
        """An actor's state in memory matches the log, and its mailbox is empty."""
        for actor in runtime._running().live:
            if actor.mailbox or actor.pending:
                self._violated(
                    "nothing waits at rest", f"{actor!r} with an empty mailbox", counted(actor.load, "command")
                )
            if actor.status is not Status.IDLE:
                continue
            version = len(self._witness.streams.get(actor.stream, ()))
            if version != actor.version:
                self._in_memory(actor, f"{actor.stream} at {version}", actor)
            elif version:
                state = self._view.get(actor.kind.aggregate_class, actor.id)
                if state != actor.state:
                    self._in_memory(actor, f"{actor!r}: {state}", actor.state)

    def _in_memory(self, actor: Actor, expected: str, found: object) -> None:
        culprit = evolvers_of(self._view, actor.stream)
        self._violated(EVOLVED, expected, found, culprit=culprit)

    async def agenda(self, log: EventStore) -> None:
        """The agenda contains nothing but submitted commands that are not due yet.

        The agenda's table lags behind; listing the sagas brings it up to date.
        """
        waiting = {one.id for one in self._view.all(Submission) if one.status == "waiting"}
        stuck = {one.id for one in self._view.saga_streams() if one.status == "failed"}
        for row in await log.read_rows(ReadDue(_ANY_TIME_US, _EVERYTHING)):
            if row.id not in waiting and row.id not in stuck:
                self._violated(
                    "the agenda is empty at rest", "nothing", f"{row.what} of {row.owner}<{row.id}> {row.key}"
                )

    def listed(self, summaries: list[Any]) -> None:
        """The saga list contains exactly the sagas in the log."""
        found = {(one.type, one.id): one.status for one in summaries}
        wanted = {(one.saga.saga_type, one.id): one.status for one in self._view.saga_streams()}
        for name in {**wanted, **found}:
            if found.get(name) != wanted.get(name):
                self._violated("the saga list matches the log", f"{name} {wanted.get(name)}", found.get(name))
