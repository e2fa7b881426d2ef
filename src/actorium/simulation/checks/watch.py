"""`Checks`: every invariant that is checked on one log, and when.

During the run: after each commit, at each answer, and at each event delivered to a subscriber. At rest: the whole log,
every read and every rejection of the run, every read model, and that no work is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from actorium.actors.aggregate import Aggregate
from actorium.actors.commands import Ack
from actorium.actors.errors import HydrationFailed
from actorium.application import Runtime
from actorium.runtime.statistics import RuntimeStatistics
from actorium.sagas.model.definition import SagaDefinition
from actorium.simulation.chance import Chance
from actorium.simulation.checks.effects import Effects
from actorium.simulation.checks.finding import Violated
from actorium.simulation.checks.follower import FollowerCheck
from actorium.simulation.checks.log import read_back
from actorium.simulation.checks.projections import ReadModels
from actorium.simulation.checks.replies import ReplyCheck
from actorium.simulation.checks.rest import AtRest, left_to_do
from actorium.simulation.checks.rules import Rules
from actorium.simulation.checks.sagas import SagaSteps
from actorium.simulation.checks.snapshots import SavedStates
from actorium.simulation.checks.streams import Streams
from actorium.simulation.record.history import ClientDelivery, ClientRead, History, Operation
from actorium.simulation.record.view import View
from actorium.simulation.record.witness import Witness
from actorium.store.event_store import AppendBatch, Appended
from actorium.store.events import EncodedRecord
from actorium.store.wording import counted
from actorium.user_code.lines import described

# Checks that query the runtime itself cost more than all the others together, so each seed runs a sample of them,
# unless a failure is being examined closely.
_READ_AFTER = 0.06  # share of the commits after which the aggregate is read
_READ_AT_REST_MAX = 8
_SENT_AGAIN_MAX = 6
# An actor whose events failed to apply because of a fault rejects commands for a while: the pauses and their number.
_PAUSE_S = 4.0
_PATIENCE = 12


class Checks:
    """The invariants of one log; `violated(name, expected, actual)` is called for each violation."""

    def __init__(
        self,
        view: View,
        witness: Witness,
        history: History,
        described: Runtime,
        violated: Violated,
        chance: Chance,
        *,
        looks_closely: bool = False,
    ) -> None:
        self._view = view
        self._witness = witness
        self._history = history
        self._violated = violated
        self._chance = chance
        self._looks_closely = looks_closely
        self.rules = Rules(view, violated)
        self._effects = Effects(witness, view, violated)
        self._replies = ReplyCheck(witness, view, self._effects, history, violated)
        self._steps = SagaSteps(_saga_definitions(described), witness, view, violated)
        self._saved = SavedStates(witness, view, violated)
        self._models = ReadModels(described.catalog.projections, witness, view, violated)
        self._streams = Streams(witness, view, self._effects, history, violated)
        self.resting = AtRest(view, witness, violated)
        self._aggregates = _aggregates(described)
        self._followers: dict[str, FollowerCheck] = {}  # by node, like the next
        self._following: dict[str, asyncio.Task[None]] = {}
        self._read: Callable[[type[Aggregate], str], None] | None = None
        witness.listeners.append(self._grew)
        witness.batch_listeners.append(self._appended)
        witness.save_listeners.append(self._models.committed)

    # --- during the run -------------------------------------------------------------------------------------------

    def began(self, name: str, number: int, runtime: Runtime, loop: asyncio.AbstractEventLoop) -> None:
        """Start checking a new life of a node, from its own loop."""
        life = f"{name}.{number}"
        after = self._chance.bits(f"follower of {life}", 0) % (self._witness.position + 1) if number % 2 == 0 else 0
        follower = FollowerCheck(f"the subscriber of {life}", after, self._witness, self._view, self._violated)
        self._followers[name] = follower
        self._following[name] = loop.create_task(follower.follow(runtime), name=f"{life} subscriber")

        def read(aggregate: type[Aggregate], id: str) -> None:
            loop.create_task(self._looked_at(runtime, aggregate, id), name=f"{life} reader")

        self._read = read

    def _grew(self, records: Sequence[EncodedRecord]) -> None:
        self._effects.committed(records)
        self._steps.committed(records)
        self.rules.committed()
        last = records[-1]
        aggregate = self._aggregates.get(last.stream.type)
        if aggregate is None or self._read is None:
            return
        if self._looks_closely or self._chance.number("reading", last.position) < _READ_AFTER:
            self._read(aggregate, last.stream.id)

    def _appended(self, batch: AppendBatch, appended: Appended) -> None:
        self._effects.reported(batch.appends, appended.outcomes)
        self._saved.committed(batch.snapshots)

    def deployed(self, described: Runtime) -> None:
        """Record that the next life of the node runs other classes."""
        self._view.use_classes(described)
        self._history.deployed(self._witness.position)
        self._steps.definitions = _saga_definitions(described)
        self._models.use(described.catalog.projections)
        self._aggregates = _aggregates(described)

    def asked(self, operation: Operation) -> None:
        """Record that a client begins an operation."""
        self._replies.asked(operation)

    def answered(self, operation: Operation, delivery: ClientDelivery) -> None:
        """Check the runtime's answer to a command."""
        self._replies.answered(operation, delivery)

    def left_to_do(self, node: str, statistics: RuntimeStatistics, until_us: int) -> str | None:
        """Describe the work still to be done up to a wall-clock time; None if there is none."""
        left = left_to_do(self._view, self._witness, statistics, until_us)
        follower = self._followers.get(node)
        return left or (follower.left_to_do() if follower is not None else None)

    # --- at rest --------------------------------------------------------------------------------------------------

    async def at_rest(self, call: Callable[[Callable[[Runtime], Awaitable[Any]]], Awaitable[Any]]) -> None:
        """Check everything, now that the world is at rest."""
        await call(self._look)
        for following in self._following.values():
            following.cancel()

    async def _look(self, runtime: Runtime) -> None:
        """Check the runtime in its process: its state, then its answers, then its log."""
        self.resting.look(runtime)
        self.rules.at_rest()
        await self._ask_again(runtime)
        await self.resting.agenda(runtime.store)
        self._streams.look()
        self._replies.at_rest()
        self._steps.at_rest()
        await self._models.at_rest(runtime, self._history)
        await read_back(runtime.store, self._witness, self._effects, self._history, self._violated)

    async def _ask_again(self, runtime: Runtime) -> None:
        """Repeat requests: send commands that took effect again, and read aggregates again."""
        if any(self._view.is_process(stream.type) for stream in self._witness.streams):
            self.resting.listed([one async for one in runtime.sagas.list()])
        before = self._witness.position
        acknowledged = [one for one in self._history.operations if isinstance(one.answer, Ack) and one.answer.events]
        again = self._sample("sent again", acknowledged, _SENT_AGAIN_MAX)
        await asyncio.gather(*[self._sent_again(runtime, operation) for operation in again])
        if self._witness.position > before:
            events = self._view.recorded(self._witness.position)
            self._violated(
                "a command sent again has no effect",
                f"a log of {counted(before, 'event')}",
                f"a log that continues with {events}",
            )
        streams = [stream for stream in self._witness.streams if stream.type in self._aggregates]
        for stream in self._sample("read at rest", streams, _READ_AT_REST_MAX):
            await self._looked_at(runtime, self._aggregates[stream.type], stream.id)

    async def _sent_again(self, runtime: Runtime, operation: Operation, *, patience: int = _PATIENCE) -> None:
        delivery = operation.delivered(self._witness.position)
        try:
            if operation.how == "submit":
                delivery.answer = await runtime.submit(operation.command, command_id=operation.command_id)
            else:
                delivery.answer = await runtime.send(
                    operation.command,
                    command_id=operation.command_id,
                    expected_version=operation.expected_version,
                    correlation_id=operation.correlation_id,
                    causation_id=operation.causation_id,
                    headers=operation.headers,
                )
        except Exception as error:
            if isinstance(error, HydrationFailed) and patience:
                await asyncio.sleep(_PAUSE_S)
                await self._sent_again(runtime, operation, patience=patience - 1)
                return
            self._violated("a command sent again is answered as before", operation.answer, described(error))
            return
        delivery.known = self._witness.position
        self._replies.answered(operation, delivery)

    async def _looked_at(self, runtime: Runtime, aggregate: type[Aggregate], id: str) -> None:
        delivery = ClientDelivery(self._witness.position)
        try:
            delivery.answer = await runtime.get(aggregate, id)
        except Exception:
            return  # a missing answer is not a wrong answer
        delivery.known = self._witness.position
        self._history.readings.append(ClientRead(aggregate, id, None, delivery))

    def _sample(self, what: str, found: list[Any], at_most: int) -> list[Any]:
        if self._looks_closely or len(found) <= at_most:
            return found
        first = self._chance.bits(what, len(found)) % len(found)
        return [found[(first + n * len(found) // at_most) % len(found)] for n in range(at_most)]


def _saga_definitions(described: Runtime) -> dict[str, SagaDefinition]:
    return {one.__definition__.saga_type: one.__definition__ for one in described.catalog.sagas}


def _aggregates(described: Runtime) -> dict[str, type[Aggregate]]:
    return {one.__definition__.stream_type: one for one in described.catalog.aggregates}
